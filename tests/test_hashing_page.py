"""The page on hashing follows from the registry and the stored runs; the benchmark keeps what it has."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

HOME = Path(__file__).parents[1]


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(HOME))
    for name in ("benchmarks.hashing_page", "benchmarks.record"):
        sys.modules.pop(name, None)
    from benchmarks import hashing_page

    return hashing_page


def run_of(name: str, bits: int, seed: int, value: float, **more: object) -> dict:
    """A run as benchmarks.hashing writes it."""
    machine = {"cores": 2, "processor": "some", "python": "3.11"}
    directions = {
        side: {"mean_ap": {"map_first_k_relevant": value + 0.1 * (side == "t2i")}} for side in ("i2t", "t2i")
    }
    return {
        "method": name,
        "dataset": "ucm-captions",
        "bits": bits,
        "seed": seed,
        "directions": directions,
        "recall": {"codes": {"mR": 100 * value}},
        "provenance": {"date": "2026-01-01T00:00:00", "commit": "abc", "machine": machine, "command": "run"},
    } | more


def test_the_page_follows_from_the_stored_runs(page, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "DOCS", tmp_path)
    page.write_hashing()
    assert (tmp_path / "hashing.md").read_text() == (HOME / "docs" / "hashing.md").read_text()


def test_methods_are_ranked_and_coders_stand_below(page, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "DOCS", tmp_path)
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    (tmp_path / "hashing").mkdir()
    runs = [run_of("duch", 16, seed, value, seconds=4) for seed, value in enumerate((0.5, 0.7))]
    runs += [run_of("duch", 128, 0, 0.8, seconds=6), run_of("djsrh", 16, 0, 0.4, seconds=2)]
    runs += [run_of("itq", 16, 0, 0.9, coder=True)]
    for number, run in enumerate(runs):
        (tmp_path / "hashing" / f"{number}.json").write_text(json.dumps(run))
    lite = {"codes": 30.0, "reranked": 47.5, "float": 48.0, "shortlist": 50}
    whole = run_of("lite", 128, 0, 0.0) | {"coders": {"itq": lite}, "encoder": "landsift-lite"}
    (tmp_path / "hashing" / "landsift-lite.json").write_text(
        json.dumps({key: value for key, value in whole.items() if key != "directions"})
    )
    page.write_hashing()
    text = (tmp_path / "hashing.md").read_text()
    assert "| duch | pairs | .600/-/-/.800 | .700/-/-/.900 | 80.00 (128 bits) | 5 |" in text
    order = [text.index(f"| {name} | ") for name in ("duch", "djsrh", "itq")]
    assert order == sorted(order), "coders stand below whatever they reach"
    assert "| itq | 30.00 | 50 | 47.50 | 48.00 |" in text
    assert "| DUCH | .760/.794/.844/.870 | .799/.851/.916/.927 |" in text


def test_a_run_is_made_again_only_if_its_recipe_changed(page, tmp_path):
    from benchmarks.hashing import Job

    job = Job("dsph", "ucm-captions", 32, 0, (), tmp_path, tmp_path / "runs")
    assert job.recipe.model.options["bits"] == 32 and not job.done()
    from landsift.train import recipe_hash

    job.result.write_text(json.dumps({"recipe": {"hash": recipe_hash(job.recipe)}}))
    assert job.done()
    assert not Job("dsph", "ucm-captions", 32, 0, ("loop.epochs=3",), tmp_path, tmp_path / "runs").done()
