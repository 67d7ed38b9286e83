"""How much of the exact answer a shortlist finds: measured with queries of the rows' own, kept as plain
values.

The exact search is the judge. A row that scores as much as the last of the exact answer counts as found, so
that copies of one picture are no misses. Knows no gallery and no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.index.cascade import Shortlister
from landsift.index.flat import FlatIndex
from landsift.types import FloatArray, IntArray

__all__ = ["DEPTHS", "Measured", "Questions", "best_measured", "held_out", "measure_recall"]

DEPTHS = (10, 100, 1000)
"""Lengths of answers that recall is measured at; a search is judged by the next longer one."""

_SIZES = tuple(1 << step for step in range(5, 15))  # rows of a shortlist; beyond, a scan is no slower
_FILTERED = 0.05  # share of the rows that pass the filters that recall is measured under
_ONE_SIDED_95 = 1.645


@dataclass(frozen=True)
class Questions:
    """Queries that recall is measured with.

    Attributes:
        vectors: ``(q, dim)``.
        own: ``(q,)`` row that a query was taken from and must not find, or -1.
    """

    vectors: FloatArray
    own: IntArray

    @classmethod
    def from_outside(cls, vectors: FloatArray) -> Questions:
        """Queries that are no rows, such as encoded texts."""
        return cls(vectors, np.full(len(vectors), -1, np.int64))


@dataclass(frozen=True)
class Measured:
    """The recall of one shortlist size.

    Attributes:
        k: Length of the answer.
        filtered: Whether a filter left few of the rows.
        size: Rows of the shortlist.
        recall: Mean share of the exact answer found, of the kind of queries (and of filter) that did worst.
        least: Lower end of its one-sided 95 % interval over queries; what the floor is held against.
    """

    k: int
    filtered: bool
    size: int
    recall: float
    least: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"recall": round(self.recall, 5), "least": round(self.least, 5)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measured:
        """The inverse of :meth:`to_dict`."""
        return cls(**values)


def held_out(flat: FlatIndex, alive: NDArray[np.bool_], count: int, seed: int = 0) -> Questions:
    """Rows drawn at random, to search for the others with: at most ``count``, and half of those alive."""
    rows = np.flatnonzero(alive)
    drawn = np.random.default_rng(seed).permutation(len(rows))[: min(count, (len(rows) + 1) // 2)]
    chosen = np.sort(rows[drawn])
    return Questions(flat.vectors(chosen), chosen.astype(np.int64))


def best_measured(
    records: Sequence[Measured], k: int, *, filtered: bool, floor: float = 0.0
) -> Measured | None:
    """The smallest shortlist that was measured to reach the floor for answers of ``k``; None if none did."""
    depth = min((record.k for record in records if record.k >= k), default=None)
    fitting = [r for r in records if r.k == depth and r.filtered == filtered and r.least >= floor]
    return min(fitting, key=lambda record: record.size, default=None)


def measure_recall(
    flat: FlatIndex,
    coarse: Shortlister,
    kinds: Sequence[Questions],
    alive: NDArray[np.bool_],
    *,
    seed: int = 0,
) -> list[Measured]:
    """Measure the recall of shortlists of growing size, from the answer's own on, with and without filters.

    Two filters are tried, that leave a twentieth of the rows: at random, and in one stretch, as a scene lies.

    Args:
        flat, coarse: Over the same rows; the first is the judge.
        kinds: Queries, by kind; the kind that does worst counts.
        alive: ``(n,)`` bool rows that may be found.
        seed: Of the random filter.
    """
    kinds = [kind for kind in kinds if len(kind.vectors)]
    depths = [depth for depth in DEPTHS if depth <= max(DEPTHS[0], len(flat))]
    sizes = sorted({*_SIZES, *depths})
    found: list[Measured] = []
    for filtered in (False, True):
        masks = list(_filters(alive, seed)) if filtered else [alive]
        shares = [_shares(flat, coarse, kind, mask, depths, sizes) for mask in masks for kind in kinds]
        for at, k in enumerate(depths):
            for place, size in enumerate(sizes):
                if size >= k:
                    found.append(_worst(k, filtered, size, [share[:, at, place] for share in shares]))
    return found


def _filters(alive: NDArray[np.bool_], seed: int) -> Iterator[NDArray[np.bool_]]:
    count = len(alive)
    random = np.random.default_rng(seed)
    yield alive & (random.random(count) < _FILTERED)
    first = int(random.integers(0, max(1, int(count * (1 - _FILTERED)))))
    stretch = np.zeros(count, bool)
    stretch[first : first + max(1, int(count * _FILTERED))] = True
    yield alive & stretch


def _shares(
    flat: FlatIndex,
    coarse: Shortlister,
    kind: Questions,
    mask: NDArray[np.bool_],
    depths: Sequence[int],
    sizes: Sequence[int],
) -> NDArray[np.float64]:
    """Share of the exact answer that each query finds, for answers and shortlists of each length.

    Returns:
        ``(q, depths, sizes)``.
    """
    truth = flat.search(kind.vectors, max(depths) + 1, mask)
    shares = np.ones((len(kind.vectors), len(depths), len(sizes)))
    for number, (query, own) in enumerate(zip(kind.vectors, kind.own.tolist(), strict=True)):
        others = (truth.rows[number] >= 0) & (truth.rows[number] != own)
        expected = truth.scores[number][others]
        for place, size in enumerate(sizes):
            near, _ = coarse.shortlist(query, size + 1, mask)
            _, scores = flat.rescore(query, near[near != own][:size], max(depths))
            shares[number, :, place] = [_share(scores, expected[:depth]) for depth in depths]
            if shares[number, :, place].min() == 1.0:
                break  # longer shortlists hold this one
    return shares


def _share(scores: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """How much of the expected answer there is among found scores; all of it where nothing is expected."""
    if not len(expected):
        return 1.0
    return min(int(np.count_nonzero(scores >= expected[-1])), len(expected)) / len(expected)


def _worst(k: int, filtered: bool, size: int, shares: Sequence[NDArray[np.float64]]) -> Measured:
    """The kind and filter with the least recall; all is lost where nothing could be asked."""
    records = [Measured(k, filtered, size, 0.0, 0.0)]
    if shares:
        records = [Measured(k, filtered, size, *_with_bound(of_kind)) for of_kind in shares]
    return min(records, key=lambda record: (record.least, record.recall))


def _with_bound(shares: NDArray[np.float64]) -> tuple[float, float]:
    mean = float(shares.mean())
    spread = float(shares.std(ddof=1)) if len(shares) > 1 else 1.0 - mean
    return mean, max(0.0, mean - _ONE_SIDED_95 * spread / float(np.sqrt(len(shares))))
