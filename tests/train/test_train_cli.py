"""Training from the command line: what is printed, what is written, and how it says what is wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from small import SIDE, coloured_set, write_set  # noqa: E402

from landsift import load_encoder  # noqa: E402
from landsift.train import list_recipes, read_recipe  # noqa: E402
from landsift.train.fitting import fit  # noqa: E402

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def run(landsift_command):
    return landsift_command


@pytest.fixture
def recipe_file(tmp_path, monkeypatch) -> Path:
    """A recipe over a folder of images and a caption file, in the folder the command is run in."""
    write_set(coloured_set(36), tmp_path / "images", tmp_path / "captions.csv")
    path = tmp_path / "colours.toml"
    path.write_text(
        'name = "colours"\n[data]\ncache = "cache"\n[[data.sets]]\nname = "own"\nroot = "images"\n'
        'captions = "captions.csv"\nsplit = "all"\n[model]\nname = "small:SPEC"\n[loop]\nepochs = 2\n'
        "batch = 9\nthreads = 1\n[validation]\nshare = 0.25\n"
    )
    monkeypatch.chdir(tmp_path)
    return path


def test_train_prints_where_the_encoder_is_and_writes_it(run, recipe_file):
    code, out, err = run("train", recipe_file, "--set", "loop.epochs=3", "--plot", "curves.png")
    assert code == 0 and out == ""
    assert "Trained for 3 passes, 9 steps; best mR" in err and "runs/colours/best" in err
    assert "pass 1/3, training" in err and "images/s" in err and "info-nce" in err
    folder = Path("runs/colours")
    assert Path("curves.png").read_bytes().startswith(PNG)
    assert read_recipe(folder / "resolved.toml").loop.epochs == 3
    assert "`landsift train" in (folder / "README.md").read_text()
    rows = load_encoder("runs/colours").encode_images([np.zeros((SIDE, SIDE, 3), np.uint8)])
    assert rows.shape == (1, 16)


def test_json_is_one_document(run, recipe_file):
    code, out, _ = run("train", recipe_file, "--json")
    found = json.loads(out)
    assert code == 0 and found["steps"] == 6 and len(found["history"]) == 2
    assert found["reports"]["set-aside/val"]["strict"]["mR"] == pytest.approx(found["score"], abs=1e-3)


def test_a_stopped_run_goes_on(run, recipe_file, monkeypatch):
    import landsift.train as train

    real = fit

    def interrupted(recipe, *, progress, **others):
        def tell(moment) -> None:
            progress(moment)
            if moment.phase == "training" and moment.done == 4:
                raise KeyboardInterrupt

        return real(recipe, progress=tell, **others)

    monkeypatch.setattr(train, "fit", interrupted)
    code, _, err = run("train", recipe_file)
    assert code != 0 and "Traceback" not in err
    monkeypatch.undo()
    monkeypatch.chdir(recipe_file.parent)
    monkeypatch.setattr(sys, "argv", ["landsift"])
    code, _, err = run("train", recipe_file)
    assert code == 1 and "already holds a run; go on with --resume" in err
    code, _, err = run("train", recipe_file, "--resume")
    assert code == 0 and "Trained for 2 passes, 6 steps" in err
    code, _, _ = run("train", recipe_file, "--set", "output.folder=whole")
    weights = [Path(run_folder, "best", "model.safetensors") for run_folder in ("runs/colours", "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ucm-captoins"], 2, "did you mean ucm-captions"),
        (
            ["RECIPE", "--set", "loop.epoch=3"],
            2,
            "[loop] has no 'epoch'; did you mean epochs? (known: epochs",
        ),
        (["RECIPE", "--set", "epochs"], 2, "--set takes table.key=value"),
        (["RECIPE", "--set", "data.sets.0.captions=absent.csv"], 1, "absent.csv"),
        (["RECIPE", "--set", "model.name=duel"], 2, "did you mean dual"),
        (["ucm-captions"], 2, "The recipe needs UCM-Captions; set LANDSIFT_DATA"),
        (["RECIPE", "--set", "model.options.explode_at=1"], 1, "loss term explosion became nan in step 2"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_an_exit_code(run, recipe_file, monkeypatch, arguments, code, said):
    monkeypatch.delenv("LANDSIFT_DATA", raising=False)
    given = [str(recipe_file) if word == "RECIPE" else word for word in arguments]
    found, out, err = run("train", *given)
    assert (found, out) == (code, "")
    assert said in " ".join(err.split()) and "Traceback" not in err


def test_recipes_and_methods_are_listed(run):
    code, out, _ = run("list", "recipes")
    assert code == 0
    for name, text in list_recipes().items():
        assert f"{name}: {text}" in out
    assert json.loads(run("list", "recipes", "--json")[1]) == list_recipes()
    code, out, _ = run("list", "methods", "--options")
    assert code == 0 and "dual (Radford et al." in out and "  dim = 384" in out
    assert json.loads(run("list", "methods", "--json")[1])["dual"]["options"]["dim"] == 384


def test_tune_prints_the_front_and_writes_every_trial(run, recipe_file):
    pytest.importorskip("optuna")
    towers = 'model={name="dual", options={start="random", input_size=32, text_width=32, dim=16}}'
    given = ("tune", recipe_file, "--set", towers, "--trials", "2")
    code, out, err = run(*given, "--out", "found.json")
    assert code == 0 and "Best of 2 settings" in out and "Validated on set-aside/val" in out
    assert "Wrote found.json" in err
    assert len(json.loads(Path("found.json").read_text())["trials"]) == 2
    code, out, _ = run(*given, "--json")
    assert code == 0 and len(json.loads(out)["trials"]) == 2
    code, _, err = run("tune", recipe_file, "--trials", "3")
    assert code == 2 and "does not show the levels" in err


def test_the_curves_can_be_drawn_from_a_run_of_any_length(tmp_path):
    from landsift.errors import UsageError
    from landsift.plot import save_training_figure

    rows = [
        {
            "epoch": n + 1.0,
            "step": 1.0,
            "info-nce": 3 / (n + 1),
            "loss": 3 / (n + 1),
            "mR": 9.0 * n,
            "a/val": 9.0 * n,
        }
        for n in range(40)
    ]
    for count in (1, 40):
        save_training_figure(tmp_path / f"{count}.png", rows[:count])
        assert (tmp_path / f"{count}.png").read_bytes().startswith(PNG)
    with pytest.raises(UsageError, match="no pass to draw"):
        save_training_figure(tmp_path / "none.png", [])
