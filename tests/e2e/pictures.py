"""Takes the pictures that the documentation shows: ``python tests/e2e/pictures.py ADDRESS FOLDER``.

Expects a server with a gallery of dated scenes first and the demo gallery second.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from conftest import FLAGS, chromium

SETTLE = 4_000  # ms: scene pictures load, tiles of the map are cut


def _open(browser: Browser, address: str, size: tuple[int, int] = (1280, 800), dark: bool = False) -> Page:
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    page.goto(address)
    page.wait_for_selector("canvas.maplibregl-canvas")
    page.wait_for_timeout(SETTLE)
    return page


def _search(page: Page, words: str) -> None:
    page.fill("#words", words)
    page.wait_for_selector(".found:not(.stale) .card[data-tile]")
    page.wait_for_timeout(SETTLE)


def _select(page: Page) -> None:
    page.locator(".card-main").first.click()
    page.wait_for_timeout(SETTLE)


def _save(page: Page, path: Path) -> None:
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        small = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)
        small.save(path, optimize=True)
    page.close()


def take(address: str, folder: Path) -> None:
    """Write the five pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        _save(_open(browser, address), folder / "ui-start.png")

        page = _open(browser, address)
        _search(page, "a road along a lake")
        _select(page)
        page.get_by_role("button", name="Close", exact=True).click()
        page.locator(".card-main").nth(1).hover()
        for _ in range(2):
            page.get_by_role("button", name="Zoom out").click()
            page.wait_for_timeout(SETTLE // 4)
        page.locator(".results-head h2").hover()
        page.wait_for_timeout(SETTLE)
        _save(page, folder / "ui-search.png")

        page = _open(browser, address)
        _search(page, "a winding river")
        _select(page)
        _save(page, folder / "ui-place.png")

        page = _open(browser, address, dark=True)
        page.locator(".gallery-switch select").select_option(index=1)
        _search(page, "white clouds over the sea")
        _select(page)
        _save(page, folder / "ui-dark.png")

        page = _open(browser, address, (768, 1024))
        _search(page, "a winding river")
        page.locator(".date-line").scroll_into_view_if_needed()
        _select(page)
        _save(page, folder / "ui-tablet.png")
        browser.close()


if __name__ == "__main__":
    take(sys.argv[1], Path(sys.argv[2]))
