"""Whether rankings agree with themselves: paraphrases, round trips, and answers of like meaning.

Knows scores, labels and which image a caption describes; no texts and no models. Equal scores are worth no
order: where a value depends on one, it is the expectation over all, or one drawn at random, as each says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.metrics.precision import r_precision
from landsift.types import IntArray

__all__ = [
    "cycle_consistency",
    "kendall_tau",
    "paraphrase_agreement",
    "plausible_match_r_precision",
    "rank_biased_overlap",
    "round_trip",
]

_BLOCK = 256  # queries whose labels are compared at once


def rank_biased_overlap(first: IntArray, second: IntArray, p: float = 0.9, depth: int = 100) -> float:
    """Agreement of two rankings, the top counting most: extrapolated RBO (Webber, Moffat, Zobel, TOIS 2010).

    ``RBO_ext = X_k / k p^k + (1 - p) / p  sum_d X_d / d p^d`` with ``X_d`` the items both have in their first
    ``d`` (equation 23 for lists of one length).

    Args:
        first: ``(n,)`` items, best first.
        second: ``(n,)`` the same items in another order.
        p: Persistence, above 0 and below 1; 0.9 gives the first ten places 86 % of the weight.
        depth: Places looked at; beyond 100 nothing changes at ``p = 0.9``.

    Returns:
        0 to 1; 1 for equal rankings.

    Raises:
        UsageError: Rankings of different lengths, without items, or ``p`` out of range.
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise UsageError(f"Rankings must be alike and not empty; got {first.shape} and {second.shape}.")
    if not 0 < p < 1:
        raise UsageError(f"The persistence lies between 0 and 1; got {p}.")
    return _overlap(_places(first), _places(second), p, depth)


def _overlap(first: IntArray, second: IntArray, p: float, depth: int) -> float:
    """RBO of two ``(n,)`` arrays that give each item's place."""
    depth = min(depth, len(first))
    later = np.maximum(first, second)
    both = np.cumsum(np.bincount(later[later < depth], minlength=depth))
    places = np.arange(1, depth + 1)
    shares = both / places
    return float(shares[-1] * p**depth + (1 - p) / p * np.sum(shares * p**places))


def _places(ranking: IntArray) -> IntArray:
    found = np.empty(len(ranking), np.int64)
    found[ranking] = np.arange(len(ranking))
    return found


