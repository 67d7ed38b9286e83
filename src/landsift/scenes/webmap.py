"""A scene as squares of the web map: Web Mercator, 256 pixels a side, stretched as it was indexed.

The pixels are those of :class:`~landsift.scenes.canvas.Canvas`, so that what the map shows is what the
encoder saw; each square picks, for its own pixels, the nearest ones. Knows nothing of galleries or servers.
"""

from __future__ import annotations

import io
import math
from collections import OrderedDict
from functools import cache
from threading import Lock

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform as reproject

from landsift.errors import UsageError
from landsift.scenes.canvas import Canvas
from landsift.scenes.profile import SceneProfile
from landsift.scenes.raster import open_scene
from landsift.scenes.sources import SceneSource
from landsift.types import Window

__all__ = ["SIDE", "draw_square"]

SIDE = 256
"""Pixels along the side of a square."""

_HALF_WORLD_M = math.pi * 6_378_137.0
_DEEPEST = 24
_MESH = 16  # steps along a side between which places are interpolated
_OVERVIEW_SIDE = 1024  # what a square shows coarser than this is drawn from a kept overview of the scene
_OVERVIEWS_KEPT = 24
_MERCATOR = CRS.from_epsg(3857)


def draw_square(source: SceneSource, profile: SceneProfile, zoom: int, x: int, y: int) -> bytes:
    """One square of the map as PNG; clear where the scene has no valid pixel.

    Args:
        source, profile: The scene.
        zoom: 0 shows the world in one square, each further step halves the side.
        x, y: Which square, from the north-west corner.

    Raises:
        UsageError: There is no such square.
        SceneError: The scene cannot be read any more.
    """
    count = 2**zoom if 0 <= zoom <= _DEEPEST else 0
    if not (0 <= x < count and 0 <= y < count):
        raise UsageError(
            f"The map has no square {zoom}/{x}/{y}; zoom lies between 0 and {_DEEPEST}, x and y below 2^zoom"
        )
    places = _scene_pixels(profile, zoom, x, y)
    if places is None:
        return _clear()
    cols, rows = places
    with np.errstate(invalid="ignore"):
        inside = (cols >= 0) & (cols < profile.width) & (rows >= 0) & (rows < profile.height)
    if not inside.any():
        return _clear()
    step = _step(cols, rows)
    canvas = _canvas(source, profile, step, cols[inside], rows[inside])
    return _png(_pick(canvas, cols, rows, inside))


