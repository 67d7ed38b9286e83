"""The page as people use it: typed, clicked and dragged in a real browser against a real server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

pyogrio = pytest.importorskip("pyogrio")


def search(page, words: str) -> dict:
    """Type words and wait for their answer."""
    with page.expect_response(lambda r: r.url.endswith("/search")) as got:
        page.fill("#words", words)
    page.wait_for_selector(".found:not(.stale) .card[data-tile]")
    return got.value.json()


def sent_by(page, act, having=lambda body: True) -> tuple[dict, dict]:
    """The body and the answer of the search that an act sets off; ``having`` tells it from earlier ones."""
    mine = lambda r: r.url.endswith("/search") and having(json.loads(r.request.post_data))  # noqa: E731
    with page.expect_response(mine) as got:
        act()
    page.wait_for_selector(".found:not(.stale)")
    return json.loads(got.value.request.post_data), got.value.json()


def cards(page) -> list[str]:
    return [card.get_attribute("data-tile") for card in page.query_selector_all(".card[data-tile]")]


def drag(page, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag between two places given as shares of an element's size."""
    box = page.locator(selector).bounding_box()
    at = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in (start, end)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move((at[0][0] + at[1][0]) / 2, (at[0][1] + at[1][1]) / 2)
    page.mouse.move(*at[1])
    page.mouse.up()


def until_2019(body: dict) -> bool:
    """Whether the search reaches the last day, as it does when a drag has ended."""
    return body.get("datetime", "/")[21:] > "2019-07-10"


def in_address(page, key: str) -> list[str]:
    page.wait_for_function("key => new URLSearchParams(location.hash.slice(1)).has(key)", arg=key)
    return parse_qs(urlsplit(page.url).fragment)[key]


def test_words_bring_results_with_scores_dates_and_an_explanation(page):
    answer = search(page, "white clouds over the sea")
    shown = page.locator(".card").first
    assert cards(page) == [item["id"] for item in answer["features"]]
    assert f"{answer['features'][0]['properties']['landsift:score']:.3f}" in shown.inner_text()
    assert page.locator("[role=status]").first.inner_text().startswith(f"{answer['numberMatched']} match")
    page.locator(".explain summary").click()
    assert answer["landsift:explain"]["path"] in page.locator(".explain").inner_text()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card img')].slice(0, 2).every(i => i.naturalWidth > 50)"
    )


def test_an_example_is_one_click(page):
    page.locator(".examples button").first.click()
    page.wait_for_selector(".card[data-tile]")
    assert page.input_value("#words") != ""


def test_typing_waits_for_a_pause(page):
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.post_data) if r.url.endswith("/search") else None)
    page.locator("#words").press_sequentially("a river", delay=15)
    page.wait_for_selector(".card[data-tile]")
    assert [json.loads(body)["q"] for body in asked][-1] == ["a river"]
    assert len(asked) < len("a river")


def test_a_box_drawn_on_the_map_narrows_the_search(page):
    whole = search(page, "mountains")["numberMatched"]
    page.get_by_role("button", name="Box", exact=True).click()
    body, answer = sent_by(page, lambda: drag(page, ".map", (0.55, 0.4), (0.98, 0.98)))
    west, south, east, north = body["bbox"]
    assert west < east and south < north
    assert 0 < answer["numberMatched"] < whole
    for item in answer["features"]:
        assert item["bbox"][0] <= east and item["bbox"][2] >= west
    assert [float(x) for x in in_address(page, "box")[0].split(",")] == pytest.approx(body["bbox"], abs=1e-6)
    body, _ = sent_by(page, lambda: page.get_by_role("button", name="Clear area").click())
    assert "bbox" not in body


def test_a_polygon_is_closed_by_enter_and_given_up_by_escape(page):
    search(page, "mountains")
    box = page.locator(".map").bounding_box()
    corners = [(0.15, 0.3), (0.9, 0.3), (0.9, 0.9)]

    def draw() -> None:
        page.get_by_role("button", name="Polygon", exact=True).click()
        for x, y in corners:
            page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)

    draw()
    page.keyboard.press("Escape")
    assert page.locator(".filter.set").count() == 0
    body, _ = sent_by(page, lambda: (draw(), page.keyboard.press("Enter")))
    assert body["intersects"]["type"] == "Polygon"
    assert len(body["intersects"]["coordinates"][0]) == 4


def test_this_view_searches_what_the_map_shows(page):
    search(page, "mountains")
    body, _ = sent_by(page, lambda: page.get_by_role("button", name="This view").click())
    assert len(body["bbox"]) == 4


