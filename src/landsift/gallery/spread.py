"""How many scores lie where: one pass that serves the histogram people see and the search for the best.

Pure numpy; knows no gallery.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Spread"]

_BINS = 2000  # so many that the bin of the last place wanted holds few scores beside it


@dataclass(frozen=True, eq=False)
class Spread:
    """Counts of scores in equal bins from the lowest to the highest.

    Attributes:
        low, high: The lowest and the highest score; ``high`` is a little more where all are equal.
        counts: ``(2000,)`` int64; none where there are no scores.
    """

    low: float
    high: float
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, scores: NDArray[np.float32]) -> Spread:
        """Count ``(n,)`` finite scores."""
        if not len(scores):
            return cls(0.0, 0.0, np.empty(0, np.int64))
        low, high = float(scores.min()), float(scores.max())
        if high <= low:
            high = low + 1e-6
        places = scores - np.float32(low)
        places *= np.float32(_BINS / (high - low))
        counts = np.bincount(places.astype(np.int16), minlength=_BINS)
        counts[_BINS - 1] += counts[_BINS:].sum()  # the highest score itself, and what rounding lifts there
        return cls(low, high, counts[:_BINS])

    def floor_of(self, depth: int) -> float:
        """A score that the best ``depth`` reach, up to rounding, and few others; all if there are fewer."""
        reached = np.cumsum(self.counts[::-1])
        bins_down = int(np.searchsorted(reached, depth)) + 1
        return self.high - min(bins_down, _BINS) * (self.high - self.low) / _BINS

    def coarse(self, bins: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The same in fewer bins, whose number divides 2000: ``(bins + 1,)`` edges and ``(bins,)`` counts."""
        edges = np.arange(bins + 1, dtype=np.float64) * ((self.high - self.low) / bins) + self.low
        edges[bins] = self.high
        return edges, self.counts.reshape(bins, -1).sum(axis=1)
