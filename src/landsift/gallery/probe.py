"""A linear probe: from tiles that people wanted and did not want, the direction that tells them apart.

Pure numpy; knows no gallery. L2-regularised logistic regression, fitted by Newton's method: the problem is
convex and as small as the vectors are long, so a few steps reach the minimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.types import FloatArray

__all__ = ["LEAST_LABELS", "Probe", "fit_probe", "probe_of"]

LEAST_LABELS = 5
"""Labels of each kind from which a probe is fitted; with fewer, Rocchio's rule does better."""

_PENALTY = 0.02  # of the squared length of the weights, beside a mean loss; unit vectors need room to differ
_STEPS = 50
_CLOSE_ENOUGH = 1e-9


@dataclass(frozen=True, eq=False)
class Probe:
    """What was learnt.

    Attributes:
        direction: ``(dim,)`` float32 unit vector; the inner product with a tile's vector ranks the tiles.
        slope, offset: ``1 / (1 + exp(-(slope * score + offset)))`` is the chance that a tile is wanted.
    """

    direction: FloatArray
    slope: float
    offset: float

    def chance(self, score: float) -> float:
        """How likely a tile of this score is wanted, 0 to 1."""
        return float(_squash(np.float64(self.slope * score + self.offset)))


def probe_of(labels: Sequence[tuple[bool, bytes]]) -> Probe | None:
    """Fit a probe to labelled vectors; None as long as there are too few of a kind.

    Args:
        labels: Whether a tile is wanted, and its vector as float16 bytes.
    """
    kinds = [
        [np.frombuffer(row, "<f2") for good, row in labels if good == wanted] for wanted in (True, False)
    ]
    if min(map(len, kinds)) < LEAST_LABELS:
        return None
    return fit_probe(*(np.array(kind, np.float32) for kind in kinds))


def fit_probe(wanted: NDArray[np.floating], unwanted: NDArray[np.floating]) -> Probe:
    """Fit a probe.

    Both kinds weigh the same in total, however many there are of each.

    Args:
        wanted, unwanted: ``(n, dim)`` unit rows of each kind; at least :data:`LEAST_LABELS`.

    Raises:
        UsageError: Too few of a kind, or the two kinds cannot be told apart.
    """
    if min(len(wanted), len(unwanted)) < LEAST_LABELS:
        raise UsageError(
            f"A probe needs {LEAST_LABELS} tiles of each kind and there are {len(wanted)} wanted and "
            f"{len(unwanted)} unwanted; label more"
        )
    rows = np.concatenate([wanted, unwanted]).astype(np.float64)
    middle = rows.mean(axis=0)
    design = np.hstack([rows - middle, np.ones((len(rows), 1))])
    target = np.repeat([1.0, 0.0], [len(wanted), len(unwanted)])
    share = np.repeat([0.5 / len(wanted), 0.5 / len(unwanted)], [len(wanted), len(unwanted)])
    weights = _newton(design, target, share)
    length = float(np.linalg.norm(weights[:-1]))
    if length < 1e-6:
        raise UsageError("The wanted and the unwanted tiles look the same; label others")
    direction = weights[:-1] / length
    return Probe(direction.astype(np.float32), length, float(weights[-1] - weights[:-1] @ middle))


def _newton(
    design: NDArray[np.float64], target: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights, the last of them free of the penalty, at the minimum of the penalised loss."""
    penalty = np.full(design.shape[1], _PENALTY)
    penalty[-1] = 1e-9  # keeps the system solvable when all chances are near 0 or 1
    weights = np.zeros(design.shape[1])
    loss = _loss(design @ weights, target, share) + penalty @ weights**2 / 2
    for _ in range(_STEPS):
        chance = _squash(design @ weights)
        gradient = design.T @ (share * (chance - target)) + penalty * weights
        curvature = (design.T * (share * chance * (1 - chance))) @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while True:
            tried = weights - size * step
            now = _loss(design @ tried, target, share) + penalty @ tried**2 / 2
            if now <= loss or size < 1e-4:
                break
            size /= 2
        gained, weights, loss = loss - now, tried, now
        if gained < _CLOSE_ENOUGH:
            break
    return weights


def _loss(margin: NDArray[np.float64], target: NDArray[np.float64], share: NDArray[np.float64]) -> float:
    return float(share @ (np.logaddexp(0, margin) - target * margin))


def _squash(margin: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(np.asarray(margin) / 2)))
