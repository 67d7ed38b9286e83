"""Cascades, measured recall and the planner: the exact search is the judge."""

from __future__ import annotations

import numpy as np
import pytest

from landsift.errors import UsageError
from landsift.index import AnnIndex, CascadeIndex, Coder, FlatIndex, HammingIndex, PlannedIndex, Way
from landsift.index.recall import Measured, Questions, best_measured, held_out, measure_recall

COUNT = 1500


@pytest.fixture
def flat(rows_of) -> FlatIndex:
    index = FlatIndex(24)
    index.add(rows_of(COUNT))
    return index


@pytest.fixture
def codes(rows_of) -> HammingIndex:
    index = HammingIndex(Coder.fit(rows_of(COUNT), 64))
    index.add(rows_of(COUNT))
    return index


def always(size: int, recall: float = 1.0) -> tuple[Measured, ...]:
    return tuple(Measured(k, f, max(size, k), recall, recall) for k in (10, 100, 1000) for f in (True, False))


def test_a_shortlist_of_everything_gives_the_exact_answer(flat, codes, rows_of):
    cascade = CascadeIndex(flat, codes, COUNT)
    among = np.random.default_rng(0).random(COUNT) < 0.3
    for mask in (None, among):
        exact, found = flat.search(rows_of(5, 1), 50, mask), cascade.search(rows_of(5, 1), 50, mask)
        assert (found.rows == exact.rows).all() and (found.scores == exact.scores).all()


def test_a_short_shortlist_gives_exact_scores_of_rows_that_pass(flat, codes, rows_of):
    queries, among = rows_of(5, 1), np.arange(COUNT) % 10 == 3
    found = CascadeIndex(flat, codes, 60).search(queries, 20, among)
    everything = flat.search(queries, COUNT)
    for number in range(len(queries)):
        known = dict(zip(everything.rows[number], everything.scores[number], strict=True))
        pair = found.rows[number], found.scores[number]
        assert all(known[row] == score for row, score in zip(*pair, strict=True))
        assert among[found.rows[number]].all()
        assert (np.diff(found.scores[number]) <= 0).all()


def test_rows_added_to_a_cascade_are_found(flat, codes, rows_of):
    cascade, new = CascadeIndex(flat, codes, 100), rows_of(5, 7)
    cascade.add(new)
    assert len(cascade) == COUNT + 5 == len(codes)
    assert cascade.search(new, 1).rows.ravel().tolist() == list(range(COUNT, COUNT + 5))


def test_recall_is_what_a_plain_count_gives(flat, codes, rows_of):
    """The recall of one size, counted anew with sets."""
    texts = rows_of(12, 3)
    kinds = [Questions.from_outside(texts)]
    records = measure_recall(flat, codes, kinds, np.ones(COUNT, bool))
    exact = flat.search(texts, 10).rows
    for record in (r for r in records if r.k == 10 and not r.filtered and r.size <= 128):
        near = [codes.shortlist(text, record.size)[0] for text in texts]
        counted = np.mean([len({*best} & {*some}) / 10 for best, some in zip(exact, near, strict=True)])
        assert record.recall == pytest.approx(counted)
        assert record.least <= record.recall
    sizes = [r.recall for r in records if r.k == 10 and not r.filtered]
    assert sizes == sorted(sizes) and sizes[0] < 1.0 and sizes[-1] == 1.0


def test_a_query_taken_from_the_rows_does_not_count_itself(flat, codes):
    own = held_out(flat, np.ones(COUNT, bool), 10)
    assert (flat.search(own.vectors, 1).rows[:, 0] == own.own).all()
    records = measure_recall(flat, codes, [own], np.ones(COUNT, bool))
    shares = []
    for vector, row in zip(own.vectors, own.own.tolist(), strict=True):
        exact = [best for best in flat.search(vector[None], 11).rows[0].tolist() if best != row]
        near = [some for some in codes.shortlist(vector, 33)[0].tolist() if some != row][:32]
        shares.append(len({*exact} & {*near}) / 10)
    (record,) = (r for r in records if (r.k, r.filtered, r.size) == (10, False, 32))
    assert record.recall == pytest.approx(np.mean(shares)) and record.recall < 1


