"""What queries found, one after the other, as one table of hits. Pure numpy."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from landsift.types import FloatArray, Hits, IntArray

__all__ = ["blank_table", "gathered"]


def blank_table(queries: int, k: int) -> tuple[IntArray, FloatArray]:
    """Rows and scores of a table in which nothing is found: ``(queries, k)`` of -1 and of ``-inf``."""
    return np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32)


def gathered(found: Iterable[tuple[IntArray, NDArray[np.number]]], queries: int, k: int) -> Hits:
    """Rows and scores of each query, best first and ``k`` at most, as :class:`~landsift.types.Hits`."""
    rows, scores = blank_table(queries, k)
    for number, (places, values) in enumerate(found):
        rows[number, : len(places)], scores[number, : len(places)] = places, values
    return Hits(rows, scores)
