"""What every index asks of its input: rows, queries, ``k`` and filters of the right shape. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.types import FloatArray

__all__ = ["as_rows", "check_dim", "checked_queries"]


def check_dim(dim: int) -> None:
    """Refuse a length of vectors below 1.

    Raises:
        UsageError: It is.
    """
    if dim < 1:
        raise UsageError(f"An index needs vectors of length 1 or more, got {dim}; give the encoder's dim")


def checked_queries(
    queries: NDArray[np.floating], k: int, among: NDArray[np.bool_] | None, *, dim: int, count: int
) -> FloatArray:
    """The queries as contiguous float32 rows, once all that a search is given fits the index.

    Args:
        queries: ``(q, dim)`` finite rows.
        k: How many rows are asked for; 1 or more.
        among: ``(count,)`` bool, or None.
        dim: Length of the index's vectors.
        count: Number of its rows.

    Raises:
        UsageError: A shape does not fit, ``k < 1``, or a query holds NaN or infinity.
    """
    rows = np.ascontiguousarray(queries, np.float32)
    if rows.ndim != 2 or rows.shape[1] != dim:
        raise UsageError(
            f"Queries must have shape (q, {dim}), got {rows.shape}; "
            "encode them with the encoder that made the index"
        )
    if not np.isfinite(rows).all():
        raise UsageError("A query holds NaN or infinity; encoders must give finite unit rows")
    if k < 1:
        raise UsageError(f"k must be 1 or more, got {k}; ask for at least one result")
    if among is not None and (among.shape != (count,) or among.dtype != np.bool_):
        raise UsageError(
            f"The filter must have shape ({count},) and hold bools, got {among.shape} of {among.dtype}; "
            "one bool per row"
        )
    return rows


def as_rows(vectors: NDArray[np.floating], dim: int) -> NDArray[np.float16]:
    """Checked, contiguous, little-endian float16 rows.

    Raises:
        UsageError: The shape does not fit, or a value is NaN, infinite or too large.
    """
    array = np.asarray(vectors)
    if array.ndim != 2 or array.shape[1] != dim:
        raise UsageError(
            f"Vectors must have shape (n, {dim}), got {array.shape}; "
            "encode with the encoder that made the index"
        )
    rows = np.ascontiguousarray(array, "<f2")
    if not np.isfinite(rows).all():
        raise UsageError(
            "A vector holds NaN or infinity, or is too long for float16; encoders must give finite unit rows"
        )
    return rows
