"""The papers' table: R@K in both directions, mR, and the ranks behind them.

Knows arrays only; which encoder made them and which data set they describe is the caller's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.metrics.positives import caption_positives
from landsift.metrics.ranks import Ranks, ranks, recall_at_k
from landsift.metrics.scores import MatrixScores, Scores, VectorScores
from landsift.types import IntArray

__all__ = ["Direction", "RetrievalReport", "report_of_scores", "retrieval_ranks", "retrieval_report"]

RECALL_KS = (1, 5, 10)
_TIES = ("expected", "optimistic", "pessimistic")


@dataclass(frozen=True)
class Direction:
    """One direction of retrieval: image to text, or text to image.

    Attributes:
        recall: R@K in percent by K, ties by expectation.
        optimistic: R@K if ties always fell well.
        pessimistic: R@K if ties always fell badly.
        median_rank: Of the first right answer, from 1, ties by expectation.
        mean_rank: Likewise.
        queries: How many queries were scored; those without a right answer are not.
    """

    recall: Mapping[int, float]
    optimistic: Mapping[int, float]
    pessimistic: Mapping[int, float]
    median_rank: float
    mean_rank: float
    queries: int

    @classmethod
    def of(cls, found: Ranks, ks: tuple[int, ...] = RECALL_KS) -> Direction:
        """Summarise ranks at each K in ``ks``."""
        expected, best, worst = ({k: recall_at_k(found, k, ties) for k in ks} for ties in _TIES)
        places = found.expected + 1
        median = float(np.median(places)) if len(places) else float("nan")
        mean = float(places.mean()) if len(places) else float("nan")
        return cls(expected, best, worst, median, mean, len(places))

    @property
    def mean_recall(self) -> float:
        """Mean of the recalls, in percent: mR of this direction."""
        return float(np.mean(list(self.recall.values())))


@dataclass(frozen=True)
class RetrievalReport:
    """Both directions. ``mR`` is the mean of all six recalls."""

    i2t: Direction
    t2i: Direction

    @property
    def mR_i2t(self) -> float:
        """Mean recall of image to text, percent."""
        return self.i2t.mean_recall

    @property
    def mR_t2i(self) -> float:
        """Mean recall of text to image, percent."""
        return self.t2i.mean_recall

    @property
    def mR(self) -> float:
        """Mean of the recalls of both directions, percent: the number papers rank by."""
        return float(np.mean([*self.i2t.recall.values(), *self.t2i.recall.values()]))

    def as_dict(self) -> dict[str, float]:
        """Flat names and numbers: ``i2t_R@1`` ... ``t2i_R@10``, the three mR, and median and mean ranks."""
        flat = {f"i2t_R@{k}": value for k, value in self.i2t.recall.items()}
        flat |= {f"t2i_R@{k}": value for k, value in self.t2i.recall.items()}
        flat |= {"mR_i2t": self.mR_i2t, "mR_t2i": self.mR_t2i, "mR": self.mR}
        for name, side in (("i2t", self.i2t), ("t2i", self.t2i)):
            flat |= {f"{name}_median_rank": side.median_rank, f"{name}_mean_rank": side.mean_rank}
        return flat


def retrieval_report(
    image_vectors: NDArray[np.floating],
    text_vectors: NDArray[np.floating],
    image_of: IntArray,
    *,
    caption_groups: IntArray | None = None,
    ks: tuple[int, ...] = RECALL_KS,
) -> RetrievalReport:
    """Score a dual encoder on a caption set, in bounded memory.

    Args:
        image_vectors: ``(N, dim)``; compared by inner product.
        text_vectors: ``(M, dim)``.
        image_of: ``(M,)`` image that each caption describes.
        caption_groups: None for the strict reading; ``(M,)`` group numbers for the duplicate-aware one
            (see :func:`~landsift.metrics.caption_positives`).
        ks: Cut-offs.

    Raises:
        UsageError: Shapes disagree, or vectors hold NaN.
    """
    found = retrieval_ranks(image_vectors, text_vectors, image_of, caption_groups=caption_groups)
    return RetrievalReport(*(Direction.of(side, ks) for side in found))


def retrieval_ranks(
    image_vectors: NDArray[np.floating],
    text_vectors: NDArray[np.floating],
    image_of: IntArray,
    *,
    caption_groups: IntArray | None = None,
) -> tuple[Ranks, Ranks]:
    """Ranks behind :func:`retrieval_report`: ``(image to text, text to image)``."""
    forward = VectorScores(image_vectors, text_vectors)
    backward = VectorScores(text_vectors, image_vectors)
    return _both_ways(forward, backward, image_of, caption_groups)


def report_of_scores(
    scores: NDArray[np.floating],
    image_of: IntArray,
    *,
    caption_groups: IntArray | None = None,
    ks: tuple[int, ...] = RECALL_KS,
    text_scores: NDArray[np.floating] | None = None,
) -> RetrievalReport:
    """Like :func:`retrieval_report`, from a ready matrix of any method.

    Args:
        scores: ``(N, M)``: images by captions, higher is better.
        image_of: ``(M,)``.
        caption_groups: As above.
        ks: Cut-offs.
        text_scores: ``(M, N)`` for methods whose text-to-image score is another matrix (re-ranking);
            the transpose of ``scores`` otherwise.
    """
    backward = MatrixScores(scores.T if text_scores is None else text_scores)
    found = _both_ways(MatrixScores(scores), backward, image_of, caption_groups)
    return RetrievalReport(*(Direction.of(side, ks) for side in found))


def _both_ways(
    forward: Scores, backward: Scores, image_of: IntArray, groups: IntArray | None
) -> tuple[Ranks, Ranks]:
    n_images, n_captions = forward.shape
    if len(image_of) != n_captions:
        raise UsageError(
            f"image_of must have one number per caption, {n_captions}; got {len(image_of)}: "
            "give the captions and image_of of the same set."
        )
    i2t, t2i = caption_positives(image_of, n_images, groups)
    return ranks(forward, i2t), ranks(backward, t2i)
