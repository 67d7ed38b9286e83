"""Where an image's score comes from, found by covering parts of it; for any model, whatever runs it.

Zeiler and Fergus, ECCV 2014, from coarse to fine: a quarter of the image's side is covered first, then
squares half as large where that mattered. What covers is the mean colour of the image, as tiles fill what
is not valid in them. Knows a function from images to scores; no models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.types import FloatArray, Pixels

__all__ = ["GRID", "covered", "occlusion_heat"]

GRID = 16
"""Cells along a side of the map."""
_COARSE, _FINE = 4, 2  # cells along a side of what is covered
_MOST_FINE = 64

Scores = Callable[[Sequence[Pixels]], FloatArray]
"""``n`` images to ``(n,)`` scores."""


@dataclass(frozen=True)
class _Square:
    """Cells ``top`` to ``top + side`` and ``left`` to ``left + side``."""

    top: int
    left: int
    side: int

    @property
    def cells(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.side), slice(self.left, self.left + self.side)


def occlusion_heat(
    scores: Scores, image: Pixels, progress: Callable[[int, int], None] | None = None
) -> FloatArray:
    """Loss of score for each part of an image that is covered, per cell covered.

    Args:
        scores: Of the question.
        image: ``(H, W, 3)`` uint8.
        progress: Called with how many images are scored, and how many there are at most.

    Returns:
        ``(GRID, GRID)`` float32 over the whole image; below 0 where covering helps.
    """
    coarse = _squares(_COARSE, _COARSE // 2)
    whole = float(scores([image])[0])
    total = len(coarse) + _MOST_FINE
    first = _losses(scores, image, coarse, whole, lambda done: progress and progress(done, total))
    rough = _mean_loss(coarse, first)
    fine = sorted(_squares(_FINE, 1), key=lambda square: -float(rough[square.cells].mean()))[:_MOST_FINE]
    second = _losses(
        scores, image, fine, whole, lambda done: progress and progress(len(coarse) + done, total)
    )
    close = _mean_loss(fine, second)
    return _smoothed(np.where(np.isnan(close), rough, (rough + close) / 2)).astype(np.float32)


def _smoothed(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each cell half itself, half its neighbours, along both axes: no seams where the finer look ends."""
    for axis in (0, 1):
        edged = np.pad(grid, [(1, 1) if axis == number else (0, 0) for number in (0, 1)], mode="edge")
        before, middle, after = (np.take(edged, range(start, start + GRID), axis=axis) for start in (0, 1, 2))
        grid = (before + 2 * middle + after) / 4
    return grid


def _squares(side: int, step: int) -> list[_Square]:
    places = range(0, GRID - side + 1, step)
    return [_Square(top, left, side) for top in places for left in places]


def _losses(
    scores: Scores,
    image: Pixels,
    squares: Sequence[_Square],
    whole: float,
    tell: Callable[[int], object],
    at_once: int = 32,
) -> FloatArray:
    """What each square takes from the score when it is covered."""
    left = []
    for first in range(0, len(squares), at_once):
        some = squares[first : first + at_once]
        left.append(scores([covered(image, _mask(square)) for square in some]))
        tell(first + len(some))
    found: FloatArray = whole - np.concatenate(left)
    return found


def _mask(square: _Square) -> NDArray[np.bool_]:
    mask = np.zeros((GRID, GRID), bool)
    mask[square.cells] = True
    return mask


def covered(image: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    """An image with the cells of a mask, laid over all of it, in the image's mean colour."""
    rows, columns = (
        np.minimum(np.arange(size) * cells // size, cells - 1)
        for size, cells in zip(image.shape[:2], mask.shape, strict=True)
    )
    colour = image.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    found: Pixels = np.where(mask[np.ix_(rows, columns)][..., None], colour, image)
    return found


def _mean_loss(squares: Sequence[_Square], losses: FloatArray) -> NDArray[np.float64]:
    """Mean over the squares on each cell of their loss per cell; NaN under none."""
    total, count = np.zeros((GRID, GRID)), np.zeros((GRID, GRID))
    for square, loss in zip(squares, losses.tolist(), strict=True):
        total[square.cells] += loss / square.side**2
        count[square.cells] += 1
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
