"""One score for a place, out of those of all tiles and views that show it.

A place is a tile of its scene's largest scale; what lies in it counts for it. No way of pooling gives more
than the best of what is pooled, so a walk down the ranking of single tiles can stop as soon as no place left
could come among the wanted, and the answer is that of scoring every place. Works on the cache and the ledger;
knows no encoder and no raster.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.gallery.cache import Cache
from landsift.gallery.filtering import left_out
from landsift.gallery.query import one_per_place
from landsift.gallery.result import Match, SearchResult
from landsift.gallery.search import Order, Wish, as_match
from landsift.gallery.store import SceneRow
from landsift.index import EXACT, Stopwatch, Trace

__all__ = ["POOLS", "Pool", "search_places"]

POOLS = ("max", "top-m", "lse")
"""The largest score; the mean of the m largest; a soft maximum."""

_INSIDE = 0.9
_FIRST_LOOK = 128
_ROUNDING = 2e-4  # more than two sums of the same scores differ by


@dataclass(frozen=True)
class Pool:
    """How the scores of a place's tiles become one.

    Attributes:
        kind: One of ``POOLS``.
        best: The m of ``top-m``; of fewer tiles all count.
        temperature: Of ``lse``: ``t log mean exp(s / t)``, near the maximum when small, near the mean when
            large.

    Raises:
        UsageError: A value that could never work.
    """

    kind: str = "max"
    best: int = 3
    temperature: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in POOLS:
            raise UsageError(f"Scores are pooled by {', '.join(POOLS)}; got {self.kind!r}. Choose one.")
        if self.best < 1:
            raise UsageError(f"The best 1 or more scores can be averaged; got {self.best}. Write top-3, say.")
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise UsageError(f"The temperature must be above 0; got {self.temperature}. Try 0.05.")

    @classmethod
    def parse(cls, text: str) -> Pool:
        """What a person writes: ``max``, ``lse``, ``top-3`` (the mean of three) or ``top-m`` (the same).

        Raises:
            UsageError: Anything else.
        """
        if found := re.fullmatch(r"top-(\d{1,4})", text):
            return cls("top-m", int(found[1]))
        return cls(text)

    def of(self, scores: NDArray[np.floating], axis: int = -1) -> NDArray[np.float64]:
        """Pool along one axis; scores of ``-inf`` are as if they were not there."""
        scores = np.moveaxis(np.asarray(scores, np.float64), axis, -1)
        if self.kind == "max":
            return np.asarray(scores.max(axis=-1))
        there = np.isfinite(scores)
        if self.kind == "top-m":
            best = -np.sort(-scores, axis=-1)[..., : self.best]
            kept = np.isfinite(best)
            mean = np.where(kept, best, 0.0).sum(axis=-1) / np.maximum(kept.sum(axis=-1), 1)
            return np.where(kept.any(axis=-1), mean, -np.inf)
        top = scores.max(axis=-1, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        with np.errstate(divide="ignore"):
            share = np.exp((scores - top) / self.temperature).sum(axis=-1) / np.maximum(there.sum(axis=-1), 1)
            summed = np.log(share)
        return np.asarray(top[..., 0] + self.temperature * summed)


def search_places(
    cache: Cache, ledger: Mapping[int, SceneRow], wish: Wish, pool: Pool, order: Order
) -> SearchResult:
    """The best places, each shown by its best tile and scored by all of them.

    Args:
        cache, ledger: Of one moment.
        wish: What is asked for.
        pool: How scores become one.
        order: Scores of all tiles that pass the wish's filters.

    Raises:
        UsageError: The wish is for every overlapping tile, or for another order.
    """
    if not wish.merge or wish.crowd is not None:
        raise UsageError("Pooled scores put whole places in order; leave out csls and overlapping 'keep'")
    began, watch = time.perf_counter(), Stopwatch()
    places = _Places(cache, order, pool)
    with watch.stage(f"scores pooled by {pool.kind}", order.searched):
        chosen = places.best(wish)
    matches = [
        _match(cache, ledger, order, tile, score, rank)
        for rank, (tile, score) in enumerate(chosen, wish.skip + 1)
    ]
    notes = (*left_out(wish.where, cache, ledger), *order.notes)
    trace = Trace(EXACT, "Places pool the scores of all their tiles.", 1.0, tuple(watch.stages))
    total, seconds = int(np.count_nonzero(cache.alive)), time.perf_counter() - began
    return SearchResult(tuple(matches), wish.words, order.searched, total, seconds, notes, trace)


def _match(
    cache: Cache, ledger: Mapping[int, SceneRow], order: Order, tile: int, score: float, rank: int
) -> Match:
    item = cache.items([tile])[0]
    above = order.reaching(float(np.nextafter(order.scores[tile], np.float32(np.inf))))
    percentile = 100.0 * (order.searched - above) / max(order.searched, 1)
    return as_match(item, ledger[item.scene], rank, score, percentile)


@dataclass(eq=False)
class _Places:
    """The places of a ranking, looked at as they come up."""

    cache: Cache
    order: Order
    pool: Pool
    scenes: dict[int, _Scene] = field(default_factory=dict)
    found: dict[int, tuple[float, int]] = field(default_factory=dict)

    def best(self, wish: Wish) -> list[tuple[int, float]]:
        """Best tile and score of the places wanted, in order."""
        depth, seen = min(_FIRST_LOOK, self.order.searched), 0
        while True:
            rows, scores = self.order.head(depth)
            for row in rows[seen:].tolist():
                self._look(row)
            picked = self._picked(wish)
            rest = float(scores[-1]) if depth < self.order.searched else -np.inf
            full = len(picked) == wish.skip + wish.k and self.found[picked[-1]][0] >= rest + _ROUNDING
            below = wish.min_score is not None and rest < wish.min_score
            if full or below or depth >= self.order.searched:
                break
            seen, depth = depth, min(4 * depth, self.order.searched)
        least = -np.inf if wish.min_score is None else wish.min_score
        chosen = [self.found[place] for place in picked[wish.skip :]]
        return [(tile, score) for score, tile in chosen if score >= least]

    def _look(self, row: int) -> None:
        """Score the places that a tile belongs to, unless they have been."""
        scene = self._scene(int(self.cache.scene[row]))
        for place in scene.places_of(self.cache.window[row]).tolist():
            if place not in self.found:
                members = scene.members_of(place, self.cache.window)
                scores = self._exact(members)
                best = int(np.lexsort((members, -scores))[0])
                self.found[place] = float(self.pool.of(scores)), int(members[best])

    def _exact(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores of some tiles, to the last bit whatever else is scored; ``-inf`` for the filtered."""
        passed = np.isfinite(self.order.scores[rows])
        exact = np.einsum("nd,d->n", self.cache.halves(rows).astype(np.float32), self.order.query)
        if self.order.prior is not None:
            exact = exact + self.order.prior[rows]
        return np.where(passed, exact, np.float32(-np.inf)).astype(np.float32)

    def _picked(self, wish: Wish) -> list[int]:
        """The best places that no better one overlaps, nor a tile that was asked with."""
        places = sorted(self.found, key=lambda place: (-self.found[place][0], place))
        lead = len(wish.without)
        scene = [item.scene for item in wish.without] + self.cache.scene[places].tolist()
        boxes = np.array([(i.col, i.line, i.width, i.height) for i in wish.without], np.int64).reshape(-1, 4)
        boxes = np.concatenate([boxes, self.cache.window[places].reshape(-1, 4)])
        boxes[:, 2:] += boxes[:, :2]
        kept = one_per_place(np.array(scene, np.int64), boxes, wish.skip + wish.k, lead=lead) - lead
        return [places[at] for at in kept.tolist()]

    def _scene(self, key: int) -> _Scene:
        if key not in self.scenes:
            rows = np.flatnonzero((self.cache.scene == key) & self.cache.alive)
            scale = self.cache.scale[rows]
            places = rows[scale == scale.max()]
            self.scenes[key] = _Scene(rows, places, np.asarray(self.cache.window[places]))
        return self.scenes[key]


