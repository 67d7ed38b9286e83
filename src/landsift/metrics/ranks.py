"""Ranks of the best right answer, by counting, with ties in closed form.

Knows scores and right answers; not what queries and items are. Items that score the same as the best
right answer could stand before or after it. Published code lets an unstable sort decide; here the value is
the expectation over all orders of the tied items, so an encoder that maps everything to one point
scores exactly chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.metrics.positives import Positives
from landsift.metrics.scores import Scores, as_scores
from landsift.types import IntArray

__all__ = ["Ranks", "ranks", "ranks_by_reading", "recall_at_k"]


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where the best right answer to each query stands, as counts.

    Attributes:
        queries: ``(q,)`` numbers of the queries that have a right answer at all; the others are left out.
        better: ``(q,)`` items that score above the best right answer.
        tied: ``(q,)`` items that score the same as it, itself included.
        tied_positives: ``(q,)`` right answers among the tied, at least 1.
        n_queries: All queries, with or without a right answer.
    """

    queries: IntArray
    better: IntArray
    tied: IntArray
    tied_positives: IntArray
    n_queries: int

    @property
    def optimistic(self) -> NDArray[np.float64]:
        """``(q,)`` rank from 0 if right answers came first among the tied."""
        return self.better.astype(np.float64)

    @property
    def pessimistic(self) -> NDArray[np.float64]:
        """``(q,)`` rank from 0 if right answers came last among the tied."""
        return (self.better + self.tied - self.tied_positives).astype(np.float64)

    @property
    def expected(self) -> NDArray[np.float64]:
        """``(q,)`` mean rank from 0 of the first right answer over all orders of the tied.

        Of ``p`` right answers among ``t`` shuffled items, the first is at ``(t - p) / (p + 1)`` on average.
        """
        return self.better + (self.tied - self.tied_positives) / (self.tied_positives + 1)

    def hits(self, k: int, ties: str = "expected") -> NDArray[np.float64]:
        """Probability that a right answer is among the first ``k``, for each query.

        Args:
            k: At least 1.
            ties: ``"expected"`` (over all orders of the tied, hypergeometric), ``"optimistic"`` or
                ``"pessimistic"`` (both 0 or 1).

        Returns:
            ``(q,)`` float64 in 0 to 1.

        Raises:
            UsageError: ``k`` below 1 or an unknown ``ties``.
        """
        if k < 1:
            raise UsageError(f"k must be at least 1; got {k}.")
        if ties == "optimistic":
            return (self.optimistic < k).astype(np.float64)
        if ties == "pessimistic":
            return (self.pessimistic < k).astype(np.float64)
        if ties != "expected":
            raise UsageError(f"ties must be expected, optimistic or pessimistic; got {ties!r}.")
        return 1.0 - self._all_wrong(k)

    def _all_wrong(self, k: int) -> NDArray[np.float64]:
        """Probability that the places left for the tied within ``k`` all go to wrong answers."""
        places = np.minimum(k - self.better, self.tied)
        wrong = self.tied - self.tied_positives
        miss = np.ones(len(self.better))
        certain = places > wrong
        miss[certain] = 0.0
        open_rows = np.flatnonzero(~certain & (places > 0))
        for step in range(int(places[open_rows].max(initial=0))):
            drawing = open_rows[places[open_rows] > step]
            miss[drawing] *= (wrong[drawing] - step) / (self.tied[drawing] - step)
        return miss


def ranks(scores: Scores | NDArray[np.floating], positives: Positives) -> Ranks:
    """Count, for each query, the items better than and tied with its best right answer.

    Args:
        scores: ``(queries, items)`` matrix, higher is better, or :class:`~landsift.metrics.VectorScores`.
        positives: The right answers.

    Returns:
        Counts for the queries that have a right answer.

    Raises:
        UsageError: The shapes disagree, or a score is NaN.
    """
    return ranks_by_reading(scores, [positives])[0]


def ranks_by_reading(scores: Scores | NDArray[np.floating], readings: Sequence[Positives]) -> list[Ranks]:
    """Like :func:`ranks` for several readings of what is right, in one pass over the scores."""
    scores = as_scores(scores)
    for positives in readings:
        expected = (positives.n_queries, positives.n_items)
        if scores.shape != expected:
            raise UsageError(f"Scores must have the shape {expected} (queries, items); got {scores.shape}.")
    rows: list[list[tuple[int, int, int, int]]] = [[] for _ in readings]
    for first, block in scores.blocks():
        for query, row in enumerate(block, first):
            for counted, positives in zip(rows, readings, strict=True):
                right = positives.of(query)
                if len(right):
                    counted.append((query, *_count(row, right)))
    return [_as_ranks(counted, scores.shape[0]) for counted in rows]


def _as_ranks(rows: list[tuple[int, int, int, int]], n_queries: int) -> Ranks:
    table = np.array(rows, np.int64).reshape(-1, 4)
    return Ranks(table[:, 0], table[:, 1], table[:, 2], table[:, 3], n_queries)


def _count(row: NDArray[np.floating], right: IntArray) -> tuple[int, int, int]:
    """Items above the best right answer, level with it, and right answers level with it."""
    right_scores = row[right]
    best = right_scores.max()
    return (
        int(np.count_nonzero(row > best)),
        int(np.count_nonzero(row == best)),
        int(np.count_nonzero(right_scores == best)),
    )


def recall_at_k(found: Ranks, k: int, ties: str = "expected") -> float:
    """Hit rate in percent: share of queries with a right answer among the first ``k`` (the field's R@K).

    Args:
        found: Of one direction.
        k: At least 1.
        ties: See :meth:`Ranks.hits`.

    Returns:
        0 to 100; NaN if no query has a right answer.
    """
    return 100.0 * float(found.hits(k, ties).mean()) if len(found.queries) else float("nan")
