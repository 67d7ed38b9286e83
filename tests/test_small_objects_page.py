"""The page on small objects follows from the stored run; its verdicts from the intervals."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

HOME = Path(__file__).parents[1]


@pytest.fixture
def benchmarks(monkeypatch):
    """The modules, imported anew."""
    monkeypatch.syspath_prepend(str(HOME))
    for name in ("small_objects", "small_objects_page", "record"):
        sys.modules.pop(f"benchmarks.{name}", None)
    from benchmarks import small_objects, small_objects_page

    return small_objects, small_objects_page


def test_the_page_follows_from_the_stored_run(benchmarks, tmp_path, monkeypatch):
    _, page = benchmarks
    monkeypatch.setattr(page, "DOCS", tmp_path)
    page.write_small_objects()
    written = (tmp_path / "small-objects.md").read_text(encoding="utf-8")
    assert written == (HOME / "docs" / "small-objects.md").read_text(encoding="utf-8")
    for name in ("bifpn", "seb-yolo", "nas-fpn"):
        assert f"| `{name}` |" in written
    assert "| `pbt` | Yang et al., IEEE TGRS 2024 | abstract only |" in written


def arm(name: str, small: float, gain: tuple[float, float, float], **more: object) -> dict:
    """A row as the benchmark stores it."""
    strata = {
        stratum: {"aware_mR": small, "strict_mR": small - 5, "gain_mR": gain, "gain_mR_t2i": gain}
        for stratum in ("small", "other", "all")
    }
    costs = {"encodes_per_image": 5, "bytes_per_image": 3840, "encodes_per_query": 0, "text_only": False}
    return {"name": name, "parameters": "", **strata, **costs} | more


def test_verdicts_follow_from_the_intervals(benchmarks, tmp_path, monkeypatch):
    _, page = benchmarks
    facts = {
        "images": 10,
        "captions": 50,
        "small_captions": 20,
        "small_images": 4,
        "best_on_val": "max",
        "rows": [
            arm("whole image", 40.0, (0, 0, 0)),
            arm("max", 44.0, (4.0, 1.0, 7.0)),
            arm("mean", 30.0, (-10.0, -12.0, -8.0)),
            arm("lse", 41.0, (1.0, -1.0, 3.0)),
        ],
        "things": {"plane": {"captions": 5, "R@1": 10.0, "R@5": 20.0, "R@10": 30.0}},
    }
    machine = {"cores": 2, "processor": "some", "python": "3.11"}
    facts_of_run = {"date": "2026-01-01T00:00:00", "commit": "abc", "machine": machine, "command": "run"}
    figures = {"encoder": "lite", "dim": 8, "sets": {"toy": facts}}
    (tmp_path / "small_objects.json").write_text(
        json.dumps({"figures": figures, "provenance": facts_of_run}), encoding="utf-8"
    )
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    monkeypatch.setattr(page, "DOCS", tmp_path)
    page.write_small_objects()
    written = (tmp_path / "small-objects.md").read_text(encoding="utf-8")
    assert "helps: max; hurts: mean; no difference shown: lse." in written
    assert "| max | - | 44.00 | +4.00 (+1.00 to +7.00) |" in written
    assert "no such run is stored yet" in written


def test_arms_score_as_they_say(benchmarks):
    bench, _ = benchmarks
    rng = np.random.default_rng(0)
    whole, crops = rng.random((6, 8)), rng.random((6, 4, 8))
    seen = bench.Seen(None, whole, {2: crops}, {2: whole})
    arms = {arm.name + arm.parameters: arm for row in bench._arms(2).values() for arm in row}
    best = np.maximum(whole, crops.max(axis=1))
    np.testing.assert_allclose(arms["max of 5 views"].scores(seen), best)
    mixed = arms["whole and 4 crops, weighed0.25 whole, max"].scores(seen)
    np.testing.assert_allclose(mixed, 0.25 * whole + 0.75 * crops.max(axis=1))
    refined = bench._refined(2, 2, seen)
    for caption in range(8):
        first = np.argsort(-whole[:, caption])[:2]
        expected = whole[:, caption].copy()
        expected[first] = best[first, caption]
        np.testing.assert_allclose(refined[:, caption], expected)
    assert arms["best K refined in 4 cropsK = 20"].later == 80
