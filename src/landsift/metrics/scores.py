"""Score blocks: rows of a query-by-item score matrix, a few at a time, from a matrix or from vectors.

Knows nothing of images, captions or relevance. A block of rows is as large as fits the memory budget, so
a million items are scored in bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.types import IntArray

__all__ = ["MatrixScores", "Scores", "VectorScores", "as_scores", "repeated_rows"]

_BLOCK_BYTES = 64 * 2**20
_HASH_ROWS = 8192


class Scores(Protocol):
    """A score matrix that is read by blocks of rows; higher is better."""

    @property
    def shape(self) -> tuple[int, int]:
        """Queries, items."""
        ...

    def blocks(self) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield ``(first_row, (rows, items) scores)`` from the first query to the last."""
        ...


class MatrixScores:
    """Scores that are already a matrix of shape (queries, items)."""

    def __init__(self, matrix: NDArray[np.floating]) -> None:
        matrix = np.asarray(matrix)
        if matrix.ndim != 2:
            raise UsageError(f"Scores must be a (queries, items) matrix; got the shape {matrix.shape}.")
        if not np.issubdtype(matrix.dtype, np.floating):
            matrix = matrix.astype(np.float64)
        self._matrix = matrix

    @property
    def shape(self) -> tuple[int, int]:
        """Queries, items."""
        return self._matrix.shape[0], self._matrix.shape[1]

    def blocks(self) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield contiguous copies of consecutive rows; a matrix with NaN is refused."""
        step = _rows_per_block(self.shape[1], self._matrix.itemsize)
        for first in range(0, self.shape[0], step):
            yield first, _without_nan(np.ascontiguousarray(self._matrix[first : first + step]))


class VectorScores:
    """Inner products of query vectors ``(q, dim)`` and item vectors ``(n, dim)``, never all at once.

    A matrix product rounds the same inner product differently depending on where it stands in the matrix,
    which would break ties between equal items at random. Items whose vectors are equal bit for bit are
    therefore given one and the same score.
    """

    def __init__(self, queries: NDArray[np.floating], items: NDArray[np.floating]) -> None:
        queries, items = np.asarray(queries), np.asarray(items)
        if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
            raise UsageError(
                f"Queries and items must be (n, dim) vectors of one length; "
                f"got the shapes {queries.shape} and {items.shape}."
            )
        self._queries, self._items = queries, items
        self._precision = np.result_type(queries, items, np.float32)
        self._repeats, self._originals = repeated_rows(items)

    @property
    def shape(self) -> tuple[int, int]:
        """Queries, items."""
        return len(self._queries), len(self._items)

    def blocks(self) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield inner products of consecutive queries with all items; vectors with NaN are refused."""
        step = _rows_per_block(len(self._items), self._precision.itemsize)
        block = np.empty((min(step, len(self._queries)), len(self._items)), self._precision)
        for first in range(0, len(self._queries), step):
            queries = self._queries[first : first + step].astype(self._precision, copy=False)
            part = block[: len(queries)]
            self._multiply(queries, part)
            if len(self._repeats):
                part[:, self._repeats] = part[:, self._originals]
            yield first, _without_nan(part)

    def _multiply(self, queries: NDArray[np.floating], out: NDArray[np.floating]) -> None:
        """Fill ``out`` with the products, converting narrower item vectors a slice at a time."""
        if self._items.dtype == self._precision:
            np.matmul(queries, self._items.T, out=out)
            return
        for first in range(0, len(self._items), _HASH_ROWS):
            part = self._items[first : first + _HASH_ROWS].astype(self._precision)
            out[:, first : first + len(part)] = queries @ part.T


def as_scores(scores: Scores | NDArray[np.floating]) -> Scores:
    """Wrap a plain matrix; leave anything that already yields blocks as it is."""
    return MatrixScores(scores) if isinstance(scores, np.ndarray) else scores


def repeated_rows(vectors: NDArray[np.floating]) -> tuple[IntArray, IntArray]:
    """Find rows equal, bit for bit, to an earlier one.

    Args:
        vectors: ``(n, dim)``.

    Returns:
        Two int64 arrays of one length: row numbers of the repeats, and of the first row each repeats.
    """
    keys = _row_keys(vectors)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    original = first[inverse.reshape(-1)]
    repeats = np.flatnonzero(original != np.arange(len(vectors)))
    originals = original[repeats]
    same = np.array(
        [np.array_equal(vectors[a], vectors[b]) for a, b in zip(repeats, originals, strict=True)], bool
    )
    return repeats[same], originals[same]


def _row_keys(vectors: NDArray[np.floating]) -> NDArray[np.uint64]:
    """One 64-bit multilinear hash per row, computed a slice at a time to bound memory."""
    keys = np.zeros(len(vectors), np.uint64)
    words = np.dtype(f"u{vectors.dtype.itemsize}")
    factors = np.random.default_rng(0).integers(1, 2**63, vectors.shape[1], dtype=np.uint64) * 2 + 1
    for first in range(0, len(vectors), _HASH_ROWS):
        # Adding zero makes -0.0 and 0.0 one bit pattern.
        part = np.ascontiguousarray(vectors[first : first + _HASH_ROWS] + vectors.dtype.type(0)).view(words)
        keys[first : first + len(part)] = part.astype(np.uint64) @ factors
    return keys


def _rows_per_block(items: int, itemsize: int) -> int:
    return max(1, _BLOCK_BYTES // max(1, items * itemsize))


def _without_nan(block: NDArray[np.floating]) -> NDArray[np.floating]:
    if np.isnan(block.sum()) and np.isnan(block).any():
        raise UsageError("Scores contain NaN; check the encoder or the score file for invalid numbers.")
    return block
