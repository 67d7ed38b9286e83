import numpy as np
import pytest
from slow_metrics import average_precision_of, mean_over_orders

from landsift.errors import UsageError
from landsift.metrics import (
    AP_KINDS,
    average_precision,
    expected_hits,
    mean_average_precision,
    ndcg,
    r_precision,
)

RANKED = np.array([[1, 0, 1, 1, 0, 0, 1, 0]], bool)
FALLING = -np.arange(8.0)[None]


@pytest.mark.parametrize(
    ("kind", "k", "value"),
    [
        ("map_all", None, 0.747024),
        ("map_topk_hits", 3, 0.833333),
        ("map_first_k_relevant", 3, 0.805556),
        ("map_topk_std", 3, 0.555556),
        ("map_at_r", None, 0.604167),
    ],
)
def test_golden_average_precisions(kind, k, value):
    assert average_precision(FALLING, RANKED, kind, k)[0] == pytest.approx(value, abs=5e-7)


def test_golden_r_precision():
    assert r_precision(FALLING, RANKED)[0] == 0.75


@pytest.mark.parametrize(("exponential", "value"), [(True, 0.948811), (False, 0.960808)])
def test_golden_ndcg(exponential, value):
    gains = np.array([[3, 2, 3, 0, 1, 2.0]])
    assert ndcg(FALLING[:, :6], gains, exponential=exponential)[0] == pytest.approx(value, abs=5e-7)


@pytest.mark.parametrize("kind", AP_KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_tied_average_precision_is_the_mean_over_all_orders(kind, seed):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 3, (3, 6)).astype(float)
    relevant = random.random((3, 6)) < 0.5
    relevant[:, 0] = True
    for k in (1, 2, 3, 5, 6, 9):
        expected = [
            mean_over_orders(
                scores[q],
                lambda order, q=q, k=k: average_precision_of([int(relevant[q][i]) for i in order], kind, k),
            )
            for q in range(3)
        ]
        np.testing.assert_allclose(average_precision(scores, relevant, kind, k), expected, atol=1e-12)


@pytest.mark.parametrize("kind", AP_KINDS)
def test_stable_ties_fall_in_item_order(kind):
    random = np.random.default_rng(3)
    scores = random.integers(0, 4, (5, 40)).astype(float)
    relevant = random.random((5, 40)) < 0.2
    relevant[:, 7] = True
    found = average_precision(scores, relevant, kind, 10, ties="stable")
    for query in range(5):
        order = sorted(range(40), key=lambda item: (-scores[query, item], item))
        hits = [int(relevant[query, item]) for item in order]
        assert found[query] == pytest.approx(average_precision_of(hits, kind, 10))


@pytest.mark.parametrize("kind", AP_KINDS)
def test_long_runs_of_ties_agree_with_shuffling(kind):
    random = np.random.default_rng(0)
    relevant = np.arange(300) < 60
    scores = (np.arange(300) % 2).astype(float)
    shuffled = []
    for _ in range(400):
        order = np.lexsort((random.random(300), -scores))
        shuffled.append(average_precision_of(relevant[order].astype(int).tolist(), kind, 20))
    value = average_precision(scores[None], relevant[None], kind, 20)[0]
    assert value == pytest.approx(np.mean(shuffled), abs=4 * np.std(shuffled) / 20)


def test_queries_without_a_right_answer_count_as_zero_or_are_skipped():
    scores, relevant = np.array([[2.0, 1], [2, 1]]), np.array([[True, False], [False, False]])
    assert np.isnan(average_precision(scores, relevant)[1])
    assert mean_average_precision(scores, relevant) == 0.5
    assert mean_average_precision(scores, relevant, skip_empty=True) == 1.0


def gained(gains, order):
    return 2 ** gains[list(order)] - 1


@pytest.mark.parametrize("seed", range(4))
def test_ndcg_shares_gain_among_ties(seed):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 3, (1, 6)).astype(float)
    gains = random.random((1, 6))
    discount = 1 / np.log2(np.arange(2, 8))
    for k in (2, 6):
        weights = np.where(np.arange(6) < k, discount, 0)
        ideal = np.sort(2 ** gains[0] - 1)[::-1] @ weights
        mean = mean_over_orders(scores[0], lambda order, weights=weights: gained(gains[0], order) @ weights)
        assert ndcg(scores, gains, k)[0] == pytest.approx(mean / ideal)


@pytest.mark.parametrize("seed", range(4))
def test_expected_hits_are_the_mean_over_all_orders(seed):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 3, (2, 6)).astype(float)
    relevant = random.random((2, 6)) < 0.5
    for k in (1, 3, 6, 8):
        expected = [
            mean_over_orders(scores[q], lambda o, q=q, k=k: relevant[q][list(o[:k])].sum()) for q in (0, 1)
        ]
        np.testing.assert_allclose(expected_hits(scores, relevant, k), expected)


@pytest.mark.parametrize(
    "call",
    [
        lambda: average_precision(FALLING, RANKED, "map"),
        lambda: average_precision(FALLING, RANKED, k=0),
        lambda: average_precision(FALLING, RANKED, ties="random"),
        lambda: average_precision(FALLING, RANKED[:, :3]),
        lambda: ndcg(FALLING, -np.ones((1, 8))),
        lambda: ndcg(FALLING, np.ones((1, 8)), 0),
        lambda: ndcg(FALLING, np.ones((1, 7))),
        lambda: expected_hits(FALLING, RANKED, 0),
        lambda: expected_hits(FALLING, RANKED[:, :3], 1),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(UsageError):
        call()
