"""What --semantic says of consistency: which figures a set has, and that they are the definitions'."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from test_evaluate import Collapsed, ToyScorer, colour_set

from landsift.evaluate import evaluate, evaluate_pairs, semantic_consistency
from landsift.metrics import scene_recall
from toys import ToyEncoder

BOTH = ("i2t", "t2i")


def matrix(data):
    toy = ToyEncoder()
    return toy.encode_images(data.images) @ toy.encode_texts(data.captions).T


def test_a_set_with_classes_has_every_figure():
    data = colour_set()
    found = evaluate(ToyEncoder(), data, semantic=True).scores["consistency"]
    names = {f"{way}_class-agreement@10" for way in BOTH} | {f"{way}_PMRP" for way in BOTH}
    assert set(found) == names | {
        "paraphrase-RBO",
        "paraphrase-tau",
        "cycle_i2t2i",
        "cycle_t2i2t",
        "cycle_class",
    }
    assert found["cycle_class"] == 100 and found["t2i_PMRP"] == 100, "the toy tells colours apart"
    of_captions = data.labels[data.image_of]
    expected = scene_recall(matrix(data), data.labels, of_captions, (10,))[10]
    assert found["i2t_class-agreement@10"] == pytest.approx(expected)
    assert 85 < found["paraphrase-RBO"] <= 100


def test_without_classes_there_is_no_word_of_them():
    data = dataclasses.replace(colour_set(), labels=None)
    found = semantic_consistency(matrix(data), data)
    assert set(found) == {"paraphrase-RBO", "paraphrase-tau", "cycle_i2t2i", "cycle_t2i2t"}


def test_keywords_go_before_classes_and_may_differ_in_two():
    data = colour_set()
    words = [["Bright", name] if row % 2 else [name] for row, name in enumerate(data.image_names)]
    keyed = dataclasses.replace(data, keywords=words)
    by_class, by_words = (semantic_consistency(matrix(one), one)["i2t_PMRP"] for one in (data, keyed))
    assert by_class == 100 > by_words
    bare = dataclasses.replace(data, keywords=[[] for _ in data.images])
    assert semantic_consistency(matrix(bare), bare)["i2t_PMRP"] == by_class
    some = dataclasses.replace(data, keywords=[["a"], *([] for _ in data.images[1:])])
    assert semantic_consistency(matrix(some), some)["t2i_PMRP"] == 100, "images without words are left out"


def test_captions_in_one_wording_are_no_paraphrases():
    data = colour_set()
    same = dataclasses.replace(data, captions=["one field"] * len(data.captions))
    assert "paraphrase-RBO" not in semantic_consistency(matrix(data), same)


def test_pairs_and_vectors_agree_and_collapse_is_chance():
    data = colour_set()
    by_vectors = evaluate(ToyEncoder(), data, semantic=True).scores["consistency"]
    by_pairs = evaluate_pairs(ToyScorer(), data, semantic=True).scores["consistency"]
    assert by_pairs == pytest.approx(by_vectors, abs=1.0)
    fallen = evaluate(Collapsed(), data, semantic=True)
    assert fallen.scores["consistency"]["cycle_i2t2i"] == pytest.approx(100 / len(data.images))
    assert fallen.scores["consistency"]["paraphrase-tau"] == 0
    assert "Consistency, percent: " in " ".join(fallen.facts())
    assert "consistency" not in evaluate(ToyEncoder(), data).scores


def test_figures_are_plain_numbers():
    data = dataclasses.replace(colour_set(), labels=np.full(10, -1, np.int64))
    found = semantic_consistency(matrix(data), data)
    assert all(isinstance(value, float) and not np.isnan(value) for value in found.values())
    assert "cycle_class" not in found and "i2t_PMRP" not in found
