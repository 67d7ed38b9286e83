"""Re-rankers against their definitions, written as loops, and on a matrix worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landsift.errors import UsageError
from landsift.metrics import RERANKERS, csls, dual_softmax, find_reranker, query_bank
from landsift.metrics.rerank import multivariate_rerank, reciprocal_rerank

HAND = np.array([[0.9, 0.8, 0.1, 0.0], [0.95, 0.2, 0.3, 0.1], [0.85, 0.1, 0.7, 0.2], [0.8, 0.3, 0.2, 0.6]])
"""Item 0 is a hub: every query likes it best. The right answers are 1, 0, 2, 3."""


def slow_order(scores: np.ndarray) -> list[list[int]]:
    return [sorted(range(len(row)), key=lambda item: (-row[item], item)) for row in scores.tolist()]


def slow_before(scores: np.ndarray, others: np.ndarray, query: int, item: int) -> int:
    """How many other queries the item scores strictly above this one."""
    return sum(others[other, item] > scores[query, item] for other in range(len(others)))


def slow_reciprocal(scores, others, count):
    orders = []
    for query, order in enumerate(slow_order(scores)):
        head = sorted(order[:count], key=lambda item: slow_before(scores, others, query, item))
        orders.append(head + order[count:])
    return orders


def slow_multivariate(scores, others, count, salience, reverse, banked):
    orders = []
    for query, order in enumerate(slow_order(scores)):
        head = order[:count]
        behind = sorted(head, key=lambda item: slow_before(scores, others, query, item))
        votes = {}
        for j, item in enumerate(head, 1):
            total = sum(max(row[item], 0) for row in others) + (max(scores[query, item], 0) if banked else 0)
            r = behind.index(item) + 1
            share = max(scores[query, item], 0) / max(total, 1e-12)
            votes[item] = salience * share + math.exp(-0.05 * j) + reverse * math.exp(-0.05 * r)
        orders.append(sorted(head, key=lambda item: -votes[item]) + order[count:])
    return orders


SIZES = st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7), st.integers(0, 999), st.booleans())


@settings(deadline=None, max_examples=80)
@given(SIZES)
def test_reordering_agrees_with_loops(sizes):
    queries, items, count, seed, banked = sizes
    random = np.random.default_rng(seed)
    scores = random.uniform(-1, 1, (queries, items))
    bank = random.uniform(-1, 1, (5, items)) if banked else None
    others = scores if bank is None else bank
    found = slow_order(reciprocal_rerank(scores, bank, candidates=count))
    assert found == slow_reciprocal(scores, others, count)
    found = slow_order(multivariate_rerank(scores, bank, candidates=count))
    assert found == slow_multivariate(scores, others, count, 0.3, 1.1, banked)


@settings(deadline=None, max_examples=80)
@given(SIZES)
def test_normalising_agrees_with_loops(sizes):
    queries, items, neighbours, seed, banked = sizes
    random = np.random.default_rng(seed)
    scores = random.uniform(-1, 1, (queries, items))
    bank = random.uniform(-1, 1, (5, items)) if banked else None
    others = scores if bank is None else bank
    for query in range(queries):
        best = scores[query].argmax()
        hub = any(row.argmax() == best for row in others)
        for item in range(items):
            near = sorted((row[item] for row in others), reverse=True)[:neighbours]
            expected = 2 * scores[query, item] - sum(near) / len(near)
            assert csls(scores, bank, neighbours=neighbours)[query, item] == pytest.approx(expected, abs=1e-5)
            powers = [math.exp(20 * row[item]) for row in others]
            own = math.exp(20 * scores[query, item])
            total = sum(powers) + (own if banked else 0)
            expected = scores[query, item] * own / total
            assert dual_softmax(scores, bank)[query, item] == pytest.approx(expected, abs=1e-5)
            expected = 20 * scores[query, item] - (math.log(sum(powers)) if hub else 0)
            assert query_bank(scores, bank)[query, item] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", RERANKERS)
def test_every_reranker_takes_the_hub_down(name):
    assert HAND.argmax(axis=1).tolist() == [0, 0, 0, 0]
    assert find_reranker(name).apply(HAND, None).argmax(axis=1).tolist() == [1, 0, 2, 3]


@pytest.mark.parametrize("name", RERANKERS)
def test_with_a_bank_a_query_does_not_see_the_others(name):
    random = np.random.default_rng(3)
    scores, bank = random.uniform(-1, 1, (6, 9)), random.uniform(-1, 1, (20, 9))
    together = find_reranker(name).apply(scores, bank)
    for query in range(6):
        alone = find_reranker(name).apply(scores[query : query + 1], bank)
        assert np.array_equal(together[query], alone[0])


def test_bad_input_is_refused():
    with pytest.raises(UsageError, match="no re-ranker"):
        find_reranker("magic")
    with pytest.raises(UsageError, match="same 4 items"):
        csls(HAND, np.ones((3, 5)))
    with pytest.raises(UsageError, match="queries, items"):
        csls(np.ones(4))
