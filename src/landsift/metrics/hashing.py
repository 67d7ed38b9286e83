"""The measures of the hashing papers: codes compared by Hamming distance, relevance by class.

What those papers all call mAP@20 is three different things, and each stands here under the name it has in
:data:`landsift.metrics.AP_KINDS`. With few bits nearly every item ties, so values are means over the orders
of ties; the value of one stable order stands beside, as their code computes it. Knows codes and relevance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.metrics.average_precision import mean_average_precision
from landsift.metrics.precision import expected_hits
from landsift.types import IntArray

__all__ = [
    "CodeScores",
    "Lookup",
    "code_scores",
    "hamming_distances",
    "pack_bits",
    "radius_lookup",
    "same_class",
    "signs_of",
]

_KINDS = ("map_all", "map_first_k_relevant", "map_topk_hits", "map_topk_std")
_PLACES = (1, 5, 10, 20, 50, 100)
_RADII = (0, 1, 2, 3, 4, 5)

Signs = NDArray[np.int8]


def signs_of(rows: NDArray[np.floating]) -> Signs:
    """The bits of real rows as -1 and 1; 0 counts as 1, for ``numpy.sign`` gives 0 there, which is no bit."""
    return np.where(np.asarray(rows) >= 0, 1, -1).astype(np.int8)


def pack_bits(signs: NDArray[np.integer]) -> NDArray[np.uint8]:
    """``(n, K)`` of -1 and 1 to ``(n, ceil(K / 8))`` bytes, the first bit highest, as faiss reads them."""
    return np.packbits(np.asarray(signs) > 0, axis=1)


def hamming_distances(queries: NDArray[Any], items: NDArray[Any]) -> NDArray[np.int32]:
    """Bits that differ: ``(q, K)`` and ``(n, K)`` of -1 and 1 to ``(q, n)``.

    The inner product of two codes is ``K - 2 d``.

    Raises:
        UsageError: Codes of different lengths, or other numbers than -1 and 1.
    """
    first, second = np.asarray(queries), np.asarray(items)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise UsageError(f"Codes must be alike (n, K); got {first.shape} and {second.shape}.")
    if not all((np.abs(codes) == 1).all() for codes in (first, second)):
        raise UsageError("Codes are -1 and 1; take the signs first with signs_of.")
    products = first.astype(np.float32) @ second.astype(np.float32).T
    return ((first.shape[1] - products) / 2).astype(np.int32)


def same_class(queries: IntArray, items: IntArray) -> NDArray[np.bool_]:
    """``(q, n)`` True where two classes are the same and known (not -1)."""
    return (queries[:, None] == items[None]) & (queries[:, None] >= 0)


@dataclass(frozen=True)
class Lookup:
    """What a search of all codes within a radius finds.

    Attributes:
        radius: Largest Hamming distance.
        precision: Mean share of what is found that is right; 0 for a query that finds nothing.
        recall: Mean share of what is right that is found, over queries with a right answer.
        empty: Share of the queries that find nothing.
    """

    radius: int
    precision: float
    recall: float
    empty: float


def radius_lookup(
    distances: NDArray[np.integer], relevant: NDArray[np.bool_], radii: Sequence[int] = _RADII
) -> list[Lookup]:
    """Hash lookup at several radii; with ``range(K + 1)`` the precision-recall curve.

    Args:
        distances: ``(q, n)``.
        relevant: ``(q, n)``.
        radii: In any order.

    Raises:
        UsageError: Shapes disagree.
    """
    if distances.shape != relevant.shape:
        raise UsageError(f"Distances {distances.shape} and relevance {relevant.shape} must be alike.")
    right = relevant.sum(axis=1)
    rows = []
    for radius in radii:
        found = distances <= radius
        count, hits = found.sum(axis=1), (found & relevant).sum(axis=1)
        precision = hits / np.maximum(count, 1)
        recall = hits[right > 0] / right[right > 0]
        rows.append(
            Lookup(
                int(radius),
                float(precision.mean()),
                float(recall.mean()) if len(recall) else float("nan"),
                float((count == 0).mean()),
            )
        )
    return rows


@dataclass(frozen=True)
class CodeScores:
    """One direction of search, from 0 to 1.

    Attributes:
        k: Cut-off of the mAPs that have one.
        mean_ap: mAP by kind, ties averaged; queries without a right answer count as 0.
        mean_ap_stable: The same with ties in the order of the items, as the papers' code has it.
        precision: P@K by K, ties averaged.
        lookup: By radius; empty for scores that are no Hamming distances.
    """

    k: int
    mean_ap: Mapping[str, float]
    mean_ap_stable: Mapping[str, float]
    precision: Mapping[int, float]
    lookup: tuple[Lookup, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return asdict(self) | {"precision": {str(k): value for k, value in self.precision.items()}}


def code_scores(
    scores: NDArray[np.floating],
    relevant: NDArray[np.bool_],
    *,
    k: int = 20,
    distances: NDArray[np.integer] | None = None,
    radii: Sequence[int] = _RADII,
) -> CodeScores:
    """All measures of one direction.

    Args:
        scores: ``(q, n)``, higher is better; of codes minus the distance, or their inner product.
        relevant: ``(q, n)``.
        k: Cut-off of the mAPs.
        distances: ``(q, n)`` Hamming distances for the lookup; None where there are none.
        radii: Of the lookup.

    Raises:
        UsageError: Shapes disagree, or ``k`` is below 1.
    """

    def mean_ap(ties: str) -> dict[str, float]:
        return {
            kind: mean_average_precision(scores, relevant, kind, None if kind == "map_all" else k, ties)
            for kind in _KINDS
        }

    items = scores.shape[1]
    places = [place for place in _PLACES if place <= items] or [items]
    return CodeScores(
        k,
        mean_ap("expected"),
        mean_ap("stable"),
        {place: float(expected_hits(scores, relevant, place).mean() / place) for place in places},
        () if distances is None else tuple(radius_lookup(distances, relevant, radii)),
    )
