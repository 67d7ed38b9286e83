"""One query vector -> matches: filter, exact search, one match a place, percentiles.

Works on the cache and the ledger; knows no encoder and no raster.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.gallery.cache import Cache
from landsift.gallery.filtering import left_out, searchable
from landsift.gallery.naming import tile_id
from landsift.gallery.query import one_per_place
from landsift.gallery.result import Match, SearchResult
from landsift.gallery.scoring import Scorer
from landsift.gallery.spread import Spread
from landsift.gallery.store import ItemRow, SceneRow
from landsift.gallery.where import Where
from landsift.index import EXACT, Stopwatch, Trace
from landsift.metrics import csls
from landsift.types import FloatArray, Window

__all__ = ["FEW", "Order", "Picked", "Wish", "as_match"]


FEW = 8192
"""So many rows are sooner scored alone than with all others."""
_KEPT_DEPTH = 1024
_BIN_EDGES = 1e-4
"""More than the edges of a spread's bins are off by rounding."""


_Ranked = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Order:
    """The ranking of all tiles that pass the filters: how many score what, and the order as far as needed.

    Attributes:
        cache, query, mask: What was ranked; a mask of None means all rows.
        searched: How many passed.
        scores: ``(n,)`` float32 of every row, ``-inf`` where the mask is False.
        prior: ``(n,)`` float32 that was added to the inner products, or None.
        notes: Sentences for people on what the prior could not judge.
    """

    cache: Cache
    query: FloatArray
    mask: NDArray[np.bool_] | None
    searched: int
    scores: NDArray[np.float32]
    prior: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()
    _heads: dict[int, _Ranked] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(
        cls, cache: Cache, ledger: Mapping[int, SceneRow], query: FloatArray, where: Where, scorer: Scorer
    ) -> Order:
        """Score all tiles that pass."""
        return cls.under(cache, query, searchable(cache, ledger, where), scorer)

    @classmethod
    def under(cls, cache: Cache, query: FloatArray, mask: NDArray[np.bool_] | None, scorer: Scorer) -> Order:
        """Score all tiles that a mask lets pass."""
        searched = len(cache.row) if mask is None else int(np.count_nonzero(mask))
        if searched > FEW:
            scores = scorer.scores([piece["vectors"] for piece in cache.held.pieces], query)
            return cls(cache, query, None, len(scores), scores).among(mask)
        scores = np.full(len(cache.row), -np.inf, np.float32)
        if searched:
            hits = cache.index.search(query[None, :], searched, mask)
            scores[hits.rows[0]] = hits.scores[0]
        return cls(cache, query, mask, searched, scores)

    def among(self, mask: NDArray[np.bool_] | None) -> Order:
        """The ranking, made of all rows, of those that a mask lets pass."""
        if mask is None:
            return self
        scores = np.where(mask, self.scores, np.float32(-np.inf))
        return replace(self, mask=mask, searched=int(np.count_nonzero(mask)), scores=scores)

    def shifted(self, prior: NDArray[np.float32], notes: tuple[str, ...] = ()) -> Order:
        """The ranking with something added to every score: ``prior``, ``(n,)``."""
        return replace(self, scores=self.scores + prior, prior=prior, notes=notes)

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return self.scores.nbytes + (0 if self.mask is None else self.mask.nbytes)

    def head(self, depth: int) -> _Ranked:
        """Positions and exact scores of the ``depth`` best, equal ones in row order.

        Short heads are remembered, for whoever asks for the same page again.
        """
        depth = min(depth, self.searched)
        found = self._heads.get(depth)
        if found is None:
            found = self._head(depth)
            if depth <= _KEPT_DEPTH:
                self._heads[depth] = found
        return found

    def _head(self, depth: int) -> _Ranked:
        if depth == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if depth == self.searched:
            near = np.arange(len(self.scores)) if self.mask is None else np.flatnonzero(self.mask)
        else:
            near = np.flatnonzero(self.scores >= np.float32(self.spread.floor_of(depth) - _BIN_EDGES))
        best = np.argsort(-self.scores[near], kind="stable")[:depth]
        return near[best], self.scores[near[best]]

    @cached_property
    def spread(self) -> Spread:
        """How many of the tiles that passed score what."""
        return Spread.of(self.passed())

    def reaching(self, least: float) -> int:
        """How many tiles score at least this."""
        return int(np.count_nonzero(self.scores >= np.float32(least)))

    def passed(self) -> NDArray[np.float32]:
        """The scores of the tiles that passed, in row order: ``(searched,)``."""
        return self.scores if self.mask is None else self.scores[self.mask]


