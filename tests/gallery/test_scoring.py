"""The scores of all tiles, and the rankings built on them, against the plain exact search."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from landsift.gallery import rankings as rankings_module
from landsift.gallery import search as search_module
from landsift.gallery.cache import Cache, Snapshot
from landsift.gallery.listing import Orders
from landsift.gallery.rankings import Rankings
from landsift.gallery.scoring import Scorer
from landsift.gallery.search import Order
from landsift.gallery.spread import Spread
from landsift.gallery.where import Where
from landsift.index import FlatIndex
from landsift.threads import available_threads

DIM = 32


def unit_rows(count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_scores_are_inner_products_of_the_stored_rows():
    halves = unit_rows(3000, 0).astype("<f2")
    halves[0, :4] = [0.0, -0.0, 6e-8, -6e-5]  # zeros and subnormal numbers
    halves[1] = [65504.0, -1.0] * (DIM // 2)  # the largest float16
    pieces, scorer = [halves[:700], halves[700:701], halves[701:], halves[:0]], Scorer()
    for query in unit_rows(5, 1):
        expected = halves.astype(np.float64) @ query.astype(np.float64)
        assert np.allclose(scorer.scores(pieces, query), expected, rtol=1e-5, atol=1e-5)
    assert scorer.scores([], query).shape == (0,) and scorer.scored == 6


def test_queries_of_many_threads_get_their_own_scores():
    pieces, queries, scorer = [unit_rows(5000, 0).astype("<f2")], unit_rows(60, 1), Scorer()
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda query: scorer.scores(pieces, query), queries))
    for query, scores in zip(queries, found, strict=True):
        assert np.abs(scores - pieces[0].astype(np.float32) @ query).max() < 1e-5


def test_who_scores_stands_aside_and_a_fault_lets_the_next_go_on(monkeypatch):
    pieces, query, scorer, told = [unit_rows(10, 0).astype("<f2")], unit_rows(1, 1)[0], Scorer(), []

    @contextmanager
    def aside():
        told.append("aside")
        yield
        told.append("back")

    scorer.aside = aside

    def fail(*_: object) -> None:
        told.append("scoring")
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("landsift.gallery.scoring.scores_of_all", fail)
        for _ in range(available_threads() + 1):
            with pytest.raises(MemoryError):
                scorer.scores(pieces, query)
    assert told[:2] == ["aside", "scoring"]
    told.clear()
    assert len(scorer.scores(pieces, query)) == 10 and told == ["aside", "back"]


def cache_of(rows: np.ndarray) -> SimpleNamespace:
    """As much of a cache as a ranking looks at."""
    pieces = [rows[:1000], rows[1000:]]
    index = FlatIndex(DIM)
    for piece in pieces:
        index.attach(piece)
    held = SimpleNamespace(pieces=[{"vectors": piece} for piece in pieces])
    found = SimpleNamespace(index=index, row=np.arange(len(rows)), alive=np.ones(len(rows), bool), held=held)
    found.halves = lambda positions: Cache.halves(found, positions)
    return found


@pytest.mark.parametrize("few", [0, 10**9])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_the_head_of_a_ranking_is_the_exact_search(monkeypatch, few, share):
    rows = unit_rows(4000, 0).astype("<f2")
    rows[1500:1600] = rows[7]  # ties, which go by row
    cache, query = cache_of(rows), rows[7].astype(np.float32)
    mask = None if share == 1 else np.random.default_rng(3).random(4000) < share
    monkeypatch.setattr(search_module, "FEW", few)
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
    assert np.allclose(np.sort(order.passed()), exact[::-1], atol=1e-5)


def test_the_spread_counts_as_a_histogram_does_and_its_floor_leaves_the_best():
    scores = np.random.default_rng(4).standard_normal(5000).astype(np.float32)
    spread = Spread.of(scores)
    edges, counts = spread.coarse(50)
    expected, sides = np.histogram(scores, 50)
    assert np.allclose(edges, sides, atol=1e-6) and np.abs(counts - expected).sum() <= 4  # on an edge
    ranked = np.sort(scores)[::-1]
    for depth in (1, 7, 100, 4999, 5000, 9999):
        floor = spread.floor_of(depth)
        assert floor - 1e-6 <= ranked[min(depth, 5000) - 1]
        assert (scores >= floor).sum() <= depth + 30 or depth > 4000
    alike = Spread.of(np.full(9, 0.25, np.float32))
    assert alike.counts.sum() == 9 and alike.floor_of(3) <= 0.25
    assert Spread.of(np.empty(0, np.float32)).counts.size == 0


@pytest.fixture
def ranked(monkeypatch):
    """Rankings of a made-up gallery, with a filter that is a share of its rows."""
    rows = unit_rows(20_000, 0).astype("<f2")

    def mask(cache, ledger, where):
        return None if where.scene is None else np.random.default_rng(0).random(20_000) < float(where.scene)

    monkeypatch.setattr(rankings_module, "searchable", mask)
    return rows, lambda most_bytes=10**9: Rankings(Scorer(), most_bytes)


@pytest.mark.parametrize("share", [None, "0.9", "0.1"])
def test_filters_of_one_query_share_a_pass_and_rank_as_the_exact_search(ranked, share):
    rows, make = ranked
    rankings, query = make(), rows[5].astype(np.float32)
    seen = Snapshot(1, cache_of(rows), {})
    rankings.order(seen, query, Where())
    order = rankings.order(seen, query, Where(scene=share))
    assert rankings.scorer.scored == 1
    hits = seen.cache.index.search(query[None], 40, order.mask)
    found, scores = order.head(40)
    assert found.tolist() == hits.rows[0].tolist() and scores.tolist() == hits.scores[0].tolist()
    assert order.spread.counts.sum() == order.searched
    assert (rankings.asked, rankings.known) == (2, 1)


def test_a_ranking_is_never_that_of_the_gallery_as_it_was(ranked):
    rows, make = ranked
    rankings, query = make(), rows[5].astype(np.float32)
    before, after = Snapshot(1, cache_of(rows), {}), Snapshot(1, cache_of(rows[:15_000]), {})
    assert rankings.order(before, query, Where()).searched == 20_000
    assert rankings.order(after, query, Where()).searched == 15_000


def test_a_gallery_that_grew_is_scored_where_it_grew(ranked, monkeypatch):
    """And one whose rows are others is scored anew."""
    rows, make = ranked
    rankings, query, scored = make(), rows[5].astype(np.float32), []
    plain = rankings_module.scores_of_all
    counted = lambda rows, query: scored.append(len(rows)) or plain(rows, query)  # noqa: E731
    monkeypatch.setattr(rankings_module, "scores_of_all", counted)
    before, after = Snapshot(1, cache_of(rows[:19_900]), {}), Snapshot(2, cache_of(rows), {})
    rankings.order(before, query, Where())
    for share in (None, "0.9"):
        order = rankings.order(after, query, Where(scene=share))
        hits = after.cache.index.search(query[None], 90, order.mask)
        found, scores = order.head(90)
        assert found.tolist() == hits.rows[0].tolist() and scores.tolist() == hits.scores[0].tolist()
        assert np.allclose(order.scores[order.mask], rows[order.mask] @ query, atol=1e-5) or share is None
    assert scored == [100] and rankings.scorer.scored == 1 and (rankings.asked, rankings.known) == (3, 2)
    others = cache_of(rows[::-1].copy())
    others.row = others.row + 7
    found, _ = rankings.order(Snapshot(3, others, {}), query, Where()).head(1)
    assert found.tolist() == [len(rows) - 1 - 5] and rankings.scorer.scored == 2


def test_few_rows_are_scored_alone_unless_all_are_known(ranked):
    rows, make = ranked
    rankings, seen = make(), Snapshot(1, cache_of(rows), {})
    queries, few = rows[5:7].astype(np.float32), Where(scene="0.2")
    rankings.order(seen, queries[0], Where())
    found = [rankings.order(seen, query, few) for query in queries]
    assert rankings.scorer.scored == 1 and rankings.known == 1
    for order, query in zip(found, queries, strict=True):
        hits = seen.cache.index.search(query[None], 20, order.mask)
        assert order.searched == int(order.mask.sum()) < 8000
        assert [list(part) for part in order.head(20)] == [list(hits.rows[0]), list(hits.scores[0])]


def test_who_is_late_leaves_what_others_know_of_the_gallery_as_it_is(ranked):
    """A pass over the gallery as it was ends after others have gone over to the one that grew."""
    rows, make = ranked
    rankings, slow, quick = make(), rows[5].astype(np.float32), rows[6].astype(np.float32)
    before, after = Snapshot(1, cache_of(rows[:19_900]), {}), Snapshot(2, cache_of(rows), {})

    class Overtaken(Scorer):
        def scores(self, pieces, query):
            if query is slow:
                rankings.order(after, quick, Where())
            return super().scores(pieces, query)

    rankings.scorer = Overtaken()
    assert rankings.order(before, slow, Where()).searched == 19_900
    for query, best in ((quick, 6), (slow, 5)):
        order = rankings.order(after, query, Where())
        assert order.searched == 20_000 and order.head(1)[0].tolist() == [best]
    assert rankings.scorer.scored == 2 and rankings.known == 2


def test_a_filter_of_the_gallery_as_it_was_is_made_anew(ranked, monkeypatch):
    rows, make = ranked
    rankings, query, masks = make(), rows[5].astype(np.float32), iter([0.9, 0.5])
    monkeypatch.setattr(
        rankings_module, "searchable", lambda cache, *_: np.arange(len(cache.row)) < next(masks) * 20_000
    )
    searched = [
        rankings.order(Snapshot(n, cache_of(rows), {}), query, Where(scene="x")).searched for n in (1, 2)
    ]
    assert searched == [18_000, 10_000] and rankings.scorer.scored == 1


def test_what_rankings_keep_stays_within_its_bytes(ranked):
    rows, make = ranked
    rankings, seen = make(300_000), Snapshot(1, cache_of(rows), {})
    for number in range(12):
        rankings.order(seen, rows[number].astype(np.float32), Where(scene=f"0.{number + 50}"))
        assert rankings._kept.nbytes <= 300_000
    assert len(rankings._kept) > 2


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


def test_what_was_asked_for_once_does_not_drive_out_what_is_asked_for_again():
    orders = Orders(most_bytes=1000)
    often = np.zeros(150, np.float32)
    orders.keep(1, "often", often)
    assert orders.get(1, "often") is often
    for number in range(20):
        orders.keep(1, number, np.zeros(50, np.float32))
        assert orders.nbytes <= 1000
    assert orders.get(1, "often") is often and orders.get(1, 19) is not None and orders.get(1, 5) is None
    for number in range(3):  # asked for again, each: the one asked for the longest ago goes
        orders.keep(1, f"again {number}", np.zeros(100, np.float32))
        orders.get(1, f"again {number}")
    assert orders.nbytes <= 1000 and orders.get(1, "often") is None
