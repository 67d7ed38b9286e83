import json

import numpy as np
import pytest

from landsift.errors import UsageError
from landsift.metrics import (
    evaluate_scores,
    evaluate_vectors,
    report_of_scores,
    scene_recall,
)
from landsift.types import RetrievalSet

TEXTS = ["A pond.", "a pond", "two ponds", "A road .", "a road", "A ROAD"]


def small_set(labels=True):
    names = [f"{number}.png" for number in range(4)]
    pixels = [np.zeros((2, 2, 3), np.uint8)] * 4
    image_of = np.array([0, 1, 1, 2, 2, 3], np.int64)
    classes = np.array([0, 0, 1, -1], np.int64) if labels else None
    return RetrievalSet("small", "test", pixels, names, TEXTS, image_of, classes, ("pond", "road"))


def test_scores_and_vectors_give_one_report():
    random = np.random.default_rng(0)
    images, texts = random.normal(size=(4, 8)), random.normal(size=(6, 8))
    by_vectors = evaluate_vectors(images, texts, small_set(), resamples=20)
    by_scores = evaluate_scores(images @ texts.T, small_set(), resamples=20)
    assert by_vectors.as_dict() == by_scores.as_dict()


def test_the_report_holds_both_readings_ceiling_and_scene():
    scores = np.random.default_rng(1).normal(size=(4, 6))
    data = small_set()
    report = evaluate_scores(scores, data, resamples=20)
    groups = np.array([0, 0, 1, 2, 2, 2])
    assert report.distinct_captions == 3
    assert report.strict == report_of_scores(scores, data.image_of)
    assert report.duplicate_aware == report_of_scores(scores, data.image_of, caption_groups=groups)
    assert report.ceiling.t2i[1] == pytest.approx(100 * 4 / 6)
    expected = scene_recall(scores, data.labels, data.labels[data.image_of])
    assert report.scene["i2t"] == expected
    assert json.loads(json.dumps(report.as_dict()))["strict"]["mR"] == report.strict.mR


def test_duplicate_aware_recall_is_never_below_strict():
    scores = np.random.default_rng(2).integers(0, 3, (4, 6)).astype(float)
    report = evaluate_scores(scores, small_set(), resamples=5)
    assert report.duplicate_aware.mR >= report.strict.mR


def test_sets_without_classes_have_no_scene_recall():
    assert evaluate_scores(np.ones((4, 6)), small_set(labels=False), resamples=5).scene is None


def test_scores_of_another_set_are_refused():
    with pytest.raises(UsageError, match="4 images and 6 captions"):
        evaluate_scores(np.ones((6, 4)), small_set())
    with pytest.raises(UsageError, match="4 images and 6 captions"):
        evaluate_vectors(np.ones((3, 2)), np.ones((6, 2)), small_set())


def test_a_set_without_captions_is_refused():
    data = small_set()
    bare = RetrievalSet("bare", "all", data.images, data.image_names, [], np.zeros(0, np.int64))
    with pytest.raises(UsageError, match="no captions"):
        evaluate_scores(np.ones((4, 0)), bare)
