"""Exact inner-product search over float16 rows, in memory or memory-mapped.

Knows no ids, no metadata and no model. faiss's SIMD float16 kernel reads the rows where they lie, so a
million rows are opened without being loaded, and a query costs one pass over the bytes. What bounds a
search is memory bandwidth: ``rows searched * dim * 2`` bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.files import ColumnFolder
from landsift.index.checks import as_rows, check_dim, checked_queries
from landsift.index.table import blank_table
from landsift.threads import available_threads
from landsift.types import Hits

__all__ = ["FlatIndex", "scores_of_all"]

_CHUNK_ONE_QUERY = (
    65_536  # rows a thread scans per call: long enough to hide the call, short enough to balance
)
_CHUNK_MANY_QUERIES = 8_192  # a chunk that stays in the last-level cache while every query passes over it
_CHUNK_OF_ALL = 1_048_576  # every score is held twice while a chunk is read


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(available_threads(), thread_name_prefix="landsift-search")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows ``first .. first + len(rows)`` of an index, in one contiguous block of memory."""

    first: int
    rows: NDArray[np.float16]


class FlatIndex:
    """Exact search over float16 rows.

    Args:
        dim: Length of the vectors.

    Scores are inner products of the float32 query with the float16 row, accumulated in float32. The score
    of a row never depends on the other rows, the filter or the number of threads.
    """

    def __init__(self, dim: int) -> None:
        check_dim(dim)
        self._dim = dim
        self._pieces: list[_Piece] = []
        self._count = 0
        self._kernel = _kernel(dim)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._dim

    def __len__(self) -> int:
        return self._count

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Append ``(n, dim)`` finite rows, kept as float16.

        Raises:
            UsageError: The shape does not fit, or a value is NaN or infinite.
        """
        self.attach(as_rows(vectors, self._dim))

    def attach(self, rows: NDArray[np.float16]) -> None:
        """Append ``(n, dim)`` float16 rows that stay where they are, such as a memory map."""
        if len(rows):
            self._pieces.append(_Piece(self._count, rows))
            self._count += len(rows)

    def vectors(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """The stored vectors of ``(n,)`` row numbers, as ``(n, dim)`` float32."""
        out = np.empty((len(rows), self._dim), np.float32)
        for piece in self._pieces:
            inside = (rows >= piece.first) & (rows < piece.first + len(piece.rows))
            out[inside] = piece.rows[rows[inside] - piece.first]
        return out

    def rescore(
        self, query: NDArray[np.float32], rows: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The ``k`` best of some rows for one query, with the scores that :meth:`search` gives them.

        Args:
            query: ``(dim,)``.
            rows: ``(s,)`` row numbers, each once, in any order.
            k: How many; fewer come back where there are fewer.

        Returns:
            Row numbers and scores, best first, equal scores in row order.
        """
        rows = np.sort(rows)
        halves = np.empty((len(rows), self._dim), np.float16)
        for piece in self._pieces:
            first, last = np.searchsorted(rows, (piece.first, piece.first + len(piece.rows)))
            if last > first:
                halves[first:last] = piece.rows[rows[first:last] - piece.first]
        few = FlatIndex(self._dim)
        few.attach(halves)
        hits = few.search(query[None, :], max(1, min(k, len(rows))))
        found = hits.rows[0] >= 0
        return rows[hits.rows[0][found]], hits.scores[0][found]

    def search(self, queries: NDArray[np.floating], k: int, among: NDArray[np.bool_] | None = None) -> Hits:
        """The ``k`` best rows for each query, exactly; equal scores in row order.

        Args:
            queries: ``(q, dim)``.
            k: How many; 1 or more.
            among: ``(len(self),)`` bool; only rows where it is True are searched. None searches all.

        Raises:
            UsageError: A shape does not fit, ``k < 1``, or a query is not finite.
        """
        queries = checked_queries(queries, k, among, dim=self._dim, count=self._count)
        rows, scores = blank_table(len(queries), k)
        searched = self._count if among is None else int(np.count_nonzero(among))
        found = min(k, searched)
        if found and len(queries):
            self._search_exactly(queries, found, searched, among, rows, scores)
        return Hits(rows, scores)

    def _search_exactly(
        self,
        queries: NDArray[np.float32],
        found: int,
        searched: int,
        among: NDArray[np.bool_] | None,
        rows: NDArray[np.int64],
        scores: NDArray[np.float32],
    ) -> None:
        """Fill the first ``found`` columns; dig deeper where a tie at the last place may hide a lower row."""
        waiting = np.arange(len(queries))
        depth = min(found + 16, searched)
        while len(waiting):
            deep_rows, deep_scores = self._scan(queries[waiting], depth, among)
            settled = (
                np.ones(len(waiting), bool)
                if depth == searched
                else deep_scores[:, found - 1] > deep_scores[:, depth - 1]
            )
            done = waiting[settled]
            rows[done, :found] = deep_rows[settled, :found]
            scores[done, :found] = deep_scores[settled, :found]
            waiting = waiting[~settled]
            depth = min(depth * 8, searched)

    def _scan(
        self, queries: NDArray[np.float32], depth: int, among: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The ``depth`` best of each query over all chunks, ordered by (score descending, row)."""
        jobs = list(self._chunks(len(queries), among))

        def work(job: tuple[int, NDArray[np.float16], NDArray[np.bool_] | None]) -> _Found:
            return self._kernel.scan(queries, job[1], job[0], depth, job[2])

        parts = [work(jobs[0])] if len(jobs) == 1 else list(_pool().map(work, jobs))
        rows = np.concatenate([part[0] for part in parts], axis=1)
        scores = np.concatenate([part[1] for part in parts], axis=1)
        order = np.lexsort((rows, -scores), axis=1)[:, :depth]
        return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)

    def _chunks(
        self, queries: int, among: NDArray[np.bool_] | None
    ) -> Iterable[tuple[int, NDArray[np.float16], NDArray[np.bool_] | None]]:
        """Pieces cut for the threads, each with its part of the filter; chunks it empties are left out."""
        step = _CHUNK_ONE_QUERY if queries == 1 else _CHUNK_MANY_QUERIES
        for piece in self._pieces:
            for start in range(0, len(piece.rows), step):
                rows = piece.rows[start : start + step]
                first = piece.first + start
                if among is None:
                    yield first, rows, None
                    continue
                allowed = among[first : first + len(rows)]
                if allowed.any():
                    yield first, rows, allowed

    def save(self, folder: str | Path) -> None:
        """Write the index to ``folder``, replacing what is there; whoever has the old one open keeps it."""
        ColumnFolder.write(folder, self._spec(), ({"vectors": piece.rows} for piece in self._pieces), {})

    def _spec(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {"vectors": ("<f2", (self._dim,))}

    @classmethod
    def load(cls, folder: str | Path) -> FlatIndex:
        """Open an index memory-mapped; nothing is read until it is searched.

        Raises:
            GalleryDamaged: The folder holds no index, or its files contradict each other.
        """
        rows = ColumnFolder(folder).columns["vectors"]
        index = cls(rows.shape[1])
        index.attach(rows)
        return index


_Found = tuple[NDArray[np.int64], NDArray[np.float32]]


class _Kernel:
    """faiss's float16 scanner over memory that faiss does not own.

    A scanner cannot be freed from Python, so each thread keeps one with and one without a filter for as
    long as it lives, and all indexes of a length share them; the filter looks at a buffer that every call
    overwrites.
    """

    def __init__(self, dim: int) -> None:
        import faiss

        self._faiss = faiss
        self._quantizer: Any = faiss.ScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16)
        self._of_thread = threading.local()

    def _scanners(self) -> tuple[Any, Any, NDArray[np.uint8]]:
        """This thread's (unfiltered scanner, filtered scanner, filter bits)."""
        if not hasattr(self._of_thread, "kept"):
            faiss, inner_product = self._faiss, self._faiss.METRIC_INNER_PRODUCT
            bits = np.zeros(_CHUNK_ONE_QUERY // 8, np.uint8)
            selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
            plain = self._quantizer.select_InvertedListScanner(inner_product, None, True, None)
            filtered = self._quantizer.select_InvertedListScanner(inner_product, None, True, selector)
            self._of_thread.kept = plain, filtered, bits
            self._of_thread.selector = selector  # the scanner points at it
        return self._of_thread.kept

    def scan(
        self,
        queries: NDArray[np.float32],
        rows: NDArray[np.float16],
        first: int,
        depth: int,
        allowed: NDArray[np.bool_] | None,
    ) -> _Found:
        """The best ``min(depth, len(rows))`` of one chunk for each query, unordered, padded with -inf."""
        faiss = self._faiss
        depth = min(depth, len(rows))
        scores = np.full((len(queries), depth), -np.inf, np.float32)
        ids = np.full((len(queries), depth), -1, np.int64)
        plain, filtered, bits = self._scanners()
        scanner = plain
        if allowed is not None:
            packed = np.packbits(allowed, bitorder="little")
            bits[: len(packed)] = packed
            scanner = filtered
        codes = faiss.swig_ptr(rows.view(np.uint8).reshape(-1))
        for query in range(len(queries)):
            scanner.set_query(faiss.swig_ptr(queries[query]))
            scanner.set_list(0, 0.0)
            scanner.scan_codes(
                len(rows), codes, None, faiss.swig_ptr(scores[query]), faiss.swig_ptr(ids[query]), depth
            )
        ids += np.where(ids >= 0, first, 0)
        return ids, scores

    def scan_all(self, query: NDArray[np.float32], rows: NDArray[np.float16]) -> NDArray[np.float32]:
        """The score of every row, ``(n,)``: a search for all above minus infinity meets them in order."""
        faiss = self._faiss
        scanner = self._scanners()[0]
        scanner.set_query(faiss.swig_ptr(query))
        scanner.set_list(0, 0.0)
        found = faiss.RangeSearchResult(1)
        part = faiss.RangeSearchPartialResult(found)
        codes = faiss.swig_ptr(rows.view(np.uint8).reshape(-1))
        scanner.scan_codes_range(len(rows), codes, None, -np.inf, part.new_result(0))
        part.finalize()
        scores: NDArray[np.float32] = faiss.rev_swig_ptr(found.distances, len(rows)).copy()
        return scores


def scores_of_all(rows: NDArray[np.float16], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """The score of every row, to the last bit what :meth:`FlatIndex.search` gives it.

    Args:
        rows: ``(n, dim)`` finite, little-endian.
        query: ``(dim,)``.

    Returns:
        ``(n,)`` float32, in row order.
    """
    query = np.ascontiguousarray(query, np.float32)
    kernel, scores = _kernel(rows.shape[1]), np.empty(len(rows), np.float32)
    for first in range(0, len(rows), _CHUNK_OF_ALL):
        part = slice(first, first + _CHUNK_OF_ALL)
        scores[part] = kernel.scan_all(query, np.ascontiguousarray(rows[part]))
    return scores


@cache
def _kernel(dim: int) -> _Kernel:
    return _Kernel(dim)
