"""Vectors of two dates -> how much each place changed, and how well that fits a sentence. Pure numpy.

All scores are robust deviations: how far a place lies from the middle (median) of all places that the same
two scenes show, in units of their usual spread (1.4826 times the median distance from it, which is the
standard deviation for normal data). So what a season, a sensor or the light did to the whole scene counts as
no change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landsift.types import FloatArray

__all__ = ["FEWEST", "amount_scores", "deviations", "directed_scores", "settled", "unwanted"]

FEWEST = 8
"""With fewer places, the shift of a whole scene cannot be told from change: values stay as they are."""

_NORMAL = 1.4826
Groups = NDArray[np.int64]


def _parts(groups: Groups) -> list[NDArray[np.int64]]:
    """Rows of each group that is large enough; the small ones together, unless even these are too few."""
    numbers, counts = np.unique(groups, return_counts=True)
    small = np.isin(groups, numbers[counts < FEWEST])
    parts = [np.flatnonzero(groups == number) for number in numbers[counts >= FEWEST]]
    rest = np.flatnonzero(small)
    return [*parts, rest] if len(rest) >= FEWEST else parts


def settled(before: FloatArray, after: FloatArray, groups: Groups) -> NDArray[np.float64]:
    """The change of each place without that of the whole scene: ``after - before`` less its median.

    Args:
        before, after: ``(n, dim)`` unit rows.
        groups: ``(n,)`` places of equal number are of the same two scenes at the same scale.

    Returns:
        ``(n, dim)``.
    """
    change = after.astype(np.float64) - before
    for part in _parts(groups):
        change[part] -= np.median(change[part], axis=0)
    return change


def deviations(values: NDArray[np.floating], groups: Groups) -> NDArray[np.float64]:
    """Robust deviations of ``(n,)`` values from the middle of their group."""
    out = values.astype(np.float64)
    for part in _parts(groups):
        away = out[part] - np.median(out[part])
        spread = _NORMAL * np.median(np.abs(away)) or float(away.std())
        out[part] = away / spread if spread > 0 else away
    return out


def amount_scores(change: NDArray[np.float64], groups: Groups) -> NDArray[np.float64]:
    """How much each place changed beyond its scene: deviations of the length of ``(n, dim)`` changes."""
    return deviations(np.linalg.norm(change, axis=1), groups)


def directed_scores(
    before: FloatArray,
    after: FloatArray,
    change: NDArray[np.float64],
    source: FloatArray | None,
    target: FloatArray | None,
    groups: Groups,
) -> NDArray[np.float64]:
    """How well "before -> after" fits what it was and what it became.

    The change along ``target - source`` (the direction in the shared space that Gal et al., "StyleGAN-NADA",
    2022, arXiv 2108.00946, eq. 2, steer by; here as an inner product, so that a place that hardly changed
    scores nothing), in deviations. Off that comes what the place lacks at either end: by how many deviations
    it fits the target less than the middle place does after, or the source less than that one does before;
    the larger of the two. Fitting an end better than most earns nothing, since all of a forest is forest.

    Args:
        before, after: ``(n, dim)`` unit rows.
        change: What :func:`settled` gave for them.
        source, target: ``(dim,)`` unit rows of what was and of what became; one may be None.
        groups: As :func:`settled` takes them.
    """
    direction = (0.0 if target is None else target) - (0.0 if source is None else source)
    lacking = np.zeros(len(change))
    for rows, words in ((after, target), (before, source)):
        if words is not None:
            lacking = np.minimum(lacking, deviations(rows @ words, groups))
    return deviations(change @ np.asarray(direction, np.float64), groups) + lacking


def unwanted(change: NDArray[np.float64], texts: FloatArray, groups: Groups) -> NDArray[np.float64]:
    """What to take off for changes towards or away from unwanted things: never less than 0.

    Args:
        change: What :func:`settled` gave.
        texts: ``(t, dim)`` unit rows of what is not wanted.
        groups: As :func:`settled` takes them.
    """
    found = np.zeros(len(change))
    for text in texts.astype(np.float64):
        found = np.maximum(found, deviations(np.abs(change @ text), groups))
    return found