def test_brushing_dates_leaves_only_those_days(page):
    search(page, "mountains")
    body, answer = sent_by(page, lambda: drag(page, ".date-line", (0.6, 0.5), (0.985, 0.5)), until_2019)
    first = body["datetime"][:10]
    assert "2014-09-20" < first < "2019-07-10"
    assert {item["properties"]["datetime"][:10] for item in answer["features"]} == {"2019-07-10"}
    assert in_address(page, "days")[0].startswith(first)


def test_the_brush_takes_arrow_keys(page):
    search(page, "mountains")
    handle = page.get_by_role("slider", name="First day")
    handle.focus()
    body, _ = sent_by(page, lambda: handle.press("ArrowRight"))
    assert body["datetime"].endswith("/..")


def test_words_to_keep_away_from(page):
    search(page, "mountains")
    page.get_by_role("button", name="Without").click()
    page.get_by_label("What the results should not show").fill("snow, fresh")
    body, _ = sent_by(page, lambda: page.keyboard.press("Enter"))
    assert body["landsift:not"] == ["snow, fresh"]
    body, _ = sent_by(page, lambda: page.get_by_role("button", name='Remove "without snow, fresh"').click())
    assert "landsift:not" not in body


def test_scenes_and_resolution_narrow_the_search(page):
    search(page, "mountains")
    page.get_by_role("button", name="Scenes", exact=True).click()
    _, answer = sent_by(page, lambda: page.get_by_label(re.compile("bahamas")).check())
    assert {item["properties"]["landsift:scene"] for item in answer["features"]} == {"bahamas.tif"}
    sent_by(page, lambda: page.get_by_role("button", name="Clear scenes").click())
    page.get_by_role("button", name="Resolution").click()
    page.get_by_label("Finest, m/px").fill("100")
    _, answer = sent_by(page, lambda: page.get_by_role("button", name="Apply").click())
    assert min(item["properties"]["gsd"] for item in answer["features"]) >= 100


def test_the_threshold_says_how_many_stay_and_filters(page):
    whole = search(page, "mountains")
    slider = page.get_by_label("Lowest score to show")
    edges = whole["landsift:histogram"]["edges"]
    middle = (edges[0] + edges[-1]) / 2
    body, answer = sent_by(page, lambda: slider.fill(str(middle)))
    assert body["landsift:min_score"] == pytest.approx(middle, abs=(edges[-1] - edges[0]) / 100)
    assert 0 < answer["numberMatched"] < whole["numberMatched"]
    said = int(re.search(r"about (\d+) tiles", page.locator(".threshold-text").inner_text()).group(1))
    assert abs(said - answer["numberMatched"]) <= 3


def test_more_like_this(page):
    search(page, "mountains")
    tile = cards(page)[1]
    card = page.locator(".card").nth(1)
    card.hover()
    body, _ = sent_by(page, lambda: card.get_by_role("button", name="More like this").click())
    assert body["landsift:like"] == [tile] and "q" not in body
    assert tile in in_address(page, "like")


def test_thumbs_are_kept_and_refine_the_search(page):
    search(page, "a lake in a forest")
    wanted, unwanted = cards(page)[0], cards(page)[-1]
    for tile, name in ((wanted, "This is it"), (unwanted, "Not this")):
        card = page.locator(f'.card[data-tile="{tile}"]')
        card.hover()
        with page.expect_response(lambda r: r.url.endswith("/feedback")) as got:
            card.get_by_role("button", name=name, exact=True).click()
        assert got.value.ok
    body, _ = sent_by(page, lambda: page.get_by_role("button", name="Refine").click())
    assert body["landsift:like"] == [wanted] and body["landsift:not"] == [unwanted]
    page.reload()
    page.wait_for_selector(".tally .good:has-text('1')")
    page.wait_for_selector(".tally .bad:has-text('1')")


def test_five_thumbs_each_way_offer_a_trained_ranking(page):
    search(page, "rocks above a valley")
    sent_by(page, lambda: page.get_by_role("button", name="show overlapping").click())
    assert len(cards(page)) >= 10
    page.locator("#results").focus()
    page.keyboard.press("j")
    for key in "yyyyynnnnn":
        with page.expect_response(lambda r: r.url.endswith("/feedback")):
            page.keyboard.press(key)
    body, answer = sent_by(page, lambda: page.get_by_role("button", name="Rank by thumbs").click())
    assert body["landsift:probe"] == "rocks above a valley"
    assert answer["features"]


