"""Robustness: the spoilt side is what is scored, figures are the definitions', the suite is summed up."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image
from test_evaluate import ToyScorer, colour_set

from landsift.data.corrupting import CORRUPTIONS, TEXT_NOISES, corrupt, corrupt_text
from landsift.errors import UsageError
from landsift.evaluate import evaluate, evaluate_robustness, read_report, robustness_of_pairs
from landsift.evaluate.robustness import join_robustness
from landsift.evaluate.stress_judges import bit_flips, drift, top_kept
from landsift.metrics import retrieval_report
from landsift.types import RetrievalSet
from toys import ToyEncoder

SOME = ["cloud", "missing-band", "typos"]


def patterned(copies: int = 3) -> RetrievalSet:
    """The colours with a gradient, so that more than the mean can be spoilt."""
    data = colour_set(copies=copies)
    ramp = np.linspace(0.4, 1.2, 24)[:, None, None]
    images = [np.clip(image[0, 0] * ramp + 3, 0, 255).astype(np.uint8) for image in data.images]
    return dataclasses.replace(data, images=[np.repeat(image, 24, axis=1) for image in images])


@pytest.fixture(scope="module")
def report():
    return evaluate_robustness(ToyEncoder(), patterned(), corruptions=SOME, severities=(1, 4), seed=5)


def test_scores_are_those_of_spoilt_pictures_against_clean_captions(report):
    data, toy = patterned(), ToyEncoder()
    captions = toy.encode_texts(data.captions)
    spoilt = [
        corrupt(image, "missing-band", 4, key=name, seed=5)
        for image, name in zip(data.images, data.image_names, strict=True)
    ]
    rows = toy.encode_images(spoilt)
    expected = retrieval_report(rows, captions, data.image_of)
    found = report.scores["corruptions"]["missing-band"]["by_severity"]["4"]
    for name in ("mR", "mR_i2t", "mR_t2i"):
        assert found[name] == pytest.approx(getattr(expected, name))
    clean = toy.encode_images(data.images)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(clean, rows, strict=True)]
    assert found["drift"] == pytest.approx(1 - np.mean(cosines), abs=1e-6)
    middle = clean.mean(axis=0)
    flips = np.mean([(a - middle >= 0) != (b - middle >= 0) for a, b in zip(clean, rows, strict=True)])
    assert found["bit_flips"] == pytest.approx(flips)


def test_scores_are_those_of_spoilt_captions_against_clean_pictures(report):
    data, toy = patterned(), ToyEncoder()
    spoilt = [corrupt_text(text, "typos", 4, seed=5) for text in data.captions]
    expected = retrieval_report(toy.encode_images(data.images), toy.encode_texts(spoilt), data.image_of)
    assert report.scores["corruptions"]["typos"]["by_severity"]["4"]["mR"] == pytest.approx(expected.mR)


def test_the_clean_score_is_that_of_a_plain_evaluation(report):
    plain = evaluate(ToyEncoder(), patterned()).scores["strict"]
    assert report.scores["clean"] == pytest.approx(plain)


def test_means_drops_and_the_worst_follow_from_the_severities(report):
    scores = report.scores
    rows = scores["corruptions"]
    for row in rows.values():
        values = list(row["by_severity"].values())
        assert row["clean"] == scores["clean"]["mR"]
        assert row["score"] == pytest.approx(np.mean([value["score"] for value in values]))
        assert row["drop"] == pytest.approx(100 * (1 - row["score"] / row["clean"]))
        assert row["worst"]["drop"] == max(value["drop"] for value in values)
    rows = scores["corruptions"]
    assert (
        scores["families"]["air"] == rows["cloud"]["drop"]
        and scores["families"]["text"] == rows["typos"]["drop"]
    )
    assert scores["all"]["drop"] == pytest.approx(np.mean([row["drop"] for row in rows.values()]))
    assert scores["pictures"]["drop"] == pytest.approx(
        (rows["cloud"]["drop"] + rows["missing-band"]["drop"]) / 2
    )
    worst = max(rows, key=lambda name: rows[name]["worst"]["drop"])
    assert scores["worst"]["corruption"] == worst and scores["worst"]["drop"] > 0


@pytest.mark.parametrize(
    ("on", "pictures", "texts"),
    [("gallery", "mR_t2i", "mR_i2t"), ("query", "mR_i2t", "mR_t2i"), ("both", "mR", "mR")],
)
def test_the_judged_side_chooses_the_direction(report, on, pictures, texts):
    found = evaluate_robustness(ToyEncoder(), patterned(), corruptions=SOME, severities=(1, 4), seed=5, on=on)
    for name, judged in (("cloud", pictures), ("typos", texts)):
        row = found.scores["corruptions"][name]
        assert row["judged_by"] == judged and row["clean"] == report.scores["clean"][judged]
        assert (
            row["by_severity"]["4"]["score"] == report.scores["corruptions"][name]["by_severity"]["4"][judged]
        )
    assert found.protocol["spoilt"] == on


def test_a_run_repeats_and_another_seed_spoils_otherwise(report):
    again = evaluate_robustness(ToyEncoder(), patterned(), corruptions=SOME, severities=(4, 1), seed=5)
    assert again.scores == report.scores
    other = evaluate_robustness(ToyEncoder(), patterned(), corruptions=SOME, severities=(1, 4), seed=6)
    assert other.scores != report.scores and other.provenance["seed"] == 6


def test_clean_rows_are_encoded_once_and_progress_ends_at_its_end():
    toy, told = ToyEncoder(), []
    data = patterned()
    evaluate_robustness(
        toy, data, corruptions=SOME, severities=(2,), progress=lambda done, total: told.append((done, total))
    )
    assert toy.images_seen == 3 * len(data.images), "once clean, twice spoilt"
    dones = [done for done, _ in told]
    assert dones == sorted(dones) and told[-1][0] == told[-1][1]


def test_pair_scorers_score_as_the_encoder_does():
    options = {"corruptions": ["haze", "word-drop"], "severities": (3,)}
    pairs = robustness_of_pairs(ToyScorer(), patterned(), **options)
    vectors = evaluate_robustness(ToyEncoder(), patterned(), **options)
    for name in options["corruptions"]:
        one, other = (found.scores["corruptions"][name]["by_severity"]["3"] for found in (pairs, vectors))
        assert one["mR"] == pytest.approx(other["mR"]) and "drift" not in one and "drift" in other
    assert "drift" not in pairs.table()[0] and "drift" in vectors.table()[0]


def test_codes_flip_about_nought():
    class Hashing(ToyEncoder):
        def __init__(self):
            super().__init__()
            self.card = dataclasses.replace(self.card, extra={"code_bits": 16})

    options = {"corruptions": ["missing-band"], "severities": (5,)}
    own = evaluate_robustness(Hashing(), patterned(), **options).scores["all"]["bit_flips"]
    assert own == 0, "the toy's coordinates are all positive, as codes they never flip"
    assert evaluate_robustness(ToyEncoder(), patterned(), **options).scores["all"]["bit_flips"] > 0


def test_drift_flips_and_kept_answers():
    rows = np.array([[1, 0], [0, 2]], np.float32)
    assert drift(rows, rows) == 0 and drift(rows, rows[::-1]) == 1 and drift(rows, -3 * rows) == 2
    assert bit_flips(rows, rows) == 0 and bit_flips(rows, -rows) == 0.5
    assert bit_flips(rows, rows[::-1], rows.mean(axis=0)) == 1
    assert top_kept(np.array([[1, 2, 3]]), np.array([[3, 9, 1]])) == pytest.approx(2 / 3)


def test_the_report_prints_saves_and_is_drawn(report, tmp_path):
    from landsift.plot import save_report_figure

    report.save(tmp_path / "r.json")
    assert read_report(tmp_path / "r.json").markdown() == report.markdown()
    headings, rows = report.table()
    assert headings[:5] == ["", "clean", "1", "4", "mean"] and len({len(row) for row in rows}) == 1
    assert [row[0] for row in rows] == [*SOME, "all pictures", "all texts", "the whole suite"]
    assert "Worst: " in " ".join(report.facts())
    save_report_figure(tmp_path / "r.png", report)
    with Image.open(tmp_path / "r.png") as drawn:
        assert drawn.width > 300 and len(drawn.convert("RGB").getcolors(1 << 24)) > 20
    short = evaluate_robustness(ToyEncoder(), patterned(), corruptions=["haze"], severities=(1,))
    assert [row[0] for row in short.table()[1]] == ["haze", "the whole suite"]


def test_the_whole_suite_runs_on_a_tiny_set():
    found = evaluate_robustness(ToyEncoder(), patterned(1), severities=(5,))
    assert list(found.scores["corruptions"]) == [*CORRUPTIONS, *TEXT_NOISES]


def test_nonsense_is_refused_before_anything_is_encoded():
    class Untouched(ToyEncoder):
        def encode_images(self, images):
            raise AssertionError("encoded")

    data = patterned()
    bare = RetrievalSet("bare", "test", data.images, data.image_names, [], np.empty(0, np.int64))
    for given, options, words in (
        (bare, {}, "no captions"),
        (data, {"on": "side"}, "gallery, query, both"),
        (data, {"severities": (6,)}, "from 1 to 5"),
        (data, {"corruptions": ["rain"]}, "no corruption"),
        (data, {"caption_style": "loud"}, "no caption style"),
    ):
        with pytest.raises(UsageError, match=words):
            evaluate_robustness(Untouched(), given, **options)


def test_joined_reports_are_the_report_of_one_run(report):
    options = {"corruptions": SOME, "seed": 5}
    parts = [
        evaluate_robustness(ToyEncoder(), patterned(), severities=(level,), **options) for level in (4, 1)
    ]
    joined = join_robustness(parts)
    assert joined.scores == report.scores and joined.protocol == report.protocol
    halves = [
        evaluate_robustness(ToyEncoder(), patterned(), corruptions=some, severities=(1, 4), seed=5)
        for some in (SOME[2:], SOME[:2])
    ]
    assert join_robustness(halves).scores == report.scores
    assert join_robustness([report, parts[0]]).scores == report.scores
    apart = evaluate_robustness(ToyEncoder(), patterned(), corruptions=["haze"], severities=(2,), seed=5)
    for others, words in (
        ([], "no report"),
        ([report, evaluate_robustness(ToyEncoder("other"), patterned(), **options)], "one encoder"),
        ([report, evaluate_robustness(ToyEncoder(), patterned(), on="query", **options)], "one encoder"),
        ([halves[0], apart], "no severity in common"),
    ):
        with pytest.raises(UsageError, match=words):
            join_robustness(others)
