"""Reports: the right numbers from the right vectors, everything that could change them recorded."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from landsift.errors import DatasetError, UsageError
from landsift.evaluate import (
    Report,
    encode_set,
    evaluate,
    evaluate_encoded,
    evaluate_pairs,
    leaderboard,
    leaderboard_markdown,
    read_report,
    read_reports,
    write_trec,
    zero_shot,
)
from landsift.metrics import RERANKERS, retrieval_report
from landsift.types import RetrievalSet
from toys import COLOURS, ToyEncoder


def colour_set(name: str = "colours", copies: int = 2) -> RetrievalSet:
    """A few flat pictures of each colour, two captions each; the class is the colour."""
    images, captions, image_of, labels = [], [], [], []
    for label, (word, rgb) in enumerate(COLOURS.items()):
        for copy in range(copies):
            shade = 150 + 10 * copy
            images.append(np.broadcast_to(np.array(rgb, np.uint8) * shade, (8, 8, 3)).astype(np.uint8))
            captions += [f"A {word} field .", f"number {copy} of the {word} pictures"]
            image_of += [len(images) - 1] * 2
            labels.append(label)
    return RetrievalSet(
        name,
        "test",
        images,
        [f"{number}.png" for number in range(len(images))],
        captions,
        np.array(image_of, np.int64),
        np.array(labels, np.int64),
        tuple(COLOURS),
    )


class ToyScorer(ToyEncoder):
    """The same judgement, given pair by pair."""

    def score(self, images, texts):
        return self.encode_images(images) @ self.encode_texts(texts).T


class Collapsed(ToyEncoder):
    """Gives everything the same vector."""

    def encode_images(self, images):
        return np.tile(np.eye(16, dtype=np.float32)[0], (len(images), 1))

    def encode_texts(self, texts):
        return np.tile(np.eye(16, dtype=np.float32)[0], (len(texts), 1))


def test_scores_are_those_of_the_metrics_on_the_encoders_vectors():
    data, toy = colour_set(), ToyEncoder()
    report = evaluate(toy, data)
    images, captions = toy.encode_images(data.images), toy.encode_texts(data.captions)
    expected = retrieval_report(images, captions, data.image_of).as_dict()
    assert report.scores["strict"] == pytest.approx(expected)
    assert report.scores["duplicate_aware"]["mR"] >= report.scores["strict"]["mR"]
    assert report.scores["scene"]["i2t_SR@1"] == 100


def test_each_distinct_caption_is_encoded_once_and_rows_keep_their_order():
    seen: list[str] = []

    class Counting(ToyEncoder):
        def encode_texts(self, texts):
            seen.extend(texts)
            return super().encode_texts(texts)

    data, counting, told = colour_set(), Counting(), []
    _, captions = encode_set(counting, data, progress=lambda done, total: told.append((done, total)))
    assert len(seen) == len(set(seen)) == len(set(data.captions)) < len(data.captions)
    assert np.array_equal(captions, ToyEncoder().encode_texts(data.captions))
    assert told[-1][0] == told[-1][1] == len(data.images) + len(set(data.captions))


def test_a_collapsed_encoder_scores_chance_not_a_hundred():
    data = colour_set()
    scores = evaluate(Collapsed(), data).scores
    assert scores["strict"]["t2i_R@1"] == pytest.approx(100 / len(data.images))
    assert scores["ties"]["optimistic"]["t2i_R@1"] == 100 and scores["ties"]["pessimistic"]["t2i_R@1"] == 0


def test_options_are_applied_and_recorded():
    class Shouting(ToyEncoder):
        def encode_texts(self, texts):
            assert all(text.startswith("a satellite image. ") for text in texts)
            return super().encode_texts(texts)

    report = evaluate(Shouting(), colour_set(), caption_style="prefixed", resamples=50, seed=3, command="x")
    assert report.protocol["captions"] == "prefixed" and report.protocol["resamples"] == 50
    assert report.provenance["seed"] == 3 and report.provenance["command"] == "x"
    assert report.dataset["sha256"] != evaluate(ToyEncoder(), colour_set(copies=3)).dataset["sha256"]
    with pytest.raises(UsageError, match="no caption style"):
        evaluate(ToyEncoder(), colour_set(), caption_style="loud")


def test_semantic_scores_reward_equal_captions():
    figures = evaluate(ToyEncoder(), colour_set(), semantic=True).scores["semantic"]
    assert set(figures) == {f"{d}_{m}" for d in ("i2t", "t2i") for m in ("mAP@R", "R-Precision", "nDCG@10")}
    assert all(0 <= value <= 100 for value in figures.values())
    assert (
        figures["t2i_R-Precision"]
        > 60
        > evaluate(Collapsed(), colour_set(), semantic=True).scores["semantic"]["t2i_R-Precision"]
    )


def test_clip_benchmark_json_holds_shares():
    report = evaluate(ToyEncoder(), colour_set())
    result, strict = report.clip_benchmark(), report.scores["strict"]
    assert result["metrics"]["image_retrieval_recall@5"] == strict["t2i_R@5"] / 100
    assert result["metrics"]["text_retrieval_recall@1"] == strict["i2t_R@1"] / 100
    assert result["task"] == "zeroshot_retrieval"


@pytest.mark.parametrize("name", RERANKERS)
def test_re_ranking_stands_beside_the_plain_scores_and_is_flagged(name):
    plain = evaluate(ToyEncoder(), colour_set())
    report = evaluate(ToyEncoder(), colour_set(), rerank=name)
    assert report.scores["strict"] == plain.scores["strict"] and report.protocol["re-ranking"] == name
    assert report.scores["reranked"]["transductive"] and "(transductive)" in report.markdown()
    banked = evaluate(ToyEncoder(), colour_set(), rerank=name, bank=colour_set("bank"))
    assert not banked.scores["reranked"]["transductive"] and banked.scores["reranked"]["bank"] == "bank/test"
    with pytest.raises(UsageError, match="no re-ranker"):
        evaluate(ToyEncoder(), colour_set(), rerank="magic")


@pytest.mark.parametrize("bank", [None, colour_set("bank", copies=3)])
@pytest.mark.parametrize("name", RERANKERS)
def test_pairs_are_re_ranked_as_vectors_are(name, bank):
    by_pairs = evaluate_pairs(ToyScorer(), colour_set(), rerank=name, bank=bank)
    by_vectors = evaluate(ToyEncoder(), colour_set(), rerank=name, bank=bank)
    assert by_pairs.scores["reranked"] == by_vectors.scores["reranked"]
    assert by_pairs.protocol["re-ranking"] == name
    with pytest.raises(UsageError, match="no re-ranker"):
        evaluate_pairs(object(), colour_set(), rerank="magic")


def test_trec_files_score_the_same_elsewhere(tmp_path):
    ir_measures = pytest.importorskip("ir_measures")
    from ir_measures import Success

    data = colour_set()
    encoded = encode_set(ToyEncoder(), data)
    # Without ties the run files and the report must agree to the last hit.
    random = np.random.default_rng(0)
    noisy = tuple((v + random.normal(0, 0.05, v.shape)).astype(np.float32) for v in encoded)
    paths = write_trec(tmp_path / "toy", "toy", data, noisy)
    assert [path.name for path in paths] == ["toy.i2t.run", "toy.i2t.qrels", "toy.t2i.run", "toy.t2i.qrels"]
    report = evaluate_encoded(ToyEncoder().card, data, noisy)
    for side, (run, qrels) in (("i2t", paths[:2]), ("t2i", paths[2:])):
        found = ir_measures.calc_aggregate(
            [Success @ k for k in (1, 5, 10)],
            ir_measures.read_trec_qrels(str(qrels)),
            ir_measures.read_trec_run(str(run)),
        )
        for measure, value in found.items():
            assert 100 * value == pytest.approx(
                report.scores["strict"][f"{side}_R@{measure.params['cutoff']}"]
            )


def test_zero_shot_finds_the_colours():
    report = zero_shot(ToyEncoder(), colour_set(), templates="plain")
    assert report.scores["accuracy"] == 100 and report.scores["confusion"]["red"] == {"red": 2.0}
    assert zero_shot(Collapsed(), colour_set()).scores["accuracy"] == pytest.approx(20)


def test_images_of_unknown_class_are_left_out_and_counted():
    data = colour_set()
    partly = dataclasses.replace(data, labels=np.where(np.arange(10) == 0, -1, data.labels))
    report = zero_shot(ToyEncoder(), partly, templates="plain")
    assert report.dataset["images"] == 9 and report.dataset["without_class"] == 1


def test_tasks_that_do_not_fit_the_set_are_refused():
    data = colour_set()
    bare = RetrievalSet(data.name, "test", data.images, data.image_names, [], np.empty(0, np.int64))
    with pytest.raises(UsageError, match="no captions"):
        evaluate(ToyEncoder(), bare)
    with pytest.raises(UsageError, match="no classes"):
        zero_shot(ToyEncoder(), bare)
    with pytest.raises(UsageError, match="no templates"):
        zero_shot(ToyEncoder(), data, templates="poems")
    with pytest.raises(UsageError, match="'normalised' or 'raw'"):
        zero_shot(ToyEncoder(), data, average="median")


def test_a_report_survives_its_file_and_prints(tmp_path):
    for report in (
        evaluate(ToyEncoder(), colour_set(), semantic=True),
        zero_shot(ToyEncoder(), colour_set()),
    ):
        report.save(tmp_path / "r.json")
        again = read_report(tmp_path / "r.json")
        assert isinstance(again, Report) and again.markdown() == report.markdown()
        assert "| " in report.markdown() and "Protocol: " in report.markdown()
    (tmp_path / "bad.json").write_text('{"format": 99}')
    with pytest.raises(DatasetError, match="not an evaluation report"):
        read_report(tmp_path / "bad.json")
    assert len(read_reports([tmp_path])) == 1


def test_the_leaderboard_puts_our_run_among_the_published_ones(tmp_path):
    report = evaluate(ToyEncoder(), colour_set("ucm-captions"))
    rows = leaderboard("ucm", [report, evaluate(ToyEncoder(), colour_set("rsicd"))])
    ours = [row for row in rows if row.ours]
    assert len(ours) == 1 and ours[0].mR == report.scores["strict"]["mR"] and len(rows) > 10
    printed = [row.mR if row.mR is not None else row.recomputed_mR for row in rows]
    assert printed == sorted(printed, reverse=True)
    page = leaderboard_markdown("ucm", rows)
    assert "**toy** (ours)" in page and "VSE++" in page
    assert len({line.count("|") for line in page.splitlines() if line.startswith("|")}) == 1


def test_what_the_encoder_has_seen_is_said():
    seen = ToyEncoder()
    object.__setattr__(seen.card, "trained_on", ("ucm-captions/test", "rsitmd/train"))
    report = evaluate(seen, colour_set("ucm-captions"))
    assert "not a test" in report.leakage[0] and "not a test" in " ".join(report.facts())
    assert any("shares pictures" in line for line in report.leakage)
    row = next(row for row in leaderboard("ucm", [report]) if row.ours)
    assert "not a test" in row.flags
    clean = evaluate(ToyEncoder(), colour_set("ucm-captions"))
    assert clean.leakage == [] and "No overlap" in " ".join(clean.facts())


def test_figures_are_drawn(tmp_path):
    from PIL import Image

    from landsift.plot import save_report_figure

    for name, report in (
        ("r", evaluate(ToyEncoder(), colour_set())),
        ("c", zero_shot(ToyEncoder(), colour_set())),
    ):
        save_report_figure(tmp_path / f"{name}.png", report)
        with Image.open(tmp_path / f"{name}.png") as drawn:
            assert drawn.width > 300 and len(drawn.convert("RGB").getcolors(1 << 24)) > 20


def test_json_holds_plain_values():
    assert json.loads(json.dumps(evaluate(ToyEncoder(), colour_set()).as_dict()))["task"] == "retrieval"
