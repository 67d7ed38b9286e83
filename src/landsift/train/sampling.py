"""In which order a pass shows the training images. Knows numbers only.

Every order is a function of a generator and of what is given, so that a pass that was interrupted is drawn
again exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landsift.types import FloatArray, IntArray

__all__ = ["SAMPLINGS", "beside_neighbours", "by_scene", "nearest", "shuffled"]

SAMPLINGS = ("shuffle", "scenes", "hard")
_ROWS = 1024


def shuffled(weights: NDArray[np.float64], rng: np.random.Generator) -> IntArray:
    """Each image as often as its weight says; the fraction of a weight is a chance.

    Args:
        weights: ``(N,)`` 0 or more.
        rng: Draws.

    Returns:
        Row numbers in random order.
    """
    times = np.floor(weights) + (rng.random(len(weights)) < weights % 1)
    return rng.permutation(np.repeat(np.arange(len(weights)), times.astype(np.int64))).astype(np.int64)


def by_scene(labels: IntArray, weights: NDArray[np.float64], rng: np.random.Generator) -> IntArray:
    """Equal turns for each scene class: large classes are cut short, small ones begin again.

    Args:
        labels: ``(N,)`` scene class; -1, unknown, counts as one class.
        weights: ``(N,)`` how often images are drawn within their class; 0 is never.
        rng: Draws.

    Returns:
        As many row numbers as the weights add up to.
    """
    length = round(weights.sum())
    classes = [label for label in np.unique(labels) if weights[labels == label].sum() > 0]
    turns = np.concatenate(
        [rng.permutation(len(classes)) for _ in range(-(-length // max(1, len(classes))))]
        or [np.empty(0, int)]
    )[:length]
    order = np.empty(length, np.int64)
    for place, label in enumerate(classes):
        wanted = np.flatnonzero(turns == place)
        rows = np.flatnonzero(labels == label)
        order[wanted] = _cycled(rows, weights[rows], len(wanted), rng)
    return order


def _cycled(rows: IntArray, weights: NDArray[np.float64], count: int, rng: np.random.Generator) -> IntArray:
    """``count`` of the rows: all of them by weight before any comes again."""
    parts: list[IntArray] = []
    there = 0
    while there < count:
        # A round in which every chance fell badly is drawn again.
        part = rows[shuffled(weights, rng)]
        parts.append(part)
        there += len(part)
    return np.concatenate(parts)[:count] if parts else rows[:0]


def nearest(image: FloatArray, text: FloatArray, count: int) -> IntArray:
    """For each image, those it is most easily taken for: by its vector and their captions', both ways.

    Args:
        image: ``(N, dim)``.
        text: ``(N, dim)`` of one caption of each.
        count: How many.

    Returns:
        ``(N, count)`` row numbers, most alike first; fewer columns if there are fewer images.
    """
    count = min(count, len(image) - 1)
    found = np.empty((len(image), max(count, 0)), np.int64)
    for first in range(0, len(image) if count > 0 else 0, _ROWS):
        part = slice(first, first + _ROWS)
        scores = image[part] @ text.T + text[part] @ image.T
        scores[np.arange(len(scores)), np.arange(first, first + len(scores))] = -np.inf
        best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        found[part] = np.take_along_axis(best, order, axis=1)
    return found


def beside_neighbours(order: IntArray, near: IntArray) -> IntArray:
    """Rearrange an order so that each image is followed by those it is most easily taken for.

    Args:
        order: Row numbers, each as often as it is to be shown.
        near: ``(N, k)`` of :func:`nearest`.

    Returns:
        The same numbers: the first one, its neighbours that are left, the next one that is left, ...
    """
    left = np.bincount(order, minlength=len(near))
    arranged: list[int] = []
    for row in order:
        for candidate in (row, *near[row]) if left[row] else ():
            if left[candidate]:
                left[candidate] -= 1
                arranged.append(int(candidate))
    return np.array(arranged, np.int64)
