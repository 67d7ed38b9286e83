"""Quick ways on disk as rows are added and removed: what is touched, and what is found."""

from __future__ import annotations

import numpy as np
import pytest

from landsift.index import AnnIndex, Coder, FlatIndex, IndexChoice, StoredWays, stored

COUNT, MORE = 2000, 20


@pytest.fixture(autouse=True)
def few_questions(monkeypatch):
    monkeypatch.setattr(stored, "_QUESTIONS", 4)


def grown(rows_of, count: int) -> tuple[FlatIndex, np.ndarray, np.ndarray]:
    flat = FlatIndex(24)
    flat.add(rows_of(COUNT + 10 * MORE)[:count])
    return flat, np.arange(count), np.ones(count, bool)


@pytest.fixture
def touched(monkeypatch) -> dict[str, int]:
    """Rows that were encoded into codes and into lists."""
    counts = {"codes": 0, "lists": 0, "learnt": 0}
    encode, add, learn, fit = Coder.encode, AnnIndex.add, AnnIndex.learn, Coder.fit

    def counted(name, plain):
        def work(self, rows):
            counts[name] += len(rows)
            return plain(self, rows)

        return work

    def learning(plain):
        def work(*values, **options):
            counts["learnt"] += 1
            return plain(*values, **options)

        return work

    monkeypatch.setattr(Coder, "encode", counted("codes", encode))
    monkeypatch.setattr(AnnIndex, "add", counted("lists", add))
    monkeypatch.setattr(AnnIndex, "learn", learning(learn))
    monkeypatch.setattr(Coder, "fit", learning(fit))
    return counts


def test_adding_a_hundredth_touches_a_hundredth(rows_of, touched, tmp_path):
    ways = StoredWays(tmp_path, IndexChoice("ann", bits=64), {})
    ways.save(*grown(rows_of, COUNT), lambda: rows_of(5, 3))
    built = dict(touched)
    assert min(built["codes"], built["lists"]) >= COUNT and built["learnt"] == 2
    asked: list[int] = []
    flat, keys, alive = grown(rows_of, COUNT + MORE)
    ways.save(flat, keys, alive, lambda: asked.append(1) or rows_of(5, 3))
    added = {name: touched[name] - built[name] for name in touched}
    assert added["codes"] == added["lists"] == MORE and added["learnt"] == 0
    assert not asked, "recall is not measured again for so few"
    before = dict(touched)
    index = ways.open(flat, keys)
    assert touched == before and all(len(way.coarse) == COUNT + MORE for way in index.ways.values())


@pytest.mark.parametrize("kind", ["hamming", "cascade", "ann"])
def test_rows_left_out_are_never_found_and_new_ones_are(rows_of, tmp_path, kind):
    ways = StoredWays(tmp_path, IndexChoice(kind, floor=0.01, bits=64), {})
    ways.save(*grown(rows_of, COUNT), lambda: rows_of(5, 3))
    flat, keys, alive = grown(rows_of, COUNT + MORE)
    alive[:500] = False
    index = ways.open(flat, keys)  # as after a crash before the new rows were saved: added in memory
    new = flat.vectors(np.arange(COUNT, COUNT + MORE))
    removed = flat.vectors(np.arange(5))
    for way in index.ways.values():
        for number, query in enumerate(new):
            assert COUNT + number in way.coarse.shortlist(query, 64, alive)[0]
        for query in removed:
            assert alive[way.coarse.shortlist(query, 300, alive)[0]].all()
    hits = index.search(np.concatenate([new, removed]), 10, alive)
    assert alive[hits.rows].all() and (hits.rows[:MORE, 0] == np.arange(COUNT, COUNT + MORE)).all()
    ways.save(flat, keys, alive, lambda: rows_of(5, 3))  # and healed where one may write
    healed = ways.open(flat, keys).search(new, 1, alive)
    assert healed.rows.ravel().tolist() == list(range(COUNT, COUNT + MORE))


def test_lists_alone_keep_the_protocol_of_an_index(rows_of):
    rows, queries = rows_of(COUNT), rows_of(20, 5)
    index, flat = AnnIndex.learn(rows, COUNT), FlatIndex(24)
    assert (index.search(queries, 3).rows == -1).all()
    index.add(rows)
    flat.add(rows)
    among = np.random.default_rng(0).random(COUNT) < 0.5
    for mask in (None, among):
        hits, exact = index.search(queries, 20, mask), flat.search(queries, 20, mask)
        there = hits.rows >= 0
        assert there.mean() > 0.5 and (np.diff(hits.scores[there[:, -1]], axis=1) <= 0).all()
        assert mask is None or mask[hits.rows[there]].all()
        same = [np.isin(e, h).mean() for e, h in zip(exact.rows, hits.rows, strict=True)]
        assert np.mean(same) > 0.35
    nothing = index.search(queries, 4, np.zeros(COUNT, bool))
    assert (nothing.rows == -1).all() and np.isneginf(nothing.scores).all()
