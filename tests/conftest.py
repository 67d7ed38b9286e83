"""Shared fixtures: the real data where it is, a toy encoder, and small written scenes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from landsift import cli
from toys import ToyEncoder, coloured, write_scene


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; tests that need it are skipped where it is absent."""
    folder = os.environ.get("LANDSIFT_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("LANDSIFT_DATA does not name the folder with the real data sets")
    return Path(folder)


@pytest.fixture
def landsift_command(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Run ``landsift ...`` in this process; returns exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["landsift", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def toy() -> ToyEncoder:
    return ToyEncoder()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three small scenes: mostly red, green and blue, in UTM, with dates in their names."""
    folder = tmp_path / "archive"
    folder.mkdir()
    names = {"red": "red_20200101", "green": "green_20210615", "blue": "blue_20220301"}
    for number, (colour, name) in enumerate(names.items()):
        write_scene(folder / f"{name}.tif", coloured(colour, number), west=500_000 + 10_000 * number)
    return folder
