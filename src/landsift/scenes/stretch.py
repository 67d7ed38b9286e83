"""From native samples to 8-bit sRGB, and what stands where samples are missing. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from landsift.types import Pixels

__all__ = ["IDENTITY", "Plane", "Stretch", "fill_invalid", "find_stretch", "to_pixels"]

Plane: TypeAlias = NDArray[Any]
"""One band: ``(H, W)`` in the raster's own type."""
Stretch: TypeAlias = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""For red, green and blue: the sample shown as 0 and the sample shown as 255."""

IDENTITY: Stretch = ((0.0, 255.0), (0.0, 255.0), (0.0, 255.0))
_PERCENTILES = (2, 98)
_ROWS_AT_ONCE = 32
# A pixel of all-invalid tiles: neither dark nor bright.
_MIDDLE_GREY = 128


def find_stretch(samples: NDArray[Any]) -> tuple[float, float]:
    """The 2nd and 98th percentile of ``(n,)`` valid samples, widened where the two coincide."""
    low, high = (float(value) for value in np.percentile(samples, _PERCENTILES))
    if low == high:
        low, high = float(samples.min()), float(samples.max())
    return (low, high) if low < high else (low, low + 1.0)


def to_pixels(planes: Sequence[Plane], stretch: Stretch, out: Pixels | None = None) -> Pixels:
    """Stretch one, two or three planes of equal shape into ``(H, W, 3)`` uint8, or into ``out``.

    One plane is shown grey; of two, the mean of the stretched ones becomes the third. NaN becomes 0.
    """
    height, width = planes[0].shape
    pixels = np.empty((height, width, 3), np.uint8) if out is None else out
    for i, (plane, limits) in enumerate(zip(planes, stretch, strict=False)):
        _stretch_plane(plane, limits, pixels[..., i])
    if len(planes) == 1:
        pixels[..., 1] = pixels[..., 0]
        pixels[..., 2] = pixels[..., 0]
    elif len(planes) == 2:
        pixels[..., 2] = (pixels[..., 0].astype(np.uint16) + pixels[..., 1] + 1) // 2
    return pixels


def _stretch_plane(plane: Plane, limits: tuple[float, float], out: NDArray[np.uint8]) -> None:
    """Scale ``limits`` to 0..255, rounding half up, into ``out``."""
    if plane.dtype == np.uint8 and limits == IDENTITY[0]:
        out[...] = plane
        return
    low, high = limits
    # 16-bit and float32 samples lose nothing in float32; wider types would.
    work = np.float32 if plane.dtype.itemsize <= 2 or plane.dtype == np.float32 else np.float64
    gain = work(255.0 / (high - low))
    # A few rows at a time keep the intermediate in the processor's cache: several times faster than whole
    # planes, and faster than a look-up table even for 8- and 16-bit samples.
    buffer = np.empty((min(_ROWS_AT_ONCE, plane.shape[0]), plane.shape[1]), work)
    with np.errstate(invalid="ignore", over="ignore"):
        for top in range(0, plane.shape[0], _ROWS_AT_ONCE):
            rows = plane[top : top + _ROWS_AT_ONCE]
            values = buffer[: rows.shape[0]]
            np.subtract(rows, work(low), out=values, dtype=work)
            values *= gain
            values += work(0.5)
            # fmax and fmin turn NaN into a number, which the cast to uint8 needs.
            np.fmax(values, work(0), out=values)
            np.fmin(values, work(255), out=values)
            np.copyto(out[top : top + rows.shape[0]], values, casting="unsafe")


def fill_invalid(pixels: Pixels, valid: NDArray[np.bool_]) -> float:
    """Put the mean of the valid pixels of ``(H, W, 3)`` in place of the others; returns the valid share.

    Changes ``pixels`` in place. Without any valid pixel it becomes middle grey.
    """
    count = int(np.count_nonzero(valid))
    if count == valid.size:
        return 1.0
    if count == 0:
        pixels[...] = _MIDDLE_GREY
        return 0.0
    mean = pixels[valid].mean(axis=0)
    pixels[~valid] = np.floor(mean + 0.5).astype(np.uint8)
    return count / valid.size
