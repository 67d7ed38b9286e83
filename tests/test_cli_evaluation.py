"""evaluate, leaderboard, datasets and list, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import landsift.encoders
from toys import COLOURS, ToyEncoder


@pytest.fixture
def run(monkeypatch, landsift_command):
    """The command with the toy encoder."""
    monkeypatch.setattr(landsift.encoders, "load_encoder", lambda name, **_: ToyEncoder(str(name)))
    monkeypatch.setattr(landsift.encoders, "scores_pairs", lambda name: False)
    return landsift_command


def flat(colour: str, shade: int) -> Image.Image:
    return Image.fromarray(
        np.broadcast_to(np.array(COLOURS[colour], np.uint8) * shade, (8, 8, 3)).astype(np.uint8)
    )


@pytest.fixture
def captioned(tmp_path) -> Path:
    """A user's own set: images and a CSV with two captions each."""
    folder = tmp_path / "own"
    folder.mkdir()
    rows = ["filename,title"]
    for colour in COLOURS:
        flat(colour, 180).save(folder / f"{colour}.png")
        rows += [f"{colour}.png,a {colour} field", f"{colour}.png,all is {colour}"]
    (folder / "captions.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def classes(tmp_path) -> Path:
    folder = tmp_path / "classes"
    for colour in COLOURS:
        (folder / colour).mkdir(parents=True)
        for shade in (150, 200):
            flat(colour, shade).save(folder / colour / f"{shade}.png")
    return folder


def test_evaluate_ones_own_captions(run, captioned, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    code, printed, err = run(
        "evaluate", "toy", captioned / "captions.csv", "--json", out / "r.json", "--plot", out / "r.png",
        "--trec", out / "r", "--clip-benchmark", out / "c.json", "--semantic", "--rerank", "csls",
    )  # fmt: skip
    assert code == 0 and "strict" in printed and "csls (transductive)" in printed
    report = json.loads((out / "r.json").read_text())
    assert report["scores"]["strict"]["t2i_R@1"] == 100 and report["dataset"]["captions"] == 10
    assert report["provenance"]["command"].startswith("landsift evaluate toy")
    names = {"r.json", "r.png", "c.json", "r.i2t.run", "r.i2t.qrels", "r.t2i.run", "r.t2i.qrels"}
    assert {path.name for path in out.iterdir()} == names
    assert err.count("Wrote") == len(names)
    assert "| strict |" in run("evaluate", "toy", captioned / "captions.csv", "--markdown")[1]


def test_evaluate_class_folders(run, classes):
    code, printed, _ = run("evaluate", "toy", classes, "--templates", "plain")
    assert code == 0 and "accuracy 100.00 %" in printed
    code, _, err = run("evaluate", "toy", classes, "--task", "retrieval")
    assert code == 2 and "no captions" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "toy", "no-such-set"], "no-such-set"),
        (["evaluate", "toy", "OWN", "--task", "guess"], "zero-shot, hashing or selo"),
        (["evaluate", "toy", "OWN", "--captions", "loud"], "no caption style"),
        (["evaluate", "toy", "OWN", "--rerank", "magic"], "no re-ranker"),
        (["evaluate", "toy", "rsitmd"], "--root"),
        (["leaderboard", "no-such-set"], "no-such-set"),
        (["datasets", "check", "rsitmd"], "--root"),
    ],
)
def test_wrong_use(run, captioned, monkeypatch, arguments, words):
    monkeypatch.delenv("LANDSIFT_DATA", raising=False)
    code, _, err = run(*[captioned / "captions.csv" if part == "OWN" else part for part in arguments])
    assert code == 2 and words in err and "Traceback" not in err


def test_a_missing_copy_is_a_failure_in_sentences(run, tmp_path):
    code, _, err = run("datasets", "check", "rsitmd", "--root", tmp_path)
    assert code == 1 and "error:" in err
    code, _, err = run("evaluate", "toy", "rsitmd", "--root", tmp_path)
    assert code == 1 and "Traceback" not in err


def test_leaderboard_shows_published_rows_and_ours(run, captioned, tmp_path):
    code, printed, _ = run("leaderboard", "rsitmd", "--results", tmp_path)
    assert code == 0 and "GeoRSCLIP" in printed and "zero-shot: " in printed
    code, printed, _ = run("leaderboard", "ucm", "--results", tmp_path, "--markdown")
    assert code == 0 and printed.startswith("## UCM-Captions")


def test_lists(run):
    code, printed, _ = run("list", "datasets")
    assert code == 0 and "RSITMD" in printed and "licence" in printed
    rows = {row["name"] for row in json.loads(run("list", "datasets", "--json")[1])}
    expected = {
        "ucm-captions",
        "sydney-captions",
        "rsicd",
        "rsitmd",
        "nwpu-captions",
        "rsicap",
        "rs5m",
        "skyscript",
    }
    assert expected <= rows
    assert "remoteclip" in run("list", "templates")[1]


def test_overlap_writes_a_list_that_evaluate_takes(run, real_data, tmp_path):
    pytest.importorskip("imagehash")
    code, printed, _ = run(
        "datasets", "overlap", "ucm", "ucm", "--root", real_data / "ucm_captions", "--split", "val",
        "--other-root", real_data / "ucm_captions", "--other-split", "test", "--captions-only",
        "--write", tmp_path / "list.json",
    )  # fmt: skip
    assert code == 0 and "word for word" in printed
    listed = json.loads((tmp_path / "list.json").read_text())
    left = len(listed["images"])
    assert 0 < left < 210
    code, printed, _ = run(
        "evaluate", "toy", "ucm", "--root", real_data / "ucm_captions", "--exclude", tmp_path / "list.json"
    )
    assert code == 0 and f"{210 - left} images" in printed and "without" in printed


def test_check_of_a_whole_copy(run, real_data):
    code, _, err = run("datasets", "check", "ucm", "--root", real_data / "ucm_captions")
    assert code == 0 and "complete" in err
