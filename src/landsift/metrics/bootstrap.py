"""How sure a score is: bootstrap intervals over images, and paired comparison of two runs.

Knows ranks and which image each caption belongs to. Images are resampled, with all their captions, because
captions of one image stand or fall together; the gallery that is searched stays whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.metrics.ranks import Ranks
from landsift.types import IntArray

__all__ = ["Difference", "Interval", "bootstrap_intervals", "paired_bootstrap"]

_KS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class Interval:
    """A value in percent and its 95 % bootstrap interval (percentile method)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Second run minus first, in points of percent.

    Attributes:
        value: Of the whole set.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p_value: Two-sided: twice the smaller share of resamples on one side of no difference.
    """

    value: float
    low: float
    high: float
    p_value: float


def bootstrap_intervals(
    i2t: Ranks,
    t2i: Ranks,
    image_of: IntArray,
    *,
    ks: tuple[int, ...] = _KS,
    resamples: int = 1000,
    seed: int = 0,
) -> Mapping[str, Interval]:
    """95 % intervals of every recall and of the three mR.

    Args:
        i2t: Ranks of image to text.
        t2i: Ranks of text to image.
        image_of: ``(M,)`` image of each caption.
        ks: Cut-offs.
        resamples: How often the images are drawn anew, with replacement.
        seed: Of the draws.

    Returns:
        By the names of :meth:`~landsift.metrics.RetrievalReport.as_dict`.
    """
    table = _per_image(i2t, t2i, image_of, ks)
    samples = _resampled(table, resamples, seed)
    low, high = np.nanpercentile(samples, [2.5, 97.5], axis=0)
    values = _recalls(table.sum(0))
    return {
        name: Interval(float(values[column]), float(low[column]), float(high[column]))
        for column, name in enumerate(_names(ks))
    }


def paired_bootstrap(
    first: tuple[Ranks, Ranks],
    second: tuple[Ranks, Ranks],
    image_of: IntArray,
    *,
    ks: tuple[int, ...] = _KS,
    resamples: int = 1000,
    seed: int = 0,
) -> Mapping[str, Difference]:
    """Compare two runs on one set: the same resampled images score both.

    Args:
        first: Ranks of one run: image to text, text to image.
        second: Of the other.
        image_of: ``(M,)``.
        ks: Cut-offs.
        resamples: As above.
        seed: As above.

    Raises:
        UsageError: The runs are of different sets.
    """
    if [side.n_queries for side in first] != [side.n_queries for side in second]:
        raise UsageError("The two runs rank different numbers of queries; compare runs on one set and split.")
    tables = [_per_image(*run, image_of, ks) for run in (first, second)]
    # Equal seeds draw equal images.
    samples = np.subtract(*(_resampled(table, resamples, seed) for table in reversed(tables)))
    values = np.subtract(*(_recalls(table.sum(0)) for table in reversed(tables)))
    low, high = np.nanpercentile(samples, [2.5, 97.5], axis=0)
    tail = np.minimum((samples <= 0).mean(0), (samples >= 0).mean(0))
    p_values = np.minimum(1, 2 * tail)
    return {
        name: Difference(*(float(array[column]) for array in (values, low, high, p_values)))
        for column, name in enumerate(_names(ks))
    }


def _names(ks: tuple[int, ...]) -> list[str]:
    return [*(f"{side}_R@{k}" for side in ("i2t", "t2i") for k in ks), "mR_i2t", "mR_t2i", "mR"]


def _per_image(i2t: Ranks, t2i: Ranks, image_of: IntArray, ks: tuple[int, ...]) -> NDArray[np.float64]:
    """``(N, 2 * (1 + len(ks)))``: for each direction, queries and hits at each K of one image."""
    n_images = i2t.n_queries
    owners = (i2t.queries, np.asarray(image_of)[t2i.queries])
    columns = [
        np.bincount(owner, weights, minlength=n_images)
        for owner, side in zip(owners, (i2t, t2i), strict=True)
        for weights in (np.ones(len(owner)), *(side.hits(k) for k in ks))
    ]
    return np.stack(columns, 1)


def _resampled(table: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """``(resamples, measures)`` recalls of sets of as many images drawn with replacement."""
    random, images = np.random.default_rng(seed), len(table)
    sums = np.empty((resamples, table.shape[1]))
    for row in sums:
        row[:] = np.bincount(random.integers(0, images, images), minlength=images) @ table
    return _recalls(sums)


def _recalls(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """From summed columns of :func:`_per_image` to recalls in percent and the three mR."""
    i2t, t2i = np.split(sums, 2, axis=-1)
    with np.errstate(invalid="ignore"):
        sides = [100 * side[..., 1:] / side[..., :1] for side in (i2t, t2i)]
    both = np.concatenate(sides, -1)
    means = [side.mean(-1, keepdims=True) for side in (*sides, both)]
    recalls: NDArray[np.float64] = np.concatenate([both, *means], -1)
    return recalls