def test_keys_walk_and_label(page):
    search(page, "mountains at noon")
    page.locator("#results").focus()
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    assert page.locator(".card.chosen").get_attribute("data-tile") == cards(page)[1]
    page.keyboard.press("k")
    page.keyboard.press("n")
    page.wait_for_selector(f'.card.unwanted[data-tile="{cards(page)[0]}"]')
    assert page.locator(".card.chosen").get_attribute("data-tile") == cards(page)[1]
    page.keyboard.press("?")
    assert page.get_by_role("dialog").inner_text().count("Thumb") >= 2
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("x")
    assert page.input_value("#words").endswith("x")


def test_keys_typed_into_fields_are_text(page):
    search(page, "mountains in joy")
    page.locator("#words").press("n")
    page.locator("#words").press("j")
    assert page.input_value("#words") == "mountains in joynj"
    assert page.locator(".card.unwanted, .card.chosen").count() == 0


def test_the_link_brings_everything_back(page, address):
    search(page, "a lake, and trees")
    sent_by(page, lambda: drag(page, ".date-line", (0.6, 0.5), (0.985, 0.5)), until_2019)
    page.get_by_role("button", name="This view").click()
    in_address(page, "box")
    page.wait_for_timeout(800)
    link, before = page.url, cards(page)
    page.goto("about:blank")
    body, _ = sent_by(page, lambda: page.goto(link))
    assert body["q"] == ["a lake, and trees"] and "bbox" in body and "datetime" in body
    page.wait_for_selector(".card[data-tile]")
    assert cards(page) == before
    assert page.input_value("#words") == "a lake, and trees"


@pytest.mark.parametrize("title, ending", [("GeoJSON", "geojson"), ("GeoPackage", "gpkg"), ("CSV", "csv")])
def test_exports_open_with_gdal(page, tmp_path: Path, title: str, ending: str):
    search(page, "mountains")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as got:
        page.get_by_role("button", name=re.compile(f"^{title}")).click()
    assert got.value.suggested_filename == f"mountains.{ending}"
    path = tmp_path / got.value.suggested_filename
    got.value.save_as(path)
    assert pyogrio.read_info(path)["features"] == len(cards(page))


def test_geoparquet_opens(page, tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    search(page, "mountains")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as got:
        page.get_by_role("button", name=re.compile("^GeoParquet")).click()
    got.value.save_as(tmp_path / "m.parquet")
    table = parquet.read_table(tmp_path / "m.parquet")
    assert table.num_rows == len(cards(page)) and b"geo" in table.schema.metadata


def test_a_result_shows_on_the_map_and_its_place_through_time(page):
    search(page, "mountains")
    page.locator('.card:has-text("rmnp")').first.locator(".card-main").click()
    strip = page.locator(".through button")
    strip.nth(2).wait_for()
    assert [text.strip() for text in strip.all_inner_texts()] == [
        "15 Jun 2012",
        "20 Sept 2014",
        "10 Jul 2019",
    ]
    strip.nth(0).click()
    assert "rmnp_20120615" in page.locator(".detail h3").inner_text()
    with page.expect_download() as got:
        page.get_by_role("link", name="GeoTIFF").click()
    assert Path(got.value.path()).read_bytes()[:2] in (b"II", b"MM")


def test_the_map_and_the_grid_know_of_each_other(page):
    search(page, "mountains")
    page.locator('.card:has-text("rmnp")').first.locator(".card-main").click()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Close", exact=True).click()
    box = page.locator(".map").bounding_box()
    spot = box["x"] + box["width"] * 0.32, box["y"] + box["height"] * 0.52
    page.mouse.move(*spot)
    page.wait_for_selector(".card.near")
    hovered = page.locator(".card.near").get_attribute("data-tile")
    page.mouse.click(*spot)
    page.wait_for_selector(".card.chosen")
    assert page.locator(".card.chosen").get_attribute("data-tile") == hovered


def test_scene_pictures_are_drawn_on_the_map(page):
    search(page, "mountains")
    with page.expect_response(lambda r: "/scenes/" in r.url and r.url.endswith(".png")) as got:
        page.locator('.card:has-text("rmnp")').first.locator(".card-main").click()
    assert got.value.ok


def test_a_picture_searches(page, gallery_folder: Path):
    chooser = page.locator("input[type=file]").first
    with page.expect_response(lambda r: r.url.endswith("/search/image")) as got:
        chooser.set_input_files(gallery_folder.parent / "scenes" / "bahamas.tif")
    assert got.value.ok
    page.wait_for_selector(".card[data-tile]")
    assert "bahamas" in page.locator(".card").first.inner_text()
    assert page.get_by_role("button", name="Remove the picture").count() == 1


def test_a_search_with_a_picture_is_exported(page, gallery_folder: Path, tmp_path: Path):
    chooser = page.locator("input[type=file]").first
    with page.expect_response(lambda r: r.url.endswith("/search/image")):
        chooser.set_input_files(gallery_folder.parent / "scenes" / "bahamas.tif")
    page.wait_for_selector(".card[data-tile]")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as got:
        page.get_by_role("button", name=re.compile("^CSV")).click()
    assert got.value.suggested_filename == "bahamas.csv"
    got.value.save_as(tmp_path / "bahamas.csv")
    assert pyogrio.read_info(tmp_path / "bahamas.csv")["features"] == len(cards(page))


def test_every_tile_is_coloured_by_its_score(page):
    with page.expect_response(lambda r: r.url.endswith("/search/scores")) as got:
        search(page, "mountains")
    assert got.value.ok and got.value.headers["landsift-rows"]
    page.wait_for_selector(".legend-title:has-text('best tiles')")


def test_a_server_with_a_token_asks_for_it_and_keeps_the_link(browser, guarded: tuple[str, str]):
    address, right = guarded
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{address}#q=mountains")
    for token in ("not-the-token", right):
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Open Landsift").click()
        page.wait_for_selector("[role=alert], .card[data-tile]")
    page.wait_for_selector(".card[data-tile]")
    assert page.input_value("#words") == "mountains" and "token" not in page.url
    context.close()


def test_what_is_no_picture_is_refused_in_words(page, tmp_path: Path):
    (tmp_path / "notes.docx").write_text("x")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "notes.docx")
    assert "is not a picture" in page.locator(".notice").inner_text()


