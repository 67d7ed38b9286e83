"""Zero-shot classification by a dual encoder: class vectors from templates, accuracy, confusion.

Knows vectors, scores and labels only; class names and templates are data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.types import FloatArray, IntArray

__all__ = ["ClassificationReport", "class_vectors", "classification_report"]


@dataclass(frozen=True, eq=False)
class ClassificationReport:
    """How well images fall into classes.

    Attributes:
        accuracy: Percent of images whose class scores highest; ties count as their share.
        class_recall: ``(C,)`` percent per class; NaN for classes without images.
        confusion: ``(C, C)`` images of the row's class put into the column's; fractions where scores tie.
    """

    accuracy: float
    class_recall: NDArray[np.float64]
    confusion: NDArray[np.float64]

    @property
    def mean_class_recall(self) -> float:
        """Mean over the classes that have images, percent."""
        return float(np.nanmean(self.class_recall))


def class_vectors(template_vectors: NDArray[np.floating], *, normalised: bool = True) -> FloatArray:
    """One unit vector per class from the vectors of its templates.

    Args:
        template_vectors: ``(C, T, dim)``.
        normalised: Scale each template's vector to length 1 before the mean (CLIP, open_clip,
            CLIP_benchmark); otherwise average them as they are (GeoRSCLIP). Encoders that return unit
            rows give the same either way.

    Returns:
        ``(C, dim)`` unit rows.
    """
    vectors = np.asarray(template_vectors, np.float64)
    if vectors.ndim != 3 or not vectors.shape[1]:
        raise UsageError(
            f"Template vectors must have the shape (classes, templates, dim); got {vectors.shape}."
        )
    return _unit((_unit(vectors) if normalised else vectors).mean(1)).astype(np.float32)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: NDArray[np.float64] = vectors / np.where(lengths > 0, lengths, 1)
    return unit


def classification_report(scores: NDArray[np.floating], labels: IntArray) -> ClassificationReport:
    """Score a zero-shot classifier.

    Args:
        scores: ``(N, C)``, higher is better.
        labels: ``(N,)`` true classes, all within 0 to C - 1.

    Raises:
        UsageError: Shapes disagree, labels are out of range, or scores hold NaN.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != (len(scores),) or not len(labels):
        raise UsageError(f"Scores {scores.shape} need one label per row; got {labels.shape}.")
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise UsageError(
            f"Labels must lie within 0 to {scores.shape[1] - 1}; leave out images without a class."
        )
    if np.isnan(scores).any():
        raise UsageError("Scores contain NaN; check the encoder for invalid numbers.")
    best = scores == scores.max(1, keepdims=True)
    chosen = best / best.sum(1, keepdims=True)
    confusion = np.zeros((scores.shape[1], scores.shape[1]))
    np.add.at(confusion, labels, chosen)
    with np.errstate(invalid="ignore"):
        recall = 100 * np.diag(confusion) / confusion.sum(1)
    return ClassificationReport(float(100 * np.trace(confusion) / len(labels)), recall, confusion)
