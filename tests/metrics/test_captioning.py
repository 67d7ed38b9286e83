"""Scores of written captions: the library against slow twins, and what a reader of the numbers relies on."""

from __future__ import annotations

import math
import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pycocoevalcap")

from landsift.captions import NO_CHANGE_CAPTIONS
from landsift.errors import UsageError
from landsift.metrics import caption_scores, no_change_accuracy, rouge_l

REFERENCES = [
    ["a house is built beside the road", "some trees are replaced by a house", "a new house appears"],
    ["there is no difference", "the scene is the same as before"],
    ["many villas are built on the bareland", "a row of villas appears along the road"],
    ["the desert is turned into a road with houses along it", "houses and a road appear"],
]
CANDIDATES = [
    "A house is built beside the trees.",
    "there is no difference",
    "many villas appear along the road",
    "a road is built",
]
SENTENCES = st.lists(st.sampled_from(["a", "b", "c", "d", "road", "house"]), max_size=7).map(" ".join)


def grams(text: str, size: int) -> Counter:
    words = text.split()
    return Counter(tuple(words[n : n + size]) for n in range(len(words) - size + 1))


def plain(text: str) -> str:
    return text.lower().replace(".", "")


def slow_bleu(candidates, references, size) -> float:
    """Papineni et al., with the reference of the closest length, the shorter of two."""
    precisions, length, closest = [], 0, 0
    for text, truths in zip(candidates, references, strict=True):
        words = len(text.split())
        length += words
        closest += min((len(truth.split()) for truth in truths), key=lambda n: (abs(n - words), n))
    for n in range(1, size + 1):
        right = total = 0
        for text, truths in zip(candidates, references, strict=True):
            counts = grams(text, n)
            most = Counter()
            for truth in truths:
                most |= grams(truth, n)
            right += sum((counts & most).values())
            total += sum(counts.values())
        precisions.append(right / total)
    penalty = min(1.0, math.exp(1 - closest / length))
    return penalty * math.exp(sum(math.log(p) for p in precisions) / size)


def slow_cider(candidates, references) -> float:
    """CIDEr-D with the set's own document frequencies."""
    count, scores = len(candidates), []
    for text, truths in zip(candidates, references, strict=True):
        value = 0.0
        for truth in truths:
            parts = 0.0
            for n in range(1, 5):
                seen = Counter(g for own in references for g in set().union(*(grams(t, n) for t in own)))

                def weights(words, n=n, seen=seen):
                    return {g: c * math.log(count / max(1, seen[g])) for g, c in grams(words, n).items()}

                first, second = weights(text), weights(truth)
                dot = sum(min(w, second[g]) * second[g] for g, w in first.items() if g in second)
                norm = math.sqrt(sum(w * w for w in first.values()) * sum(w * w for w in second.values()))
                parts += dot / norm if norm else 0.0
            gap = len(text.split()) - len(truth.split())
            value += parts / 4 * math.exp(-(gap**2) / 72)
        scores.append(10 * value / len(truths))
    return float(np.mean(scores))


def slow_rouge(text, truths) -> float:
    def longest(a, b):
        if not a or not b:
            return 0
        if a[-1] == b[-1]:
            return 1 + longest(a[:-1], b[:-1])
        return max(longest(a[:-1], b), longest(a, b[:-1]))

    words = text.split()
    best = [
        (longest(words, t.split()) / len(words), longest(words, t.split()) / len(t.split())) for t in truths
    ]
    precision, recall = max(p for p, _ in best), max(r for _, r in best)
    return 0.0 if not precision else 2.44 * precision * recall / (recall + 1.44 * precision)


def test_the_library_agrees_with_slow_twins():
    found = caption_scores(CANDIDATES, REFERENCES, meteor=False)
    texts = [plain(text) for text in CANDIDATES]
    for size in range(1, 5):
        assert found.bleu[size - 1] == pytest.approx(slow_bleu(texts, REFERENCES, size), abs=1e-6)
    assert found.cider == pytest.approx(slow_cider(texts, REFERENCES), abs=1e-6)
    rouge = np.mean([slow_rouge(text, truths) for text, truths in zip(texts, REFERENCES, strict=True)])
    assert found.rouge_l == pytest.approx(rouge, abs=1e-9)
    assert found.mean == pytest.approx(np.mean([found.bleu[3], found.rouge_l, found.cider]))
    assert set(found.as_dict()) == {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D", "S*m"}


@settings(max_examples=40, deadline=None)
@given(SENTENCES, st.lists(SENTENCES.filter(bool), min_size=1, max_size=3))
def test_single_rouge_agrees_with_the_library(text, truths):
    from pycocoevalcap.rouge.rouge import Rouge

    theirs = Rouge().calc_score([text or "nowords"], truths)
    assert rouge_l(text, truths) == pytest.approx(theirs)


def test_a_better_caption_scores_higher_on_all():
    worse = ["a river", "a house is built", "there is no difference", "a car"]
    good, bad = (caption_scores(texts, REFERENCES, meteor=False).as_dict() for texts in (CANDIDATES, worse))
    assert all(good[name] > bad[name] for name in good)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="METEOR is a Java program")
def test_meteor_is_scored_where_there_is_java():
    found = caption_scores([*CANDIDATES[:3], ""], REFERENCES)
    assert found.meteor is not None and 0.1 < found.meteor < 0.9
    assert found.mean == pytest.approx(np.mean([found.bleu[3], found.rouge_l, found.cider, found.meteor]))
    assert found.as_dict()["METEOR"] == found.meteor


def test_an_empty_caption_scores_nothing_and_breaks_nothing():
    found = caption_scores(["", "!"], [["a house"], ["a road"]], meteor=False)
    assert found.rouge_l == 0 and found.bleu[0] < 1e-6


def test_change_is_told_from_none_by_the_five_sentences():
    texts = ["There is no difference.", "a house is built", *sorted(NO_CHANGE_CAPTIONS)[:2]]
    assert no_change_accuracy(texts, [False, True, True, False]) == (0.5, 1.0)
    assert no_change_accuracy(texts[:1], [False]) == (None, 1.0)
    found = caption_scores(CANDIDATES, REFERENCES, changed=[True, False, True, True], meteor=False)
    assert (found.change_accuracy, found.no_change_accuracy) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: caption_scores([], []), "one written caption"),
        (lambda: caption_scores(["a"], [["a"], ["b"]]), "one written caption"),
        (lambda: caption_scores("a", ["a"]), "one written caption"),
        (lambda: caption_scores(["a", "b"], [["a"], []]), "Picture 1 has no list of references"),
        (lambda: caption_scores(["a"], ["a"]), "Picture 0 has no list"),
        (lambda: no_change_accuracy(["a"], [True, False]), "one flag a caption"),
        (lambda: rouge_l("a", []), "at least one reference"),
    ],
)
def test_bad_input_is_one_sentence(call, said):
    with pytest.raises(UsageError, match=said):
        call()
