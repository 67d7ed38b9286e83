"""Sign codes in hash tables: only rows that nearly share a stretch of bits with a query are compared.

Two codes that differ in few bits agree nearly in at least one of several stretches (M. Norouzi, A. Punjani
and D. Fleet, "Fast exact search in Hamming space with multi-index hashing", TPAMI 2014). So a table for each
stretch leads to the near rows without reading the others; rows that are farther are found by luck alone,
which is why this serves only where recall was measured. faiss keeps the tables, in memory.
"""

from __future__ import annotations

from functools import cache, cached_property
from math import log2
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from landsift.errors import GalleryDamaged, UsageError
from landsift.files import write_whole
from landsift.index.checks import as_rows, checked_queries
from landsift.index.codes import Coder, Codes
from landsift.index.table import gathered
from landsift.types import FloatArray, Hits, IntArray

__all__ = ["FLIPS", "MultiHashIndex"]

FLIPS = 2
"""Bits of a stretch in which a row may differ from the query and still be compared."""

_ROWS_A_BUCKET = 7  # the logarithm of their number that a stretch is chosen for
_SHORTEST, _LONGEST = 4, 24  # bits of a stretch
_CANDIDATE_BYTES = 64  # a code fetched alone costs a line of the processor's cache
_TRIED = 16  # rows that the number of candidates is estimated with


class MultiHashIndex:
    """Rows as sign codes in hash tables; scores are minus the Hamming distance.

    Make one with :meth:`learn` or :meth:`load`.
    """

    def __init__(self, coder: Coder, tables: Any) -> None:
        self.coder = coder
        self._tables = tables

    @classmethod
    def learn(cls, sample: FloatArray, texts: FloatArray, rows: int, bits: int) -> MultiHashIndex:
        """An empty index for about so many rows.

        Args:
            sample: ``(s, dim)`` rows that the directions of the codes are learnt from.
            texts: ``(t, dim)`` such as will be searched for; may be none.
            rows: How many rows there will be; decides how long the stretches are.
            bits: Length of the codes.

        Raises:
            UsageError: There are no rows to learn from, or a code cannot be so long.
        """
        means = texts.mean(axis=0, keepdims=True) if len(texts) else None
        coder = Coder.fit(sample, bits, query_means=means)
        stretch = min(max(_SHORTEST, round(log2(max(1, rows))) - _ROWS_A_BUCKET), _LONGEST, bits)
        tables = _faiss().IndexBinaryMultiHash(bits, bits // stretch, stretch)
        tables.nflip = FLIPS
        return cls(coder, tables)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.coder.dim

    @property
    def sure_within(self) -> int:
        """Rows at most so far from a query are always compared: by counting, one stretch nearly agrees."""
        return int(self._tables.nhash) * (FLIPS + 1) - 1

    def __len__(self) -> int:
        return int(self._tables.ntotal)

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Append ``(n, dim)`` rows, kept as codes only.

        Raises:
            UsageError: The shape does not fit, or a value is NaN or infinite.
        """
        codes = self.coder.encode(as_rows(vectors, self.dim))
        if len(codes):
            self._tables.add(codes)
            self.__dict__.pop("_typical", None)

    def search(self, queries: NDArray[np.floating], k: int, among: NDArray[np.bool_] | None = None) -> Hits:
        """The ``k`` nearest of the rows compared; row -1 stands where fewer of those pass.

        Args:
            queries: ``(q, dim)``.
            k: How many; 1 or more.
            among: ``(len(self),)`` bool; only rows where it is True are searched. None searches all.

        Raises:
            UsageError: A shape does not fit, ``k < 1``, or a query is not finite.
        """
        queries = checked_queries(queries, k, among, dim=self.dim, count=len(self))
        near = (self._nearest(code, k, among) for code in self.coder.encode_queries(queries))
        return gathered(((rows, -distances) for rows, distances in near), len(queries), k)

    def shortlist(
        self, query: FloatArray, size: int, among: NDArray[np.bool_] | None = None
    ) -> tuple[IntArray, int]:
        """At most ``size`` rows for one ``(dim,)`` query, and about how many codes were compared."""
        return self._nearest(self.coder.encode_queries(query[None, :])[0], size, among)[0], self._typical

    def _nearest(
        self, code: Codes, size: int, among: NDArray[np.bool_] | None
    ) -> tuple[IntArray, NDArray[np.int32]]:
        wanted = size
        if among is not None:  # as many more as the filter will take away on average
            wanted = int(size * len(among) / max(1, int(np.count_nonzero(among)))) + 1
        wanted = min(wanted, len(self))
        if not wanted:
            return np.empty(0, np.int64), np.empty(0, np.int32)
        distances, rows = (found[0] for found in self._tables.search(code[None, :], wanted))
        passing = rows >= 0
        if among is not None:
            passing &= among[rows]
        rows, distances = rows[passing], distances[passing]
        order = np.lexsort((rows, distances))[:size]
        return rows[order], distances[order]

    def bytes_read(self, size: int) -> float:
        """About how many bytes making a shortlist reads, whatever its size: the codes that are compared."""
        return self._typical * _CANDIDATE_BYTES

    @cached_property
    def _typical(self) -> int:
        """About how many codes are compared for a query that lies among the rows."""
        count = min(_TRIED, len(self))
        if not count:
            return 0
        storage = _faiss().downcast_IndexBinary(self._tables.storage)
        rows = np.linspace(0, len(self) - 1, count).astype(np.int64)
        statistics = _faiss().cvar.indexBinaryHash_stats
        before = statistics.ndis
        self._tables.search(np.stack([storage.reconstruct(int(row)) for row in rows]), 1)
        return int((statistics.ndis - before) // count)

    def save(self, path: Path) -> None:
        """Write to ``path``, whole or not at all."""
        held = _faiss().serialize_index_binary(self._tables)
        coder = self.coder

        def write(partial: Path) -> None:
            with partial.open("wb") as file:
                np.savez(
                    file,
                    mean=coder.mean,
                    query_means=coder.query_means,
                    projection=coder.projection,
                    tables=held,
                )

        write_whole(path, write)

    @classmethod
    def load(cls, path: Path, bits: int) -> MultiHashIndex:
        """Read what :meth:`save` wrote.

        Raises:
            GalleryDamaged: The file is absent, not of this kind, or of codes of another length.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                coder = Coder(held["mean"], held["query_means"], held["projection"])
                tables = _faiss().deserialize_index_binary(held["tables"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, RuntimeError, UsageError) as error:
            raise GalleryDamaged(f"The file {path} holds no hash tables; delete it") from error
        if coder.bits != bits:
            raise GalleryDamaged(f"The codes in {path} have {coder.bits} bits, not {bits}; delete it")
        return cls(coder, tables)


@cache
def _faiss() -> Any:
    import faiss

    return faiss
