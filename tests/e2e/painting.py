"""How soon the page shows: ``python tests/e2e/painting.py ADDRESS FILE.json``.

Opens the page in fresh browser contexts, so that nothing is cached, and keeps what the browser's clock says
of the first paint, the first content and the first frame of the map, with the machine's load meanwhile.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from conftest import FLAGS, chromium
from landsift.provenance import provenance

ROUNDS = 7
BAR_MS = 1500

PAINTS = """() => Object.fromEntries(performance.getEntriesByType("paint").map(e => [e.name, e.startTime]))"""


def once(browser: Browser, address: str) -> dict[str, float]:
    """Milliseconds since navigation began: paints by name, and when the map's canvas was there."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(address, wait_until="commit")
    page.wait_for_selector("canvas.maplibregl-canvas", timeout=120_000)
    map_ms = page.evaluate("performance.now()")
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    found = page.evaluate(PAINTS) | {"map": map_ms}
    context.close()
    return {name: round(ms, 1) for name, ms in found.items()}


def measure(address: str) -> dict[str, Any]:
    """Medians and all rounds."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        once(browser, address)  # the browser itself starts
        load = os.getloadavg()[0]
        rounds = [once(browser, address) for _ in range(ROUNDS)]
        version = browser.version
        browser.close()
    medians = {name: statistics.median(found[name] for found in rounds) for name in rounds[0]}
    return {
        "median_ms": medians,
        "rounds_ms": rounds,
        "bar_ms": BAR_MS,
        "browser": f"Chromium {version}, software WebGL",
        "load_average_of_the_machine": [round(load, 1), round(os.getloadavg()[0], 1)],
    }


if __name__ == "__main__":
    figures = measure(sys.argv[1])
    record = {
        "name": "painting",
        "figures": figures,
        "provenance": provenance("python tests/e2e/painting.py"),
    }
    Path(sys.argv[2]).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))
