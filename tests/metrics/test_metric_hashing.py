"""Measures of codes against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from landsift.errors import UsageError
from landsift.metrics import (
    code_scores,
    hamming_distances,
    mean_average_precision,
    pack_bits,
    radius_lookup,
    same_class,
    signs_of,
)

ONE = np.array([[1, -1, 1, 1, -1, 1, -1, -1]])
OTHER = np.array([[1, 1, 1, -1, -1, 1, -1, 1]])


def codes(n: int, bits: int = 12, seed: int = 0) -> np.ndarray:
    return signs_of(np.random.default_rng(seed).standard_normal((n, bits)))


def test_two_codes_worked_out_by_hand():
    assert (ONE @ OTHER.T).item() == 2 and hamming_distances(ONE, OTHER).item() == 3
    assert pack_bits(ONE).tolist() == [[180]] and pack_bits(OTHER).tolist() == [[229]]


def test_zero_is_a_bit():
    assert signs_of(np.array([[0.0, -0.0, -1e-9, 3.0]])).tolist() == [[1, 1, -1, 1]]


def test_distances_by_counting_and_by_products():
    first, second = codes(7, 20), codes(9, 20, 1)
    found = hamming_distances(first, second)
    slow = [[sum(a != b for a, b in zip(x, y, strict=True)) for y in second] for x in first]
    assert found.tolist() == slow
    assert (first.astype(int) @ second.T == 20 - 2 * found).all()
    packed = pack_bits(first)[:, None] ^ pack_bits(second)[None]
    assert (np.unpackbits(packed, axis=2).sum(axis=2) == found).all()


def test_what_is_no_code_is_refused():
    with pytest.raises(UsageError, match="signs_of"):
        hamming_distances(np.zeros((1, 4)), ONE[:, :4])
    with pytest.raises(UsageError, match="alike"):
        hamming_distances(ONE, OTHER[:, :4])
    with pytest.raises(UsageError, match="must be alike"):
        radius_lookup(np.zeros((1, 2), int), np.zeros((2, 1), bool))


def test_unknown_classes_are_alike_to_nobody():
    found = same_class(np.array([0, -1]), np.array([0, 1, -1]))
    assert found.tolist() == [[True, False, False], [False, False, False]]


def test_lookup_by_counting():
    distances = np.array([[0, 1, 2, 9], [3, 3, 3, 3], [0, 0, 5, 5]])
    relevant = np.array([[1, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    near, far = radius_lookup(distances, relevant, (2, 9))
    assert near.precision == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert near.recall == pytest.approx((2 / 3 + 0) / 2), "a query without a right answer has no recall"
    assert near.empty == pytest.approx(1 / 3)
    assert far.recall == 1 and far.empty == 0 and far.precision == pytest.approx((3 + 2 + 0) / 12)
    nothing = radius_lookup(distances, np.zeros((3, 4), bool), (1,))[0]
    assert np.isnan(nothing.recall)


def test_measures_of_a_direction():
    """The three things called mAP@k differ on one ranking, and ties count as their mean."""
    relevance = np.array([[1, 0, 1, 1, 0, 0, 1, 0]], bool)
    plain = code_scores(-np.arange(8.0)[None], relevance, k=3)
    assert plain.mean_ap["map_all"] == pytest.approx(0.747024, abs=1e-6)
    assert plain.mean_ap["map_topk_hits"] == pytest.approx(0.833333, abs=1e-6)
    assert plain.mean_ap["map_first_k_relevant"] == pytest.approx(0.805556, abs=1e-6)
    assert plain.mean_ap["map_topk_std"] == pytest.approx(0.555556, abs=1e-6)
    assert plain.mean_ap == plain.mean_ap_stable and plain.lookup == ()
    assert plain.precision == {1: 1.0, 5: 0.6}
    tied = code_scores(np.zeros((1, 8)), relevance, k=3)
    assert tied.mean_ap_stable == plain.mean_ap_stable
    rng = np.random.default_rng(0)
    draws = [
        mean_average_precision(-rng.permutation(8).astype(float)[None], relevance, "map_all")
        for _ in range(4000)
    ]
    assert tied.mean_ap["map_all"] == pytest.approx(np.mean(draws), abs=0.01)


def test_scores_as_plain_numbers():
    distances = hamming_distances(codes(4), codes(30, seed=1))
    relevant = np.arange(30)[None] % 4 == np.arange(4)[:, None]
    found = code_scores(-distances, relevant, k=5, distances=distances).as_dict()
    assert set(found["precision"]) == {"1", "5", "10", "20"}
    assert [row["radius"] for row in found["lookup"]] == [0, 1, 2, 3, 4, 5]
    few = code_scores(np.zeros((1, 1)), np.ones((1, 1), bool))
    assert few.precision == {1: 1.0}
