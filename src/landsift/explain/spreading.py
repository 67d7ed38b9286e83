"""A coarse map on a tower's grid -> heat for every pixel of the image. Pure arrays."""

from __future__ import annotations

import numpy as np
from PIL import Image

from landsift.types import FloatArray

__all__ = ["spread"]


def spread(grid: FloatArray, height: int, width: int, fit: str = "squash") -> FloatArray:
    """Heat of every pixel, from 0 to 1.

    Args:
        grid: ``(h, w)``; what is below 0 counts as 0.
        height: Of the image.
        width: Of the image.
        fit: How the image became the square that the grid covers: of
            :data:`landsift.encoders.pixels.FITS`. Outside a square cut from the middle nothing is hot.

    Returns:
        ``(height, width)`` float32, bilinear between the middles of the cells, 1 at the hottest pixel; zeros
        where the whole grid is cold.
    """
    side = min(height, width)
    size = (side, side) if fit == "centre-crop" else (height, width)
    heat = np.zeros((height, width), np.float32)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    grown = Image.fromarray(np.maximum(grid, 0).astype(np.float32)).resize(
        size[::-1], Image.Resampling.BILINEAR
    )
    heat[top : top + size[0], left : left + size[1]] = np.asarray(grown)
    most = float(heat.max())
    return heat / most if most > 0 else heat
