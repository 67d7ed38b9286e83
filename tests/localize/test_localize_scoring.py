"""The published figures of heat maps, to the digits that the reference program gives."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")

from landsift.errors import UsageError
from landsift.localize.scoring import (
    SeloScores,
    attention_centres,
    centre_map,
    mean_scores,
    selo_scores,
    uniform_map,
)

SIDE = 2000


def box(low: int, high: int) -> list[list[float]]:
    return [[low, low], [high, low], [high, high], [low, high]]


def bumps(spread: float, *places: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    heat = np.max([np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * spread**2)) for a, b in places], axis=0)
    return np.rint(255 * heat).astype(np.float32) / 255


MIDDLE, TWO = [box(800, 1200)], [box(250, 550), box(1450, 1750)]


@pytest.mark.parametrize(
    ("heat", "regions", "centres", "rsu", "ras", "rda", "rmi"),
    [
        (bumps(150, (1000, 1000)), MIDDLE, [(1002, 1002)], 1.000000, 0.001059, 1, 0.999629),
        (bumps(150, (1100, 1000)), MIDDLE, [(1102, 1002)], 1.000000, 0.055446, 1, 0.980594),
        (bumps(150, (1200, 1000)), MIDDLE, [(1202, 1002)], 0.999991, 0.166400, 1, 0.941756),
        (bumps(100, (300, 300)), [box(1400, 1800)], [(302, 302)], 0.0, 1, 0, 0.0),
        (bumps(100, (400, 400), (1600, 1600)), TWO, [(402, 402), (1602, 1602)], 1.0, 0.001417, 1, 0.999504),
        (bumps(100, (400, 400)), TWO, [(402, 402)], 1.0, 0.185579, 0.5, 0.810047),
        (uniform_map(SIDE, SIDE), MIDDLE, [(999, 999)], 0.506879, 0.000527, 1, 0.802567),
    ],
    ids=["centred", "shifted 100", "shifted 200", "missed", "two of two", "one of two", "uniform"],
)
def test_golden_figures(heat, regions, centres, rsu, ras, rda, rmi):
    found = np.array(sorted(attention_centres(heat).tolist()))
    assert found == pytest.approx(np.array(centres, float), abs=0.6)
    scores = selo_scores(heat, regions)
    assert (scores.rsu, scores.ras, scores.rda) == pytest.approx((rsu, ras, rda), abs=2e-6)
    assert scores.rmi == pytest.approx(rmi, abs=2e-6)


def test_means_and_the_prior_that_must_stand_beside_them():
    mean = mean_scores([SeloScores(1, 0, 1), SeloScores(0, 1, 0)])
    assert (mean.rsu, mean.ras, mean.rda) == (0.5, 0.5, 0.5)
    prior = centre_map(SIDE, SIDE)
    assert prior.max() == pytest.approx(1, abs=1e-5) and selo_scores(prior, MIDDLE).rmi > 0.9


def test_a_region_that_cannot_be_scored_is_refused():
    with pytest.raises(UsageError, match="one or more polygons"):
        selo_scores(uniform_map(50, 50), [])
    with pytest.raises(UsageError, match="outside the map"):
        selo_scores(uniform_map(50, 50), [box(100, 120)])
