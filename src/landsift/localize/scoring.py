"""How well a heat map points at what was meant: Rsu, Ras, Rda and Rmi (Yuan et al., TGRS 2022, section III).

The constants are pixels of the full image, so a map of another size is not comparable. A map without any
content scores well when the target lies in the middle: compare with :func:`uniform_map` and
:func:`centre_map` before believing a number. Knows maps and polygons; nothing of how maps are made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError, need
from landsift.types import FloatArray

__all__ = ["SeloScores", "attention_centres", "centre_map", "mean_scores", "selo_scores", "uniform_map"]

Polygon = Sequence[Sequence[float]]
"""``(v, 2)`` x, y in pixels."""

_BOX, _BOXES = 50, 5
_NEIGHBOURHOOD = 1000
_LEAST_HEAT = 0.5
_RADIUS = 1.5
_TINY = 1e-7


@dataclass(frozen=True, slots=True)
class SeloScores:
    """Figures of one map, or their means.

    Attributes:
        rsu: Salient area: how much denser the map is inside the regions, 0 to 1, higher is better.
        ras: Shift of the attention from the regions' middles, 0 to 1, lower is better.
        rda: Whether attention is in one place for each region, 0 to 1, higher is better.
    """

    rsu: float
    ras: float
    rda: float

    @property
    def rmi(self) -> float:
        """``0.4 Rsu + 0.35 (1 - Ras) + 0.25 Rda``."""
        return 0.4 * self.rsu + 0.35 * (1 - self.ras) + 0.25 * self.rda


def selo_scores(heat: FloatArray, regions: Sequence[Polygon]) -> SeloScores:
    """Score one map.

    Args:
        heat: ``(H, W)`` from 0 to 1, of the full image.
        regions: Polygons of what was meant.

    Raises:
        UsageError: There are no regions, or one has no area in the image.
    """
    if heat.ndim != 2 or not len(regions):
        raise UsageError(
            f"A map (H, W) and one or more polygons are needed; got {heat.shape}, {len(regions)}"
        )
    centres = attention_centres(heat)
    return SeloScores(_salient_area(heat, regions), _shift(centres, regions), _discreteness(centres, regions))


def mean_scores(scores: Sequence[SeloScores]) -> SeloScores:
    """Mean of each figure over the cases of a set."""
    return SeloScores(*(float(np.mean([getattr(s, name) for s in scores])) for name in ("rsu", "ras", "rda")))


def uniform_map(height: int, width: int) -> FloatArray:
    """A map that says nothing: one half everywhere."""
    return np.full((height, width), 0.5, np.float32)


def centre_map(height: int, width: int) -> FloatArray:
    """A map that always says "in the middle": a Gaussian of a sixth of the shorter side."""
    y, x = (np.arange(length, dtype=np.float32) - (length - 1) / 2 for length in (height, width))
    spread = min(height, width) / 6
    found: FloatArray = np.exp(-(y[:, None] ** 2 + x**2) / (2 * spread**2)).astype(np.float32)
    return found


def attention_centres(heat: FloatArray) -> NDArray[np.float64]:
    """Where the map has its peaks: ``(k, 2)`` x, y, the hottest first.

    Five box filters of 50 pixels, maxima over 1000, plateaus by their centroids, those with a heat of one
    half or more. The even filter moves centres by about two pixels, as in the published figures.
    """
    cv = need("cv2", extra="localize")
    grey = (255 * heat).astype(np.uint8)
    for _ in range(_BOXES):
        grey = cv.boxFilter(grey, -1, (_BOX, _BOX))
    highest = cv.dilate(grey, np.ones((_NEIGHBOURHOOD, _NEIGHBOURHOOD), np.uint8))
    peaks = ((grey == highest) & (grey > 0)).astype(np.uint8)
    count, _, _, middles = cv.connectedComponentsWithStats(peaks, connectivity=8)
    middles = np.trunc(middles[1:count])  # whole pixels, as published
    height = heat[middles[:, 1].astype(int), middles[:, 0].astype(int)]
    order = np.argsort(-height, kind="stable")
    found: NDArray[np.float64] = middles[order[height[order] >= _LEAST_HEAT]]
    return found


def _salient_area(heat: FloatArray, regions: Sequence[Polygon]) -> float:
    cv = need("cv2", extra="localize")
    mask = np.zeros(heat.shape, np.uint8)
    for region in regions:
        cv.fillPoly(mask, [np.array(region, np.float64).astype(np.int32)], 1)
    size = int(mask.sum())
    if not size:
        raise UsageError("The regions lie outside the map; give polygons as x, y in its pixels")
    inside = float(heat[mask > 0].sum(dtype=np.float64))
    outside = float(heat.sum(dtype=np.float64)) - inside
    ratio = inside / (outside + _TINY) * (heat.size - size) / size
    return 1 - math.exp(-0.707 * ratio)


def _middle_and_radius(region: Polygon) -> tuple[NDArray[np.float64], int]:
    corners = np.array(region, np.float64)
    middle = corners.mean(axis=0).astype(int).astype(np.float64)
    radius = int(_RADIUS * np.linalg.norm(corners - middle, axis=1).mean())
    return middle, radius


def _within(
    centres: NDArray[np.float64], region: Polygon
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Centres near a region, their distances from its middle, and its radius."""
    middle, radius = _middle_and_radius(region)
    away = np.linalg.norm(centres - middle, axis=1)
    near = away <= radius
    return centres[near], away[near], radius


def _shift(centres: NDArray[np.float64], regions: Sequence[Polygon]) -> float:
    shares = []
    for region in regions:
        _, away, radius = _within(centres, region)
        shares.append(float(away.mean()) / radius if len(away) else 1.0)
    return (math.exp(3 * float(np.mean(shares))) - 1) / (math.exp(3) - 1)


def _discreteness(centres: NDArray[np.float64], regions: Sequence[Polygon]) -> float:
    found = []
    for region in regions:
        near, _, radius = _within(centres, region)
        if len(near) < 2:
            found.append(float(len(near)))
            continue
        spread = float(np.linalg.norm(near - near.mean(axis=0), axis=1).mean()) / radius
        found.append(0.5 * (1 - spread) + math.exp(-0.5 * (len(near) + 2)))
    return float(np.mean(found))
