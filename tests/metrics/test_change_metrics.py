"""Scores of change retrieval, change masks and the two together."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landsift.errors import UsageError
from landsift.metrics import (
    CaptionScores,
    change_confusion,
    change_relevance,
    change_retrieval,
    detection_scores,
    direction_accuracy,
    hybrid_scores,
    retrieved_content,
)
from landsift.metrics.change_hybrids import CIDER_REFERENCE, caption_level

CAPTIONS = [
    ["there is no difference", "the two scenes seem identical"],
    ["a house is built", "a villa appears on the grass"],
    ["no change has occurred", "almost nothing has changed"],
    ["A house is built.", "the bareland turns into a road"],
    ["a villa appears on the grass here", "trees vanish"],
]
CHANGED = np.array([False, True, False, True, True])


def test_right_answers_are_the_pair_its_like_wordings_and_all_that_did_not_change():
    queries = ["there is no difference", "a house is built", "a villa appears on the grass"]
    found = change_relevance(queries, np.array([0, 1, 1]), CAPTIONS, CHANGED)
    assert [np.flatnonzero(row).tolist() for row in found] == [[0, 2], [1, 3], [1]]
    near = change_relevance(queries, np.array([0, 1, 1]), CAPTIONS, CHANGED, similarity=0.8)
    assert [np.flatnonzero(row).tolist() for row in near] == [[0, 2], [1, 3], [1, 4]]


def by_all_orders(scores, relevant, k):
    """Precision, recall, hit rate and reciprocal rank at k, over every order of the tied."""
    values = []
    for order in permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in pairwise(order)):
            right = relevant[list(order)][:k]
            first = np.flatnonzero(right)
            rank = 1 / (first[0] + 1) if len(first) else 0.0
            values.append((right.sum() / k, right.sum() / relevant.sum(), float(right.any()), rank))
    return np.mean(values, axis=0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6).flatmap(
        lambda scores: st.tuples(
            st.just(scores), st.lists(st.booleans(), min_size=len(scores), max_size=len(scores))
        )
    ),
    st.integers(1, 6),
)
def test_ties_count_as_the_mean_over_all_orders(case, k):
    scores, relevant = np.array(case[0], float), np.array(case[1])
    if not relevant.any() or k > len(scores):
        return
    found = change_retrieval(scores[None], relevant[None], (k,))
    expected = by_all_orders(scores, relevant, k)
    np.testing.assert_allclose(
        [found.precision[k], found.recall[k], found.hit[k], found.mrr[k]], expected, atol=1e-12
    )


def test_precision_recall_and_reciprocal_rank_of_one_ranking():
    relevant = np.array([[1, 0, 1, 1, 0, 0, 1, 0]], bool)
    found = change_retrieval(-np.arange(8.0)[None], relevant, (1, 3))
    assert found.precision == pytest.approx({1: 1.0, 3: 2 / 3})
    assert found.recall == pytest.approx({1: 0.25, 3: 0.5})
    assert found.right_answers == 4 and found.as_dict()["R@3"] == pytest.approx(50)
    late = change_retrieval(np.arange(8.0)[None], relevant, (1, 3))
    assert late.mrr == pytest.approx({1: 0.0, 3: 0.5}) and late.hit[1] == 0


def test_queries_without_a_right_answer_are_left_out():
    found = change_retrieval(np.eye(3), np.array([[1, 0, 0], [0, 0, 0], [1, 0, 0]], bool), (1,))
    assert found.queries == 2 and found.precision[1] == 0.5


def test_direction_counts_ties_half():
    assert direction_accuracy(np.array([1.0, 0.2, 0.5]), np.array([0.0, 0.4, 0.5])) == pytest.approx(0.5)


def test_masks_are_counted_over_the_whole_set():
    true = [np.array([[0, 1], [2, 2]]), np.array([[1, 1]])]
    found = [np.array([[0, 1], [1, 2]]), np.array([[0, 1]])]
    counts = change_confusion(zip(found, true, strict=True), 3)
    assert counts.tolist() == [[1, 0, 0], [1, 2, 0], [0, 1, 1]]
    scores = detection_scores(counts)
    # Change against none: 4 of 5 changed pixels are found, and nothing else is.
    assert (scores.precision, scores.recall) == (1.0, 0.8)
    assert scores.f1 == pytest.approx(8 / 9)
    assert scores.iou == pytest.approx((1 / 2, 2 / 4, 1 / 2)) and scores.mean_iou == pytest.approx(0.5)
    assert scores.accuracy == pytest.approx(4 / 6)


def test_masks_without_any_change():
    nothing = detection_scores(change_confusion([(np.zeros((2, 2), int), np.zeros((2, 2), int))]))
    assert nothing.f1 == nothing.precision == nothing.recall == nothing.mean_iou == 1.0
    assert np.isnan(nothing.iou[1])
    wrong = detection_scores(change_confusion([(np.ones((2, 2), int), np.zeros((2, 2), int))]))
    assert wrong.f1 == 0 and wrong.precision == 0 and wrong.recall == 0


def test_f1_agrees_with_its_definition_by_pixels():
    rng = np.random.default_rng(0)
    true, found = rng.integers(0, 2, (2, 20, 30))
    scores = detection_scores(change_confusion([(found, true)]))
    hit = int((true & found).sum())
    assert scores.f1 == pytest.approx(2 * hit / (2 * hit + int((true != found).sum())))
    assert scores.iou[1] == pytest.approx(hit / int((true | found).sum()))


def test_hybrids_and_their_parts():
    scores = CaptionScores((0.8, 0.7, 0.65, 0.6), 0.7, CIDER_REFERENCE / 2, 0.4)
    assert caption_level(scores) == pytest.approx((0.6 + 0.7 + 0.5 + 0.4) / 4)
    found = hybrid_scores(scores, 0.9, weight=0.25)
    assert found.arithmetic == pytest.approx(0.25 * 0.55 + 0.75 * 0.9)
    assert found.harmonic == pytest.approx(2 * 0.55 * 0.9 / (0.55 + 0.9))
    assert found.sum == pytest.approx(1.5)
    assert hybrid_scores(scores, 0.0).harmonic == 0
    high = CaptionScores((1, 1, 1, 1.0), 1.0, 5.0)
    assert caption_level(high) == 1.0


def test_retrieved_pairs_are_judged_by_what_they_show():
    queries, pair_of = ["a house is built", "there is no difference"], np.array([1, 0])
    own = retrieved_content(queries, pair_of, CAPTIONS, CHANGED, np.array([[3], [0]]))
    assert (own.caption_similarity, own.flag_accuracy, own.harmonic) == (1.0, 1.0, 1.0)
    other = retrieved_content(queries, pair_of, CAPTIONS, CHANGED, np.array([[0], [4]]))
    assert other.flag_accuracy == 0 and other.harmonic == 0 and other.caption_similarity < 0.6
    areas = np.array([[0, 0], [0, 80], [0, 0], [10, 20], [5, 0]])
    found = retrieved_content(queries, pair_of, CAPTIONS, CHANGED, np.array([[3, 4], [2, 0]]), areas)
    assert found.class_f1 == pytest.approx((2 / 3 + 0 + 1 + 1) / 4)
    assert found.extent == pytest.approx((np.log(80 / 30) + np.log(80 / 5)) / 2)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: change_relevance(["a"], np.array([0, 1]), CAPTIONS, CHANGED), "a pair for each query"),
        (lambda: change_relevance(["a"], np.array([0]), CAPTIONS, CHANGED, similarity=0), "above 0"),
        (lambda: change_retrieval(np.ones((1, 2)), np.ones((2, 1), bool)), "must be alike"),
        (lambda: change_retrieval(np.full((1, 2), np.nan), np.ones((1, 2), bool)), "no numbers"),
        (lambda: change_retrieval(np.ones((1, 2)), np.zeros((1, 2), bool)), "No query has a right answer"),
        (lambda: change_retrieval(np.ones((1, 2)), np.ones((1, 2), bool), (0,)), "from 1 on"),
        (lambda: direction_accuracy(np.ones(2), np.ones(3)), "both scores"),
        (lambda: change_confusion([(np.ones((2, 2), int), np.ones((3, 2), int))]), "differ in size"),
        (lambda: change_confusion([(np.full((2, 2), 7), np.ones((2, 2), int))]), "there are 2 classes"),
        (lambda: detection_scores(np.zeros((2, 2), np.int64)), "no pixels"),
        (lambda: detection_scores(np.zeros((2, 3), np.int64)), "must be square"),
        (lambda: hybrid_scores(CaptionScores((0, 0, 0, 0), 0, 0), 1.5), "share from 0 to 1"),
        (
            lambda: retrieved_content(["a"], np.array([0]), CAPTIONS, CHANGED, np.zeros((2, 1), np.int64)),
            r"must be \(1, k\)",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, said):
    with pytest.raises(UsageError, match=said):
        call()
