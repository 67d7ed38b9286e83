"""Crops of a tile that overlap a little: where they lie, and the pixels of each. Pure geometry.

The convention is that of sliced inference (Akyon et al., ICIP 2022, SAHI, arXiv 2202.06934): the whole, and a
grid of slices that share about a fifth of their side. Knows no files and no encoder.
"""

from __future__ import annotations

from landsift.errors import UsageError
from landsift.types import Pixels

__all__ = ["VIEW_SHARES", "crop_offsets", "crops_of", "view_grid"]

VIEW_SHARES = {2: 0.5625, 3: 0.4, 4: 0.3125}
"""Crops a side -> side of a crop as a share of the whole's; short decimals, for tiles are named by them."""


def view_grid(views: int) -> int:
    """Crops a side, of a tile that is seen ``views`` times: whole, and in the crops of a grid.

    Raises:
        UsageError: Neither 1 nor the whole and a square grid of 2 to 4 a side.
    """
    for grid in (0, *VIEW_SHARES):
        if views == 1 + grid * grid:
            return grid
    known = ", ".join(str(1 + grid * grid) for grid in VIEW_SHARES)
    raise UsageError(
        f"A tile has 1 view, or with its crops {known}; got {views}. Take 5 for the whole and its quarters."
    )


def crop_offsets(length: int, grid: int) -> tuple[int, tuple[int, ...]]:
    """Length of the crops along one side, and where each begins; the last ends where the side ends.

    Args:
        length: Of the side.
        grid: Crops along it, of ``VIEW_SHARES``.
    """
    size = max(1, round(length * VIEW_SHARES[grid]))
    return size, tuple(round(number * (length - size) / (grid - 1)) for number in range(grid))


def crops_of(pixels: Pixels, grid: int) -> list[Pixels]:
    """The crops of an image, row by row; they share its memory.

    Args:
        pixels: ``(H, W, 3)`` uint8.
        grid: Crops a side, of ``VIEW_SHARES``.
    """
    height, rows = crop_offsets(pixels.shape[0], grid)
    width, columns = crop_offsets(pixels.shape[1], grid)
    return [pixels[row : row + height, col : col + width] for row in rows for col in columns]
