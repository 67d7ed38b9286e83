"""Pictures of a place as any scene shows it, whatever the scene's grid, resolution or coordinate system.

A place is a ring of four corners. It is found in the scene's pixels through the corners of the scene's own
tiles near it, and drawn upright on the place's own axes. Knows scenes and geometry; no vectors and no words.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landsift.gallery.settings import IndexSettings
from landsift.gallery.store import SceneRow
from landsift.scenes import Scene, SceneProfile, SceneSource, open_scene
from landsift.types import Pixels, Window

__all__ = ["Views", "pixel_map", "reopened", "widened"]

_OPEN_AT_ONCE = 8
_OUTSIDE = (238, 240, 243)


def pixel_map(rings: NDArray[np.float64], windows: NDArray[np.integer]) -> NDArray[np.float64]:
    """The affine map from longitude, latitude to a scene's pixels that fits the corners of some tiles best.

    Over the few tiles around one place, any map projection is affine to a small part of a pixel.

    Args:
        rings: ``(n, 4, 2)`` longitude, latitude of the tiles' corners.
        windows: ``(n, 4)`` col, row, width, height of the tiles in the scene's pixels.

    Returns:
        ``(3, 2)``: ``[longitude, latitude, 1] @ map`` is column and row.
    """
    points = rings.reshape(-1, 2)
    left, top, width, height = windows.T.astype(np.float64)
    corners = np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])
    pixels = np.moveaxis(corners, 2, 0).reshape(-1, 2)
    middle = points.mean(axis=0)
    found = np.linalg.lstsq(np.column_stack([points - middle, np.ones(len(points))]), pixels, rcond=None)[0]
    found[2] -= middle @ found[:2]
    return found


def widened(ring: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """A ring with a margin around, as a share of its side."""
    middle = ring.mean(axis=0)
    return np.asarray(middle + (ring - middle) * (1 + 2 * margin))


def reopened(row: SceneRow, profile: SceneProfile) -> Scene:
    """A scene of the ledger, opened with this profile.

    Raises:
        SceneError: It cannot be read any more.
    """
    crs = IndexSettings.from_json(row.settings).crs
    return open_scene(SceneSource.from_json(row.source), crs=crs, profile=profile)


class Views:
    """Scenes of a gallery, opened as needed with the stretch they were indexed with; use in ``with``."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, Scene] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def scene(self, row: SceneRow) -> Scene:
        """A scene of the ledger, opened.

        Raises:
            SceneError: It cannot be read any more.
        """
        assert row.key is not None and row.profile is not None
        if row.key not in self._open:
            while len(self._open) >= _OPEN_AT_ONCE:
                self._open.popitem(last=False)[1].close()
            self._open[row.key] = reopened(row, SceneProfile.from_json(row.profile))
        self._open.move_to_end(row.key)
        return self._open[row.key]

    def draw(
        self, row: SceneRow, to_pixel: NDArray[np.float64], ring: NDArray[np.float64], size: tuple[int, int]
    ) -> tuple[Pixels, float]:
        """A place as a scene shows it.

        Args:
            row: The scene.
            to_pixel: What :func:`pixel_map` gave for tiles near the place.
            ring: ``(4, 2)`` longitude, latitude of the place, clockwise from its upper left.
            size: Height and width of the picture.

        Returns:
            ``(h, w, 3)`` uint8, pale where the scene ends, and the share of it that is valid.

        Raises:
            SceneError: The scene cannot be read any more.
        """
        scene = self.scene(row)
        quad = np.column_stack([ring, np.ones(4)]) @ to_pixel
        low = np.floor(quad.min(axis=0) + 1e-3).astype(int)
        high = np.ceil(quad.max(axis=0) - 1e-3).astype(int)
        limits = np.array([scene.profile.width, scene.profile.height])
        first, last = np.maximum(low, 0), np.minimum(high, limits)
        picture = Image.new("RGB", (size[1], size[0]), _OUTSIDE)
        if (last <= first).any():
            return np.asarray(picture), 0.0
        window = Window(int(first[0]), int(first[1]), int(last[0] - first[0]), int(last[1] - first[1]))
        shrink = min(1.0, max(size) / _longest(quad))
        shape = max(1, round(window.height * shrink)), max(1, round(window.width * shrink))
        pixels, valid = scene.read(window, shape)
        seen = _laid(pixels, window, quad, size)
        inside = float(np.prod(last - first) / max(np.prod(high - low), 1))
        return seen, valid * inside


def _longest(quad: NDArray[np.float64]) -> float:
    return float(max(math.dist(quad[i], quad[(i + 1) % 4]) for i in range(4)))


def _laid(pixels: Pixels, window: Window, quad: NDArray[np.float64], size: tuple[int, int]) -> Pixels:
    """Pixels of a window, drawn so that the corners of a quadrilateral become those of the picture."""
    scale = np.array([pixels.shape[1] / window.width, pixels.shape[0] / window.height])
    upper_left, upper_right, lower_right, lower_left = (quad - (window.col, window.row)) * scale
    corners = (*upper_left, *lower_left, *lower_right, *upper_right)
    data = tuple(float(value) for value in corners)
    turned = Image.fromarray(pixels).transform(
        (size[1], size[0]), Image.Transform.QUAD, data, Image.Resampling.BILINEAR, fillcolor=_OUTSIDE
    )
    return np.asarray(turned)
