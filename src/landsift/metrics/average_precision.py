"""Average precision and its namesakes, with ties in closed form, and graded gain.

Knows scores and relevance. Published hashing code holds three measures, all called mAP@k, that differ
by tenths on one ranking; here each has a name of its own. With short codes nearly every item ties, so the
value is the mean over all orders of tied items (McSherry and Najork, ECIR 2008), or, for parity with
code that sorts stably, that of one order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError

__all__ = ["AP_KINDS", "average_precision", "mean_average_precision", "ndcg"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Ranking:
    """One query's items, best first; arrays have one entry per place.

    ``before``, ``size``, ``right_before`` and ``right`` describe the run of equal scores that the place lies
    in: items above it, items in it, right answers above it and in it. ``within`` counts places in it from 1.
    """

    before: _Floats
    size: _Floats
    right_before: _Floats
    right: _Floats
    within: _Floats

    @property
    def total(self) -> int:
        """Right answers in all."""
        return int(self.right_before[-1] + self.right[-1])

    def precisions(self) -> _Floats:
        """Mean, over orders of ties, of (precision at this place, if a right answer is here, else 0)."""
        mates = (self.within - 1) * (self.right - 1) / np.maximum(self.size - 1, 1)
        found = self.right_before + 1 + mates
        precisions: _Floats = self.right / self.size * found / (self.before + self.within)
        return precisions


def _ranking(scores: NDArray[np.floating], relevant: NDArray[np.bool_], stable: bool) -> _Ranking:
    order = np.argsort(-scores, kind="stable")
    sorted_scores, hits = scores[order], relevant[order]
    new_run = np.ones(len(scores), bool)
    if not stable:
        new_run[1:] = sorted_scores[1:] != sorted_scores[:-1]
    start = np.flatnonzero(new_run)
    run = np.cumsum(new_run) - 1
    size = np.diff(np.append(start, len(scores)))[run]
    right = np.add.reduceat(hits.astype(float), start)
    right_before = (np.cumsum(right) - right)[run]
    before = start[run]
    within = np.arange(len(scores)) - before + 1.0
    return _Ranking(before.astype(float), size.astype(float), right_before, right[run], within)


def _map_all(ranking: _Ranking, k: int) -> float:
    return float(ranking.precisions().sum()) / ranking.total


def _map_topk_std(ranking: _Ranking, k: int) -> float:
    return float(ranking.precisions()[:k].sum()) / min(k, ranking.total)


def _map_at_r(ranking: _Ranking, k: int) -> float:
    return float(ranking.precisions()[: ranking.total].sum()) / ranking.total


def _map_topk_hits(ranking: _Ranking, k: int) -> float:
    """Sum over how many of the run that straddles place ``k`` come out right within it."""
    k = min(k, len(ranking.size))
    before, size = int(ranking.before[k - 1]), int(ranking.size[k - 1])
    right_before, right = ranking.right_before[k - 1], int(ranking.right[k - 1])
    certain = ranking.precisions()[:before].sum()
    drawn = k - before
    hits = np.arange(max(0, drawn - (size - right)), min(drawn, right) + 1)
    places = np.arange(1, drawn + 1)
    first = ((right_before + 1) / (before + places)).sum()
    mates = ((places - 1) / (before + places)).sum()
    inside = hits / drawn * (first + (hits - 1) / max(drawn - 1, 1) * mates)
    divisor = np.maximum(right_before + hits, 1)
    log_chance = _log_choose(right, hits) + _log_choose(size - right, drawn - hits) - _log_choose(size, drawn)
    return float((np.exp(log_chance) * (certain + inside) / divisor).sum())


def _map_first_k_relevant(ranking: _Ranking, k: int) -> float:
    """Whole runs until the k-th right answer; in its run, where the first few right answers fall."""
    wanted = min(k, ranking.total)
    whole = ranking.right_before + ranking.right <= wanted
    total = ranking.precisions()[whole].sum()
    edge = np.flatnonzero(~whole & (ranking.right_before < wanted))
    if len(edge):
        before, size = ranking.before[edge[0]], int(ranking.size[edge[0]])
        right_before, right = ranking.right_before[edge[0]], int(ranking.right[edge[0]])
        nth = np.arange(1, wanted - int(right_before) + 1)[:, None]
        place = np.arange(1, size + 1)[None, :]
        possible = (place >= nth) & (size - place >= right - nth)
        log_chance = (
            _log_choose(place - 1, nth - 1)
            + _log_choose(size - place, right - nth)
            - _log_choose(size, np.array(right))
        )
        chance = np.where(possible, np.exp(np.where(possible, log_chance, -np.inf)), 0.0)
        total += (chance * (right_before + nth) / (before + place)).sum()
    return float(total / wanted)


def _log_choose(n: NDArray[np.integer] | int, k: NDArray[np.integer] | int) -> _Floats:
    """Logarithm of the binomial coefficient; any value where ``k`` is not within 0 to ``n``."""
    n, k = np.asarray(n), np.asarray(k)
    logarithms = np.log(np.arange(1, max(int(n.max(initial=0)), 1) + 1))
    log_factorial = np.concatenate([[0.0], np.cumsum(logarithms)])
    rest = np.maximum(n - k, 0)
    chosen = np.clip(k, 0, len(log_factorial) - 1)
    logs: _Floats = log_factorial[n] - log_factorial[chosen] - log_factorial[rest]
    return logs


AP_KINDS: Mapping[str, Callable[[_Ranking, int], float]] = {
    "map_all": _map_all,
    "map_first_k_relevant": _map_first_k_relevant,
    "map_topk_hits": _map_topk_hits,
    "map_topk_std": _map_topk_std,
    "map_at_r": _map_at_r,
}
"""The measures by name. For one query with R right answers, P(i) the precision at place i:

