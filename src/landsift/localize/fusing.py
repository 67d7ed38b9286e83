"""From scored windows to a map, in strips of rows: any scene in the memory of a few of its rows.

A pixel's value is the mean score of the windows over it (SeLo), weighted where some see it better. Instead
of adding to every pixel of every window, the scores are written at the windows' corners and summed up once
over each strip (a two-dimensional difference array): ``O(windows + pixels)`` where the published program
takes ``O(windows x window area)``. Knows windows and scores, no pixels of the scene.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.types import FloatArray

__all__ = ["Evidence", "fused", "fused_strips"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Scored windows of a scene.

    Attributes:
        width: Of the scene, pixels.
        height: Of the scene, pixels.
        boxes: ``(n, 4)`` int64 left, top, right, bottom in pixels, right and bottom excluded.
        scores: ``(n,)`` float32 inner products.
        elsewhere: Value of pixels under no window; NaN where nothing is known of them.
        weights: ``(n,)`` int64, 1 or more: how much each window counts; all alike when None. Whole numbers,
            so that their sums are exact and a pixel under no window is known for one.
    """

    width: int
    height: int
    boxes: NDArray[np.int64]
    scores: FloatArray
    elsewhere: float = np.nan
    weights: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.scores), 4):
            raise ValueError(f"{len(self.scores)} scores need as many boxes; got {self.boxes.shape}")
        if self.weights is not None and self.weights.shape != self.scores.shape:
            raise ValueError(f"{len(self.scores)} scores need as many weights; got {self.weights.shape}")


def fused(evidence: Evidence, top: int = 0, bottom: int | None = None) -> FloatArray:
    """Mean score of the windows over each pixel of the rows from ``top`` to ``bottom``: ``(rows, width)``."""
    bottom = evidence.height if bottom is None else bottom
    over = (evidence.boxes[:, 1] < bottom) & (evidence.boxes[:, 3] > top)
    boxes, scores = evidence.boxes[over], evidence.scores[over].astype(np.float64)
    weights = np.ones(len(scores), np.int64) if evidence.weights is None else evidence.weights[over]
    scores *= weights
    rows = bottom - top
    total = np.zeros((rows + 1, evidence.width + 1))
    count = np.zeros((rows + 1, evidence.width + 1), np.int32)
    first, last = np.clip(boxes[:, 1] - top, 0, rows), np.clip(boxes[:, 3] - top, 0, rows)
    for row, col, sign in (
        (first, boxes[:, 0], 1),
        (first, boxes[:, 2], -1),
        (last, boxes[:, 0], -1),
        (last, boxes[:, 2], 1),
    ):
        np.add.at(total, (row, col), sign * scores)
        np.add.at(count, (row, col), sign * weights)
    for array in (total, count):
        np.cumsum(array, axis=0, out=array)
        np.cumsum(array, axis=1, out=array)
    total, count = total[:rows, : evidence.width], count[:rows, : evidence.width]
    mean = np.full(total.shape, evidence.elsewhere, np.float32)
    np.divide(total, count, out=mean, where=count > 0, casting="same_kind")
    return mean


def fused_strips(evidence: Evidence, rows: int, halo: int = 0) -> Iterator[tuple[int, int, FloatArray]]:
    """The map in strips of ``rows`` rows.

    Args:
        evidence: The scored windows.
        rows: Of a strip.
        halo: Rows to give beyond a strip on either side, where the scene has them.

    Yields:
        The strip's first row, how many of the rows given lie above it, and ``(given, width)`` means.
    """
    for top in range(0, evidence.height, rows):
        above = min(halo, top)
        bottom = min(evidence.height, top + rows + halo)
        yield top, above, fused(evidence, top - above, bottom)
