from itertools import permutations

import numpy as np
import pytest

from landsift.errors import UsageError
from landsift.metrics import retrieval_ceiling, retrieval_report, scene_recall


def test_scene_recall_is_the_share_of_same_class_items():
    random = np.random.default_rng(0)
    scores = random.normal(size=(12, 30))
    queries, items = random.integers(-1, 3, 12), random.integers(-1, 3, 30)
    found = scene_recall(scores, queries, items, ks=(1, 5))
    for k in (1, 5):
        shares = [
            np.mean([items[j] == queries[i] for j in np.argsort(-scores[i])[:k]])
            for i in range(12)
            if queries[i] >= 0
        ]
        assert found[k] == pytest.approx(100 * np.mean(shares))


def test_scene_recall_without_classes_or_with_wrong_labels():
    assert np.isnan(scene_recall(np.ones((1, 2)), np.array([-1]), np.array([0, 1]))[1])
    with pytest.raises(UsageError, match="labels"):
        scene_recall(np.ones((1, 2)), np.array([0, 0]), np.array([0, 1]))


def best_by_trying(image_of, groups, n_images, k):
    """Best expected hit rates when every order of distinct texts, and of images, is tried."""
    texts = sorted(set(groups))
    t2i = 0.0
    for text in texts:
        carried = [image_of[j] for j in range(len(groups)) if groups[j] == text]
        t2i += max(sum(i in order[:k] for i in carried) for order in permutations(range(n_images)))
    i2t = []
    for image in sorted(set(image_of)):
        chances = []
        for order in permutations(texts):
            missed, room = 1.0, k
            for text in order:
                copies = [j for j in range(len(groups)) if groups[j] == text]
                own = sum(image_of[j] == image for j in copies)
                for draw in range(min(room, len(copies))):
                    missed *= (len(copies) - own - draw) / (len(copies) - draw)
                room = max(0, room - len(copies))
            chances.append(1 - max(missed, 0))
        i2t.append(max(chances))
    return 100 * np.mean(i2t), 100 * t2i / len(groups)


@pytest.mark.parametrize("seed", range(10))
def test_no_order_of_texts_or_images_beats_the_ceiling(seed):
    random = np.random.default_rng(seed)
    image_of = random.integers(0, 4, 8).astype(np.int64)
    groups = random.integers(0, 4, 8)
    ceiling = retrieval_ceiling(image_of, 4, groups, ks=(1, 2, 3))
    for k in (1, 2, 3):
        i2t, t2i = best_by_trying(image_of.tolist(), groups.tolist(), 4, k)
        assert ceiling.i2t[k] == pytest.approx(i2t)
        assert ceiling.t2i[k] == pytest.approx(t2i)


def test_a_perfect_encoder_of_texts_reaches_the_ceiling():
    image_of = np.array([0, 0, 1, 1, 2, 2], np.int64)
    groups = np.array([0, 1, 0, 2, 0, 3])
    carries = np.zeros((3, 4), np.float32)
    carries[image_of, groups] = 1
    favours = carries + np.array([[0.02], [0.01], [0.0]], np.float32) * carries
    report = retrieval_report(favours, np.eye(4, dtype=np.float32)[groups], image_of)
    ceiling = retrieval_ceiling(image_of, 3, groups)
    assert report.t2i.recall == pytest.approx(ceiling.t2i)


def test_distinct_captions_have_no_ceiling():
    ceiling = retrieval_ceiling(np.arange(5), 5, np.arange(5))
    assert ceiling.mR == 100