@dataclass(frozen=True, eq=False)
class Picked:
    """The tiles that were chosen, in order, as numbers; for those who need no :class:`Match` of each.

    Attributes:
        cache, ledger: Of the moment that was searched.
        positions: ``(m,)`` rows of the cache.
        ranks, scores, percentiles: Of each, as :class:`Match` has them.
        searched, total, seconds, notes, trace: As :class:`SearchResult` has them.
    """

    cache: Cache
    ledger: Mapping[int, SceneRow]
    positions: NDArray[np.integer]
    ranks: list[int]
    scores: list[float]
    percentiles: list[float]
    searched: int
    total: int
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    trace: Trace | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def matches(self) -> tuple[Match, ...]:
        """All that is known of each."""
        items = self.cache.items(self.positions)
        numbers = zip(self.ranks, self.scores, self.percentiles, strict=True)
        return tuple(
            as_match(item, self.ledger[item.scene], *three)
            for item, three in zip(items, numbers, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Wish:
    """All that a search asks for.

    Attributes:
        query: ``(dim,)`` unit vector.
        words: The query in words, for headings.
        k: How many matches.
        where: Filters.
        min_score: Least score of a match; None for any.
        merge: One match a place instead of every overlapping tile.
        without: Tiles that are never matches, nor are, with ``merge``, those overlapping them.
        skip: How many of the best matches to leave out, for the pages after the first.
        crowd: ``(b, dim)`` other queries; tiles that are near to all of them are put further back. None
            leaves the order to the scores.

    Raises:
        UsageError: ``k < 1``, or a negative ``skip``.
    """

    query: FloatArray
    words: str
    k: int
    where: Where
    min_score: float | None = None
    merge: bool = True
    without: Sequence[ItemRow] = ()
    skip: int = 0
    crowd: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k must be 1 or more, got {self.k}; ask for at least one match")
        if self.skip < 0:
            raise UsageError(f"skip must be 0 or more, got {self.skip}; begin with the first match")

    def fulfil(
        self, cache: Cache, ledger: Mapping[int, SceneRow], order: Order | None = None
    ) -> SearchResult:
        """Search; takes what :meth:`pick` takes."""
        picked = self.pick(cache, ledger, order)
        return SearchResult(
            picked.matches,
            self.words,
            picked.searched,
            picked.total,
            picked.seconds,
            picked.notes,
            picked.trace,
        )

    def pick(self, cache: Cache, ledger: Mapping[int, SceneRow], order: Order | None = None) -> Picked:
        """Search, and leave the matches to be made of what was picked.

        Args:
            cache, ledger: Of one moment.
            order: What :meth:`Order.of` gave for this query and these filters; None scans for the head only.
        """
        began, watch = time.perf_counter(), Stopwatch()
        with watch.stage("filters", len(cache.row)):
            mask = searchable(cache, ledger, self.where) if order is None else None
        if order is not None:
            searched = order.searched
        else:
            searched = len(cache.row) if mask is None else int(np.count_nonzero(mask))
        wanted = self.skip + self.k
        depth = min(searched, max(64, 4 * wanted) if self.merge else wanted + len(self.without))
        while True:
            head = _Head.fetch(cache, self.query, depth, mask) if order is None else _Head.of(order, depth)
            watch.stages += head.trace.stages
            if self.crowd is not None:
                with watch.stage("less crowded first", len(head.rows)):
                    head = head.uncrowded(cache, self.query, self.crowd)
            with watch.stage("one tile a place" if self.merge else "tiles to leave out", len(head.rows)):
                places = self._pick(cache, head, wanted)
            if len(places) == wanted or depth >= searched or self._is_below(head):
                break
            depth = min(searched, depth * 4)
        if self.min_score is not None:
            places = places[head.scores[places] >= self.min_score]
        places = places[self.skip :]
        notes = left_out(self.where, cache, ledger) + (() if order is None else order.notes)
        return Picked(
            cache,
            ledger,
            head.rows[places],
            list(range(self.skip + 1, self.skip + 1 + len(places))),
            head.scores[places].tolist(),
            (100.0 * (searched - places) / searched).tolist() if searched else [],
            searched,
            int(np.count_nonzero(cache.alive)),
            time.perf_counter() - began,
            notes,
            replace(head.trace, stages=tuple(watch.stages)),
        )

    def _is_below(self, head: _Head) -> bool:
        """Whether the ranking has come to tiles that score too little."""
        return self.min_score is not None and len(head.scores) > 0 and head.scores.min() < self.min_score

    def _pick(self, cache: Cache, head: _Head, wanted: int) -> NDArray[np.int64]:
        """Positions in the ranking's head that become matches."""
        if not self.merge:
            own = [item.row for item in self.without if item.row is not None]
            return np.flatnonzero(~np.isin(cache.row[head.rows], own))[:wanted]
        lead = len(self.without)
        scene = np.concatenate([[item.scene for item in self.without], cache.scene[head.rows]])
        given = [(item.col, item.line, item.width, item.height) for item in self.without]
        boxes = np.concatenate([np.array(given, np.int64).reshape(-1, 4), cache.window[head.rows]])
        boxes[:, 2:] += boxes[:, :2]
        return one_per_place(scene.astype(np.int64), boxes, wanted, lead=lead) - lead


@dataclass(frozen=True, eq=False)
class _Head:
    """The first tiles of a ranking: positions in the cache, scores, and how they were found."""

    rows: NDArray[np.integer]
    scores: NDArray[np.float32]
    trace: Trace

    @classmethod
    def of(cls, order: Order, depth: int) -> _Head:
        watch = Stopwatch()
        with watch.stage("order of all scores", len(order.scores)):
            head = order.head(depth)
        return cls(*head, Trace(EXACT, "All rows had been scored.", 1.0, tuple(watch.stages)))

    @classmethod
    def fetch(cls, cache: Cache, query: FloatArray, depth: int, mask: NDArray[np.bool_] | None) -> _Head:
        if depth == 0:
            nothing = Trace(EXACT, "No row passes the filters.", 1.0)
            return cls(np.empty(0, np.int64), np.empty(0, np.float32), nothing)
        hits, trace = cache.ways.explained(query[None, :], depth, mask)
        return cls(hits.rows[0], hits.scores[0], trace)

    def uncrowded(self, cache: Cache, query: FloatArray, crowd: FloatArray) -> _Head:
        """The same tiles, those first that are nearer to the query than others are to them."""
        if not len(self.rows):
            return self
        vectors = cache.index.vectors(self.rows)
        order = np.argsort(-csls((vectors @ query)[None, :], crowd @ vectors.T)[0], kind="stable")
        return replace(self, rows=self.rows[order], scores=self.scores[order])


def as_match(
    item: ItemRow, scene: SceneRow, rank: int = 0, score: float = 0.0, percentile: float = 0.0
) -> Match:
    """A stored tile as a match."""
    return Match(
        rank=rank,
        score=score,
        percentile=percentile,
        tile=tile_id(item, scene),
        scene=scene.name,
        source=scene.href,
        date=scene.date,
        window=Window(item.col, item.line, item.width, item.height),
        scale=item.scale,
        gsd=item.gsd,
        valid=item.valid,
        corners=None if item.corners is None else np.frombuffer(item.corners, "<f8").reshape(4, 2),
    )
