"""The page on localizing follows from the stored run, and its slow twins from what they stand for."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

HOME = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(HOME))
    for name in ("benchmarks.localizing", "benchmarks.localizing_page", "benchmarks.record"):
        sys.modules.pop(name, None)
    from benchmarks import localizing, localizing_page

    return localizing, localizing_page


def test_the_page_follows_from_the_stored_run(benchmark, tmp_path, monkeypatch):
    _, page = benchmark
    monkeypatch.setattr(page, "DOCS", tmp_path)
    page.write_localizing()
    assert (tmp_path / "localize.md").read_text() == (HOME / "docs" / "localize.md").read_text()


def test_the_twins_give_the_map_that_is_measured(benchmark, monkeypatch):
    localizing, _ = benchmark
    monkeypatch.setattr(localizing, "FUSED_SIZE", (520, 530))
    found = localizing.fusing()
    assert found["windows"] > 20 and found["largest_difference"] < 1e-4


def test_composed_scenes_hold_the_target_where_they_say(benchmark, monkeypatch):
    from landsift.types import RetrievalSet

    localizing, _ = benchmark
    shades = np.arange(60) * 4
    images = [np.full((20, 20, 3), shade, np.uint8) for shade in shades]
    labels = (np.arange(60) % 6).astype(np.int64)
    data = RetrievalSet(
        "shades",
        "test",
        images,
        [str(n) for n in range(60)],
        [str(n) for n in range(60)],
        np.arange(60),
        labels,
        tuple("abcdef"),
    )
    monkeypatch.setattr(localizing, "ACROSS", 5)
    monkeypatch.setattr(localizing, "SIDE", 20)
    case = localizing.composed(data, 0)
    (left, top), _, (right, bottom), _ = case.region
    inside = np.zeros(case.pixels.shape[:2], bool)
    inside[top:bottom, left:right] = True
    found = np.isin(case.pixels[..., 0] // 4 % 6, [0])
    assert case.pixels.shape == (100, 100, 3) and (right - left, bottom - top) == (40, 40)
    np.testing.assert_array_equal(found, inside)
    assert int(case.text) % 6 == 0
