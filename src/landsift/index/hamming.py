"""Search by Hamming distance over packed sign codes, in memory or memory-mapped.

A scan reads ``bits / 8`` bytes a row, so it is bound by memory bandwidth as the exact search is, over a
forty-eighth of the bytes at 128 bits for 384 float16. Distances of a chunk are computed by faiss's popcount
kernel while the chunk is near the processor; what cannot be among the best any more is left out at once, so
memory does not grow with the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.errors import GalleryDamaged, UsageError
from landsift.files import ColumnFolder, ColumnSpec
from landsift.index.checks import as_rows, checked_queries
from landsift.index.codes import Coder, Codes
from landsift.index.table import gathered
from landsift.threads import available_threads
from landsift.types import FloatArray, Hits, IntArray

__all__ = ["HammingIndex", "code_columns"]

_CHUNK = 32_768  # rows; their codes and distances stay in the second-level cache
_LEAST_A_THREAD = 262_144  # rows below which a second thread costs more than it saves
_DISTANCE_BYTES = 8  # a distance is written and read once, near the processor
_CODER = "coder.npz"
_COLUMNS = "codes"


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(available_threads(), thread_name_prefix="landsift-codes")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Codes of rows ``first .. first + len(codes)`` of an index, in one contiguous block of memory."""

    first: int
    codes: Codes


