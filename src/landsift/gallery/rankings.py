"""The rankings of a gallery, made when asked for and kept: another filter, threshold or page is cheap.

What costs is the pass over the vectors, so what is kept is the ranking of all rows by query, and the rows
that pass by filter; a filtered ranking is the two put together. As a gallery grows, the scores of the rows it
had still hold: only the new rows are scored. Knows no encoder and no raster.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.gallery.cache import Cache, Snapshot
from landsift.gallery.filtering import searchable
from landsift.gallery.listing import Kept, Orders
from landsift.gallery.scoring import Scorer
from landsift.gallery.search import FEW, Order
from landsift.gallery.where import Where
from landsift.index import scores_of_all
from landsift.types import FloatArray

__all__ = ["Rankings"]


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
        self._kept.move_to(seen.cache, _carried)
        mask = self._mask(seen, where)
        key = query.tobytes()
        if mask is not None and self._is_cheaper_alone(seen.cache, key, mask):
            return self._filtered(seen.cache, (key, where), query, mask)
        whole = self._whole(seen.cache, key, query)
        return whole if mask is None else whole.among(mask)

    def _is_cheaper_alone(self, cache: Cache, key: Hashable, mask: NDArray[np.bool_]) -> bool:
        """Whether few rows pass, and those of all are not known anyway."""
        return int(np.count_nonzero(mask)) <= FEW and not isinstance(self._kept.get(cache, key), Order)

    def _mask(self, seen: Snapshot, where: Where) -> NDArray[np.bool_] | None:
        """The rows that pass; None means all."""
        mask = self._kept.get(seen.cache, where)
        if mask is None:
            mask = searchable(seen.cache, seen.ledger, where)
            if mask is not None:
                self._kept.keep(seen.cache, where, mask, _carried)
        return mask

    def _filtered(self, cache: Cache, key: Hashable, query: FloatArray, mask: NDArray[np.bool_]) -> Order:
        """The ranking of a few rows, which costs no pass."""
        found: Order | None = self._kept.get(cache, key)
        if found is None:
            found = Order.under(cache, query, mask, self.scorer)
            self._kept.keep(cache, key, found, _carried)
        else:
            self.known += 1
        return found

    def _whole(self, cache: Cache, key: Hashable, query: FloatArray) -> Order:
        """The ranking of all rows, deleted ones among them."""
        found: Order | NDArray[np.float32] | None = self._kept.get(cache, key)
        if isinstance(found, Order):
            self.known += 1
            return found
        if found is not None and len(cache.row) - len(found) <= FEW:
            self.known += 1
            order = Order(cache, query, None, len(cache.row), _extended(found, cache, query))
        else:
            order = Order.under(cache, query, None, self.scorer)
        self._kept.keep(cache, key, order, _carried)
        return order


def _extended(scores: NDArray[np.float32], cache: Cache, query: FloatArray) -> NDArray[np.float32]:
    """The scores of all rows, where those of the first ones are known."""
    new = np.arange(len(scores), len(cache.row))
    if not len(new):
        return scores
    return np.concatenate([scores, scores_of_all(cache.halves(new), query)])


def _carried(before: Any, after: Any) -> Callable[[Any], Kept | None]:
    """What becomes of things kept for one state of the gallery in another: the scores of rows in both stay.

    Row numbers ascend and are never given twice, and what a row holds never changes; so scores hold as far as
    the row numbers are the same. Filters may let others of the same rows pass.
    """
    shared = 0 if before is None else min(len(before.row), len(after.row))
    if shared and not np.array_equal(before.row[:shared], after.row[:shared]):
        shared = 0

    def scores(kept: Any) -> Kept | None:
        known = kept.scores if isinstance(kept, Order) and kept.mask is None else kept
        if not shared or not isinstance(known, np.ndarray) or known.dtype != np.float32:
            return None
        return known[:shared]

    return scores