@dataclass(frozen=True, eq=False)
class _Scene:
    """The tiles of one scene: ``(n,)`` all rows, ``(p,)`` those that are places, and their windows."""

    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    windows: NDArray[np.int32]

    def places_of(self, window: NDArray[np.int32]) -> NDArray[np.int64]:
        """The places that a tile lies in; where it lies in none, the one that holds most of it."""
        return self.places[_belongs(window[None], self.windows)[0]]

    def members_of(self, place: int, windows: NDArray[np.int32]) -> NDArray[np.int64]:
        """The tiles that belong to a place, in row order."""
        own = np.asarray(windows[place])[None]
        around = self.rows[_shared(own, np.asarray(windows[self.rows]))[0] > 0]
        near = np.asarray(windows[around])
        # Only places that hold some of these tiles can hold most of one.
        rivals = np.flatnonzero((_shared(_hull(near), self.windows)[0] > 0) & (self.places != place))
        belongs = _belongs(near, np.concatenate([own, self.windows[rivals]]))
        return around[belongs[:, 0]]


def _belongs(tiles: NDArray[np.int32], places: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which tiles belong to which places: ``(t, p)``."""
    share = _shared(tiles, places) / (tiles[:, 2:3].astype(np.float64) * tiles[:, 3:4])
    return share >= np.minimum(_INSIDE, share.max(axis=1, keepdims=True))


def _hull(windows: NDArray[np.int32]) -> NDArray[np.int32]:
    """The window around windows: ``(1, 4)``."""
    low, high = windows[:, :2].min(axis=0), (windows[:, :2] + windows[:, 2:]).max(axis=0)
    return np.concatenate([low, high - low])[None]


def _shared(some: NDArray[np.int32], others: NDArray[np.int32]) -> NDArray[np.int64]:
    """Pixels that windows have in common: ``(a, b)``."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum((some[:, :2] + some[:, 2:])[:, None], (others[:, :2] + others[:, 2:])[None])
    return np.clip(high - low, 0, None).astype(np.int64).prod(axis=2)
