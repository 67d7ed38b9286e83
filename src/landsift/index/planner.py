"""Which way to an answer: the cheapest of those that were measured to find enough of it.

The exact scan is always there, so a planner can only lose time, never more recall than its floor allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.index.cascade import Shortlister, refine
from landsift.index.checks import checked_queries
from landsift.index.flat import FlatIndex
from landsift.index.recall import Measured, best_measured
from landsift.index.table import gathered
from landsift.index.trace import Stopwatch, Trace
from landsift.types import FloatArray, Hits, IntArray

__all__ = ["DEFAULT_FLOOR", "EXACT", "PlannedIndex", "Way", "check_floor"]

EXACT = "exact"
DEFAULT_FLOOR = 0.99

_BYTES_A_NUMBER = 2
_SCATTERED = 8  # a row fetched alone costs as much as so many read in passing
_NEARLY_ALL = 0.95  # share of the rows that must pass for recall to count as without a filter
_FILTER_BYTES = 0.5  # a row that the filter leaves out still costs a look at its bit


def check_floor(floor: float) -> None:
    """Refuse a recall that is none.

    Raises:
        UsageError: Not above 0 and at most 1.
    """
    if not 0 < floor <= 1:
        raise UsageError(f"The least recall is above 0 and at most 1, got {floor:g}; 0.99 is usual")


@dataclass(frozen=True, eq=False)
class Way:
    """A quick way: an index that makes shortlists, and what their recall was measured to be."""

    coarse: Shortlister
    records: tuple[Measured, ...]


@dataclass(frozen=True)
class _Choice:
    path: str
    why: str
    size: int = 0
    recall: float = 1.0


class PlannedIndex:
    """Searches by the cheapest way whose measured recall reaches the floor.

    Args:
        flat: The vectors.
        ways: By name; none leaves the exact one.
        floor: Least recall.

    Filters hold on every way; a row that the filter leaves out is never found.
    """

    def __init__(
        self, flat: FlatIndex, ways: Mapping[str, Way] | None = None, floor: float = DEFAULT_FLOOR
    ) -> None:
        check_floor(floor)
        self.flat = flat
        self.ways = dict(ways or {})
        self.floor = floor
        for name, way in self.ways.items():
            if len(way.coarse) != len(flat):
                raise UsageError(
                    f"The {name} index holds {len(way.coarse)} rows of {len(flat)}; add the missing ones"
                )

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.flat.dim

    def __len__(self) -> int:
        return len(self.flat)

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Append ``(n, dim)`` finite rows.

        Raises:
            UsageError: The shape does not fit, or a value is NaN or infinite.
        """
        before = len(self.flat)
        self.flat.add(vectors)
        added = self.flat.vectors(np.arange(before, len(self.flat)))
        for way in self.ways.values():
            way.coarse.add(added)

    def search(self, queries: NDArray[np.floating], k: int, among: NDArray[np.bool_] | None = None) -> Hits:
        """The ``k`` best rows for each query, by the way that the planner takes.

        Args:
            queries: ``(q, dim)``.
            k: How many; 1 or more.
            among: ``(len(self),)`` bool; only rows where it is True are searched. None searches all.

        Raises:
            UsageError: A shape does not fit, ``k < 1``, or a query is not finite.
        """
        return self.explained(queries, k, among)[0]

    def explained(
        self, queries: NDArray[np.floating], k: int, among: NDArray[np.bool_] | None = None
    ) -> tuple[Hits, Trace]:
        """As :meth:`search`, and how it was done."""
        queries = checked_queries(queries, k, among, dim=self.dim, count=len(self))
        passing = len(self) if among is None else int(np.count_nonzero(among))
        choice, watch = self._choose(passing, k, among is not None), Stopwatch()
        if choice.path == EXACT:
            with watch.stage("exact scan", passing * len(queries)):
                hits = self.flat.search(queries, k, among)
        else:
            hits = self._refined(queries, k, among, choice, watch)
        return hits, Trace(choice.path, choice.why, choice.recall, tuple(watch.stages))

    def _refined(
        self,
        queries: FloatArray,
        k: int,
        among: NDArray[np.bool_] | None,
        choice: _Choice,
        watch: Stopwatch,
    ) -> Hits:
        coarse = self.ways[choice.path].coarse
        found = (self._one(coarse, query, k, among, choice, watch) for query in queries)
        return gathered(found, len(queries), k)

    def _one(
        self,
        coarse: Shortlister,
        query: FloatArray,
        k: int,
        among: NDArray[np.bool_] | None,
        choice: _Choice,
        watch: Stopwatch,
    ) -> tuple[IntArray, NDArray[np.float32]]:
        found, values = refine(self.flat, coarse, query, k, choice.size, among, watch)
        passing = len(self) if among is None else int(np.count_nonzero(among))
        if len(found) < min(k, passing):  # a way that looks at a part of the rows can run dry
            with watch.stage("exact scan, since too few were found", passing):
                hits = self.flat.search(query[None, :], min(k, passing), among)
            return hits.rows[0], hits.scores[0]
        return found, values

    def _choose(self, passing: int, k: int, narrowed: bool) -> _Choice:
        """The cheapest way in bytes read; a filter that leaves nearly all rows is none."""
        count = len(self)
        filtered = narrowed and passing < _NEARLY_ALL * count
        exact = passing * self.dim * _BYTES_A_NUMBER + (_FILTER_BYTES * count if narrowed else 0.0)
        if not self.ways:
            return _Choice(EXACT, "There is no other index, so every row that passes is scanned.")
        best, least = None, exact
        reached = False
        for name, way in self.ways.items():
            record = self._record(way, k, filtered)
            if record is None:
                continue
            reached = True
            cost = way.coarse.bytes_read(record.size)
            cost += max(k, record.size) * self.dim * _BYTES_A_NUMBER * _SCATTERED
            if cost < least:
                best, least = _Choice(name, "", max(k, record.size), record.recall), cost
        about = f"{k} of {passing:,} rows" + (" under a filter" if filtered else "")
        if best is None:
            if reached:
                return _Choice(EXACT, f"Scanning {passing:,} rows reads less than any other way would.")
            return _Choice(EXACT, f"No other way was measured to find {self.floor:.3g} of the best {about}.")
        why = f"It reads {least / 1e6:.3g} MB for the best {about}, the exact scan {exact / 1e6:.3g} MB."
        return _Choice(best.path, why, best.size, best.recall)

    def _record(self, way: Way, k: int, filtered: bool) -> Measured | None:
        """The shortlist to take; under a filter, one that is long enough both for few rows and for all."""
        kinds = (False, True) if filtered else (False,)
        found = [best_measured(way.records, k, filtered=kind, floor=self.floor) for kind in kinds]
        reached = [record for record in found if record is not None]
        return max(reached, key=lambda record: record.size) if len(reached) == len(kinds) else None
