"""A long measurement that was cut off goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]


def test_stages_that_are_done_are_not_measured_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(HOME))
    from benchmarks.stages import Stages

    path = tmp_path / "deep" / "run.json"
    first = Stages(path)
    assert first.once("one", lambda: {"ms": 1.5}) == {"ms": 1.5}
    with pytest.raises(KeyboardInterrupt):
        first.once("two", _cut_off)

    again = Stages(path)
    assert again.once("one", _cut_off) == {"ms": 1.5}, "kept"
    assert again.once("two", lambda: [2.0]) == [2.0]
    assert list(again.origins()) == ["one", "two"]
    assert all(origin["date"] for origin in again.origins().values())

    again.forget()
    assert not path.exists()
    assert Stages(path).once("one", lambda: {"ms": 3.0}) == {"ms": 3.0}


def _cut_off() -> None:
    raise KeyboardInterrupt
