"""A server over a toy gallery: three scenes of one colour each, and a second gallery beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from landsift import Gallery
from landsift.serve import ServeOptions, create_app
from landsift.serve.archive import Archive
from toys import ToyEncoder, coloured, write_scene

BASE = "http://127.0.0.1:8000"


@dataclass
class Served:
    """A running application, and the folder and sources of its first gallery."""

    client: TestClient
    folder: Path
    archive: Path

    def search(self, **body: Any) -> dict[str, Any]:
        answer = self.client.post("/search", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tiles(self, **body: Any) -> list[str]:
        return [feature["id"] for feature in self.search(**body)["features"]]

    def refused(self, **body: Any) -> str:
        """Why a search is not answered."""
        answer = self.client.post("/search", json=body)
        assert answer.status_code == 400 and set(answer.json()) == {"code", "description"}, answer.text
        return answer.json()["description"]


@pytest.fixture
def start(tmp_path: Path, archive: Path) -> Iterator[Callable[..., Served]]:
    """Start a server with some options over the toy gallery ``main``, and another gallery if asked."""
    folder = tmp_path / "main"
    with Gallery.create(folder, ToyEncoder(), tile=64) as gallery:
        gallery.add(archive)
    with ExitStack() as stack:

        def begin(*, second: bool = False, **options: Any) -> Served:
            chosen = ServeOptions(**options)
            galleries = {"main": Gallery.open(folder, ToyEncoder(), writable=not chosen.read_only)}
            if second:
                other = tmp_path / "other"
                write_scene(tmp_path / "yellow.tif", coloured("yellow", 7), west=560_000)
                with Gallery.create(other, ToyEncoder(), tile=64) as gallery:
                    gallery.add(tmp_path / "yellow.tif")
                galleries["other"] = Gallery.open(other, ToyEncoder())
            app = create_app(Archive(galleries), chosen)
            client = stack.enter_context(
                TestClient(app, base_url=BASE, raise_server_exceptions=False, follow_redirects=False)
            )
            return Served(client, folder, archive)

        yield begin


@pytest.fixture
def served(start: Callable[..., Served]) -> Served:
    return start()
