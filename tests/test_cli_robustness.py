"""evaluate --robustness and --cost, as a user meets them; and their page, which follows from stored runs."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import landsift.encoders
from toys import COLOURS, ToyEncoder

HOME = Path(__file__).parents[1]


class ToyScorer(ToyEncoder):
    """The toy's judgement, pair by pair."""

    def score(self, images, texts):
        return self.encode_images(images) @ self.encode_texts(texts).T


@pytest.fixture
def run(monkeypatch, landsift_command):
    """The command with the toy encoder, or with a scorer of pairs of the name ``pairs``."""
    monkeypatch.setattr(landsift.encoders, "load_encoder", lambda name, **_: ToyEncoder(str(name)))
    monkeypatch.setattr(landsift.encoders, "load_scorer", lambda name, **_: ToyScorer(str(name)))
    monkeypatch.setattr(landsift.encoders, "scores_pairs", lambda name: str(name) == "pairs")
    return landsift_command


def captions_of(folder: Path) -> Path:
    """A user's own set: a picture of each colour, two captions each."""
    rows = ["filename,title"]
    for name, colour in COLOURS.items():
        pixels = np.full((16, 16, 3), 20, np.uint8) + np.array(colour, np.uint8) * 160
        Image.fromarray(pixels).save(folder / f"{name}.png")
        rows += [f"{name}.png,a {name} field", f"{name}.png,all is {name}"]
    (folder / "captions.csv").write_text("\n".join(rows) + "\n")
    return folder / "captions.csv"


@pytest.fixture
def captioned(tmp_path) -> Path:
    return captions_of(tmp_path)


@pytest.mark.parametrize("encoder", ["toy", "pairs"])
def test_robustness_prints_a_table_and_writes_what_was_asked(run, captioned, tmp_path, encoder):
    code, printed, err = run(
        "evaluate", encoder, captioned, "--robustness", "--corruptions", "air,typos", "--severities", "5,2",
        "--on", "gallery", "--seed", 3, "--json", tmp_path / "r.json", "--plot", tmp_path / "r.png",
    )  # fmt: skip
    assert code == 0 and "the whole suite" in printed and "Worst: " in printed, err
    report = json.loads((tmp_path / "r.json").read_text())
    assert list(report["scores"]["corruptions"]) == ["haze", "cloud", "typos"]
    assert report["protocol"]["spoilt"] == "gallery" and report["protocol"]["severities"] == "2 5"
    assert report["provenance"]["seed"] == 3 and (tmp_path / "r.png").stat().st_size > 1000
    assert "--robustness" in report["provenance"]["command"]
    code, printed, _ = run(
        "evaluate",
        encoder,
        captioned,
        "--robustness",
        "--corruptions",
        "jpeg",
        "--severities",
        "1",
        "--markdown",
    )
    assert code == 0 and "| jpeg |" in printed


def test_cost_prints_a_table(run, captioned, monkeypatch, tmp_path):
    import landsift.evaluate.cost as module

    asked = []
    found = {"peak_mb": 120.0, "bare_mb": 40.0, "images": 32}
    monkeypatch.setattr(module, "peak_memory", lambda source, images: asked.append(source) or found)
    code, printed, _ = run("evaluate", "toy", captioned, "--cost", "--json", tmp_path / "c.json")
    assert code == 0 and "GFLOPs" in printed and "120 MB" in printed and asked == ["toy"]
    assert json.loads((tmp_path / "c.json").read_text())["scores"]["index"]["rows"] == 100_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--robustness", "--corruptions", "clouds"], "did you mean cloud"),
        (["--robustness", "--severities", "6"], "from 1 to 5, got 6"),
        (["--robustness", "--severities", "0"], "from 1 to 5, got 0"),
        (["--robustness", "--severities", "1-5"], "numbers between commas"),
        (["--robustness", "--on", "side"], "gallery, query, both"),
        (["--robustness", "--task", "zero-shot"], "is not for --task zero-shot"),
        (["--robustness", "--cost"], "one at a time"),
        (["--robustness", "--rerank", "csls"], "--robustness has no --rerank"),
        (["--robustness", "--semantic"], "--robustness has no --semantic"),
        (["--robustness", "--bits", "16"], "belong to --task hashing"),
        (["--cost", "--plot", "x.png"], "--cost has no --plot"),
        (["--cost", "--on", "both"], "--on belongs to --robustness"),
        (["--corruptions", "haze"], "--corruptions belongs to --robustness"),
        (["--seed", "0"], "--seed belongs to --robustness"),
        (["--robustness", "--seed", "-1"], "--seed"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(run, captioned, options, words):
    code, _, err = run("evaluate", "toy", captioned, *options)
    assert code == 2 and words in " ".join(err.split()) and "Traceback" not in err


def test_a_set_without_captions_has_no_robustness(run, tmp_path):
    for name in COLOURS:
        (tmp_path / "classes" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), name).save(tmp_path / "classes" / name / "1.png")
    code, _, err = run("evaluate", "toy", tmp_path / "classes", "--robustness")
    assert code == 2 and "no captions" in err


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(HOME))
    for name in (
        "benchmarks.evaluation_page",
        "benchmarks.robust_training",
        "benchmarks.robustness",
        "benchmarks.pareto",
        "benchmarks.record",
    ):
        sys.modules.pop(name, None)
    from benchmarks import evaluation_page

    return evaluation_page