def kendall_tau(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Kendall's tau-b of two lists of scores of the same items, in ``n log n``.

    Knight, JASA 61, 1966: discordant pairs are the inversions that are left once one list is in order; here
    they are counted bit by bit of the other list's ranks.

    Args:
        first: ``(n,)`` scores.
        second: ``(n,)`` scores.

    Returns:
        -1 to 1; 0 where either list holds one value only, for it puts nothing in order.
    """
    if first.shape != second.shape or first.ndim != 1:
        raise UsageError(f"Scores must be alike (n,); got {first.shape} and {second.shape}.")
    x, y = _dense(first), _dense(second)
    pairs = _pairs(np.array([len(x)]))
    tied_x, tied_y = _pairs(np.bincount(x)), _pairs(np.bincount(y))
    if pairs in (tied_x, tied_y):
        return 0.0
    tied_both = _pairs(np.unique(x * (y.max() + 1) + y, return_counts=True)[1])
    order = np.lexsort((y, x))
    swapped = _inversions(y[order])
    agreeing = pairs - tied_x - tied_y + tied_both - 2 * swapped
    return float(agreeing / np.sqrt((pairs - tied_x) * (pairs - tied_y)))


def _dense(scores: NDArray[np.floating]) -> IntArray:
    return np.unique(scores, return_inverse=True)[1].astype(np.int64)


def _pairs(counts: NDArray[np.integer]) -> float:
    return float(np.sum(counts * (counts - 1) / 2))


def _inversions(values: IntArray) -> float:
    """Pairs of places whose values stand in falling order.

    Two values differ first in one bit; in the group of those that agree above it, an inversion is a 1 there
    before a 0.
    """
    total = 0.0
    for bit in range(int(values.max()).bit_length()):
        group = values >> (bit + 1)
        order = np.argsort(group, kind="stable")
        ones = (values[order] >> bit) & 1
        before = np.cumsum(ones) - ones
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        own = np.repeat(before[starts], np.diff(np.append(starts, len(values))))
        total += float(np.sum((before - own)[ones == 0]))
    return total


def paraphrase_agreement(
    scores: NDArray[np.floating], image_of: IntArray, groups: IntArray, *, most: int = 2000, seed: int = 0
) -> dict[str, float]:
    """How alike two captions of one image, in different words, rank the images.

    Args:
        scores: ``(M, N)`` captions by images.
        image_of: ``(M,)`` image of each caption.
        groups: ``(M,)`` numbers, equal for equal texts; a caption is no paraphrase of its own words.
        most: Pairs that are looked at; of more, this many are drawn.
        seed: Of that draw, and of the order of equal scores.

    Returns:
        ``rbo`` and ``kendall``, means over the pairs, and ``pairs``; both NaN without pairs.
    """
    rng = np.random.default_rng(seed)
    found = list(_paraphrases(image_of, groups))
    if len(found) > most:
        found = [found[row] for row in np.sort(rng.choice(len(found), most, replace=False)).tolist()]
    overlaps, taus = [], []
    for one, other in found:
        places = [_places(_ranking(scores[row], rng)) for row in (one, other)]
        overlaps.append(_overlap(places[0], places[1], 0.9, 100))
        taus.append(kendall_tau(scores[one], scores[other]))
    means = (float(np.mean(values)) if values else float("nan") for values in (overlaps, taus))
    return dict(zip(("rbo", "kendall"), means, strict=True)) | {"pairs": float(len(found))}


def _paraphrases(image_of: IntArray, groups: IntArray) -> Iterator[tuple[int, int]]:
    """Pairs of captions of one image whose texts differ; of equal texts the first stands for all."""
    own: dict[int, dict[int, int]] = {}
    for caption, (image, group) in enumerate(zip(image_of.tolist(), groups.tolist(), strict=True)):
        own.setdefault(image, {}).setdefault(group, caption)
    for captions in own.values():
        rows = list(captions.values())
        yield from ((one, other) for place, one in enumerate(rows) for other in rows[place + 1 :])


def _ranking(scores: NDArray[np.floating], rng: np.random.Generator) -> IntArray:
    """Items best first, equal ones in random order."""
    shuffled = rng.permutation(len(scores))
    found: IntArray = shuffled[np.argsort(-scores[shuffled], kind="stable")]
    return found


def round_trip(there: NDArray[np.floating], back: NDArray[np.floating], same: IntArray) -> float:
    """How often the best answer to the best answer to a query is the query again, in percent.

    Args:
        there: ``(q, n)`` queries by items.
        back: ``(n, q)`` items by queries.
        same: ``(q,)`` numbers, equal for queries that count as the same; -1 is left out.

    Returns:
        The mean over queries and over all orders of equal scores; NaN without queries.
    """
    if there.shape != back.shape[::-1] or len(same) != len(there):
        raise UsageError(f"Scores {there.shape} and {back.shape} are not there and back again.")
    asked = np.flatnonzero(same >= 0)
    if not len(asked):
        return float("nan")
    best_back = _best(back)
    returned = []
    for first in range(0, len(asked), _BLOCK):
        rows = asked[first : first + _BLOCK]
        alike = same[rows][:, None] == same[None, :]
        reached = _best(there[rows]) @ best_back
        returned.append((reached * alike).sum(axis=1))
    return 100 * float(np.mean(np.concatenate(returned)))


def _best(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """The chance of each item to come first, over all orders of equal ones."""
    top = scores == scores.max(axis=1, keepdims=True)
    return top / top.sum(axis=1, keepdims=True)


def cycle_consistency(
    scores: NDArray[np.floating], groups: IntArray, labels: IntArray | None = None
) -> dict[str, float]:
    """Round trips image to caption to image, and caption to image to caption, in percent.

    Args:
        scores: ``(N, M)`` images by captions.
        groups: ``(M,)`` numbers, equal for equal texts; a caption has come home at any of its own words.
        labels: ``(N,)`` scene classes, -1 where unknown; None for none.

    Returns:
        ``cycle_i2t2i``, ``cycle_t2i2t``, and with labels ``cycle_class``: back at an image of the class.
    """
    found = {
        "cycle_i2t2i": round_trip(scores, scores.T, np.arange(len(scores))),
        "cycle_t2i2t": round_trip(scores.T, scores, groups),
    }
    if labels is not None:
        found["cycle_class"] = round_trip(scores, scores.T, labels)
    return found


def plausible_match_r_precision(
    scores: NDArray[np.floating],
    query_labels: NDArray[np.bool_],
    item_labels: NDArray[np.bool_],
    tolerances: Sequence[int] = (0, 1, 2),
) -> float:
    """PMRP: R-Precision where all of like labels is right (Chun et al.: Probabilistic Embeddings, CVPR 2021).

    A match is plausible if the two label vectors differ in at most zeta places; the mean over zeta.

    Args:
        scores: ``(queries, items)``.
        query_labels: ``(queries, labels)`` bool.
        item_labels: ``(items, labels)`` bool.
        tolerances: The values of zeta.

    Returns:
        Percent; queries without a right answer are left out, NaN if none has one.
    """
    if scores.shape != (len(query_labels), len(item_labels)):
        raise UsageError(f"Scores {scores.shape} need labels of as many queries and items.")
    asks, has = query_labels.astype(np.float32), item_labels.astype(np.float32)
    items = has.sum(axis=1)
    values: list[list[NDArray[np.float64]]] = [[] for _ in tolerances]
    for first in range(0, len(scores), _BLOCK):
        part = slice(first, first + _BLOCK)
        apart = asks[part].sum(axis=1)[:, None] + items - 2 * asks[part] @ has.T
        for place, most in enumerate(tolerances):
            values[place].append(r_precision(scores[part], apart < most + 0.5))
    means = [_mean_known(np.concatenate(blocks)) for blocks in values]
    return 100 * float(np.mean(means))


def _mean_known(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
