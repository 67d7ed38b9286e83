from itertools import combinations
from math import comb

import numpy as np
import pytest
from slow_metrics import answers_both_ways, first_hit, mean_over_orders, sorted_hit_rate

from landsift.errors import UsageError
from landsift.metrics import (
    VectorScores,
    caption_positives,
    ranks,
    recall_at_k,
    report_of_scores,
    retrieval_ranks,
    retrieval_report,
)
from landsift.metrics import scores as score_blocks


def ragged_set(random, n_images, most=4):
    """``image_of`` with 0 to ``most`` captions per image, in mixed order, at least one in all."""
    image_of = np.repeat(np.arange(n_images), random.integers(0, most + 1, n_images))
    return random.permutation(image_of if len(image_of) else np.array([0])).astype(np.int64)


@pytest.mark.parametrize("seed", range(8))
def test_hits_are_the_mean_over_all_orders_of_tied_items(seed):
    random = np.random.default_rng(seed)
    n_images = int(random.integers(1, 6))
    image_of = ragged_set(random, n_images, most=2)[:6]
    groups = random.integers(0, 3, len(image_of))
    scores = random.integers(0, 3, (n_images, len(image_of))).astype(float)
    for given in (None, groups):
        positives = caption_positives(image_of, n_images, given)
        answers = answers_both_ways(image_of, n_images, given)
        for matrix, right, relation in zip((scores, scores.T), answers, positives, strict=True):
            found = ranks(matrix, relation)
            queries = [query for query in range(len(matrix)) if right[query]]
            assert found.queries.tolist() == queries
            for k in (1, 2, 3, 7):
                expected = [
                    mean_over_orders(
                        matrix[q], lambda order, q=q, k=k, right=right: first_hit(order, right[q]) < k
                    )
                    for q in queries
                ]
                np.testing.assert_allclose(found.hits(k), expected, atol=1e-12)
            mean_ranks = [
                mean_over_orders(matrix[q], lambda order, q=q, right=right: first_hit(order, right[q]))
                for q in queries
            ]
            np.testing.assert_allclose(found.expected, mean_ranks, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_recalls_equal_those_by_sorting_where_nothing_ties(seed):
    random = np.random.default_rng(seed)
    n_images = 40
    image_of = ragged_set(random, n_images)
    groups = random.integers(0, 30, len(image_of))
    scores = random.normal(size=(n_images, len(image_of)))
    for given in (None, groups):
        report = report_of_scores(scores, image_of, caption_groups=given)
        i2t, t2i = answers_both_ways(image_of, n_images, given)
        for k in (1, 5, 10):
            assert report.i2t.recall[k] == pytest.approx(sorted_hit_rate(scores, i2t, k))
            assert report.t2i.recall[k] == pytest.approx(sorted_hit_rate(scores.T, t2i, k))
            assert report.t2i.optimistic[k] == report.t2i.pessimistic[k] == report.t2i.recall[k]


@pytest.mark.parametrize("seed", range(3))
def test_recalls_equal_clip_benchmark_definition(seed):
    random = np.random.default_rng(seed)
    n_images, per_image = 30, 5
    image_of = np.repeat(np.arange(n_images), per_image)
    scores = random.normal(size=(n_images, n_images * per_image))
    positive = image_of[None] == np.arange(n_images)[:, None]
    report = report_of_scores(scores, image_of)
    for k in (1, 5, 10):
        for matrix, relation, side in ((scores, positive, report.i2t), (scores.T, positive.T, report.t2i)):
            top = np.argsort(-matrix, axis=1)[:, :k]
            share = np.take_along_axis(relation, top, 1).sum(1) / relation.sum(1)
            assert side.recall[k] == pytest.approx(100 * (share > 0).mean())


@pytest.mark.parametrize("seed", range(3))
def test_recall_is_success_at_k_of_trec_evaluators(seed):
    ir_measures = pytest.importorskip("ir_measures")
    random = np.random.default_rng(seed)
    n_images = 25
    image_of = ragged_set(random, n_images)
    scores = random.normal(size=(n_images, len(image_of)))
    relation, _ = caption_positives(image_of, n_images)
    found = ranks(scores, relation)
    qrels = [
        ir_measures.Qrel(f"{i}", f"{j}", int(image_of[j] == i))
        for i in range(n_images)
        for j in range(len(image_of))
        if i in image_of
    ]
    run = [ir_measures.ScoredDoc(f"{i}", f"{j}", scores[i, j]) for i, j in np.ndindex(*scores.shape)]
    measures = [ir_measures.Success @ k for k in (1, 5, 10)]
    values = ir_measures.calc_aggregate(measures, qrels, run)
    for k, measure in zip((1, 5, 10), measures, strict=True):
        assert recall_at_k(found, k) == pytest.approx(100 * values[measure])


def test_a_collapsed_encoder_scores_exactly_chance():
    n_images, per_image = 60, 5
    image_of = np.repeat(np.arange(n_images), per_image)
    vector = np.random.default_rng(0).normal(size=37).astype(np.float32)
    report = retrieval_report(np.tile(vector, (n_images, 1)), np.tile(vector, (300, 1)), image_of)
    for k in (1, 5, 10):
        assert report.t2i.recall[k] == pytest.approx(100 * k / n_images, abs=1e-9)
        assert report.i2t.recall[k] == pytest.approx(100 * (1 - comb(295, k) / comb(300, k)), abs=1e-9)
        assert (report.t2i.optimistic[k], report.t2i.pessimistic[k]) == (100, 0)
    assert report.t2i.mean_rank == pytest.approx((n_images + 1) / 2)


def test_chance_with_ragged_captions_and_two_right_images():
    image_of = np.array([0, 0, 1, 2], np.int64)
    groups = np.array([7, 8, 7, 9])
    _, t2i = caption_positives(image_of, 5, groups)
    found = ranks(np.zeros((4, 5)), t2i)
    pairs = list(combinations(range(5), 2))
    both = np.mean([bool({0, 1} & set(pair)) for pair in pairs])
    one = np.mean([0 in pair for pair in pairs])
    np.testing.assert_allclose(found.hits(2), [both, one, both, one])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_vectors_score_like_their_product_in_any_number_of_blocks(monkeypatch, dtype):
    random = np.random.default_rng(5)
    images = random.normal(size=(50, 24)).astype(dtype)
    texts = random.normal(size=(170, 24)).astype(dtype)
    image_of = random.integers(0, 50, 170)
    product = images.astype(np.float64) @ texts.T.astype(np.float64)
    expected = report_of_scores(product, image_of)
    for block_bytes in (1, 3000, 10**9):
        monkeypatch.setattr(score_blocks, "_BLOCK_BYTES", block_bytes)
        assert retrieval_report(images, texts, image_of) == expected


def test_equal_vectors_tie_wherever_they_stand_in_the_product():
    random = np.random.default_rng(0)
    distinct = random.normal(size=(400, 301)).astype(np.float32)
    copies = random.permutation(np.repeat(np.arange(400), 5))
    items = distinct[copies]
    for _, block in VectorScores(random.normal(size=(70, 301)).astype(np.float32), items).blocks():
        for vector in range(400):
            same = block[:, copies == vector]
            assert (same == same[:, :1]).all()


def test_negative_zero_is_zero():
    vectors = np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0]], np.float32)
    repeats, originals = score_blocks.repeated_rows(vectors)
    assert (repeats.tolist(), originals.tolist()) == ([1], [0])


