"""Where something changed: precision, recall, F1 and IoU of masks, over the pixels of a whole set.

Knows arrays only. Class 0 is no change; all others are kinds of change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.types import IntArray

__all__ = ["DetectionScores", "change_confusion", "detection_scores"]


@dataclass(frozen=True)
class DetectionScores:
    """Scores of change masks; shares from 0 to 1.

    Attributes:
        precision: Of change against no change, whatever its kind.
        recall: Likewise.
        f1: Likewise.
        iou: Of each class, no change first; NaN for a class that neither side has.
        mean_iou: Mean over the classes that are there: mIoU.
        accuracy: Share of pixels with the right class.
    """

    precision: float
    recall: float
    f1: float
    iou: tuple[float, ...]
    mean_iou: float
    accuracy: float

    def as_dict(self) -> dict[str, float]:
        """Flat names and numbers, in percent."""
        found = {"precision": self.precision, "recall": self.recall, "F1": self.f1, "mIoU": self.mean_iou}
        return {name: 100 * value for name, value in (found | {"accuracy": self.accuracy}).items()}


def change_confusion(
    masks: Iterable[tuple[NDArray[np.integer], NDArray[np.integer]]], classes: int = 2
) -> IntArray:
    """Count pixels by true class and found class.

    Args:
        masks: Found and true mask of each pair, ``(H, W)`` of one size, 0 to ``classes - 1``.
        classes: No change and the kinds of change.

    Returns:
        ``(classes, classes)`` int64: rows are true, columns found.

    Raises:
        UsageError: Masks of two sizes, or a class out of range.
    """
    counts = np.zeros(classes * classes, np.int64)
    for found, true in masks:
        if found.shape != true.shape:
            raise UsageError(
                f"A found mask {found.shape} and its true one {true.shape} differ in size; resize the first."
            )
        for mask in (found, true):
            if mask.size and not 0 <= int(mask.min()) <= int(mask.max()) < classes:
                raise UsageError(f"A mask holds {mask.max()}, but there are {classes} classes from 0 on.")
        both = true.astype(np.int64).ravel() * classes + found.ravel()
        counts += np.bincount(both, minlength=classes * classes)
    return counts.reshape(classes, classes)


def detection_scores(confusion: IntArray) -> DetectionScores:
    """Scores of :func:`change_confusion`; with no change on either side, precision, recall and F1 are 1.

    Raises:
        UsageError: No pixels, or no square table of two classes or more.
    """
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1] or len(confusion) < 2:
        raise UsageError(
            f"The table of counts must be square, with two classes or more; got {confusion.shape}."
        )
    total = int(confusion.sum())
    if not total:
        raise UsageError("There are no pixels to score; give at least one mask.")
    hit = int(confusion[1:, 1:].sum())
    found, true = int(confusion[:, 1:].sum()), int(confusion[1:].sum())
    precision = hit / found if found else float(not true)
    recall = hit / true if true else float(not found)
    both = found + true
    right = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    iou = np.where(union > 0, right / np.maximum(union, 1), np.nan)
    return DetectionScores(
        precision,
        recall,
        2 * hit / both if both else 1.0,
        tuple(map(float, iou)),
        float(np.nanmean(iou)),
        float(right.sum() / total),
    )
