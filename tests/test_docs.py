"""The documents say what is true: commands exist, files exist, pages follow from the stored figures."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import typer.main

HOME = Path(__file__).parents[1]
README = (HOME / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_every_command_in_the_readme_exists_with_its_options():
    from landsift.cli.app import app

    root = typer.main.get_command(app)
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("landsift ")]
    assert len(lines) > 10
    for line in lines:
        words = shlex.split(line.partition(" | ")[0])[1:]
        command = root
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {name for option in command.params for name in option.opts}
        used = {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}
        assert used <= known, line


def test_the_python_example_runs(tmp_path, monkeypatch, archive, capsys):
    import landsift.gallery.gallery as module
    from toys import ToyEncoder

    monkeypatch.setattr(module, "load_encoder", lambda name: ToyEncoder())
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    exec(code.replace("/data/scenes", str(archive)), {})
    assert len(capsys.readouterr().out.splitlines()) == 3  # one place in each toy scene


def test_every_place_in_the_file_table_exists():
    table = README[README.index("## Files") :]
    for row in re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE):
        folder = HOME
        for name in re.findall(r"`([^`]+)`", row):
            path = HOME / name if "/" in name.rstrip("/") else folder / name
            assert path.exists(), name
            folder = path.parent


def test_links_and_pictures_exist():
    for page in (HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", ["benchmarks.md", "leaderboard.md"])
def test_pages_follow_from_the_stored_figures(tmp_path, monkeypatch, name):
    monkeypatch.syspath_prepend(str(HOME))
    sys.modules.pop("benchmarks.page", None)
    from benchmarks import page

    monkeypatch.setattr(page, "DOCS", tmp_path)
    page.write_page()
    assert (tmp_path / name).read_text() == (HOME / "docs" / name).read_text()


def test_the_documents_speak_only_of_the_project():
    for page in (HOME / "README.md", HOME / "CHANGELOG.md", *sorted((HOME / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        assert "/work/" not in text and "/root/" not in text and "TODO" not in text, page.name


def test_the_architecture_page_names_every_room():
    from test_floors import FLOORS

    page = (HOME / "docs" / "architecture.md").read_text(encoding="utf-8")
    for room, floor in FLOORS.items():
        rows = [line for line in page.splitlines() if line.startswith(f"| {floor} |")]
        assert any(f"`{room}/`" in row or f"`{room}.py`" in row for row in rows), room


def test_the_page_of_methods_follows_from_the_registry_and_the_runs(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(HOME))
    sys.modules.pop("benchmarks.page", None)
    from benchmarks import page

    monkeypatch.setattr(page, "DOCS", tmp_path)
    page.write_methods()
    written = (tmp_path / "methods.md").read_text()
    assert written == (HOME / "docs" / "methods.md").read_text()
    assert "`methods/mtfn` | MTFN | 2019 | bilinear | indexable | code read" in written

    monkeypatch.setattr(page, "RESULTS", tmp_path)
    (tmp_path / "methods").mkdir()
    for seed, score in enumerate((51.0, 53.0)):
        (tmp_path / "methods" / f"mtfn-seed{seed}.json").write_text(json.dumps(run_of("mtfn", seed, score)))
    (tmp_path / "methods" / "vsepp-seed0.json").write_text(json.dumps(run_of("vsepp", 0, 40.0)))
    page.write_methods()
    written = (tmp_path / "methods.md").read_text()
    assert "| MTFN | 2 | 52.00 ± 1.41 | 50.00 | 54.00 | 44.65 | +7.35 | 53.00 (transductive) |" in written
    assert "| VSE++ | 1 | 40.00 |" in written
    assert written.index("| MTFN | 2 |") < written.index("| VSE++ | 1 |"), "the best comes first"


def run_of(name: str, seed: int, score: float) -> dict:
    """A result as benchmarks.methods writes it."""
    reranked = {"strict": {"mR": score + 1}} if name == "mtfn" else None
    machine = {"cores": 2, "processor": "some", "python": "3.11"}
    return {
        "method": name,
        "dataset": "ucm-captions",
        "seed": seed,
        "test": {"mR": score, "mR_i2t": score - 2, "mR_t2i": score + 2},
        "reranked": reranked,
        "parameters": 5_000_000,
        "image_ms": 20.0,
        "text_ms": 1.0,
        "score_ms_per_1000_pairs": 0.5,
        "bytes_per_image": 1026,
        "seconds": 600.0,
        "provenance": {"date": "2026-01-01T00:00:00", "commit": "abc", "machine": machine, "command": "run"},
    }