def test_one_image_and_one_caption():
    report = retrieval_report(np.ones((1, 3)), np.ones((1, 3)), np.zeros(1, np.int64))
    assert report.mR == report.mR_i2t == report.mR_t2i == 100
    assert report.t2i.median_rank == report.i2t.mean_rank == 1


def test_images_without_captions_are_searched_but_ask_nothing():
    image_of = np.array([2, 2], np.int64)
    scores = np.array([[9.0, 0], [0, 9.0], [5, 5]])
    report = report_of_scores(scores, image_of)
    assert report.i2t.queries == 1 and report.i2t.recall[1] == 100
    assert report.t2i.recall[1] == 0 and report.t2i.recall[5] == 100


def test_mean_recalls_are_means_of_the_recalls():
    random = np.random.default_rng(1)
    report = report_of_scores(random.normal(size=(20, 60)), np.repeat(np.arange(20), 3))
    flat = report.as_dict()
    six = [flat[f"{side}_R@{k}"] for side in ("i2t", "t2i") for k in (1, 5, 10)]
    assert flat["mR"] == pytest.approx(np.mean(six))
    assert flat["mR_i2t"] == pytest.approx(np.mean(six[:3]))
    assert flat["mR_t2i"] == pytest.approx(np.mean(six[3:]))


def test_text_to_image_can_have_scores_of_its_own():
    forward, backward = np.eye(3), -np.eye(3)
    report = report_of_scores(forward, np.arange(3), text_scores=backward)
    assert report.i2t.recall[1] == 100 and report.t2i.recall[1] == 0


def test_integer_scores_are_taken():
    scores = np.array([[3, 1], [1, 3]])
    assert report_of_scores(scores, np.arange(2)).mR == 100


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: report_of_scores(np.array([[np.nan, 1.0], [0, 1]]), np.arange(2)), "NaN"),
        (lambda: retrieval_report(np.full((2, 3), np.nan), np.ones((2, 3)), np.arange(2)), "NaN"),
        (lambda: retrieval_report(np.ones((2, 3)), np.ones((2, 4)), np.arange(2)), "one length"),
        (lambda: retrieval_report(np.ones((2, 3)), np.ones((2, 3)), np.arange(3)), "one number per caption"),
        (lambda: retrieval_report(np.ones((2, 3)), np.ones((2, 3)), np.array([0, 2])), "outside"),
        (lambda: report_of_scores(np.ones(3), np.arange(3)), "matrix"),
        (lambda: caption_positives(np.arange(2), 2, np.arange(3)), "caption_groups"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call, words):
    with pytest.raises(UsageError, match=words) as error:
        call()
    assert str(error.value).endswith(".")


@pytest.mark.parametrize(("k", "ties"), [(0, "expected"), (1, "random")])
def test_impossible_cut_offs_and_ties_are_refused(k, ties):
    found, _ = retrieval_ranks(np.ones((1, 1)), np.ones((1, 1)), np.zeros(1, np.int64))
    with pytest.raises(UsageError):
        found.hits(k, ties)
