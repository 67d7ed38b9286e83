"""Text to change: precision, recall of all right answers and reciprocal rank at k, on all and changed pairs.

The protocol of Ferrod et al. (Discovery Science 2024): what is said of one pair may be said of many, above
all that nothing changed, so a query has a list of right answers. Their ``R@k`` is hits over right answers;
the hit rate that other papers call R@K stands beside it. Ties count as their expectation over random orders.
Knows scores and captions; no models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.captions import near_captions, normalise_caption
from landsift.errors import UsageError
from landsift.metrics.precision import expected_hits
from landsift.metrics.ranks import Ranks
from landsift.types import IntArray

__all__ = ["CHANGE_KS", "ChangeRetrieval", "change_relevance", "change_retrieval", "direction_accuracy"]

CHANGE_KS = (1, 3, 5, 10)


@dataclass(frozen=True)
class ChangeRetrieval:
    """What text queries find among pairs; shares from 0 to 1, by k.

    Attributes:
        precision: Mean share of right answers among the first k.
        recall: Mean share of a query's right answers that are among the first k.
        hit: Share of queries with a right answer among the first k.
        mrr: Mean of one over the rank of the first right answer, 0 where that is beyond k.
        queries: How many were scored; those without a right answer are not.
        right_answers: Mean number of right answers to a query.
    """

    precision: Mapping[int, float]
    recall: Mapping[int, float]
    hit: Mapping[int, float]
    mrr: Mapping[int, float]
    queries: int
    right_answers: float

    def as_dict(self) -> dict[str, float]:
        """Flat names and numbers, in percent: ``P@1`` ... ``MRR@10``."""
        kinds = {"P": self.precision, "R": self.recall, "hit": self.hit, "MRR": self.mrr}
        return {f"{name}@{k}": 100 * value for name, values in kinds.items() for k, value in values.items()}


def change_relevance(
    queries: Sequence[str],
    pair_of: IntArray,
    captions: Sequence[Sequence[str]],
    changed: NDArray[np.bool_],
    *,
    similarity: float = 1.0,
) -> NDArray[np.bool_]:
    """Which pairs answer which query.

    A query is right with the pair it was written for; with every unchanged pair if that pair is unchanged;
    and with every pair that has a caption of the same words. The authors ask for the cosine of sentence
    vectors, by default 1.0, which is the same wording; below 1 the Jaccard similarity of the words stands
    here.

    Args:
        queries: Q texts.
        pair_of: ``(Q,)`` pair each was written for.
        captions: For each of N pairs its captions.
        changed: ``(N,)``.
        similarity: How alike two captions must be to mean the same, above 0 and at most 1.

    Returns:
        ``(Q, N)`` bool.

    Raises:
        UsageError: Lengths disagree, or ``similarity`` is out of range.
    """
    if len(queries) != len(pair_of) or len(captions) != len(changed):
        raise UsageError(
            f"Give a pair for each query and a flag for each pair; got {len(queries)} queries of "
            f"{len(pair_of)} pairs, and {len(captions)} pairs with {len(changed)} flags."
        )
    if not 0 < similarity <= 1:
        raise UsageError(f"The similarity of captions must be above 0 and at most 1; got {similarity}.")
    relevant = np.zeros((len(queries), len(captions)), bool)
    relevant[np.arange(len(queries)), pair_of] = True
    # All of them look alike, whatever was written of one.
    relevant[np.ix_(~changed[pair_of], ~changed)] = True
    pairs_with: dict[str, set[int]] = {}
    for pair, texts in enumerate(captions):
        for text in texts:
            pairs_with.setdefault(normalise_caption(text), set()).add(pair)
    for row, text in enumerate(queries):
        relevant[row, sorted(pairs_with.get(normalise_caption(text), ()))] = True
    if similarity < 1:
        wordings = list(pairs_with)
        for row, wording, _ in near_captions(queries, wordings, similarity):
            relevant[row, sorted(pairs_with[wordings[wording]])] = True
    return relevant


def change_retrieval(
    scores: NDArray[np.floating], relevant: NDArray[np.bool_], ks: Sequence[int] = CHANGE_KS
) -> ChangeRetrieval:
    """Score queries against pairs.

    Args:
        scores: ``(Q, N)``, higher is better.
        relevant: ``(Q, N)``.
        ks: Cut-offs.

    Raises:
        UsageError: Shapes disagree, a score is no number, or no query has a right answer.
    """
    if scores.shape != relevant.shape or scores.ndim != 2:
        raise UsageError(
            f"Scores {scores.shape} and relevance {relevant.shape} must be alike (queries, pairs)."
        )
    if np.isnan(scores).any():
        raise UsageError("Some scores are no numbers; check the vectors they were made from.")
    if not ks or min(ks) < 1:
        raise UsageError(f"Cut-offs are whole numbers from 1 on; got {tuple(ks)}.")
    asked = relevant.any(axis=1)
    if not asked.any():
        raise UsageError("No query has a right answer among the pairs; give the pairs they were written for.")
    scores, relevant = scores[asked], relevant[asked]
    right = relevant.sum(axis=1)
    hits = {k: expected_hits(scores, relevant, k) for k in ks}
    found = _first_ranks(scores, relevant)
    reached = np.stack([found.hits(k) for k in range(1, max(ks) + 1)])
    gained = np.diff(reached, axis=0, prepend=0) / np.arange(1, len(reached) + 1)[:, None]
    return ChangeRetrieval(
        {k: float((hits[k] / k).mean()) for k in ks},
        {k: float((hits[k] / right).mean()) for k in ks},
        {k: float(reached[k - 1].mean()) for k in ks},
        {k: float(gained[:k].sum(axis=0).mean()) for k in ks},
        len(scores),
        float(right.mean()),
    )


def _first_ranks(scores: NDArray[np.floating], relevant: NDArray[np.bool_]) -> Ranks:
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
    better, level = (scores > best).sum(axis=1), scores == best
    return Ranks(
        np.arange(len(scores)),
        better.astype(np.int64),
        level.sum(axis=1).astype(np.int64),
        (level & relevant).sum(axis=1).astype(np.int64),
        len(scores),
    )


def direction_accuracy(forward: NDArray[np.floating], backward: NDArray[np.floating]) -> float:
    """Share of queries that score their pair higher than the same pair with time running backwards.

    Args:
        forward: ``(Q,)`` score of each query with before, then after.
        backward: ``(Q,)`` with the dates swapped; equal scores count half.

    Raises:
        UsageError: Nothing to compare, or lengths disagree.
    """
    if forward.shape != backward.shape or not forward.size:
        raise UsageError(f"Give both scores of every query; got {forward.shape} and {backward.shape}.")
    return float(((forward > backward) + 0.5 * (forward == backward)).mean())
