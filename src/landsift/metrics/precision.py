"""How many of the first K are right: precision, recall of all right answers, scene recall.

Knows scores and relevance; ties count as their expectation over random orders.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.metrics.scores import Scores, as_scores
from landsift.types import IntArray

__all__ = ["expected_hits", "r_precision", "scene_recall"]


def expected_hits(scores: NDArray[np.floating], relevant: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Mean number of right answers among the first ``k`` over all orders of tied items.

    Divide by ``k`` for precision at k, by the number of right answers for recall of all of them.

    Args:
        scores: ``(queries, items)``, higher is better.
        relevant: ``(queries, items)``.
        k: At least 1; more than the items counts them all.

    Returns:
        ``(queries,)``.

    Raises:
        UsageError: Shapes disagree or ``k`` is below 1.
    """
    if scores.shape != relevant.shape or scores.ndim != 2:
        raise UsageError(
            f"Scores {scores.shape} and relevance {relevant.shape} must be alike (queries, items)."
        )
    if k < 1:
        raise UsageError(f"k must be at least 1; got {k}.")
    items = scores.shape[1]
    if k >= items:
        return relevant.sum(1, dtype=np.float64)
    edge = np.partition(scores, items - k, axis=1)[:, items - k, None]
    above, level = scores > edge, scores == edge
    places = k - above.sum(1)
    share = (level & relevant).sum(1) / level.sum(1)
    hits: NDArray[np.float64] = (above & relevant).sum(1) + places * share
    return hits


def r_precision(scores: NDArray[np.floating], relevant: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Precision among the first R, R being the query's own number of right answers.

    Args:
        scores: ``(queries, items)``.
        relevant: ``(queries, items)``.

    Returns:
        ``(queries,)``; NaN where nothing is right.
    """
    totals = relevant.sum(1)
    found = np.full(len(scores), np.nan)
    for total in np.unique(totals[totals > 0]):
        rows = np.flatnonzero(totals == total)
        found[rows] = expected_hits(scores[rows], relevant[rows], int(total)) / total
    return found


def scene_recall(
    scores: Scores | NDArray[np.floating],
    query_labels: IntArray,
    item_labels: IntArray,
    ks: tuple[int, ...] = (1, 5, 10),
) -> Mapping[int, float]:
    """Share of the first K items that show the query's scene class, averaged over queries, in percent.

    Called scene recall by its authors though it is a precision (Pan, Ma, Bai: Reducing Semantic Confusion,
    ICMR 2023). Queries of unknown class, label -1, are left out; items of unknown class are wrong.

    Args:
        scores: ``(queries, items)``.
        query_labels: ``(queries,)``.
        item_labels: ``(items,)``.
        ks: Cut-offs.

    Returns:
        Percent by K; NaN if no query has a class.
    """
    scores = as_scores(scores)
    if scores.shape != (len(query_labels), len(item_labels)):
        raise UsageError(
            f"Scores {scores.shape} need {scores.shape[0]} query labels and {scores.shape[1]} item labels; "
            f"got {len(query_labels)} and {len(item_labels)}."
        )
    totals, queries = dict.fromkeys(ks, 0.0), 0
    for first, block in scores.blocks():
        labels = query_labels[first : first + len(block)]
        known = np.flatnonzero(labels >= 0)
        same = labels[known, None] == item_labels
        queries += len(known)
        for k in ks:
            totals[k] += float(expected_hits(block[known], same, k).sum()) / k
    return {k: 100 * totals[k] / queries if queries else float("nan") for k in ks}
