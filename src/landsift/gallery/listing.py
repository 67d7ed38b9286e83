"""Tiles in the order of their properties instead of how well they fit, and searches kept for their next page.

Works on the cache and the ledger; knows no encoder and no raster.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.gallery.cache import Cache
from landsift.gallery.conditions import PROPERTIES
from landsift.gallery.filtering import column_of, searchable
from landsift.gallery.store import SceneRow
from landsift.gallery.where import Where

__all__ = ["SCORE", "Kept", "Orders", "SortKey", "arranged", "passing", "sort_values"]

SCORE = "score"
SortKey = tuple[str, bool]
"""Name of a property, or :data:`SCORE`; and whether the greatest comes first."""


def passing(cache: Cache, ledger: Mapping[int, SceneRow], where: Where) -> NDArray[np.int64]:
    """Positions of the tiles that pass, in row order."""
    mask = searchable(cache, ledger, where)
    return np.arange(len(cache.row)) if mask is None else np.flatnonzero(mask)


def arranged(
    cache: Cache,
    ledger: Mapping[int, SceneRow],
    positions: NDArray[np.integer],
    scores: NDArray[np.float32] | None,
    keys: Sequence[SortKey],
) -> NDArray[np.int64]:
    """The order that sorts tiles by the keys, the first counting most; what is unknown comes last.

    Args:
        cache, ledger: Of one moment.
        positions: ``(s,)`` tiles.
        scores: ``(s,)`` how well they fit, if that is known.
        keys: What to sort by.

    Returns:
        ``(s,)`` int64 places in ``positions``.

    Raises:
        UsageError: A key is no property, or is the score where nothing was looked for.
    """
    columns = [cache.row[positions].astype(np.float64)]
    for name, descending in reversed(keys):
        values = sort_values(name, cache, ledger, positions, scores)
        columns.append(np.where(np.isnan(values), np.inf, -values if descending else values))
    return np.lexsort(columns)


def sort_values(
    name: str,
    cache: Cache,
    ledger: Mapping[int, SceneRow],
    positions: NDArray[np.integer],
    scores: NDArray[np.float32] | None,
) -> NDArray[np.float64]:
    """Numbers that sort as a property does, NaN where it is unknown: ``(s,)``."""
    if name == SCORE:
        if scores is None:
            raise UsageError("Tiles are sorted by score only if something is looked for; give q")
        return scores.astype(np.float64)
    if name not in PROPERTIES:
        raise UsageError(f"Tiles cannot be sorted by {name!r}; choose from {SCORE}, {', '.join(PROPERTIES)}")
    column = column_of(name, cache, ledger)
    place = positions if column.rows is None else column.rows[positions]
    values, known = column.values[place], column.known[place]
    if PROPERTIES[name] is str:
        values = np.unique(values.astype(str), return_inverse=True)[1]
    return np.where(known, values, np.nan).astype(np.float64)


class Kept(Protocol):
    """What can be kept: it says how many bytes it takes."""

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        ...


_NEWS_SHARE = 0.25
"""What was asked for once may take this much of the memory before it gives way to itself."""
_Carried = Callable[[Any, Any], Callable[[Any], Kept | None]]
"""Two versions -> what becomes in the second of what was kept for the first."""


class _Shelf:
    """Things by key, the one put there last at the end, and the bytes of all."""

    def __init__(self) -> None:
        self.kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self.nbytes = 0

    def put(self, key: Hashable, thing: Kept) -> None:
        self.kept[key] = thing
        self.nbytes += thing.nbytes

    def take(self, key: Hashable) -> Kept | None:
        thing = self.kept.pop(key, None)
        self.nbytes -= 0 if thing is None else thing.nbytes
        return thing

    def drop_oldest(self) -> None:
        self.nbytes -= self.kept.popitem(last=False)[1].nbytes

    def changed(self, becomes: Callable[[Any], Kept | None]) -> _Shelf:
        """What becomes of each thing, in the same order."""
        shelf = _Shelf()
        for key, thing in self.kept.items():
            other = becomes(thing)
            if other is not None:
                shelf.put(key, other)
        return shelf


class Orders:
    """Complete rankings that were made lately, so that a next page or another threshold costs no scan.

    What was asked for once must not drive out what people ask for again and again: it has a shelf of its own,
    and gives way first (a segmented LRU; Karedla, Love and Wherry, IEEE Computer 27, 1994).

    Args:
        most_bytes: Memory they may take together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._once, self._again = _Shelf(), _Shelf()
        self._version: object = None
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._once.kept) + len(self._again.kept)

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return self._once.nbytes + self._again.nbytes

    def get(self, version: object, key: Hashable) -> Any:
        """The ranking of a version of the gallery that is kept under a key."""
        with self._lock:
            if version != self._version:
                return None
            found = self._take(key)
            if found is not None:
                self._again.put(key, found)
            return found

    def _take(self, key: Hashable) -> Kept | None:
        found = self._again.take(key)
        return self._once.take(key) if found is None else found

    def keep(
        self, version: object, key: Hashable, order: Kept | None, carried: _Carried | None = None
    ) -> None:
        """Keep a ranking, and let go of those not asked for the longest.

        Args:
            version, key, order: What to keep, and for which version.
            carried: Says what of it to keep where others have gone over to another version meanwhile. Without
                it, that version's rankings are let go of.
        """
        with self._lock:
            if version != self._version and carried is not None:
                known = key in self._once.kept or key in self._again.kept
                order = None if known else carried(version, self._version)(order)
            elif version != self._version:
                self._once, self._again, self._version = _Shelf(), _Shelf(), version
            if order is None or order.nbytes > self._most:
                return
            shelf = self._once if self._again.take(key) is None else self._again
            self._once.take(key)
            shelf.put(key, order)
            while self.nbytes > self._most:
                news = len(self._once.kept) > 1 and self._once.nbytes > self._most * _NEWS_SHARE
                (self._once if news or not self._again.kept else self._again).drop_oldest()

    def move_to(self, version: object, carried: _Carried) -> None:
        """Go over to another version without forgetting what still holds for it.

        Args:
            version: The one to go to; nothing is done where that is the one already.
            carried: Given the version there was, says what becomes of each thing kept; None lets go of it.
        """
        with self._lock:
            if version == self._version:
                return
            becomes = carried(self._version, version)
            self._once, self._again = self._once.changed(becomes), self._again.changed(becomes)
            self._version = version
