"""Coarse to fine: a shortlist from an index that guesses, put into exact order by the vectors themselves.

Knows no model: a third stage that looks at pixels belongs to whoever has them. The scores are those of the
exact search, so all that a cascade can get wrong is to leave a row out; :mod:`landsift.index.recall`
measures how often it does.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.index.checks import as_rows, checked_queries
from landsift.index.flat import FlatIndex
from landsift.index.table import gathered
from landsift.index.trace import Stopwatch
from landsift.types import FloatArray, Hits, IntArray

__all__ = ["CascadeIndex", "Shortlister", "refine"]


class Shortlister(Protocol):
    """An index that says quickly which rows may be among the best."""

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        ...

    def __len__(self) -> int: ...

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Append ``(n, dim)`` rows."""
        ...

    def shortlist(
        self, query: FloatArray, size: int, among: NDArray[np.bool_] | None = None
    ) -> tuple[IntArray, int]:
        """At most ``size`` rows, each once, for one query, and how many codes were looked at for them."""
        ...

    def bytes_read(self, size: int) -> float:
        """About how many bytes making a shortlist of ``size`` reads."""
        ...


class CascadeIndex:
    """A shortlist, then exact order.

    Args:
        flat: The vectors.
        coarse: An index over the same rows.
        size: How many rows the shortlist has; at least ``k`` are taken whatever it says.

    Raises:
        UsageError: The two do not hold the same rows, or ``size < 1``.
    """

    def __init__(self, flat: FlatIndex, coarse: Shortlister, size: int) -> None:
        if (flat.dim, len(flat)) != (coarse.dim, len(coarse)):
            raise UsageError(
                f"A cascade needs both indexes over the same rows, got {len(flat)} of length {flat.dim} and "
                f"{len(coarse)} of length {coarse.dim}; add the same vectors to both"
            )
        if size < 1:
            raise UsageError(f"A shortlist has 1 row or more, not {size}; ask for a few hundred")
        self._flat = flat
        self._coarse = coarse
        self._size = size

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._flat.dim

    def __len__(self) -> int:
        return len(self._flat)

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Append ``(n, dim)`` finite rows.

        Raises:
            UsageError: The shape does not fit, or a value is NaN or infinite.
        """
        rows = as_rows(vectors, self.dim)
        self._flat.attach(rows)
        self._coarse.add(rows)

    def search(self, queries: NDArray[np.floating], k: int, among: NDArray[np.bool_] | None = None) -> Hits:
        """The ``k`` best of each query's shortlist; scores and order as the exact search gives them.

        Args:
            queries: ``(q, dim)``.
            k: How many; 1 or more.
            among: ``(len(self),)`` bool; only rows where it is True are searched. None searches all.

        Raises:
            UsageError: A shape does not fit, ``k < 1``, or a query is not finite.
        """
        queries = checked_queries(queries, k, among, dim=self.dim, count=len(self))
        found = (refine(self._flat, self._coarse, query, k, self._size, among) for query in queries)
        return gathered(found, len(queries), k)


def refine(
    flat: FlatIndex,
    coarse: Shortlister,
    query: FloatArray,
    k: int,
    size: int,
    among: NDArray[np.bool_] | None = None,
    watch: Stopwatch | None = None,
) -> tuple[IntArray, NDArray[np.float32]]:
    """The ``k`` best rows of a shortlist of ``size``, or of ``k`` if that is more, with their exact scores.

    Args:
        flat, coarse: Over the same rows.
        query: ``(dim,)``.
        k, size: How many.
        among: Only these rows.
        watch: Told how long both stages took.
    """
    watch = watch or Stopwatch()
    with watch.stage("shortlist") as seen:
        near, seen.rows = coarse.shortlist(query, max(k, size), among)
    with watch.stage("exact order", len(near)):
        return flat.rescore(query, near, k)