def _scene_pixels(
    profile: SceneProfile, zoom: int, x: int, y: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Column and row of the scene under the middle of each pixel of a square, ``(256, 256)`` each.

    NaN off the Earth. None where the scene has no place.
    """
    if profile.crs is None or profile.transform is None:
        return None
    side = 2 * _HALF_WORLD_M / 2**zoom
    mesh = np.linspace(0, side, _MESH + 1)
    xs = np.broadcast_to(-_HALF_WORLD_M + x * side + mesh, (_MESH + 1, _MESH + 1))
    ys = np.broadcast_to((_HALF_WORLD_M - y * side - mesh)[:, None], xs.shape)
    try:
        there = reproject(_MERCATOR, CRS.from_user_input(profile.crs), xs.ravel(), ys.ravel())
    except (RasterioError, CPLE_BaseError):
        return None
    east, north = (np.asarray(values, np.float64).reshape(xs.shape) for values in there)
    if CRS.from_user_input(profile.crs).is_geographic:
        east = _near(east, profile)
    back = ~Affine(*profile.transform)
    cols, rows = back.a * east + back.b * north + back.c, back.d * east + back.e * north + back.f
    cols[~np.isfinite(cols)] = rows[~np.isfinite(rows)] = np.nan
    return _between(cols), _between(rows)


def _near(longitudes: NDArray[np.float64], profile: SceneProfile) -> NDArray[np.float64]:
    """Longitudes turned to within half a circle of the scene's middle: it may lie in 0..360 or across 180."""
    assert profile.transform is not None
    a, b, c = profile.transform[:3]
    middle = a * profile.width / 2 + b * profile.height / 2 + c
    return middle + (longitudes - middle + 180.0) % 360.0 - 180.0


def _between(mesh: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at the middles of all pixels, from those at the knots of the mesh."""
    at = (np.arange(SIDE) + 0.5) * _MESH / SIDE
    low = at.astype(int)
    part = at - low
    across = mesh[:, low] * (1 - part) + mesh[:, low + 1] * part
    return across[low] * (1 - part)[:, None] + across[low + 1] * part[:, None]


def _step(cols: NDArray[np.float64], rows: NDArray[np.float64]) -> int:
    """Native pixels under one pixel of the square, as the power of two not above it."""
    ways = (np.hypot(np.diff(cols, axis=axis), np.diff(rows, axis=axis)) for axis in (0, 1))
    finest = min(float(np.nanmedian(way)) for way in ways)
    return 2 ** max(0, math.floor(math.log2(max(finest, 1.0))))


def _canvas(
    source: SceneSource,
    profile: SceneProfile,
    step: int,
    cols: NDArray[np.float64],
    rows: NDArray[np.float64],
) -> Canvas:
    """The scene's pixels under a square."""
    longer = max(profile.width, profile.height)
    coarse = 2 ** max(0, math.ceil(math.log2(longer / _OVERVIEW_SIDE)))
    largest = 2 ** math.floor(math.log2(min(profile.width, profile.height)))
    if step >= coarse:
        return _OVERVIEWS.of(source, profile, min(coarse, largest))
    step = min(step, largest)
    left, top = int(cols.min()), int(rows.min())
    window = Window(left, top, int(cols.max()) - left + 1, int(rows.max()) - top + 1)
    return _read(source, profile, window, step)


def _read(source: SceneSource, profile: SceneProfile, window: Window, step: int) -> Canvas:
    # The scene's last cells may be cut off; a window inside one of these is moved to whole cells.
    col = min(window.col, (profile.width // step - 1) * step)
    row = min(window.row, (profile.height // step - 1) * step)
    with open_scene(source, profile=profile) as scene:
        return scene._canvas(Window(col, row, window.width, window.height), step)


class _Overviews:
    """Whole scenes, small, kept for the squares that show much of the Earth."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, SceneProfile], Canvas] = OrderedDict()
        self._lock = Lock()

    def of(self, source: SceneSource, profile: SceneProfile, step: int) -> Canvas:
        key = source.href, profile
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = _read(source, profile, Window(0, 0, profile.width, profile.height), step)
                self._kept[key] = found
            self._kept.move_to_end(key)
            if len(self._kept) > _OVERVIEWS_KEPT:
                self._kept.popitem(last=False)
        return found


_OVERVIEWS = _Overviews()


def _pick(
    canvas: Canvas, cols: NDArray[np.float64], rows: NDArray[np.float64], inside: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """``(256, 256, 4)`` red, green, blue, alpha."""
    height, width = canvas.pixels.shape[:2]
    across = np.clip(np.where(inside, cols, 0) // canvas.step - canvas.left, 0, width - 1).astype(np.intp)
    down = np.clip(np.where(inside, rows, 0) // canvas.step - canvas.top, 0, height - 1).astype(np.intp)
    shown = inside if canvas.valid is None else inside & canvas.valid[down, across]
    square = np.zeros((SIDE, SIDE, 4), np.uint8)
    square[..., :3] = np.where(shown[..., None], canvas.pixels[down, across], 0)
    square[..., 3] = np.where(shown, 255, 0)
    return square


def _png(square: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(square).save(out, "PNG", compress_level=3)
    return out.getvalue()


@cache
def _clear() -> bytes:
    return _png(np.zeros((SIDE, SIDE, 4), np.uint8))
