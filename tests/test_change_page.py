"""The page on change models: its tables follow from the stored figures, its names are those of the code."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
PAGE = HOME / "docs" / "change-models.md"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(HOME))
    for name in ("benchmarks.change_page", "benchmarks.record"):
        sys.modules.pop(name, None)
    from benchmarks import change_page

    return change_page


def test_the_tables_follow_from_the_stored_figures(page, tmp_path):
    (tmp_path / "docs").mkdir()
    copy = Path(shutil.copy(PAGE, tmp_path / "docs" / PAGE.name))
    page.write_page(copy)
    assert copy.read_text() == PAGE.read_text()


def test_recipes_models_and_sets_are_all_named():
    pytest.importorskip("torch")
    from landsift.data import list_datasets
    from landsift.models.registry import list_change
    from landsift.train import list_recipes

    text = PAGE.read_text()
    named = set(re.findall(r"`(change/[a-z0-9-]+)`", text))
    shipped = {name for name in list_recipes() if name.startswith("change/")}
    assert named == shipped - {"change/base"}
    for name in (*list_change(), *(row.name for row in list_datasets() if row.pairs)):
        assert f"`{name}`" in text, name
