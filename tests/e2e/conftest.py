"""A served gallery and a browser. Without Chromium or Playwright these tests are skipped, and say so."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import rasterio

import landsift
from landsift import Gallery

SAMPLES = Path(landsift.__file__).parent / "samples"
DAYS = ("20120615", "20140920", "20190710")
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
"""Quiet, and WebGL without a graphics card."""


def chromium() -> str | None:
    """Where the browser is, if there is one."""
    return os.environ.get("LANDSIFT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def make_scenes(folder: Path) -> Path:
    """One place on three days, and one elsewhere without a date."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SAMPLES / "bahamas.tif", folder / "bahamas.tif")
    with rasterio.open(SAMPLES / "rmnp_20140920.tif") as source:
        pixels, profile = source.read(), source.profile
    for day, brightness in zip(DAYS, (0.8, 1.0, 0.9), strict=True):
        with rasterio.open(folder / f"rmnp_{day}.tif", "w", **profile) as target:
            target.write((pixels * brightness).astype(np.dtype(profile["dtype"])))
    return folder


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def gallery_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of four scenes."""
    folder = tmp_path_factory.mktemp("page")
    with Gallery.open_or_create(folder / "parks.gallery") as gallery:
        gallery.add(make_scenes(folder / "scenes"))
    return folder / "parks.gallery"


@contextmanager
def _serving(gallery: Path, *options: str) -> Iterator[str]:
    """The address of the page of a running server."""
    pytest.importorskip("fastapi", reason="the page is served with landsift[serve]")
    if chromium() is None:
        pytest.skip("no chromium here; apt-get install chromium, or set LANDSIFT_CHROMIUM")
    port = free_port()
    command = [sys.executable, "-c", "from landsift.cli import main; main()", "serve", str(gallery)]
    server = subprocess.Popen([*command, "--port", str(port), *options], stdout=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/healthz", server)
        yield f"http://127.0.0.1:{port}/ui/"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="session")
def address(gallery_folder: Path) -> Iterator[str]:
    """A running server."""
    with _serving(gallery_folder) as found:
        yield found


@pytest.fixture
def guarded(gallery_folder: Path) -> Iterator[tuple[str, str]]:
    """A running server that asks for a token, and the token."""
    token = "only-for-friends"
    with _serving(gallery_folder, "--token", token) as found:
        yield found, token


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert server.poll() is None, "the server ended by itself"
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.25)
    raise AssertionError("the server did not start in a minute")


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Headless Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    found = chromium()
    if found is None:
        pytest.skip("no chromium here; apt-get install chromium, or set LANDSIFT_CHROMIUM")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield opened
        opened.close()


@dataclass
class Watched:
    """A page, and everything it should not have done."""

    page: object
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    allow_errors: bool = False


@pytest.fixture
def watched(browser, address: str) -> Iterator[Watched]:
    """An open page; afterwards its console is clean and every request went to the server."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    seen = Watched(page)
    page.on("console", lambda m: seen.errors.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    origin = address.removesuffix("ui/")
    page.on(
        "request",
        lambda r: None if r.url.startswith((origin, "data:", "blob:")) else seen.foreign.append(r.url),
    )
    page.goto(address)
    page.wait_for_selector("canvas.maplibregl-canvas")
    yield seen
    context.close()
    assert seen.foreign == []
    assert seen.allow_errors or seen.errors == []


@pytest.fixture
def page(watched: Watched):
    """The open page."""
    return watched.page
