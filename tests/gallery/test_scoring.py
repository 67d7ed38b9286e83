"""Scores shared between queries, and the ranking built on them, against the plain exact search."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from landsift.gallery import search as search_module
from landsift.gallery.listing import Orders
from landsift.gallery.scoring import ROUNDING, Scorer, score_rows
from landsift.gallery.search import Order
from landsift.gallery.where import Where
from landsift.index import FlatIndex

DIM = 32


def unit_rows(count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_scores_are_inner_products_of_the_stored_rows():
    halves = unit_rows(3000, 0).astype("<f2")
    halves[0, :4] = [0.0, -0.0, 6e-8, -6e-5]  # zeros and subnormal numbers
    halves[1] = [65504.0, -1.0] * (DIM // 2)  # the largest float16
    pieces = [halves[:700], halves[700:701], halves[701:]]
    queries = unit_rows(5, 1)
    expected = halves.astype(np.float64) @ queries.T.astype(np.float64)
    assert np.allclose(score_rows(pieces, queries), expected, rtol=1e-5, atol=1e-5)
    assert score_rows([], queries).shape == (0, 5)


def test_queries_of_many_threads_get_their_own_scores(monkeypatch):
    pieces = [unit_rows(5000, 0).astype("<f2")]
    queries, passes = unit_rows(60, 1), []
    plain = score_rows

    def counted(pieces, queries):
        passes.append(len(queries))
        return plain(pieces, queries)

    monkeypatch.setattr("landsift.gallery.scoring.score_rows", counted)
    scorer = Scorer()
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda query: scorer.scores(pieces, query), queries))
    assert sum(passes) == 60
    for query, scores in zip(queries, found, strict=True):
        assert np.abs(scores - pieces[0].astype(np.float32) @ query).max() < ROUNDING / 10


def test_a_fault_reaches_everyone_who_waited_and_the_next_are_served(monkeypatch):
    pieces, query, scorer = [unit_rows(10, 0).astype("<f2")], unit_rows(1, 1)[0], Scorer()

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("landsift.gallery.scoring.score_rows", fail)
        with pytest.raises(MemoryError):
            scorer.scores(pieces, query)
    assert len(scorer.scores(pieces, query)) == 10


def cache_of(rows: np.ndarray) -> SimpleNamespace:
    """As much of a cache as a ranking looks at."""
    pieces = [rows[:1000], rows[1000:]]
    index = FlatIndex(DIM)
    for piece in pieces:
        index.attach(piece)
    held = SimpleNamespace(pieces=[{"vectors": piece} for piece in pieces])
    return SimpleNamespace(index=index, row=np.arange(len(rows)), alive=np.ones(len(rows), bool), held=held)


@pytest.mark.parametrize("few", [0, 10**9])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_the_head_of_a_ranking_is_the_exact_search(monkeypatch, few, share):
    rows = unit_rows(4000, 0).astype("<f2")
    rows[1500:1600] = rows[7]  # ties, which go by row
    cache, query = cache_of(rows), rows[7].astype(np.float32)
    mask = None if share == 1 else np.random.default_rng(3).random(4000) < share
    monkeypatch.setattr(search_module, "_FEW", few)
    monkeypatch.setattr(search_module, "searchable", lambda *_: mask)
    order = Order.of(cache, {}, query, Where(), Scorer())
    searched = 4000 if mask is None else int(mask.sum())
    for depth in (1, 20, 50, 150, searched, searched + 5):
        found, scores = order.head(depth)
        hits = cache.index.search(query[None], min(depth, searched), mask)
        assert found.tolist() == hits.rows[0].tolist() and scores.tolist() == hits.scores[0].tolist()
    exact = cache.index.search(query[None], searched, mask).scores[0]
    least = float(exact[200] + exact[201]) / 2
    assert order.reaching(least) == 201 and order.searched == searched == len(order.passed())
    assert np.allclose(np.sort(order.passed()), exact[::-1], atol=ROUNDING)


def test_rankings_are_kept_while_the_gallery_stays_and_memory_lasts():
    def ranking(count: int) -> Order:
        return Order(None, None, None, count, np.zeros(count, np.float32))

    orders = Orders(most_bytes=1000)
    first, second, third = ranking(100), ranking(100), ranking(100)
    orders.keep(1, "a", first)
    orders.keep(1, "b", second)
    assert orders.get(1, "a") is first
    orders.keep(1, "c", third)  # no room: b was asked for the longest ago
    assert (orders.get(1, "a"), orders.get(1, "b"), orders.get(1, "c")) == (first, None, third)
    orders.keep(1, "huge", ranking(1000))
    assert orders.get(1, "huge") is None and orders.get(1, "a") is first
    assert orders.get(2, "a") is None
    orders.keep(2, "a", second)
    assert orders.get(2, "a") is second and orders.get(1, "c") is None
