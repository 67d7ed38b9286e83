"""The rankings of a gallery, made when asked for and kept: another filter, threshold or page is cheap.

What costs is the pass over the vectors, so what is kept is the ranking of all rows by query, and the rows
that pass by filter; a filtered ranking is the two put together. Knows no encoder and no raster.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import numpy as np

from landsift.gallery.cache import Snapshot
from landsift.gallery.filtering import searchable
from landsift.gallery.listing import Kept, Orders
from landsift.gallery.scoring import Scorer
from landsift.gallery.search import FEW, Order
from landsift.gallery.where import Where
from landsift.types import FloatArray

__all__ = ["Rankings"]

_Value = TypeVar("_Value", bound=Kept)


class Rankings:
    """Rankings of one gallery, for any number of threads.

    Args:
        scorer: Makes the scores.
        most_bytes: Memory that rankings and filters may take together.

    Attributes:
        scorer: What makes the scores.
        asked, known: How many rankings were asked for, and for how many the scores were still known.
    """

    def __init__(self, scorer: Scorer, most_bytes: int) -> None:
        self.scorer = scorer
        self._kept = Orders(most_bytes)
        self.asked = self.known = 0

    def order(self, seen: Snapshot, query: FloatArray, where: Where) -> Order:
        """The ranking of all tiles that pass the filters."""
        self.asked += 1  # counts of several threads at once may lose one: they are for people
        mask = self._mask(seen, where)
        key, cache, scorer = query.tobytes(), seen.cache, self.scorer
        if mask is not None and np.count_nonzero(mask) <= FEW:
            return self._recalled(seen, (key, where), lambda: Order.under(cache, query, mask, scorer))
        whole = self._recalled(seen, key, lambda: Order.under(cache, query, None, scorer))
        return whole if mask is None else whole.among(mask)

    def _mask(self, seen: Snapshot, where: Where) -> np.ndarray | None:
        """The rows that pass; None means all."""
        mask = self._kept.get(seen.cache, where)
        if mask is None:
            mask = searchable(seen.cache, seen.ledger, where)
            if mask is not None:
                self._kept.keep(seen.cache, where, mask)
        return mask

    def _recalled(self, seen: Snapshot, key: Hashable, make: Callable[[], Order]) -> Order:
        found = self._kept.get(seen.cache, key)
        if found is None:
            found = make()
            self._kept.keep(seen.cache, key, found)
        else:
            self.known += 1
        return found