- ``map_all``: mean of P at the places of all right answers (UCCH).
- ``map_first_k_relevant``: mean of P at the places of the first k right answers, wherever they are; the
  "mAP@20" of DUCH, CHNR, CACH and the code they descend from.
- ``map_topk_hits``: mean of P at the right answers within the first k, 0 if there are none (DJSRH, CIRH).
- ``map_topk_std``: the textbook's: their sum over min(k, R).
- ``map_at_r``: the sum of P at right answers within the first R, over R (Chun et al., ECCV 2022).
"""


def average_precision(
    scores: NDArray[np.floating],
    relevant: NDArray[np.bool_],
    kind: str = "map_all",
    k: int | None = None,
    ties: str = "expected",
) -> _Floats:
    """Average precision of each query.

    Args:
        scores: ``(queries, items)``, higher is better; for Hamming codes minus the distance.
        relevant: ``(queries, items)``.
        kind: A name in :data:`AP_KINDS`.
        k: Cut-off of the kinds that have one; all items by default.
        ties: ``"expected"`` for the mean over all orders of tied items, ``"stable"`` for item order.

    Returns:
        ``(queries,)`` in 0 to 1; NaN for queries without a right answer.

    Raises:
        UsageError: Unknown ``kind`` or ``ties``, shapes that disagree, or ``k`` below 1.
    """
    scores, relevant = np.asarray(scores, np.float64), np.asarray(relevant, bool)
    if kind not in AP_KINDS:
        raise UsageError(
            f"There is no average precision named {kind!r}; choose one of {', '.join(AP_KINDS)}."
        )
    if ties not in {"expected", "stable"}:
        raise UsageError(f"ties must be expected or stable; got {ties!r}.")
    if scores.shape != relevant.shape or scores.ndim != 2:
        raise UsageError(
            f"Scores {scores.shape} and relevance {relevant.shape} must be alike (queries, items)."
        )
    k = scores.shape[1] if k is None else k
    if k < 1:
        raise UsageError(f"k must be at least 1; got {k}.")
    measure, stable = AP_KINDS[kind], ties == "stable"
    found = np.full(len(scores), np.nan)
    for query in np.flatnonzero(relevant.any(1)):
        found[query] = measure(_ranking(scores[query], relevant[query], stable), k)
    return found


def mean_average_precision(
    scores: NDArray[np.floating],
    relevant: NDArray[np.bool_],
    kind: str = "map_all",
    k: int | None = None,
    ties: str = "expected",
    *,
    skip_empty: bool = False,
) -> float:
    """Mean of :func:`average_precision` over queries.

    Args:
        scores: As there.
        relevant: As there.
        kind: As there.
        k: As there.
        ties: As there.
        skip_empty: Leave out queries without a right answer (UCCH) instead of counting them as 0 (DUCH,
            DJSRH).
    """
    found = average_precision(scores, relevant, kind, k, ties)
    chosen = found[~np.isnan(found)] if skip_empty else np.nan_to_num(found)
    return float(chosen.mean()) if len(chosen) else float("nan")


def ndcg(
    scores: NDArray[np.floating],
    gains: NDArray[np.floating],
    k: int | None = None,
    *,
    exponential: bool = True,
) -> _Floats:
    """Normalised discounted cumulative gain with graded relevance; tied items share their mean gain.

    Jarvelin and Kekalainen, ACM TOIS 20(4), 2002; ties after McSherry and Najork, ECIR 2008.

    Args:
        scores: ``(queries, items)``.
        gains: ``(queries, items)`` relevance, 0 or more, such as caption similarity.
        k: Cut-off; all items by default.
        exponential: Gain ``2^relevance - 1``; otherwise the relevance itself.

    Returns:
        ``(queries,)`` in 0 to 1; NaN where every gain is 0.

    Raises:
        UsageError: Shapes disagree, ``k`` is below 1 or a gain is negative.
    """
    scores, gains = np.asarray(scores, np.float64), np.asarray(gains, np.float64)
    if scores.shape != gains.shape or scores.ndim != 2:
        raise UsageError(f"Scores {scores.shape} and gains {gains.shape} must be alike (queries, items).")
    if gains.size and gains.min() < 0:
        raise UsageError("Gains must be 0 or more; shift or clip the relevance.")
    k = scores.shape[1] if k is None else k
    if k < 1:
        raise UsageError(f"k must be at least 1; got {k}.")
    gains = np.exp2(gains) - 1 if exponential else gains
    discounts = 1 / np.log2(np.arange(2, scores.shape[1] + 2))
    discounts[k:] = 0
    ideal = -np.sort(-gains, axis=1) @ discounts
    found = np.array([_tied_gains(*pair) @ discounts for pair in zip(scores, gains, strict=True)])
    return np.divide(found, ideal, out=np.full(len(scores), np.nan), where=ideal > 0)


def _tied_gains(scores: _Floats, gains: _Floats) -> _Floats:
    """Gains in order of score, each the mean of its run of equal scores."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores = scores[order]
    new_run = np.ones(len(scores), bool)
    new_run[1:] = sorted_scores[1:] != sorted_scores[:-1]
    start = np.flatnonzero(new_run)
    sizes = np.diff(np.append(start, len(scores)))
    means = np.add.reduceat(gains[order], start) / sizes
    return np.repeat(means, sizes)