def test_the_page_follows_from_the_stored_runs(page, tmp_path, monkeypatch):
    stored = page.DOCS
    monkeypatch.setattr(page, "DOCS", tmp_path)
    (tmp_path / "img").mkdir()
    for picture in (stored / "img").glob("pareto.png"):
        (tmp_path / "img" / picture.name).write_bytes(b"")
    page.write_evaluation()
    assert (tmp_path / "evaluation.md").read_text() == (stored / "evaluation.md").read_text()


def test_runs_are_stored_drawn_and_compared(page, tmp_path, monkeypatch):
    from benchmarks.robustness import save_report
    from landsift.data import load_captions
    from landsift.evaluate import evaluate_robustness, read_reports

    data = load_captions(tmp_path, captions_of(tmp_path), None)
    monkeypatch.setattr(page, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(page, "DOCS", tmp_path / "docs")
    for name in ("one", "two"):
        report = evaluate_robustness(ToyEncoder(name), data, corruptions=["haze", "typos"], severities=(1, 5))
        save_report(tmp_path / "results" / "robustness", report)
    assert [path.name for path in page.draw()] == ["robustness-one.png", "robustness-two.png"]
    page.write_evaluation()
    text = (tmp_path / "docs" / "evaluation.md").read_text()
    assert "| encoder | set | severities | clean mR | drop % | air | text | worst |" in text
    assert "### two on " in text and "img/robustness-two.png" in text and "benchmarks cost` makes" in text
    assert read_reports([tmp_path / "results"]) == [], "they are no reports of retrieval"
    assert "What changing pictures" not in text
    for name in ("vsepp-by-recipe", "vsepp-noise"):
        report = evaluate_robustness(ToyEncoder(name), data, corruptions=["haze", "typos"], severities=(1, 5))
        save_report(tmp_path / "results" / "robustness", report)
    assert len(page.draw()) == 2, "arms of one method have a table, and no picture each"
    page.write_evaluation()
    text = (tmp_path / "docs" / "evaluation.md").read_text()
    assert "### What changing pictures in training brings" in text and "### vsepp-noise" not in text
    assert (
        "- vsepp-noise loses 0.0 points less than vsepp-by-recipe over the suite, at +0.00 clean mR" in text
    )


def test_the_pareto_plot_takes_every_method_with_results(page, tmp_path, capsys):
    from benchmarks import pareto

    out = tmp_path / "p.png"
    pareto.run(["--results", str(tmp_path), "-o", str(out)])
    assert "needs two" in capsys.readouterr().out and not out.exists()
    (tmp_path / "methods").mkdir()
    for method, seed, score, size in (
        ("vsepp", 0, 40.0, 1026),
        ("vsepp", 1, 44.0, 1026),
        ("mtfn", 0, 50.0, 4000),
    ):
        run = {"method": method, "dataset": "ucm-captions", "test": {"mR": score}}
        costs = {"bytes_per_image": size, "image_ms": 20.0 + seed}
        (tmp_path / "methods" / f"{method}-seed{seed}.json").write_text(json.dumps(run | costs))
    other = {"method": "far", "dataset": "rsicd", "test": {"mR": 1.0}, "bytes_per_image": 1, "image_ms": 1}
    (tmp_path / "methods" / "far-seed0.json").write_text(json.dumps(other))
    (tmp_path / "cost").mkdir()
    scores = {"parts": {"image": {"p50_ms": 7.0}}, "bytes_per_image": 768, "mR": 53.0}
    report = {"model": {"name": "lite"}, "dataset": {"name": "ucm-captions"}, "scores": scores}
    (tmp_path / "cost" / "lite.json").write_text(json.dumps({"kind": "cost", "report": report}))
    assert pareto.points_of(tmp_path, "ucm-captions") == [
        {"name": "lite", "mR": 53.0, "bytes": 768, "ms": 7.0},
        {"name": "mtfn", "mR": 50.0, "bytes": 4000, "ms": 20.0},
        {"name": "vsepp", "mR": 42.0, "bytes": 1026, "ms": 20.5},
    ]
    pareto.run(["--results", str(tmp_path), "-o", str(out)])
    assert out.exists() and "Wrote" in capsys.readouterr().out


def test_a_stopped_benchmark_goes_on_with_the_severities_that_are_missing(page, tmp_path, monkeypatch):
    from benchmarks import robustness
    from landsift.data import load_captions
    from landsift.evaluate import evaluate_robustness

    data = load_captions(tmp_path, captions_of(tmp_path), None)
    monkeypatch.setattr(robustness, "card_of", lambda name: ToyEncoder(name).card)

    def part(name, level):
        return evaluate_robustness(ToyEncoder(name), data, corruptions=["haze"], severities=(level,))

    assert robustness.missing(tmp_path, "toy", data, (1, 3)) == [1, 3]
    robustness.add_report(tmp_path, part("toy", 3))
    assert robustness.missing(tmp_path, "toy", data, (1, 3)) == [1]
    assert robustness.add_report(tmp_path, part("toy", 1)).scores["severities"] == [1, 3]
    assert robustness.missing(tmp_path, "toy", data, (1, 3)) == []
    changed = dataclasses.replace(ToyEncoder("toy").card, weights_sha256="other")
    monkeypatch.setattr(robustness, "card_of", lambda name: changed)
    assert robustness.missing(tmp_path, "toy", data, (1, 3)) == [1, 3]
    fresh = dataclasses.replace(part("toy", 5), model={"name": "toy", "weights_sha256": "other"})
    assert robustness.add_report(tmp_path, fresh).scores["severities"] == [5], "what was stored makes room"
