"""Hash tables of sign codes: what they must find, what they may miss, and when the planner takes them."""

from __future__ import annotations

import numpy as np
import pytest

from landsift.errors import GalleryDamaged, UsageError
from landsift.index import CascadeIndex, FlatIndex, IndexChoice, MultiHashIndex, StoredWays, planner, stored

COUNT, BITS = 1500, 64


@pytest.fixture
def tables(rows_of) -> MultiHashIndex:
    index = MultiHashIndex.learn(rows_of(COUNT), rows_of(9, 2), COUNT, BITS)
    index.add(rows_of(COUNT)[:700])
    index.add(rows_of(COUNT)[700:])
    return index


def distances(index: MultiHashIndex, rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """To every row, bit by bit."""
    codes = index.coder.encode(rows.astype(np.float16).astype(np.float32))
    return (np.unpackbits(codes, axis=1) != np.unpackbits(index.coder.encode_queries(query[None])[0])).sum(1)


@pytest.mark.parametrize("share", [None, 0.5])
def test_near_rows_are_found_in_order_and_none_is_made_up(tables, rows_of, share):
    rows, some_near = rows_of(COUNT), 0
    among = None if share is None else np.random.default_rng(1).random(COUNT) < share
    for query in np.concatenate([rows[:5], rows_of(5, 6)]):
        true = distances(tables, rows, query)
        hits = tables.search(query[None], COUNT, among)
        found = hits.rows[0][hits.rows[0] >= 0]
        assert (-hits.scores[0, : len(found)] == true[found]).all()
        assert (np.lexsort((found, true[found])) == np.arange(len(found))).all()
        assert len(np.unique(found)) == len(found) and (among is None or among[found].all())
        sure = np.flatnonzero((true <= tables.sure_within) & (True if among is None else among))
        assert np.isin(sure, found).all()
        some_near += len(sure)
    assert some_near > 10


def test_it_looks_at_a_part_of_the_rows(rows_of):
    rows = np.random.default_rng(0).standard_normal((20_000, 24)).astype(np.float32)
    index = MultiHashIndex.learn(rows[:2000], np.empty((0, 24), np.float32), 2**30, BITS)
    assert index.bytes_read(10) == 0
    index.add(rows)
    found, looked = index.shortlist(rows[7], 10)
    assert found[0] == 7 and 0 < looked < len(rows) / 4
    assert index.bytes_read(10) == index.bytes_read(1000) == 64 * looked


def test_saved_tables_answer_as_before_and_damage_is_noticed(tables, rows_of, tmp_path):
    path, query = tmp_path / "tables.npz", rows_of(3, 5)
    tables.save(path)
    loaded = MultiHashIndex.load(path, BITS)
    assert len(loaded) == COUNT
    for k in (5, 200):
        assert (loaded.search(query, k).rows == tables.search(query, k).rows).all()
    with pytest.raises(GalleryDamaged, match="64 bits"):
        MultiHashIndex.load(path, 128)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(GalleryDamaged, match="no hash tables"):
        MultiHashIndex.load(path, BITS)


def test_bad_input_is_refused_and_an_empty_one_finds_nothing(tables, rows_of):
    with pytest.raises(UsageError, match="shape"):
        tables.add(np.ones((1, 3)))
    with pytest.raises(UsageError, match="k must be 1"):
        tables.search(rows_of(1), 0)
    with pytest.raises(UsageError, match="multiple of 8"):
        MultiHashIndex.learn(rows_of(9), rows_of(1), 9, 12)
    empty = MultiHashIndex.learn(rows_of(9), rows_of(1), 9, 16)
    assert (empty.search(rows_of(2), 3).rows == -1).all()


def test_a_cascade_over_tables_gives_exact_scores(tables, rows_of):
    flat = FlatIndex(24)
    flat.add(rows_of(COUNT))
    query = rows_of(1, 4)
    found, exact = CascadeIndex(flat, tables, 300).search(query, 5), flat.search(query, COUNT)
    known = dict(zip(exact.rows[0].tolist(), exact.scores[0].tolist(), strict=True))
    pairs = zip(found.rows[0].tolist(), found.scores[0].tolist(), strict=True)
    assert all(known[row] == score for row, score in pairs)


@pytest.fixture
def many(monkeypatch, rows_of):
    """More rows than a scan of codes is for, of which hash tables compare few."""
    monkeypatch.setattr(stored, "_MANY", 1000)
    monkeypatch.setattr(stored, "_QUESTIONS", 8)
    monkeypatch.setattr(planner, "_SCATTERED", 0)
    flat = FlatIndex(24)
    flat.add(rows_of(COUNT))
    return flat, np.arange(COUNT), np.ones(COUNT, bool)


@pytest.mark.parametrize(("floor", "taken"), [(0.3, "multihash"), (1.0, "exact")])
def test_tables_are_taken_where_measured_to_find_enough(many, monkeypatch, rows_of, tmp_path, floor, taken):
    monkeypatch.setattr(MultiHashIndex, "bytes_read", lambda *_: 1.0)
    monkeypatch.setattr("landsift.index.stored._records", lambda way, note, kind, of=stored._records: tuple(
        record for record in of(way, note, kind) if way == "multihash" and record.size < 40
    ))  # fmt: skip
    flat, keys, alive = many
    ways = StoredWays(tmp_path, IndexChoice("cascade", floor, 64), {"of": "test"})
    ways.save(flat, keys, alive, lambda: rows_of(6, 3))
    index = ways.open(flat, keys)
    assert set(index.ways) == {"cascade", "multihash"}
    assert index.explained(rows_of(1, 5), 10)[1].path == taken
    half = np.arange(COUNT) % 2 == 0
    assert index.explained(rows_of(1, 5), 10, half)[1].path == "exact", "filters are not for tables"


def test_fewer_rows_and_other_kinds_have_no_tables(many, rows_of, tmp_path):
    flat, keys, alive = many
    assert IndexChoice("cascade").names(1000, 24) == ("cascade",)
    assert IndexChoice("hamming").names(1001, 24) == ("hamming", "multihash")
    assert IndexChoice("auto").names(10**9, 384) == ("cascade", "multihash")
    for kind, folders in (("cascade", {"hamming", "multihash"}), ("flat", set())):
        StoredWays(tmp_path, IndexChoice(kind, bits=64), {}).save(flat, keys, alive, lambda: rows_of(6, 3))
        assert {path.name for path in tmp_path.iterdir()} == folders
