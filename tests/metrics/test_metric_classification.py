import numpy as np
import pytest

from landsift.errors import UsageError
from landsift.metrics import class_vectors, classification_report


def test_accuracy_recall_and_confusion_by_hand():
    scores = np.array([[3.0, 1, 0], [0, 2, 1], [5, 4, 0], [0, 0, 1]])
    report = classification_report(scores, np.array([0, 1, 1, 2]))
    assert report.accuracy == 75
    assert report.class_recall.tolist() == [100, 50, 100]
    assert report.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert report.mean_class_recall == pytest.approx(250 / 3)


def test_a_collapsed_encoder_scores_chance():
    report = classification_report(np.zeros((30, 10)), np.arange(30) % 10)
    assert report.accuracy == pytest.approx(10)
    assert report.confusion.sum() == pytest.approx(30)


def test_classes_without_images_do_not_count():
    report = classification_report(np.eye(3)[:2], np.array([0, 1]))
    assert np.isnan(report.class_recall[2]) and report.mean_class_recall == 100


def test_raw_and_normalised_template_means_differ_by_vector_length():
    templates = np.array([[[3.0, 0], [0, 1]]])
    np.testing.assert_allclose(class_vectors(templates), [[0.5**0.5, 0.5**0.5]], atol=1e-6)
    np.testing.assert_allclose(
        class_vectors(templates, normalised=False), [[3 / 10**0.5, 1 / 10**0.5]], atol=1e-6
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: classification_report(np.ones((2, 3)), np.array([0])),
        lambda: classification_report(np.ones((2, 3)), np.array([0, 3])),
        lambda: classification_report(np.ones((2, 3)), np.array([0, -1])),
        lambda: classification_report(np.ones((0, 3)), np.zeros(0, int)),
        lambda: classification_report(np.full((1, 3), np.nan), np.array([0])),
        lambda: class_vectors(np.ones((2, 3))),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(UsageError):
        call()