def test_a_search_is_saved_opened_watched_and_forgotten(page):
    search(page, "a frozen lake")
    page.get_by_role("button", name="Saved").click()
    page.get_by_label("Name of this search").fill("Ice")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_selector(".saved li:has-text('Ice')")
    page.keyboard.press("Escape")
    search(page, "something else")
    page.get_by_role("button", name="Saved").click()
    ice = page.locator(".saved li:has-text('Ice')")
    sent_by(page, lambda: ice.get_by_role("button", name="Open").click())
    assert page.input_value("#words") == "a frozen lake"
    page.get_by_role("button", name="Saved").click()
    ice.get_by_role("button", name="What is new").click()
    page.wait_for_selector(".notice:has-text('Nothing new')")
    page.get_by_role("button", name="Saved").click()
    page.get_by_role("button", name="Delete Ice").click()
    page.wait_for_selector(".saved li:has-text('Ice')", state="detached")


def test_nothing_found_and_failures_are_said_in_words(watched):
    page = watched.page
    watched.allow_errors = True  # the browser itself reports the request that is made to fail
    search(page, "mountains")
    slider = page.get_by_label("Lowest score to show")
    slider.fill(slider.get_attribute("max"))
    page.wait_for_selector(".found:not(.stale)")
    page.route("**/search", lambda route: route.abort())
    page.fill("#words", "mountains again")
    page.wait_for_selector(".state.error:has-text('does not answer')")
    page.unroute("**/search")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(".found, .state:not(.error)")


@pytest.mark.parametrize("size", [(1280, 800), (1024, 768), (768, 1024)])
def test_nothing_is_cut_off_on_screens_of_all_sizes(page, size: tuple[int, int]):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    search(page, "mountains")
    page.locator(".card-main").first.click()
    wide, tall = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert (wide, tall) == size
    for part in ("#words", ".map", ".card", ".detail", ".thumbs-bar .primary"):
        box = page.locator(part).first.bounding_box()
        assert box["width"] > 0 and box["x"] >= 0 and box["x"] + box["width"] <= size[0] + 1, part


def test_every_control_has_a_name_and_a_focus_ring(page):
    search(page, "mountains")
    page.locator(".card-main").first.click()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, a[href], [role=slider]")]
          .filter(e => !(e.getAttribute("aria-label") || e.innerText?.trim() || e.labels?.length || e.title))
          .map(e => e.outerHTML)"""
    )
    assert nameless == []
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_colours_follow_the_system_and_the_switch(page):
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
    page.get_by_role("button", name="Light colours").click()
    page.reload()
    page.wait_for_selector("canvas.maplibregl-canvas")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
