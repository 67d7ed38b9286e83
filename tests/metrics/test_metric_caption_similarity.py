from collections import Counter
from math import exp, log, sqrt

import numpy as np
import pytest

from landsift.captions import normalise_caption
from landsift.metrics import caption_relevance

CAPTIONS = [
    "Many planes are parked beside a terminal .",
    "Many many planes are parked next to a long building.",
    "a river, a bridge and a road",
    "A bridge over the river .",
    "a long bridge over a wide river and a long road",
    "many planes are parked beside a terminal",
    "pond",
]
IMAGE_OF = np.array([0, 0, 1, 1, 2, 2, 3], np.int64)


def grams(text, size):
    words = normalise_caption(text).split()
    return Counter(tuple(words[i : i + size]) for i in range(len(words) - size + 1))


def slow_cider(candidate, references, corpus):
    """CIDEr-D of one caption, written out from its definition."""
    total = 0.0
    for size in range(1, 5):
        document = Counter(g for texts in corpus for g in {g for text in texts for g in grams(text, size)})

        def weights(text, size=size, document=document):
            return {
                g: n * (log(len(corpus)) - log(max(1, document[g]))) for g, n in grams(text, size).items()
            }

        for reference in references:
            mine, theirs = weights(candidate), weights(reference)
            dot = sum(min(w, theirs.get(g, 0)) * theirs.get(g, 0) for g, w in mine.items())
            norm = sqrt(sum(w * w for w in mine.values()) * sum(w * w for w in theirs.values()))
            length = sum(grams(candidate, 2).values()) - sum(grams(reference, 2).values())
            total += (dot / norm if norm else 0) * exp(-(length**2) / 72) / len(references)
    return 10 * total / 4


def corpus():
    return [[CAPTIONS[j] for j in np.flatnonzero(i == IMAGE_OF)] for i in range(4)]


def test_relevance_is_cider_of_every_pair():
    found = caption_relevance(CAPTIONS, IMAGE_OF, 4)
    for image, references in enumerate(corpus()):
        for row, text in enumerate(CAPTIONS):
            assert found[image, row] * 10 == pytest.approx(slow_cider(text, references, corpus()), abs=1e-5)


def test_relevance_agrees_with_the_coco_scorer():
    cider = pytest.importorskip("pycocoevalcap.cider.cider")
    pairs = [(i, j) for i in range(4) for j in range(len(CAPTIONS))]
    references = {pair: [normalise_caption(text) for text in corpus()[pair[0]]] for pair in pairs}
    candidates = {pair: [normalise_caption(CAPTIONS[pair[1]])] for pair in pairs}
    _, expected = cider.Cider().compute_score(references, candidates)
    found = caption_relevance(CAPTIONS, IMAGE_OF, 4)
    np.testing.assert_allclose(found.reshape(-1) * 10, expected, atol=1e-5)


def test_an_image_without_captions_has_no_relevant_caption():
    found = caption_relevance(CAPTIONS, IMAGE_OF, 5)
    assert not found[4].any() and found[:4].any(1).all()
