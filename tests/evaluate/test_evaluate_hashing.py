"""Coders against slow twins, and the hashing protocol from pictures to a report."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

import numpy as np
import pytest

from landsift.errors import UsageError
from landsift.evaluate import evaluate_hashing, read_report
from landsift.evaluate.coders import CODERS, CanonicalSpace, OwnSigns, fit_coder
from landsift.evaluate.hashing import CodedPairs, recall_by_codes, score_directions, shortlisted
from landsift.metrics import mean_average_precision
from landsift.types import RetrievalSet
from toys import COLOURS, ToyEncoder


def rows(count: int = 300, dim: int = 24, classes: int = 6, gap: float = 3.0) -> CodedPairs:
    """Clusters, alike on both sides but for a constant gap between these and some noise."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((classes, dim)) * np.linspace(2, 0.2, dim)
    labels = rng.integers(0, classes, count)

    def side(shift: float) -> np.ndarray:
        return (centres[labels] + 0.2 * rng.standard_normal((count, dim)) + shift).astype(np.float32)

    return CodedPairs(side(0.0), side(gap), labels.astype(np.int64))


def quality(coder, pairs: CodedPairs) -> float:
    scores = coder.queries(pairs.images, "image") @ coder.items(pairs.texts, "text").T
    return mean_average_precision(scores, pairs.labels[:, None] == pairs.labels[None])


@pytest.mark.parametrize("name", CODERS)
def test_coders_see_through_the_gap_between_sides(name):
    """Without each side's own mean taken away, bits would tell only the side."""
    pairs = rows(classes=12)
    coder = fit_coder(name, 16, pairs.images, pairs.texts)
    assert coder.name == name and coder.bits == 16
    assert quality(coder, pairs) > 0.6 > 0.4 > quality(OwnSigns(24), pairs)
    again = fit_coder(name, 16, pairs.images, pairs.texts)
    assert np.array_equal(again.items(pairs.images, "image"), coder.items(pairs.images, "image"))
    if coder.binary:
        assert set(np.unique(coder.items(pairs.images, "image"))) == {-1.0, 1.0}
        assert coder.items(pairs.images, "image").shape == (300, 16)


def test_itq_loses_less_than_unturned_components():
    pairs = rows()
    pca, itq = (fit_coder(name, 12, pairs.images, pairs.texts) for name in ("pca-sign", "itq"))
    turn = np.linalg.lstsq(pca.directions, itq.directions, rcond=None)[0]
    assert turn @ turn.T == pytest.approx(np.eye(12), abs=1e-4), "the same plane, turned"

    def loss(coder) -> float:
        real = (pairs.images - coder.means["image"]) @ coder.directions
        return float(((coder.items(pairs.images, "image") - real) ** 2).mean())

    assert loss(itq) < loss(pca)


def test_pq_names_the_nearest_centre_of_each_part():
    pairs = rows(400)
    coder = fit_coder("pq", 24, pairs.images, pairs.texts)
    turned, items = coder.queries(pairs.images, "image"), coder.items(pairs.images, "image")
    for number, centres in enumerate(coder.centres):
        part = slice(8 * number, 8 * number + 8)
        for row in (0, 7, 99):
            apart = ((turned[row, part] - centres) ** 2).sum(axis=1)
            assert np.array_equal(items[row, part], centres[apart.argmin()])
    assert np.square(items - turned).mean() < 0.3 * turned.var()


def test_a_space_for_towers_that_share_none():
    rng = np.random.default_rng(1)
    hidden = rng.standard_normal((500, 5))
    images = (hidden @ rng.standard_normal((5, 20)) + 0.1 * rng.standard_normal((500, 20))).astype(np.float32)
    texts = (hidden @ rng.standard_normal((5, 12)) + 0.1 * rng.standard_normal((500, 12))).astype(np.float32)
    space = CanonicalSpace(images[:300], texts[:300], 5, ridge=0.01)
    scores = space(images[300:], "image") @ space(texts[300:], "text").T
    assert (scores.argmax(axis=1) == np.arange(200)).mean() > 0.9
    with pytest.raises(UsageError, match="no pairs"):
        CanonicalSpace(images, texts[:10], 3)
    with pytest.raises(UsageError, match="common directions"):
        CanonicalSpace(images, texts, 13)


def test_coders_refuse_what_they_cannot_do():
    pairs = rows(50)
    for name, bits, message in (
        ("magic", 8, "the coders are"),
        ("itq", 25, "at most 24"),
        ("pca-sign", 25, "lsh"),
        ("pq", 12, "multiple of 8"),
        ("pq", 256, "fewer bits"),
        ("lsh", 0, "1 bit or more"),
    ):
        with pytest.raises(UsageError, match=message):
            fit_coder(name, bits, pairs.images, pairs.texts)
    with pytest.raises(UsageError, match="one space"):
        fit_coder("lsh", 8, pairs.images, pairs.texts[:, :3])
    with pytest.raises(ValueError, match="one row a thing"):
        CodedPairs(pairs.images, pairs.texts[:3], pairs.labels)


def test_directions_ask_with_one_side_and_search_the_other():
    pairs = rows(120)
    swapped = CodedPairs(pairs.texts, pairs.images, pairs.labels)
    coder = OwnSigns(24)
    found, other = score_directions(coder, pairs, pairs), score_directions(coder, swapped, swapped)
    assert found["i2t"] == other["t2i"] and found["i2i"] == other["t2t"]
    assert found["i2t"]["mean_ap"] != found["i2i"]["mean_ap"]
    assert (
        score_directions(fit_coder("pq", 8, pairs.images, pairs.texts), pairs, pairs)["i2t"]["lookup"] == ()
    )


