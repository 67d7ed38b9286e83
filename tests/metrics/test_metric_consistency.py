"""Consistency against slow twins that follow the definitions word by word, and known values."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from landsift.errors import UsageError
from landsift.metrics.consistency import (
    cycle_consistency,
    kendall_tau,
    paraphrase_agreement,
    plausible_match_r_precision,
    rank_biased_overlap,
    round_trip,
)


def slow_rbo(first, second, p, depth):
    depth = min(depth, len(first))
    shares = [len(set(first[:d]) & set(second[:d])) / d for d in range(1, depth + 1)]
    tail = shares[-1] * p**depth
    return tail + (1 - p) / p * sum(share * p**d for d, share in enumerate(shares, 1))


def slow_tau(first, second):
    """Kendall's tau-b by looking at every pair."""
    signs = [
        (np.sign(first[i] - first[j]), np.sign(second[i] - second[j]))
        for i, j in combinations(range(len(first)), 2)
    ]
    ordered = [sum(a != 0 for a, _ in signs), sum(b != 0 for _, b in signs)]
    return sum(a * b for a, b in signs) / np.sqrt(ordered[0] * ordered[1]) if all(ordered) else 0.0


def slow_round_trip(there, back, same):
    """Every choice among equal best answers, each as likely as the others."""
    found = []
    for query in range(len(there)):
        if same[query] < 0:
            continue
        items = np.flatnonzero(there[query] == there[query].max())
        chances = []
        for item in items:
            homes = np.flatnonzero(back[item] == back[item].max())
            chances.append(np.mean([same[home] == same[query] for home in homes]))
        found.append(np.mean(chances))
    return 100 * np.mean(found)


def test_rank_biased_overlap_follows_its_definition():
    rng = np.random.default_rng(0)
    for size, p, depth in ((1, 0.9, 100), (7, 0.9, 100), (40, 0.8, 10), (150, 0.95, 100)):
        first, second = rng.permutation(size), rng.permutation(size)
        found = rank_biased_overlap(first, second, p, depth)
        assert found == pytest.approx(slow_rbo(list(first), list(second), p, depth))
        assert rank_biased_overlap(first, first, p, depth) == pytest.approx(1)
    swapped = np.array([1, 0, 2, 3])
    assert rank_biased_overlap(np.arange(4), swapped) == pytest.approx(0.9), "only the first place differs"


@pytest.mark.parametrize("values", [3, 8, 1000])
def test_kendall_s_tau_counts_pairs_with_and_without_ties(values):
    rng = np.random.default_rng(values)
    for size in (2, 5, 33, 64, 101):
        first, second = rng.integers(0, values, (2, size)).astype(float)
        assert kendall_tau(first, second) == pytest.approx(slow_tau(first, second))


def test_kendall_s_tau_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(5)
    first, second = rng.integers(0, 20, (2, 400)).astype(float)
    assert kendall_tau(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)
    assert kendall_tau(first, first) == pytest.approx(1) and kendall_tau(first, -first) == pytest.approx(-1)
    assert kendall_tau(np.ones(5), np.arange(5.0)) == 0, "equal scores put nothing in order"


def test_paraphrases_are_other_words_for_the_same_image():
    rng = np.random.default_rng(1)
    base = rng.normal(size=(3, 20))
    image_of = np.array([0, 0, 0, 1, 1, 2])
    groups = np.array([0, 0, 1, 2, 3, 4])
    scores = base[image_of] + np.array([0, 9, 0, 0, 0, 0])[:, None]
    found = paraphrase_agreement(scores, image_of, groups)
    assert found == {"rbo": pytest.approx(1), "kendall": pytest.approx(1), "pairs": 2}
    scores[2] *= -1
    turned = paraphrase_agreement(scores, image_of, groups)
    assert turned["kendall"] == pytest.approx(0), "one pair agrees, one is the wrong way round"
    ranked = [np.argsort(-scores[row], kind="stable") for row in (0, 2)]
    assert turned["rbo"] == pytest.approx((1 + slow_rbo(list(ranked[0]), list(ranked[1]), 0.9, 100)) / 2)
    none = paraphrase_agreement(scores[:2], image_of[:2], groups[:2])
    assert none["pairs"] == 0 and np.isnan(none["rbo"])