class HammingIndex:
    """Rows as sign codes; scores are minus the Hamming distance.

    Args:
        coder: Turns vectors into codes.

    Equal distances are ordered by row, so an answer depends on nothing but the codes.
    """

    def __init__(self, coder: Coder) -> None:
        self.coder = coder
        self._pieces: list[_Piece] = []
        self._count = 0
        self._measure = _distances()

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.coder.dim

    def __len__(self) -> int:
        return self._count

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Append ``(n, dim)`` rows, kept as codes only.

        Raises:
            UsageError: The shape does not fit, or a value is NaN or infinite.
        """
        self.attach(self.coder.encode(as_rows(vectors, self.dim)))

    def attach(self, codes: Codes) -> None:
        """Append ``(n, bits / 8)`` codes that stay where they are, such as a memory map.

        Raises:
            UsageError: They are of another length.
        """
        if codes.ndim != 2 or codes.shape[1] != self.coder.nbytes or codes.dtype != np.uint8:
            raise UsageError(
                f"Codes must be uint8 of shape (n, {self.coder.nbytes}), got {codes.dtype} {codes.shape}; "
                "make them with this index's coder"
            )
        if len(codes):
            self._pieces.append(_Piece(self._count, codes))
            self._count += len(codes)

    def search(self, queries: NDArray[np.floating], k: int, among: NDArray[np.bool_] | None = None) -> Hits:
        """The ``k`` rows with the nearest codes for each query; equal distances in row order.

        Args:
            queries: ``(q, dim)``.
            k: How many; 1 or more.
            among: ``(len(self),)`` bool; only rows where it is True are searched. None searches all.

        Raises:
            UsageError: A shape does not fit, ``k < 1``, or a query is not finite.
        """
        queries = checked_queries(queries, k, among, dim=self.dim, count=self._count)
        near = (self.nearest(code, k, among) for code in self.coder.encode_queries(queries))
        return gathered(((rows, -distances) for rows, distances in near), len(queries), k)

    def nearest(
        self, code: Codes, count: int, among: NDArray[np.bool_] | None = None
    ) -> tuple[IntArray, NDArray[np.int32]]:
        """The ``count`` rows nearest to one code, and their distances; fewer where fewer are searched."""
        parts = list(self._parts())
        if len(parts) == 1:
            found = [self._scan(parts[0], code, count, among)]
        else:
            found = list(_pool().map(lambda part: self._scan(part, code, count, among), parts))
        rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in found)])
        distances = np.concatenate([np.empty(0, np.int32), *(distances for _, distances in found)])
        order = np.lexsort((rows, distances))[:count]
        return rows[order], distances[order]

    def shortlist(
        self, query: FloatArray, size: int, among: NDArray[np.bool_] | None = None
    ) -> tuple[IntArray, int]:
        """The ``size`` rows with the nearest codes for one ``(dim,)`` query, and how many codes were read."""
        rows, _ = self.nearest(self.coder.encode_queries(query[None, :])[0], size, among)
        return rows, self._count

    def bytes_read(self, size: int) -> float:
        """About how many bytes making a shortlist of ``size`` reads: all codes, and their distances."""
        return self._count * (self.coder.nbytes + _DISTANCE_BYTES)

    def _parts(self) -> Iterator[range]:
        """The rows cut into one range for each thread that is worth starting."""
        threads = max(1, min(available_threads(), self._count // _LEAST_A_THREAD))
        step = -(-self._count // threads)
        yield from (
            range(start, min(start + step, self._count)) for start in range(0, self._count, step or 1)
        )

    def _scan(
        self, part: range, code: Codes, count: int, among: NDArray[np.bool_] | None
    ) -> tuple[IntArray, NDArray[np.int32]]:
        """What of a range of rows may be among the ``count`` nearest, in row order.

        Once ``count`` rows lie within a distance, a later row must be nearer than that: the bound tightens
        from chunk to chunk, and most chunks leave next to nothing.
        """
        distances = np.empty(_CHUNK, np.int32)
        seen = np.zeros(self.coder.bits + 1, np.int64)
        bound = self.coder.bits + 1
        rows, kept = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
        for first, codes in self._chunks(part):
            within = distances[: len(codes)]
            self._measure(code, codes, within)
            near = within < bound
            if among is not None:
                near &= among[first : first + len(codes)]
            at = np.flatnonzero(near)
            if not len(at):
                continue
            rows.append(at + first)
            kept.append(within[at])
            seen += np.bincount(kept[-1], minlength=len(seen))
            bound = min(bound, int(np.searchsorted(np.cumsum(seen), count)))
        return np.concatenate(rows), np.concatenate(kept)

    def _chunks(self, part: range) -> Iterator[tuple[int, Codes]]:
        for piece in self._pieces:
            start, stop = max(part.start, piece.first), min(part.stop, piece.first + len(piece.codes))
            for first in range(start, stop, _CHUNK):
                yield first, piece.codes[first - piece.first : min(first + _CHUNK, stop) - piece.first]

    def save(self, folder: str | Path) -> None:
        """Write the index to ``folder``, replacing what is there; whoever has the old one open keeps it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        batches = ({"codes": piece.codes} for piece in self._pieces)
        self.coder.save(folder / _CODER)
        note = {"coder": self.coder.identity}
        ColumnFolder.write(folder / _COLUMNS, code_columns(self.coder.nbytes), batches, note)

    @classmethod
    def load(cls, folder: str | Path) -> HammingIndex:
        """Open an index memory-mapped; nothing but the directions is read until it is searched.

        Raises:
            GalleryDamaged: The folder holds no index, or its files contradict each other.
        """
        coder, held = Coder.load(Path(folder) / _CODER), ColumnFolder(Path(folder) / _COLUMNS)
        if held.note.get("coder") != coder.identity:
            raise GalleryDamaged(f"The codes in {folder} were made by other directions; delete the folder")
        index = cls(coder)
        index.attach(held.columns["codes"])
        return index


@cache
def _distances() -> Callable[[Codes, Codes, NDArray[np.int32]], None]:
    """faiss's popcount kernel over memory that faiss does not own."""
    import faiss

    library: Any = faiss
    pointer = library.swig_ptr

    def fill(code: Codes, codes: Codes, out: NDArray[np.int32]) -> None:
        """The distance of one code to each of ``(n, bytes)`` codes."""
        library.hammings(pointer(code), pointer(codes), 1, len(codes), codes.shape[1], pointer(out))

    return fill


def code_columns(nbytes: int) -> ColumnSpec:
    """The one column of a folder of codes."""
    return {"codes": ("|u1", (nbytes,))}