def test_dead_rows_are_no_queries_and_no_answers(flat, codes):
    alive = np.arange(COUNT) % 3 > 0
    assert alive[held_out(flat, alive, 50).own].all()
    records = measure_recall(flat, codes, [held_out(flat, alive, 6)], alive)
    assert best_measured(records, 10, filtered=True, floor=0.9) is not None


def test_copies_of_a_row_are_no_misses(rows_of):
    flat, codes = FlatIndex(24), HammingIndex(Coder.fit(rows_of(50), 16))
    rows = np.repeat(rows_of(4), 500, axis=0)
    flat.add(rows)
    codes.add(rows)
    kinds = [Questions.from_outside(rows[::500])]
    records = measure_recall(flat, codes, kinds, np.ones(2000, bool))
    assert best_measured(records, 10, filtered=False, floor=1.0).size == 10


def test_the_smallest_shortlist_that_reaches_the_floor_is_taken():
    records = [
        Measured(k, False, size, size / 200, size / 250) for k in (10, 100) for size in (100, 150, 200)
    ]
    assert best_measured(records, 5, filtered=False, floor=0.5).size == 150
    assert best_measured(records, 10, filtered=False, floor=0.5).k == 10
    assert best_measured(records, 11, filtered=False, floor=0.5).k == 100
    assert best_measured(records, 101, filtered=False, floor=0.5) is None
    assert best_measured(records, 10, filtered=True, floor=0.5) is None
    assert best_measured(records, 10, filtered=False, floor=0.9) is None


def big(
    flat: FlatIndex, codes: HammingIndex, records: tuple[Measured, ...], floor: float = 0.99
) -> PlannedIndex:
    return PlannedIndex(flat, {"cascade": Way(codes, records)}, floor)


@pytest.fixture
def wide(rows_of) -> tuple[FlatIndex, HammingIndex]:
    """Rows so long that reading their codes first is worth it."""
    flat, rows = FlatIndex(128), rows_of(6000, dim=128)
    flat.add(rows)
    codes = HammingIndex(Coder.fit(rows[:500], 64))
    codes.add(rows)
    return flat, codes


def test_planner_takes_the_way_that_reads_less(wide, rows_of):
    planned, query = big(*wide, always(64)), rows_of(1, 4, dim=128)
    hits, trace = planned.explained(query, 10)
    assert trace.path == "cascade" and trace.recall == 1.0 and "MB" in trace.why
    assert [stage.name for stage in trace.stages] == ["shortlist", "exact order"]
    assert [stage.rows for stage in trace.stages] == [6000, 64] and trace.rows == 6064
    assert (hits.rows == planned.search(query, 10).rows).all()


def test_planner_scans_where_few_rows_pass(wide, rows_of):
    among = np.arange(6000) < 50
    hits, trace = big(*wide, always(64)).explained(rows_of(1, 4, dim=128), 10, among)
    assert trace.path == "exact" and trace.recall == 1.0 and trace.rows == 50
    assert (hits.rows == wide[0].search(rows_of(1, 4, dim=128), 10, among).rows).all()


def test_planner_scans_below_the_floor_and_beyond_what_was_measured(wide, rows_of):
    query = rows_of(1, 4, dim=128)
    trace = big(*wide, always(64, recall=0.98)).explained(query, 10)[1]
    assert trace.path == "exact" and "No other way" in trace.why
    assert big(*wide, always(64, recall=0.98), floor=0.9).explained(query, 10)[1].path == "cascade"
    assert big(*wide, always(64)).explained(query, 1001)[1].path == "exact"
    only_unfiltered = tuple(record for record in always(64) if not record.filtered)
    half = np.arange(6000) % 2 == 0
    assert big(*wide, only_unfiltered).explained(query, 10, half)[1].path == "exact"
    nearly_all = np.arange(6000) % 50 > 0
    assert big(*wide, only_unfiltered).explained(query, 10, nearly_all)[1].path == "cascade"