def test_a_shortlist_is_ordered_by_real_scores():
    codes = np.array([[5.0, 3.0, 3.0, 1.0]])
    real = np.array([[-2.0, -1.0, 9.0, 8.0]])
    assert np.argsort(-shortlisted(codes, real, 2)[0]).tolist() == [1, 0, 2, 3]
    assert np.argsort(-shortlisted(codes, real, 4)[0]).tolist() == np.argsort(-real[0]).tolist()
    for keep, other in ((0, real), (1, real[:, :2])):
        with pytest.raises(UsageError, match="must be alike"):
            shortlisted(codes, other, keep)


def test_a_full_shortlist_gives_the_real_recalls():
    pairs = rows(60)
    coder = fit_coder("itq", 16, pairs.images, pairs.texts)
    image_of = np.arange(60)
    found = recall_by_codes(coder, pairs.images, pairs.texts, image_of, shortlist=60)
    assert found["reranked"] == found["float"] != found["codes"]


def colours(copies: int = 12) -> RetrievalSet:
    """Flat pictures of each colour, two captions each; the class is the colour."""
    images, captions, labels = [], [], []
    for label, (word, rgb) in enumerate(COLOURS.items()):
        for copy in range(copies):
            shade = 100 + 10 * copy
            images.append(np.broadcast_to(np.array(rgb, np.uint8) * shade, (8, 8, 3)).astype(np.uint8))
            captions += [f"a {word} field", f"the {word} one"]
            labels.append(label)
    names = [f"{number}.png" for number in range(len(images))]
    image_of = np.repeat(np.arange(len(images)), 2).astype(np.int64)
    return RetrievalSet(
        "colours", "all", images, names, captions, image_of, np.array(labels, np.int64), tuple(COLOURS)
    )


def test_a_report_from_pictures(tmp_path):
    data = colours()
    report = evaluate_hashing(ToyEncoder(), data, coder="lsh", bits=32, k=5, command="here")
    found = report.scores["directions"]
    assert set(found) == {"i2t", "t2i", "i2i", "t2t"}
    assert found["t2t"]["mean_ap"]["map_all"] > 0.95
    total = len(data.images)
    assert report.dataset["images"] == (total - total // 2) // 5 and report.task == "hashing"
    headings, lines = report.table()
    assert [line[0] for line in lines] == [
        "image to text",
        "text to image",
        "image to image",
        "text to text",
    ]
    assert "first 5 relevant" in headings and all(len(line) == len(headings) for line in lines)
    assert "with real vectors on the best 50" in " ".join(report.facts())
    report.save(tmp_path / "one.json")
    assert read_report(tmp_path / "one.json").markdown() == report.markdown()


def test_auto_takes_own_signs_of_hashing_methods():
    import dataclasses

    encoder = ToyEncoder()
    assert evaluate_hashing(encoder, colours(), bits=2).scores["coder"] == "itq"
    card = dataclasses.replace(
        encoder.card, extra={"code_bits": encoder.card.dim}, trained_on=("colours/val",)
    )
    encoder.card = card
    report = evaluate_hashing(encoder, colours())
    assert report.scores["coder"] == "own" and report.scores["bits"] == encoder.card.dim
    assert "not a test" in report.leakage[0]
    encoder.card = dataclasses.replace(card, trained_on=("colours/hashing-train",))
    assert "alone" in evaluate_hashing(encoder, colours()).leakage[0]


def test_sets_that_codes_cannot_be_judged_on():
    data = colours()
    bare = RetrievalSet("own", "all", data.images, data.image_names, data.captions, data.image_of)
    with pytest.raises(UsageError, match="no scene classes"):
        evaluate_hashing(ToyEncoder(), bare)
    with pytest.raises(UsageError, match="the coders are own"):
        evaluate_hashing(ToyEncoder(), data, coder="runes")


def run(monkeypatch, capsys, *arguments: object) -> tuple[str, str]:
    from landsift import cli

    monkeypatch.setattr(sys, "argv", ["landsift", *map(str, arguments)])
    with suppress(SystemExit):
        cli.main()
    printed = capsys.readouterr()
    return printed.out, " ".join(printed.err.split())


def test_the_command_line(monkeypatch, capsys, tmp_path):
    import landsift.cli.tasks as module
    import landsift.encoders as encoders

    asked = []

    def load(name, root, split, *, partial=False):
        asked.append(split)
        return colours()

    monkeypatch.setattr(module, "load_set", load)
    monkeypatch.setattr(encoders, "load_encoder", lambda name: ToyEncoder())
    monkeypatch.setattr(encoders, "scores_pairs", lambda name: False)
    path = tmp_path / "report.json"
    options = ("--task", "hashing", "--coder", "lsh", "--bits", "16", "--json", path)
    out, _ = run(monkeypatch, capsys, "evaluate", "toy", "colours", *options)
    assert asked == ["all"] and "text to image" in out and "codes of 16 bits (lsh)" in out
    assert json.loads(path.read_text())["scores"]["bits"] == 16
    _, err = run(monkeypatch, capsys, "evaluate", "toy", "colours", "--bits", "16")
    assert "belong to --task hashing" in err
    _, err = run(monkeypatch, capsys, "evaluate", "toy", "colours", "--task", "hashing", "--rerank", "csls")
    assert "--task hashing has no --rerank" in err
    _, err = run(monkeypatch, capsys, "evaluate", "toy", "colours", "--task", "hush")
    assert "zero-shot, hashing or selo" in err
