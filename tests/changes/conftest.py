"""Galleries of the same ground on two dates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ground import RED, TILE, meadow, painted, write_date

from landsift import Gallery

Index = Callable[..., Gallery]


@pytest.fixture
def index(tmp_path: Path, toy) -> Iterator[Index]:
    """Index a folder with the toy encoder."""
    opened: list[Gallery] = []

    def make(folder: Path, **settings: object) -> Gallery:
        gallery = Gallery.create(
            tmp_path / f"gallery{len(opened)}", toy, **({"tile": TILE, "overlap": 0.0} | settings)
        )
        opened.append(gallery)
        gallery.add(folder)
        return gallery

    yield make
    for gallery in opened:
        gallery.close()


@pytest.fixture
def two_dates(tmp_path: Path) -> Path:
    """A meadow in 2010, and in 2020 in other light with one red place."""
    folder = tmp_path / "ground"
    write_date(folder, "20100701", meadow(1))
    write_date(folder, "20200701", painted(meadow(2, light=0.8), RED))
    return folder