def test_a_shortlist_under_a_filter_is_long_enough_for_all_rows_too(wide, rows_of):
    """Recall is measured where a twentieth passes; where half passes, more rows compete for places."""
    few = tuple(Measured(10, filtered, size, 1.0, 1.0) for filtered, size in ((True, 16), (False, 200)))
    half = np.arange(6000) % 2 == 0
    trace = big(*wide, few).explained(rows_of(1, 4, dim=128), 10, half)[1]
    assert trace.path == "cascade" and trace.stages[-1].rows == 200


def test_a_way_that_runs_dry_is_followed_by_a_scan(wide, rows_of):
    class Dry(HammingIndex):
        def shortlist(self, query, size, among=None):
            return super().shortlist(query, 3, among)

    flat, codes = wide
    dry = Dry(codes.coder)
    dry.attach(codes._pieces[0].codes)
    query = rows_of(1, 4, dim=128)
    hits, trace = big(flat, dry, always(64)).explained(query, 10)
    assert "too few" in trace.stages[-1].name
    assert (hits.rows == flat.search(query, 10).rows).all()


def test_rows_added_to_a_planned_index_are_found_on_every_way(wide, rows_of):
    planned, new = big(*wide, always(400)), rows_of(2, 9, dim=128)
    planned.add(new)
    hits, trace = planned.explained(new, 1)
    assert trace.path == "cascade" and hits.rows.ravel().tolist() == [6000, 6001]


def test_bad_input_is_refused(flat, codes, rows_of):
    with pytest.raises(UsageError, match="same rows"):
        CascadeIndex(FlatIndex(24), codes, 10)
    with pytest.raises(UsageError, match="1 row or more"):
        CascadeIndex(flat, codes, 0)
    with pytest.raises(UsageError, match="add the missing ones"):
        PlannedIndex(FlatIndex(24), {"cascade": Way(codes, ())})
    for floor in (0.0, -1.0, 1.01, float("nan")):
        with pytest.raises(UsageError, match="least recall"):
            PlannedIndex(flat, floor=floor)
    for index in (CascadeIndex(flat, codes, 10), PlannedIndex(flat)):
        with pytest.raises(UsageError, match="k must be 1"):
            index.search(rows_of(1), 0)
        with pytest.raises(UsageError, match="Queries must have shape"):
            index.search(np.ones((1, 3)), 1)
        with pytest.raises(UsageError, match="NaN"):
            index.search(np.full((1, 24), np.inf), 1)
        with pytest.raises(UsageError, match="shape"):
            index.add(np.ones((1, 3)))


def test_lists_find_most_of_the_exact_answer_and_only_rows_that_pass(flat, rows_of, tmp_path):
    rows = rows_of(COUNT)
    index = AnnIndex.learn(rows, COUNT)
    index.add(rows[:700])
    index.add(rows[700:])
    queries = rows_of(30, 3)
    exact = flat.search(queries, 10).rows
    found = [index.shortlist(query, 400)[0] for query in queries]
    assert np.mean([np.isin(best, some).mean() for best, some in zip(exact, found, strict=True)]) > 0.9
    assert all(len(np.unique(some)) == len(some) <= 400 for some in found)
    assert index.shortlist(queries[0], 32)[1] < COUNT / 2, "it looks at a part of the rows"
    among = np.random.default_rng(0).random(COUNT) < 0.8
    assert among[index.shortlist(queries[0], 100, among)[0]].all()
    index.save(tmp_path / "lists.npz")
    loaded = AnnIndex.load(tmp_path / "lists.npz")
    assert (loaded.shortlist(queries[0], 100)[0] == index.shortlist(queries[0], 100)[0]).all()


def test_lists_of_few_or_odd_rows_work_and_bad_ones_are_refused(rows_of):
    few = AnnIndex.learn(rows_of(3, dim=7), 3)
    assert few.shortlist(rows_of(1, dim=7)[0], 5)[0].tolist() == []
    few.add(rows_of(3, dim=7))
    assert sorted(few.shortlist(rows_of(1, dim=7)[0], 5)[0].tolist()) == [0, 1, 2]
    with pytest.raises(UsageError, match="give some rows"):
        AnnIndex.learn(np.empty((0, 7), np.float32), 0)
    with pytest.raises(UsageError, match="shape"):
        few.add(np.ones((1, 8)))
