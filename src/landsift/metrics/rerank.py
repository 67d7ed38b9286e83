"""Re-ranking: scores changed by what other queries think of the same items.

Each function takes one direction: ``(Q, G)`` scores of queries against a gallery, and gives new scores of
that shape. What "other queries" are decides whether the result may be compared: with ``bank`` (scores of
queries that are not tested, such as training captions, against the same gallery) a query is re-ranked
alone, as it would be in use; without it the other test queries are looked at, which is *transductive* and
belongs into a column of its own. Knows arrays only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.types import FloatArray, IntArray

__all__ = [
    "RERANKERS",
    "Reranker",
    "csls",
    "dual_softmax",
    "find_reranker",
    "multivariate_rerank",
    "query_bank",
    "reciprocal_rerank",
]

_Scores = NDArray[np.floating]


def csls(scores: _Scores, bank: _Scores | None = None, *, neighbours: int = 10) -> FloatArray:
    """Cross-domain similarity local scaling: items that are near to every query are pushed down.

    Conneau et al., 2018 (arXiv 1710.04087), ``2 s - r(item) - r(query)``; the query's own term moves
    none of its items and is left out, so that a single query needs no other.

    Args:
        scores: ``(Q, G)``.
        bank: ``(B, G)`` scores of untested queries; None takes ``scores`` itself (transductive).
        neighbours: How many of the nearest queries make an item's crowdedness.
    """
    others = _checked(scores, bank)
    count = min(neighbours, len(others))
    crowded = np.partition(others, len(others) - count, axis=0)[-count:].mean(axis=0)
    return (2 * np.asarray(scores, np.float64) - crowded).astype(np.float32)


def dual_softmax(scores: _Scores, bank: _Scores | None = None, *, sharpness: float = 20.0) -> FloatArray:
    """Scores weighted by how much of an item's attention, over queries, this query gets.

    Cheng et al., 2021 (arXiv 2109.04290). With a bank the share is against the bank's queries and this one.

    Args:
        scores: ``(Q, G)``.
        bank: See :func:`csls`.
        sharpness: Inverse temperature.
    """
    others = _checked(scores, bank)
    log_total = _log_sum(sharpness * others)
    logits = sharpness * np.asarray(scores, np.float64)
    if bank is not None:
        log_total = np.logaddexp(log_total, logits)
    return (np.asarray(scores, np.float64) * np.exp(logits - log_total)).astype(np.float32)


def query_bank(scores: _Scores, bank: _Scores | None = None, *, sharpness: float = 20.0) -> FloatArray:
    """Query-bank normalisation with the dynamic inverted softmax.

    Bogolin et al., CVPR 2022 (arXiv 2112.12777): a query is normalised only if its best item is one that is
    also the best of some bank query, that is, a hub.

    Args:
        scores: ``(Q, G)``.
        bank: See :func:`csls`.
        sharpness: Inverse temperature.

    Returns:
        ``(Q, G)`` log of the normalised score for the queries it touches, ``sharpness * score`` for others.
    """
    others = _checked(scores, bank)
    logits = sharpness * np.asarray(scores, np.float64)
    hubs = np.isin(logits.argmax(axis=1), others.argmax(axis=1))
    return np.where(hubs[:, None], logits - _log_sum(sharpness * others), logits).astype(np.float32)


def reciprocal_rerank(scores: _Scores, bank: _Scores | None = None, *, candidates: int = 15) -> FloatArray:
    """The first items of each query in the order in which they, in turn, rank the query.

    MTFN-RR: Wang et al., ACM MM 2019. Its release ranks a caption by the best of the caption's siblings,
    which gives the ground truth away; here the query's own rank counts.

    Args:
        scores: ``(Q, G)``.
        bank: See :func:`csls`.
        candidates: How many first items are reordered; the rest follow in their old order.

    Returns:
        ``(Q, G)`` negated places.
    """
    places, backward = _candidates(scores, bank, candidates)
    return _in_place(scores, places, np.argsort(backward, axis=1, kind="stable"))


def multivariate_rerank(
    scores: _Scores,
    bank: _Scores | None = None,
    *,
    candidates: int = 30,
    salience: float = 0.3,
    reverse: float = 1.1,
) -> FloatArray:
    """Three votes on each query's first items: its place, the query's place seen from it, its salience.

    GaLR's multivariate re-rank: Yuan et al., TGRS 2022 (arXiv 2204.09860), equation 20 on, with the settings
    of its release. Negative scores count as no salience.

    Args:
        scores: ``(Q, G)``.
        bank: See :func:`csls`.
        candidates: How many first items are reordered; the rest follow in their old order.
        salience: Weight of the score's share among all queries' scores of the item.
        reverse: Weight of the place seen from the item.

    Returns:
        ``(Q, G)`` negated places.
    """
    places, backward = _candidates(scores, bank, candidates)
    from_behind = np.argsort(np.argsort(backward, axis=1, kind="stable"), axis=1)
    others = np.clip(_checked(scores, bank), 0, None).sum(axis=0)
    own = np.clip(np.take_along_axis(np.asarray(scores, np.float64), places, axis=1), 0, None)
    share = own / np.maximum(others[places] + (own if bank is not None else 0.0), 1e-12)
    forward = np.arange(1, places.shape[1] + 1)
    votes = salience * share + np.exp(-0.05 * forward) + reverse * np.exp(-0.05 * (from_behind + 1))
    return _in_place(scores, places, np.argsort(-votes, axis=1, kind="stable"))


@dataclass(frozen=True)
class Reranker:
    """A row of the table: the function, and who published it."""

    name: str
    source: str
    apply: Callable[[_Scores, _Scores | None], FloatArray]


RERANKERS: Mapping[str, Reranker] = {
    row.name: row
    for row in (
        Reranker("csls", "Conneau et al., 2018", csls),
        Reranker("dual-softmax", "Cheng et al., 2021", dual_softmax),
        Reranker("query-bank", "Bogolin et al., 2022", query_bank),
        Reranker("reciprocal", "MTFN-RR, Wang et al., 2019", reciprocal_rerank),
        Reranker("multivariate", "GaLR, Yuan et al., 2022", multivariate_rerank),
    )
}
"""Re-rankers by exact name."""


def find_reranker(name: str) -> Reranker:
    """Look a re-ranker up by its exact name.

    Raises:
        UsageError: No such re-ranker; the message lists them.
    """
    if name not in RERANKERS:
        raise UsageError(f"There is no re-ranker {name!r}; choose one of {', '.join(RERANKERS)}.")
    return RERANKERS[name]


def _checked(scores: _Scores, bank: _Scores | None) -> NDArray[np.float64]:
    """The other queries' scores: the bank's, or the tested ones themselves."""
    scores = np.asarray(scores)
    if scores.ndim != 2 or not scores.size:
        raise UsageError(f"Re-ranking needs (queries, items) scores, got {scores.shape}; give both.")
    if bank is None:
        return scores.astype(np.float64)
    others = np.asarray(bank, np.float64)
    if others.ndim != 2 or not len(others) or others.shape[1] != scores.shape[1]:
        raise UsageError(
            f"The bank must score the same {scores.shape[1]} items, got {others.shape}; "
            "encode it with the same model."
        )
    return others


def _log_sum(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """``log sum exp`` over queries, for each item."""
    highest = logits.max(axis=0)
    total: NDArray[np.float64] = highest + np.log(np.exp(logits - highest).sum(axis=0))
    return total


def _candidates(scores: _Scores, bank: _Scores | None, count: int) -> tuple[IntArray, IntArray]:
    """Each query's first items, and how many other queries each of those items puts before the query."""
    others = _checked(scores, bank)
    scores = np.asarray(scores, np.float64)
    places = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    ascending = np.sort(others, axis=0)
    chosen = np.take_along_axis(scores, places, axis=1)
    before = np.empty(places.shape, np.int64)
    for item in np.unique(places):
        at = places == item
        before[at] = len(others) - np.searchsorted(ascending[:, item], chosen[at], side="right")
    return places, before


def _in_place(scores: _Scores, places: IntArray, order: IntArray) -> FloatArray:
    """Negated places of all items: the candidates in their new order, then the rest as it was."""
    full = np.argsort(-np.asarray(scores), axis=1, kind="stable")
    full[:, : places.shape[1]] = np.take_along_axis(places, order, axis=1)
    out = np.empty(full.shape, np.float32)
    np.put_along_axis(out, full, -np.arange(full.shape[1], dtype=np.float32)[None, :], axis=1)
    return out
