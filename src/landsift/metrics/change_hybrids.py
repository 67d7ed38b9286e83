"""One number for two tasks: captioning with detection, and retrieval that knows what was retrieved.

The precedent is Change-Agent, which keeps the weights with the largest mIoU + BLEU-4 (Liu et al., TGRS 2024);
the numbers here are on one scale and are always shown beside their parts. Knows captions, flags and masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.metrics.captioning import CaptionScores, rouge_l
from landsift.types import IntArray

__all__ = [
    "CIDER_REFERENCE",
    "HybridScores",
    "RetrievedContent",
    "caption_level",
    "caption_similarity_at_k",
    "hybrid_scores",
    "retrieved_content",
]

CIDER_REFERENCE = 1.3661
"""CIDEr-D that counts as 1: what Chg2Cap reports on LEVIR-CC (Chang and Ghamisi, TIP 2023)."""
_TINY = 1e-12


@dataclass(frozen=True)
class HybridScores:
    """Captioning and detection in one number, and what it is made of; all from 0 to 1.

    Attributes:
        captions: Level of the captions: :func:`caption_level`.
        detection: F1 of change, or mIoU.
        arithmetic: ``w captions + (1 - w) detection``.
        harmonic: ``2 captions detection / (captions + detection)``; 0 where either is.
        sum: ``detection + BLEU-4``, by which Change-Agent chooses its weights; up to 2.
    """

    captions: float
    detection: float
    arithmetic: float
    harmonic: float
    sum: float


def caption_level(scores: CaptionScores, cider_reference: float = CIDER_REFERENCE) -> float:
    """Mean of BLEU-4, ROUGE-L, METEOR (where it was scored) and CIDEr-D over a reference, cut at 1."""
    if not cider_reference > 0:
        raise UsageError(f"The CIDEr-D that counts as 1 must be above 0; got {cider_reference}.")
    parts = [scores.bleu[3], scores.rouge_l, min(1.0, scores.cider / cider_reference)]
    return float(np.mean(parts if scores.meteor is None else [*parts, scores.meteor]))


def hybrid_scores(
    scores: CaptionScores, detection: float, *, weight: float = 0.5, cider_reference: float = CIDER_REFERENCE
) -> HybridScores:
    """Put captioning and change detection into one number.

    Args:
        scores: Of the captions.
        detection: F1 of change, or mIoU, 0 to 1.
        weight: Of the captions in the arithmetic mean.
        cider_reference: CIDEr-D that counts as 1.

    Raises:
        UsageError: A share that is none.
    """
    for name, value in (("detection", detection), ("weight", weight)):
        if not 0 <= value <= 1:
            raise UsageError(f"{name} is a share from 0 to 1; got {value}.")
    level = caption_level(scores, cider_reference)
    return HybridScores(
        level,
        detection,
        weight * level + (1 - weight) * detection,
        _harmonic([level, detection]),
        detection + scores.bleu[3],
    )


@dataclass(frozen=True)
class RetrievedContent:
    """What the first k pairs of each query are like; all from 0 to 1 but the last.

    Attributes:
        caption_similarity: CapSim@k: mean over the k of the best ROUGE-L between the query and the pair's
            captions. Equal captions score 1, so no false negative is punished.
        flag_accuracy: FlagAcc@k: share of the k that changed exactly if the query's pair did.
        harmonic: H@k: harmonic mean of those two, and of ``class_f1`` where there are masks.
        class_f1: ClassF1@k: mean F1 between the classes of change in the masks of the query's pair and of the
            retrieved one; None without masks.
        extent: Mean ``|log|`` of the ratio of changed areas, where both changed; 0 is best; None likewise.
    """

    caption_similarity: float
    flag_accuracy: float
    harmonic: float
    class_f1: float | None = None
    extent: float | None = None


def caption_similarity_at_k(
    queries: Sequence[str], captions: Sequence[Sequence[str]], retrieved: IntArray
) -> float:
    """CapSim@k: mean over retrieved pairs of ``max_r ROUGE-L(query, caption r of the pair)``.

    Args:
        queries: Q texts.
        captions: For each pair its captions.
        retrieved: ``(Q, k)`` pairs.

    Raises:
        UsageError: A retrieved pair has no caption.
    """
    # The same few sentences meet again and again.
    known: dict[tuple[str, str], float] = {}

    def best(query: str, pair: int) -> float:
        texts = set(captions[pair])
        if not texts:
            raise UsageError(f"Pair {pair} has no caption to compare with; leave it out of the score.")
        for text in texts:
            if (query, text) not in known:
                known[query, text] = rouge_l(query, [text])
        return max(known[query, text] for text in texts)

    return float(
        np.mean(
            [best(query, int(pair)) for query, row in zip(queries, retrieved, strict=True) for pair in row]
        )
    )


def retrieved_content(
    queries: Sequence[str],
    pair_of: IntArray,
    captions: Sequence[Sequence[str]],
    changed: NDArray[np.bool_],
    retrieved: IntArray,
    areas: NDArray[np.integer] | None = None,
) -> RetrievedContent:
    """How like their query's pair the first k pairs are.

    Args:
        queries: Q texts.
        pair_of: ``(Q,)`` pair each was written for.
        captions: For each of N pairs its captions.
        changed: ``(N,)``.
        retrieved: ``(Q, k)`` pairs, k at least 1.
        areas: ``(N, C)`` changed pixels of each class in each pair's mask; None without masks.

    Raises:
        UsageError: Shapes disagree.
    """
    if retrieved.ndim != 2 or retrieved.shape[0] != len(queries) or not retrieved.size:
        raise UsageError(
            f"Retrieved pairs must be ({len(queries)}, k) with k of 1 or more; got {retrieved.shape}."
        )
    similarity = caption_similarity_at_k(queries, captions, retrieved)
    flags = float((changed[retrieved] == changed[pair_of][:, None]).mean())
    if areas is None:
        return RetrievedContent(similarity, flags, _harmonic([similarity, flags]))
    own, other = areas[pair_of][:, None, :], areas[retrieved]
    classes = _class_f1(own > 0, other > 0)
    return RetrievedContent(
        similarity, flags, _harmonic([similarity, flags, classes]), classes, _extent(own.sum(2), other.sum(2))
    )


def _class_f1(own: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """F1 of two sets of classes, 1 where both are empty."""
    both, sizes = (own & other).sum(axis=2), own.sum(axis=2) + other.sum(axis=2)
    return float(np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0).mean())


def _extent(own: NDArray[np.integer], other: NDArray[np.integer]) -> float | None:
    known = (own > 0) & (other > 0)
    if not known.any():
        return None
    ratio = np.broadcast_to(own, other.shape)[known] / other[known]
    return float(np.abs(np.log(ratio)).mean())


def _harmonic(values: Sequence[float]) -> float:
    return 0.0 if min(values) <= _TINY else float(len(values) / sum(1 / value for value in values))
