"""All honest numbers of one run on one caption set, from vectors or from a score matrix.

Knows a :class:`~landsift.types.RetrievalSet` and scores; not what made them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.captions import caption_groups
from landsift.errors import UsageError
from landsift.metrics.bootstrap import Interval, bootstrap_intervals
from landsift.metrics.ceiling import Ceiling, retrieval_ceiling
from landsift.metrics.positives import caption_positives
from landsift.metrics.precision import scene_recall
from landsift.metrics.ranks import Ranks, ranks_by_reading
from landsift.metrics.retrieval import Direction, RetrievalReport
from landsift.metrics.scores import MatrixScores, Scores, VectorScores
from landsift.types import RetrievalSet

__all__ = ["CaptionSetReport", "evaluate_scores", "evaluate_vectors"]


@dataclass(frozen=True)
class CaptionSetReport:
    """The scores of one run.

    Attributes:
        dataset: Name of the set.
        split: Of the set.
        images: N.
        captions: M.
        distinct_captions: Different texts once normalised.
        strict: The papers' protocol: a caption is right with its own image only.
        duplicate_aware: An image is right with every caption equal to one of its own.
        ceiling: What a perfect model could reach in the strict protocol.
        intervals: 95 % bootstrap intervals of the strict recalls.
        scene: ``i2t`` and ``t2i`` scene recall in percent by K; None without classes.
        ranks: Strict ranks, image to text and text to image, for paired comparison.
    """

    dataset: str
    split: str
    images: int
    captions: int
    distinct_captions: int
    strict: RetrievalReport
    duplicate_aware: RetrievalReport
    ceiling: Ceiling
    intervals: Mapping[str, Interval]
    scene: Mapping[str, Mapping[int, float]] | None
    ranks: tuple[Ranks, Ranks]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; the ranks are left out."""
        return {
            "dataset": self.dataset,
            "split": self.split,
            "images": self.images,
            "captions": self.captions,
            "distinct_captions": self.distinct_captions,
            "strict": self.strict.as_dict(),
            "duplicate_aware": self.duplicate_aware.as_dict(),
            "ceiling": {
                **{f"i2t_R@{k}": value for k, value in self.ceiling.i2t.items()},
                **{f"t2i_R@{k}": value for k, value in self.ceiling.t2i.items()},
                "mR": self.ceiling.mR,
            },
            "intervals": {name: asdict(interval) for name, interval in self.intervals.items()},
            "scene": None
            if self.scene is None
            else {f"{side}_SR@{k}": value for side, by_k in self.scene.items() for k, value in by_k.items()},
            "ties": {
                "optimistic": _by_name(self.strict, "optimistic"),
                "pessimistic": _by_name(self.strict, "pessimistic"),
            },
        }


def _by_name(report: RetrievalReport, ties: str) -> dict[str, float]:
    sides = (("i2t", report.i2t), ("t2i", report.t2i))
    return {f"{name}_R@{k}": value for name, side in sides for k, value in getattr(side, ties).items()}


def evaluate_vectors(
    image_vectors: NDArray[np.floating],
    text_vectors: NDArray[np.floating],
    data: RetrievalSet,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> CaptionSetReport:
    """Score a dual encoder's vectors on a caption set, in bounded memory.

    Args:
        image_vectors: ``(N, dim)``, compared by inner product.
        text_vectors: ``(M, dim)``.
        data: The set.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        UsageError: The vectors are not of this set, or hold NaN; the set has no captions.
    """
    forward = VectorScores(image_vectors, text_vectors)
    return _evaluate(forward, VectorScores(text_vectors, image_vectors), data, resamples, seed)


def evaluate_scores(
    scores: NDArray[np.floating],
    data: RetrievalSet,
    *,
    text_scores: NDArray[np.floating] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> CaptionSetReport:
    """Score a ready matrix, from whatever method, on a caption set.

    Args:
        scores: ``(N, M)`` images by captions, higher is better.
        data: The set.
        text_scores: ``(M, N)`` where text to image has scores of its own; else the transpose of ``scores``.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        UsageError: The matrix is not of this set, or holds NaN; the set has no captions.
    """
    backward = MatrixScores(np.asarray(scores).T if text_scores is None else text_scores)
    return _evaluate(MatrixScores(scores), backward, data, resamples, seed)


def _evaluate(
    forward: Scores, backward: Scores, data: RetrievalSet, resamples: int, seed: int
) -> CaptionSetReport:
    n_images, n_captions = len(data.images), len(data.captions)
    if not n_captions:
        raise UsageError(f"{data.name} {data.split} has no captions; classify its images instead.")
    if forward.shape != (n_images, n_captions) or backward.shape != (n_captions, n_images):
        raise UsageError(
            f"{data.name} {data.split} has {n_images} images and {n_captions} captions, "
            f"but the scores are {forward.shape}; score this split in its own order."
        )
    groups = caption_groups(data.captions)
    readings = [caption_positives(data.image_of, n_images, given) for given in (None, groups)]
    i2t, i2t_shared = ranks_by_reading(forward, [reading[0] for reading in readings])
    t2i, t2i_shared = ranks_by_reading(backward, [reading[1] for reading in readings])
    return CaptionSetReport(
        data.name,
        data.split,
        n_images,
        n_captions,
        int(groups.max()) + 1,
        RetrievalReport(Direction.of(i2t), Direction.of(t2i)),
        RetrievalReport(Direction.of(i2t_shared), Direction.of(t2i_shared)),
        retrieval_ceiling(data.image_of, n_images, groups),
        bootstrap_intervals(i2t, t2i, data.image_of, resamples=resamples, seed=seed),
        _scene(forward, backward, data),
        (i2t, t2i),
    )


def _scene(forward: Scores, backward: Scores, data: RetrievalSet) -> Mapping[str, Mapping[int, float]] | None:
    if data.labels is None:
        return None
    of_captions = data.labels[data.image_of]
    return {
        "i2t": scene_recall(forward, data.labels, of_captions),
        "t2i": scene_recall(backward, of_captions, data.labels),
    }
