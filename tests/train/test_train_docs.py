"""The page on training runs as it is written, on small towers and made-up pictures."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from small import coloured_set, write_set  # noqa: E402

import landsift.train as train  # noqa: E402
from landsift import cli  # noqa: E402

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
SMALL = [
    "model.options.start=random",
    "model.options.input_size=32",
    "model.options.text_width=32",
    "model.options.text_layers=1",
    "model.freeze=[]",
    "data.maps=false",
    "data.keep_out=[]",
    'data.sets=[{name="own", root="photos", captions="captions.csv", split="all"}]',
    "validation.sets=[]",
    "validation.share=0.2",
    "data.cache=cache",
    "loop.epochs=1",
    "loop.batch=10",
    "loop.chunk=0",
    "loop.threads=1",
]
UNPAIRED = 'data.unpaired=[{name="own", root="photos", captions="captions.csv", split="all"}]'


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def made_small(words: Sequence[str]) -> list[str]:
    """A command of the page, with small towers and few pictures set last, where they count."""
    if words[0] == "list":
        return list(words)
    found = list(words)
    for value in (*SMALL, *([UNPAIRED] if "s-clip" in words else [])):
        found += ["--set", value]
    return [*found, "--trials", "2"] if words[0] == "tune" else found


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with the photos and captions that the page speaks of."""
    write_set(coloured_set(30), tmp_path / "photos", tmp_path / "captions.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_example_runs(here, monkeypatch, capsys):
    real = train.read_recipe
    monkeypatch.setattr(train, "read_recipe", lambda name, given=(): real(name, [*given, *SMALL]))
    (code,) = blocks("python")
    assert len([line for line in code.splitlines() if line]) <= 5
    exec(code, {})
    score, _, seen = capsys.readouterr().out.partition(" ")
    assert float(score) > 0 and "own/all" in seen


def test_the_commands_run_in_their_order(here, monkeypatch, capsys):
    pytest.importorskip("optuna")
    pytest.importorskip("matplotlib")
    shown = [line for line in commands() if line.startswith("landsift ")]
    assert len(shown) > 8
    for number, line in enumerate(shown):
        words = made_small(shlex.split(line)[1:])
        if line == "landsift train ucm-captions --set model.start=runs/simclr/best":
            words += ["--set", "output.folder=runs/started"]  # another run of that name is there already
        monkeypatch.setattr(sys, "argv", ["landsift", *words])
        try:
            cli.main()
            code: object = 0
        except SystemExit as stop:
            code = stop.code
        assert code in (0, None), f"{number}: {line}: {capsys.readouterr().err}"
    for name in ("curves.png", "trials.json", "runs/ucm-captions/best/card.toml", "runs/short/metrics.csv"):
        assert Path(name).is_file(), name


def test_the_files_of_a_run_are_those_of_the_table(here):
    result = train.fit(train.read_recipe("own-captions", SMALL))
    table = re.findall(r"^\| `([^`]+)` \|", PAGE, flags=re.MULTILINE)
    assert {path.name for path in result.folder.iterdir()} == {name.rstrip("/") for name in table}


def test_the_recipe_reads_and_means_what_it_says(here):
    (text,) = blocks("toml")
    Path("ports.toml").write_text(text)
    recipe = train.read_recipe("ports.toml")
    assert recipe.data.sets[1].weight == 3.0 and recipe.data.sampling == "scenes"
    assert set(recipe.loss) == {"info-nce", "triplet"} and recipe.loop.epochs == 12
    assert recipe.model == train.read_recipe("ucm-captions").model


def test_the_processes_run(here):
    (line,) = [line for line in commands() if line.startswith("torchrun ")]
    words = shlex.split(line)
    place = words.index("landsift")
    assert words[place] == "landsift"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    answer = subprocess.run(
        [*words[:1], "--standalone", *words[1 : place + 1], *made_small(words[place + 1 :])],
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert Path("runs/ucm-captions/best/card.toml").is_file()
    assert answer.stderr.count("The encoder is in runs/ucm-captions/best") == 1, "the first process speaks"