def test_of_many_pairs_some_are_drawn_and_the_same_ones_again():
    rng = np.random.default_rng(2)
    image_of, groups = np.repeat(np.arange(30), 4), np.arange(120)
    scores = rng.normal(size=(120, 30))
    some = paraphrase_agreement(scores, image_of, groups, most=25, seed=4)
    assert some == paraphrase_agreement(scores, image_of, groups, most=25, seed=4) and some["pairs"] == 25
    assert some != paraphrase_agreement(scores, image_of, groups, most=25, seed=5)
    assert paraphrase_agreement(scores, image_of, groups)["pairs"] == 180


def test_a_collapsed_encoder_agrees_by_chance_alone():
    image_of, groups = np.repeat(np.arange(60), 2), np.arange(120)
    found = paraphrase_agreement(np.zeros((120, 60)), image_of, groups)
    assert found["kendall"] == 0 and found["rbo"] < 0.4
    cycles = cycle_consistency(np.zeros((60, 120)), groups, np.arange(60) % 4)
    assert cycles["cycle_i2t2i"] == pytest.approx(100 / 60)
    assert cycles["cycle_t2i2t"] == pytest.approx(100 / 120)
    assert cycles["cycle_class"] == pytest.approx(25)


def test_round_trips_follow_every_order_of_ties(monkeypatch):
    import landsift.metrics.consistency as module

    monkeypatch.setattr(module, "_BLOCK", 7)
    rng = np.random.default_rng(3)
    for _ in range(5):
        there, back = rng.integers(0, 4, (23, 11)).astype(float), rng.integers(0, 4, (11, 23)).astype(float)
        same = rng.integers(-1, 6, 23)
        assert round_trip(there, back, same) == pytest.approx(slow_round_trip(there, back, same))
    assert np.isnan(round_trip(there, back, np.full(23, -1)))


def test_a_caption_is_home_at_its_own_words_under_another_image():
    scores = np.array([[0.9, 0.1, 0.2], [0.1, 0.8, 0.3]])
    assert cycle_consistency(scores, np.array([0, 1, 2]))["cycle_t2i2t"] == pytest.approx(200 / 3)
    assert cycle_consistency(scores, np.array([0, 1, 1]))["cycle_t2i2t"] == pytest.approx(100)
    assert "cycle_class" not in cycle_consistency(scores, np.arange(3))


def slow_pmrp(scores, queries, items, tolerances):
    values = []
    for most in tolerances:
        precisions = []
        for row, own in zip(scores, queries, strict=True):
            right = np.array([np.sum(own != other) <= most for other in items])
            total = right.sum()
            if total:
                precisions.append(right[np.argsort(-row)[:total]].mean())
        values.append(np.mean(precisions))
    return 100 * np.mean(values)


def test_plausible_matches_are_counted_over_like_labels(monkeypatch):
    import landsift.metrics.consistency as module

    monkeypatch.setattr(module, "_BLOCK", 6)
    rng = np.random.default_rng(6)
    scores, queries, items = rng.normal(size=(20, 35)), rng.random((20, 6)) < 0.4, rng.random((35, 6)) < 0.4
    for tolerances in ((0,), (0, 1, 2)):
        expected = slow_pmrp(scores, queries, items, tolerances)
        assert plausible_match_r_precision(scores, queries, items, tolerances) == pytest.approx(expected)


def test_the_golden_r_precision():
    relevant = np.array([1, 0, 1, 1, 0, 0, 1, 0], bool)
    scores = -np.arange(8.0)[None]
    items = np.stack([relevant, ~relevant], axis=1)
    assert plausible_match_r_precision(scores, items[:1], items, (0,)) == pytest.approx(75)


def test_shapes_that_do_not_fit_are_refused():
    square = np.zeros((3, 4))
    for call in (
        lambda: rank_biased_overlap(np.arange(3), np.arange(4)),
        lambda: rank_biased_overlap(np.arange(3), np.arange(3), p=1.0),
        lambda: kendall_tau(np.zeros(3), np.zeros(4)),
        lambda: round_trip(square, square, np.zeros(3, np.int64)),
        lambda: plausible_match_r_precision(square, np.zeros((3, 2), bool), np.zeros((3, 2), bool)),
    ):
        with pytest.raises(UsageError):
            call()
