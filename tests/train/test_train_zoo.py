"""Published methods through the whole house: trained from cached maps, resumed, loaded, evaluated, listed."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from small import coloured_set, write_set  # noqa: E402

from landsift import cli  # noqa: E402
from landsift.encoders import load_encoder, load_scorer, scores_pairs  # noqa: E402
from landsift.errors import EncoderError, UsageError  # noqa: E402
from landsift.evaluate import evaluate, evaluate_pairs  # noqa: E402
from landsift.models.checkpoint import read_matcher  # noqa: E402
from landsift.models.listing import method_rows, published_row, read_runs  # noqa: E402
from landsift.models.registry import MethodCard, find_matcher, list_zoo  # noqa: E402
from landsift.train import FitResult, Recipe, fit, read_recipe  # noqa: E402

SMALL = (
    "model.options.image=resnet-mini",
    "model.options.image_start=random",
    "model.options.text_start=random",
    "model.options.input_size=32",
    "model.options.dim=16",
    "model.options.word_width=8",
    "data.views=2",
    "data.keep_out=[]",
    "loop.epochs=2",
    "loop.batch=12",
    "loop.threads=1",
    "loop.device=cpu",
)


def recipe(name: str, folder: Path, *changes: str) -> Recipe:
    places = (f'data.cache="{folder}/cache"', f'output.folder="{folder}/{name}"')
    return read_recipe(f"methods/{name}", (*SMALL, *places, *changes))


def trained(name: str, folder: Path, *changes: str, resume: bool = False) -> FitResult:
    return fit(
        recipe(name, folder, *changes),
        train=[coloured_set(36)],
        validation=[coloured_set(18, 1, split="val")],
        resume=resume,
    )


@pytest.mark.parametrize("name", ["amfmn-soft", "kamcl", "mcrn", "ieft", "harma"])
def test_a_method_trains_and_loads_alone(name, tmp_path):
    result = trained(name, tmp_path)
    data = coloured_set(36, 2, split="test")
    exact = find_matcher(name).card.exact_index
    assert scores_pairs(result.folder) != exact
    if exact:
        report = evaluate(load_encoder(result.folder), data, resamples=10)
    else:
        with pytest.raises(EncoderError, match="scores each pair anew"):
            load_encoder(result.folder)
        report = evaluate_pairs(load_scorer(result.folder), data, resamples=10, semantic=True)
        assert 0 <= report.scores["semantic"]["i2t_mAP@R"] <= 100
    assert 0 < report.scores["strict"]["mR"] <= 100 and report.model["name"] == name
    assert report.dataset["distinct_captions"] < len(data.captions)


@pytest.mark.parametrize("name", ["kamcl", "mcrn", "ebaker"])
def test_a_resumed_run_gives_the_same_weights(name, tmp_path):
    """Queues, thresholds, slow copies and critics are part of what a checkpoint holds."""
    whole = trained(name, tmp_path / "whole")
    folder = tmp_path / "parts"

    class Stopped(Exception):
        pass

    def stop(moment):
        if moment.phase == "training" and moment.epoch == 2:
            raise Stopped

    with pytest.raises(Stopped):
        fit(
            recipe(name, folder),
            train=[coloured_set(36)],
            validation=[coloured_set(18, 1, split="val")],
            progress=stop,
        )
    trained(name, folder, resume=True)
    one, two = (read_matcher(place / "last").state_dict() for place in (whole.folder, folder / name))
    assert all(torch.equal(value, two[key]) for key, value in one.items())


def test_methods_share_one_cache_of_maps(tmp_path):
    trained("vsepp", tmp_path)
    before = {path.name for path in (tmp_path / "cache").glob("maps-*")}
    trained("amfmn-soft", tmp_path, "loop.epochs=1")
    assert {path.name for path in (tmp_path / "cache").glob("maps-*")} == before
    trained("lwmcr-b", tmp_path, "loop.epochs=1")
    assert {path.name for path in (tmp_path / "cache").glob("maps-*")} > before, "another cut, other maps"


def test_a_scorer_says_what_it_cannot_do(tmp_path):
    with pytest.raises(EncoderError, match="load it with load_encoder"):
        load_scorer("landsift-lite")
    assert not scores_pairs("landsift-lite")
    with pytest.raises(EncoderError, match="no encoder and no folder"):
        scores_pairs("nowhere")
    data = coloured_set(4)
    bare = type(data)("own", "test", data.images, data.image_names, [], np.zeros(0, np.int64))
    with pytest.raises(UsageError, match="has no captions"):
        evaluate_pairs(object(), bare)


def run(monkeypatch, capsys, *arguments: object) -> tuple[str, str]:
    monkeypatch.setattr(sys, "argv", ["landsift", *map(str, arguments)])
    with suppress(SystemExit):
        cli.main()
    printed = capsys.readouterr()
    return printed.out, printed.err


def own_set(folder: Path) -> Path:
    """The coloured pictures as files with a table of captions."""
    write_set(coloured_set(12, 3, split="test"), folder, folder / "captions.csv", "title")
    return folder / "captions.csv"


def test_the_command_line_evaluates_pair_scorers(monkeypatch, capsys, tmp_path):
    folder = trained("scan-t2i", tmp_path, "loop.epochs=1").folder
    captions = own_set(tmp_path / "own")
    out, _ = run(monkeypatch, capsys, "evaluate", folder, captions)
    assert "scan-t2i" in out and "strict" in out
    out, _ = run(monkeypatch, capsys, "evaluate", folder, captions, "--rerank", "csls", "--markdown")
    assert "csls" in out and "(transductive)" in out
    _, err = run(monkeypatch, capsys, "evaluate", folder, captions, "--trec", tmp_path / "run")
    assert "scores pairs and has no vectors; leave --trec out" in " ".join(err.split())


def test_the_list_shows_what_each_method_is(monkeypatch, capsys, tmp_path):
    run_file = {"method": "mtfn", "dataset": "ucm-captions", "seed": 0, "test": {"mR": 51.23}}
    (tmp_path / "mtfn-seed0.json").write_text(json.dumps(run_file))
    (tmp_path / "mtfn-seed1.json").write_text(json.dumps(run_file | {"seed": 1, "test": {"mR": 53.23}}))
    (tmp_path / "other.json").write_text("[1]")
    (tmp_path / "broken.json").write_text("{")
    assert len(read_runs(tmp_path)) == 2
    out, _ = run(monkeypatch, capsys, "list", "methods", "--results", tmp_path)
    line = next(line for line in out.splitlines() if line.startswith("mtfn "))
    for said in ("MTFN", "2019", "bilinear", "indexable", "code read", "44.65", "14.81", "26.92", "52.23"):
        assert said in line, said
    assert "re-rank only" in next(line for line in out.splitlines() if line.startswith("scan-t2i "))
    out, _ = run(monkeypatch, capsys, "list", "methods", "--json", "--results", tmp_path)
    found = json.loads(out)
    assert found["mtfn"]["our_mR"] == {"ucm-captions": 52.23} and found["dual"]["citation"]
    assert found["faami"]["source"] == "abstract only" and found["galr"]["stands_in"] == "detected objects"
    out, _ = run(monkeypatch, capsys, "list", "methods", "--options")
    assert "vsepp (Faghri" in out and "  input_size = 224" in out


def test_published_rows_of_another_protocol_are_passed_over():
    card = find_matcher("skyclip").card
    assert published_row(card, "ucm-captions") is None
    assert published_row(find_matcher("kamcl").card, "rsicd").backbone == "ResNet-18"
    assert published_row(MethodCard("new", 2026, "dot", "paper"), "rsicd") is None
    rows = {row.name: row for row in method_rows()}
    assert set(rows) == set(list_zoo()) and rows["vsepp"].published["ucm-captions"] == 36.93
    with pytest.raises(ValueError, match="source is one of"):
        MethodCard("new", 2026, "dot", "hearsay")
