"""One query vector -> matches: filter, exact search, one match a place, percentiles.

Works on the cache and the ledger; knows no encoder and no raster.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.gallery.cache import Cache
from landsift.gallery.query import one_per_place
from landsift.gallery.result import Match, SearchResult
from landsift.gallery.store import ItemRow, SceneRow
from landsift.gallery.where import Where
from landsift.types import FloatArray, Window

__all__ = ["Wish", "as_match", "searchable", "tile_id"]


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
    """

    query: FloatArray
    words: str
    k: int
    where: Where
    min_score: float | None = None
    merge: bool = True
    without: Sequence[ItemRow] = ()

    def fulfil(self, cache: Cache, ledger: Mapping[int, SceneRow]) -> SearchResult:
        """Search."""
        began = time.perf_counter()
        mask = searchable(cache, ledger, self.where)
        searched = len(cache.row) if mask is None else int(np.count_nonzero(mask))
        depth = min(searched, max(64, 4 * self.k) if self.merge else self.k + len(self.without))
        while True:
            head = _Head.fetch(cache, self.query, depth, mask)
            picked = self._pick(head)
            if len(picked) == self.k or depth >= searched:
                break
            depth = min(searched, depth * 4)
        matches = []
        for rank, place in enumerate(picked, 1):
            score = float(head.scores[place])
            if self.min_score is not None and score < self.min_score:
                break
            percentile = 100.0 * (searched - int(place)) / searched
            item = head.items[place]
            matches.append(as_match(item, ledger[item.scene], rank, score, percentile))
        notes = _left_out(self.where, cache, ledger)
        seconds = time.perf_counter() - began
        return SearchResult(tuple(matches), self.words, searched, int(cache.alive.sum()), seconds, notes)

    def _pick(self, head: _Head) -> NDArray[np.int64]:
        """Positions in the ranking's head that become matches."""
        own = {item.row for item in self.without}
        if not self.merge:
            return np.array(
                [p for p, item in enumerate(head.items) if item.row not in own][: self.k], np.int64
            )
        together = [*self.without, *head.items]
        scene = np.array([item.scene for item in together], np.int64)
        boxes = [(i.col, i.line, i.col + i.width, i.line + i.height) for i in together]
        lead = len(self.without)
        return one_per_place(scene, np.array(boxes, np.int64).reshape(-1, 4), self.k, lead=lead) - lead


@dataclass(frozen=True, eq=False)
class _Head:
    """The first tiles of a ranking."""

    items: list[ItemRow]
    scores: NDArray[np.float32]

    @classmethod
    def fetch(cls, cache: Cache, query: FloatArray, depth: int, mask: NDArray[np.bool_] | None) -> _Head:
        if depth == 0:
            return cls([], np.empty(0, np.float32))
        hits = cache.index.search(query[None, :], depth, mask)
        return cls(cache.items(hits.rows[0]), hits.scores[0])


def searchable(cache: Cache, ledger: Mapping[int, SceneRow], where: Where) -> NDArray[np.bool_] | None:
    """The rows to search; None means all.

    Left out are deleted tiles, and those of a scene's new version that is not finished yet.
    """
    shown = [scene for scene in ledger.values() if scene.supersedes is None]
    if not where and len(shown) == len(ledger):
        return None if cache.alive.all() else cache.alive
    return where.mask(cache.scene, cache.outlines, where.scenes(shown)) & cache.alive


def tile_id(item: ItemRow, scene: SceneRow) -> str:
    """The name of a tile, such as ``harbour-1a2b3c4d_s1_x0_y192``: scene, scale and upper-left pixel."""
    return f"{scene.id}_s{item.scale:g}_x{item.col}_y{item.line}"


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


def _left_out(where: Where, cache: Cache, ledger: Mapping[int, SceneRow]) -> tuple[str, ...]:
    """What a filter could not judge, in sentences."""
    notes = []
    if where.box is not None:
        lost = int((cache.alive & np.isnan(cache.outlines.west)).sum())
        if lost:
            notes.append(f"{lost} tiles without coordinates were left out by the box.")
    if where.after is not None or where.before is not None:
        dateless = sum(scene.start is None and scene.state != "failed" for scene in ledger.values())
        if dateless:
            notes.append(f"{dateless} scenes without a date were left out by the date filter.")
    return tuple(notes)
