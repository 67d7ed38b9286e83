"""Exact search against a slow twin: ties, filters, many queries, disk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from landsift.errors import GalleryDamaged, UsageError
from landsift.index import FlatIndex, scores_of_all


def slow_search(rows: np.ndarray, query: np.ndarray, k: int, among: np.ndarray | None) -> list[int]:
    """Every score in float64, sorted by (score descending, row)."""
    scores = rows.astype(np.float16).astype(np.float64) @ query.astype(np.float64)
    allowed = range(len(rows)) if among is None else np.flatnonzero(among)
    return sorted(allowed, key=lambda row: (-round(scores[row], 9), row))[:k]


def clearly_apart(rows: np.ndarray, queries: np.ndarray) -> bool:
    """Whether scores are equal or so far apart that float32 cannot turn them round."""
    gaps = np.diff(np.sort(queries.astype(np.float64) @ rows.astype(np.float16).astype(np.float64).T))
    return bool(((gaps < 1e-9) | (gaps > 1e-5)).all())


def unit_rows(count: int, dim: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 300),
    dim=st.sampled_from([1, 5, 8, 24, 384]),
    k=st.integers(1, 40),
    pieces=st.integers(1, 3),
    share=st.sampled_from([None, 0.0, 0.03, 0.5, 1.0]),
    seed=st.integers(0, 10_000),
)
def test_search_agrees_with_a_double_loop(count, dim, k, pieces, share, seed):
    # Few distinct rows, so that ties run across the k-th place and rounding flips nothing.
    random = np.random.default_rng(seed)
    rows = unit_rows(7, dim, seed)[random.integers(0, 7, count)]
    index = FlatIndex(dim)
    for part in np.array_split(rows, pieces):
        index.add(part)
    among = None if share is None else random.random(count) < share
    queries = unit_rows(3, dim, seed + 1)
    assume(clearly_apart(rows, queries))
    hits = index.search(queries, k, among)
    for row, scores, query in zip(hits.rows, hits.scores, queries, strict=True):
        expected = slow_search(rows, query, k, among)
        assert row[: len(expected)].tolist() == expected
        assert (row[len(expected) :] == -1).all() and np.isneginf(scores[len(expected) :]).all()
        assert (np.diff(scores[: len(expected)]) <= 0).all()


def test_many_chunks_and_threads_change_nothing():
    rows = unit_rows(150_000, 16, 0)
    rows[40_000:40_500] = rows[3]  # ties that span chunks
    index = FlatIndex(16)
    index.add(rows)
    queries = np.vstack([rows[3:4], unit_rows(4, 16, 1)])
    among = np.random.default_rng(2).random(len(rows)) < 0.2
    for mask in (None, among):
        together = index.search(queries, 20, mask)
        for number in range(len(queries)):
            alone = index.search(queries[number : number + 1], 20, mask)
            assert (alone.rows[0] == together.rows[number]).all()
            assert (alone.scores[0] == together.scores[number]).all()
    expected = [row for row in [3, *range(40_000, 40_500)] if among[row]][:20]
    assert index.search(queries[:1], 20, among).rows[0].tolist() == expected


def test_scores_do_not_depend_on_the_filter():
    rows, query = unit_rows(5000, 32, 3), unit_rows(1, 32, 4)
    index = FlatIndex(32)
    index.add(rows)
    all_scores = index.search(query, 5000)
    among = np.arange(5000) % 7 == 0
    some = index.search(query, 100, among)
    by_row = dict(zip(all_scores.rows[0], all_scores.scores[0], strict=True))
    assert all(by_row[row] == score for row, score in zip(some.rows[0], some.scores[0], strict=True))


@pytest.mark.parametrize("count", [1, 700, 5000])
def test_the_scores_of_all_rows_are_those_of_the_search(monkeypatch, count):
    monkeypatch.setattr("landsift.index.flat._CHUNK_OF_ALL", 1024)
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((count, 24)).astype("<f2")
    rows[0] = 0
    index = FlatIndex(24)
    index.attach(rows)
    for query in rng.standard_normal((3, 24)).astype(np.float32):
        hits = index.search(query[None], count)
        assert scores_of_all(rows, query)[hits.rows[0]].tolist() == hits.scores[0].tolist()
    assert scores_of_all(rows[:0], query).shape == (0,)


def test_saved_index_answers_as_before_and_can_be_replaced_under_a_reader(tmp_path):
    rows, query = unit_rows(500, 24, 5), unit_rows(2, 24, 6)
    index = FlatIndex(24)
    index.add(rows[:200])
    index.add(rows[200:])
    index.save(tmp_path / "index")
    loaded = FlatIndex.load(tmp_path / "index")
    before = loaded.search(query, 10)
    assert (before.rows == index.search(query, 10).rows).all()
    other = FlatIndex(24)
    other.add(rows[::-1])
    other.save(tmp_path / "index")
    assert (loaded.search(query, 10).rows == before.rows).all()
    assert (FlatIndex.load(tmp_path / "index").search(query, 10).rows == 499 - before.rows).all()
    assert np.allclose(loaded.vectors(np.array([7, 300])), rows[[7, 300]], atol=1e-3)


def test_an_empty_index_finds_nothing(tmp_path):
    index = FlatIndex(8)
    assert (index.search(np.ones((1, 8)), 3).rows == -1).all()
    index.save(tmp_path / "empty")
    assert len(FlatIndex.load(tmp_path / "empty")) == 0


def test_a_file_cut_short_is_noticed(tmp_path):
    index = FlatIndex(8)
    index.add(unit_rows(100, 8, 0))
    index.save(tmp_path / "index")
    data = next((tmp_path / "index").glob("vectors-*.bin"))
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(GalleryDamaged, match="shorter than its header"):
        FlatIndex.load(tmp_path / "index")
    (tmp_path / "index" / "columns.json").write_text("{")
    with pytest.raises(GalleryDamaged, match="no readable columns"):
        FlatIndex.load(tmp_path / "index")


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (np.ones((2, 7)), "shape"),
        (np.ones(8), "shape"),
        (np.full((1, 8), np.nan), "NaN"),
        (np.full((1, 8), 1e6), "too long"),
    ],
)
def test_bad_vectors_are_refused(vectors, words):
    with np.errstate(over="ignore"), pytest.raises(UsageError, match=words):
        FlatIndex(8).add(vectors)


def test_bad_searches_are_refused():
    index = FlatIndex(8)
    index.add(unit_rows(3, 8, 0))
    with pytest.raises(UsageError, match="k must be 1"):
        index.search(np.ones((1, 8)), 0)
    with pytest.raises(UsageError, match="Queries must have shape"):
        index.search(np.ones((1, 7)), 1)
    with pytest.raises(UsageError, match="filter must have shape"):
        index.search(np.ones((1, 8)), 1, np.ones(2, bool))
    with pytest.raises(UsageError, match="length 1 or more"):
        FlatIndex(0)
