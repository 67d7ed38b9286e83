"""Searching over the web: the same answers as the gallery's own, as STAC, a page at a time."""

from __future__ import annotations

import json

import numpy as np
import pystac
import pytest

from landsift import Gallery
from landsift.gallery import Where
from landsift.types import TimeSpan
from toys import ToyEncoder, coloured, write_scene

BOW_TIE = [[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]


def own(served, text, **wish):
    """What the gallery itself answers."""
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        return [match.tile for match in gallery.search(text, **wish)]


def extent(served):
    w, s, e, n = served.client.get("/ui-config").json()["galleries"][0]["bounds"]
    return w, s, e, n


# -- the catalog ---------------------------------------------------------------------------------------------


def test_pystac_reads_catalog_collections_and_items(served):
    catalog = pystac.Catalog.from_dict(served.client.get("/").json())
    assert catalog.id == "landsift"
    (listed,) = served.client.get("/collections").json()["collections"]
    collection = pystac.Collection.from_dict(served.client.get("/collections/main").json())
    assert listed["id"] == collection.id == "main"
    assert collection.extra_fields["emb:dimensions"] == 16 and collection.extra_fields["emb:type"] == "chip"
    assert {"emb:model", "emb:source-data"} <= {link.rel for link in collection.links}
    found = served.search(q="blue", limit=5)
    items = pystac.ItemCollection.from_dict(found)
    assert len(items) == 5
    item = items[0]
    assert item.datetime.year == 2022 and item.collection_id == "main"
    assert item.properties["gsd"] == pytest.approx(10, rel=0.01)
    assert item.properties["landsift:rank"] == 1 and item.properties["landsift:scene"] == "blue_20220301.tif"
    assert len(item.properties["landsift:window"]) == 4 and item.bbox[0] < item.bbox[2]
    one = served.client.get(f"/collections/main/items/{item.id}").json()
    assert one["geometry"] == item.geometry and "landsift:score" not in one["properties"]
    assert {"thumbnail", "chip"} == set(one["assets"])


def test_what_the_landing_page_links_to_is_there(served):
    links = served.client.get("/").json()["links"]
    for link in links:
        if link.get("method", "GET") == "GET":
            assert served.client.get(link["href"]).status_code == 200, link
    collection = served.client.get("/collections/main").json()
    for link in collection["links"]:
        assert served.client.get(link["href"]).status_code == 200, link
    assert (
        served.client.get("/conformance").json()["conformsTo"] == served.client.get("/").json()["conformsTo"]
    )


def test_a_scene_without_date_or_place_is_still_a_valid_item(served):
    write_scene(served.archive / "plain.tif", coloured("yellow", 3), crs=None)
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        gallery.add(served.archive)
    (feature,) = served.search(q="yellow", limit=1)["features"]
    item = pystac.Item.from_dict(feature)
    assert item.geometry is None and item.bbox is None and item.datetime is None
    assert item.properties["landsift:date"] is None and "gsd" not in item.properties


def test_an_item_across_the_antimeridian_is_cut_there(served):
    place = {"west": 812_000, "north": 8_000_000, "crs": "EPSG:32760", "step": 40}
    write_scene(served.archive / "fiji.tif", coloured("yellow", 3), **place)
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        gallery.add(served.archive)
    found = served.search(filter="landsift:scene = 'fiji.tif'", limit=100)["features"]
    across = [f for f in found if f["geometry"]["type"] == "MultiPolygon"]
    assert across and all(f["bbox"][0] > f["bbox"][2] for f in across)
    box = across[0]["bbox"]
    assert across[0]["id"] in served.tiles(bbox=box, limit=100)


def test_items_of_scenes_with_odd_names_are_json_and_lead_back(served):
    name = 'a "b" \\ é & c.tif'
    write_scene(served.archive / name, coloured("yellow", 5), west=700_000)
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        gallery.add(served.archive)
        expected = gallery.search("yellow", k=1)[0]
    (feature,) = served.search(q="yellow", limit=1)["features"]
    assert feature["properties"]["landsift:scene"] == name and feature["id"] == expected.tile
    assert feature["properties"]["landsift:score"] == pytest.approx(expected.score, abs=1e-6)
    links = {link["rel"]: link["href"] for link in feature["links"]}
    assert served.client.get(links["self"]).json()["id"] == feature["id"]
    assert served.client.get(feature["assets"]["thumbnail"]["href"]).status_code == 200
    assert served.client.get(feature["assets"]["chip"]["href"]).content[:2] in (b"II", b"MM")


# -- the same answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlapping", ["merge", "keep"])
def test_the_answer_is_that_of_the_gallery(served, overlapping):
    found = served.search(q="green", limit=7, **{"landsift:overlapping": overlapping})
    assert [f["id"] for f in found["features"]] == own(served, "green", k=7, overlapping=overlapping)
    scores = [f["properties"]["landsift:score"] for f in found["features"]]
    assert scores == sorted(scores, reverse=True) and found["numberMatched"] == 72


def test_get_and_post_answer_alike(served):
    posted = served.tiles(q="red", limit=4, datetime="2020-01-01/..")
    got = served.client.get("/search", params={"q": "red", "limit": 4, "datetime": "2020-01-01/.."}).json()
    assert [f["id"] for f in got["features"]] == posted


def test_commas_part_texts_in_an_address_but_not_in_a_body(served):
    both = own(served, ["red", "blue"], k=6)
    got = served.client.get("/search", params={"q": "red,blue", "limit": 6}).json()
    assert [f["id"] for f in got["features"]] == both == served.tiles(q=["red", "blue"], limit=6)
    assert served.tiles(q="red, blue", limit=6) == own(served, "red, blue", k=6)


@pytest.mark.parametrize(
    ("asked", "after", "before"),
    [
        ("2021-06-15", "2021-06-15", "2021-06-15"),
        ("2021-01-01/..", "2021-01-01", None),
        ("../2021-12-31", None, "2021-12-31"),
        ("/2021-06-15T00:00:00Z", None, "2021-06-15T00:00:00+00:00"),
        ("2020-06-01T00:00:00Z/2021-12-31T00:00:00.5z", "2020-06-01", "2021-12-31"),
    ],
)
def test_dates_and_open_intervals(served, asked, after, before):
    parse = TimeSpan.parse
    where = Where(after=parse(after) if after else None, before=parse(before) if before else None)
    expected = own(served, "grey", k=50, where=where)
    assert expected and served.tiles(q="grey", limit=50, datetime=asked) == expected


def test_box_polygon_and_ids_narrow_exactly(served):
    w, s, e, n = extent(served)
    box = (w, s, w + 0.4 * (e - w), n)
    expected = own(served, "grey", k=72, where=Where(box=box), overlapping="keep")
    keep = {"q": "grey", "limit": 100, "landsift:overlapping": "keep"}
    assert 0 < len(expected) < 72 and served.tiles(bbox=box, **keep) == expected
    assert served.tiles(bbox=[box[0], box[1], 0, box[2], box[3], 9000], **keep) == expected
    ring = [[box[0], s], [box[2], s], [box[2], n], [box[0], n], [box[0], s]]
    assert served.tiles(intersects={"type": "Polygon", "coordinates": [ring]}, **keep) == expected
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    assert served.tiles(intersects=feature, **keep) == expected
    assert sorted(served.tiles(ids=[*expected[:3], "no-such_s1_x0_y0", "nonsense"], **keep)) == sorted(
        expected[:3]
    )


def test_like_not_and_threshold(served):
    best = served.tiles(q="blue", limit=1)
    like = served.search(limit=72, **{"landsift:like": best, "landsift:overlapping": "keep"})
    assert best[0] not in [f["id"] for f in like["features"]] and len(like["features"]) == 71
    assert "blue" in like["features"][0]["id"]
    away = served.search(q="grey", limit=3, **{"landsift:not": ["red", best[0]]})
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        expected = [m.tile for m in gallery.search("grey", unlike=["red", best[0]], k=3)]
    assert [f["id"] for f in away["features"]] == expected
    every = served.search(q="blue", limit=72, **{"landsift:overlapping": "keep"})
    scores = [f["properties"]["landsift:score"] for f in every["features"]]
    least = (scores[19] + scores[20]) / 2
    some = served.search(q="blue", limit=72, **{"landsift:overlapping": "keep", "landsift:min_score": least})
    assert len(some["features"]) == some["numberMatched"] == 20


def test_the_histogram_counts_every_tile_searched(served):
    found = served.search(q="blue", limit=72, **{"landsift:overlapping": "keep"})
    scores = [f["properties"]["landsift:score"] for f in found["features"]]
    edges, counts = found["landsift:histogram"]["edges"], found["landsift:histogram"]["counts"]
    assert len(edges) == len(counts) + 1 and sum(counts) == len(scores) == 72
    expected = np.histogram(scores, np.array(edges))[0]
    # The stored edges are rounded, so a score that is an edge may fall to either side.
    assert np.abs(np.cumsum(expected) - np.cumsum(counts)).max() <= 1


def test_explanation_says_how_it_was_found(served):
    facts = served.search(q="blue", datetime="2022", **{"landsift:explain": True})["landsift:explain"]
    assert facts["path"] == "exact scan" and (facts["searched"], facts["total"]) == (24, 72)
    assert facts["bytes"] == 24 * 16 * 2 and facts["encode_ms"] >= 0 and facts["search_ms"] > 0
    assert served.search(**{"landsift:explain": True})["landsift:explain"]["path"] == "listing"


def test_a_quick_way_is_taken_and_told_where_no_scores_of_all_are_asked_for(served, monkeypatch):
    monkeypatch.setattr("landsift.index.planner._SCATTERED", 0)
    monkeypatch.setattr("landsift.index.hamming._DISTANCE_BYTES", 0)
    monkeypatch.setattr("landsift.index.stored._QUESTIONS", 4)
    monkeypatch.setattr("landsift.gallery.ways._SUBJECTS", ("green fields", "blue water"))
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        gallery.reindex("cascade", floor=0.2, bits=8)
    wish = {"q": "blue", "limit": 3, "landsift:explain": True, "landsift:overlapping": "keep"}
    for histogram, path in ((True, "exact scan"), (False, "cascade")):
        found = served.search(**wish, **{"landsift:histogram": histogram})
        facts = found["landsift:explain"]
        assert facts["path"] == path and ("landsift:histogram" in found) == histogram
        assert (facts["recall"] == 1.0 and facts["bytes"] == 72 * 16 * 2) == histogram
        assert any("reads" in note for note in facts["notes"]) != histogram


# -- order and pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wish", [{}, {"q": "blue"}, {"q": "red", "sortby": [{"field": "datetime"}]}])
def test_pages_follow_each_other_without_gap_or_repeat(served, wish):
    body = {"limit": 7, "landsift:overlapping": "keep"} | wish
    whole = served.tiles(**body | {"limit": 100})
    assert len(whole) == 72
    paged, document = [], served.search(**body)
    while True:
        paged += [f["id"] for f in document["features"]]
        following = [link for link in document["links"] if link["rel"] == "next"]
        if not following:
            break
        assert following[0]["method"] == "POST"
        document = served.client.post("/search", json=following[0]["body"]).json()
    assert paged == whole


def test_merged_pages_are_the_merged_answer_in_parts(served):
    whole = served.tiles(q="blue", limit=100)
    first = served.client.get("/search", params={"q": "blue", "limit": 5}).json()
    (following,) = [link["href"] for link in first["links"] if link["rel"] == "next"]
    second = served.client.get(following).json()
    together = [f["id"] for page in (first, second) for f in page["features"]]
    assert together == whole[:10]
    assert [f["properties"]["landsift:rank"] for f in second["features"]] == [6, 7, 8, 9, 10]


def test_what_is_indexed_while_paging_does_not_move_the_pages(served):
    body = {"q": "blue", "limit": 10, "landsift:overlapping": "keep"}
    whole = served.tiles(**body | {"limit": 100})
    first = served.search(**body)
    write_scene(served.archive / "bluer.tif", coloured("blue", 9), west=700_000)
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        gallery.add(served.archive)
    (following,) = [link["body"] for link in first["links"] if link["rel"] == "next"]
    second = served.client.post("/search", json=following).json()
    assert [f["id"] for f in second["features"]] == whole[10:20]
    assert any("bluer" in tile for tile in served.tiles(**body))


def test_sorting_by_property_and_by_score(served):
    newest = served.search(sortby=[{"field": "properties.datetime", "direction": "desc"}], limit=72)[
        "features"
    ]
    dates = [f["properties"]["datetime"] for f in newest]
    assert dates == sorted(dates, reverse=True) and len(set(dates)) == 3
    got = served.client.get("/search", params={"sortby": "-id", "limit": 72}).json()["features"]
    assert [f["id"] for f in got] == sorted((f["id"] for f in got), reverse=True)
    worst = served.search(q="blue", sortby=[{"field": "landsift:score"}], limit=72)["features"]
    scores = [f["properties"]["landsift:score"] for f in worst]
    assert scores == sorted(scores) and len(scores) == 72


def test_filters_in_both_notations(served):
    text = "landsift:scene LIKE 'blue%' OR (gsd < 1 AND NOT datetime IS NULL)"
    tree = {"op": "like", "args": [{"property": "landsift:scene"}, "blue%"]}
    expected = own(served, "grey", k=50, where=Where(scene="blue*"))
    assert served.tiles(q="grey", limit=50, filter=text) == expected
    assert served.tiles(q="grey", limit=50, filter=tree, **{"filter-lang": "cql2-json"}) == expected
    got = served.client.get("/search", params={"q": "grey", "limit": 50, "filter": text})
    assert [f["id"] for f in got.json()["features"]] == expected


# -- several galleries ---------------------------------------------------------------------------------------


def test_galleries_are_searched_together_by_score(start):
    served = start(second=True)
    found = served.search(q="yellow", limit=100, **{"landsift:overlapping": "keep"})
    assert found["features"][0]["collection"] == "other" and found["numberMatched"] == 96
    scores = [f["properties"]["landsift:score"] for f in found["features"]]
    assert scores == sorted(scores, reverse=True) and len(scores) == 96
    assert [f["properties"]["landsift:rank"] for f in found["features"]] == list(range(1, 97))
    paged = []
    document = served.search(q="yellow", limit=40, **{"landsift:overlapping": "keep"})
    while document:
        paged += [f["id"] for f in document["features"]]
        following = [link["body"] for link in document["links"] if link["rel"] == "next"]
        document = served.client.post("/search", json=following[0]).json() if following else None
    assert paged == [f["id"] for f in found["features"]]
    only = served.search(q="yellow", collections=["main"], limit=5)["features"]
    assert {f["collection"] for f in only} == {"main"}
    example = found["features"][0]["id"]
    like = served.search(limit=5, **{"landsift:like": [example]})["features"]
    assert len(like) == 5 and example not in [f["id"] for f in like]


# -- an image as the question --------------------------------------------------------------------------------


def test_an_image_finds_what_looks_like_it(served, tmp_path):
    photo = write_scene(tmp_path / "photo.tif", coloured("green", 4), crs=None).read_bytes()
    wish = json.dumps({"limit": 3, "datetime": "2021"})
    answer = served.client.post("/search/image", files={"image": ("x.tif", photo)}, data={"request": wish})
    features = answer.json()["features"]
    assert answer.status_code == 200 and len(features) == 3
    assert {f["properties"]["landsift:scene"] for f in features} == {"green_20210615.tif"}
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        expected = [m.tile for m in gallery.search(like=[tmp_path / "photo.tif"], k=3)]
    assert [f["id"] for f in features] == expected


# -- the scores of all tiles ---------------------------------------------------------------------------------


def test_all_scores_come_as_a_column_beside_the_footprints(served):
    footprints = served.client.get("/galleries/main/footprints").json()
    wish = {"q": "blue", "collections": ["main"], "datetime": "2021/..", "landsift:overlapping": "keep"}
    answer = served.client.post("/search/scores", json=wish)
    column = np.frombuffer(answer.content, "<f2")
    assert answer.headers["landsift-rows"] == footprints["rows"] and len(column) == footprints["count"]
    listed = served.search(**wish, limit=72)["features"]
    known = {f["id"]: f["properties"]["landsift:score"] for f in listed}
    assert len(known) == 48 and np.isfinite(column).sum() == 48
    for tile, score in zip(footprints["ids"], column.tolist(), strict=True):
        assert known.get(tile, np.nan) == pytest.approx(score, abs=1e-3, nan_ok=True)
    best = sorted(known.values(), reverse=True)
    least = (best[19] + best[20]) / 2
    some = served.client.post("/search/scores", json=wish | {"landsift:min_score": least}).content
    assert np.isfinite(np.frombuffer(some, "<f2")).sum() == 20


def test_scores_after_indexing_are_of_other_footprints(served):
    before = served.client.get("/galleries/main/footprints").json()["rows"]
    write_scene(served.archive / "yellow.tif", coloured("yellow", 1), west=700_000)
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        gallery.add(served.archive)
        gallery.remove("green_20210615.tif")  # as many tiles as before, but not the same
    answer = served.client.post("/search/scores", json={"q": "blue"})
    assert len(answer.content) == 2 * 72 and answer.headers["landsift-rows"] != before
    assert served.client.get("/galleries/main/footprints").json()["rows"] == answer.headers["landsift-rows"]


def test_scores_are_of_one_gallery_and_of_something(start):
    client = start(second=True).client
    for wish, words in (({"q": "red"}, "name one"), ({"collections": ["main"]}, "Nothing is looked for")):
        answer = client.post("/search/scores", json=wish)
        assert answer.status_code == 400 and words in answer.json()["description"]


def test_an_image_colours_the_map_too(served, tmp_path):
    photo = write_scene(tmp_path / "photo.tif", coloured("green", 4), crs=None).read_bytes()
    column = np.frombuffer(
        served.client.post("/search/image/scores", files={"image": ("x.tif", photo)}).content, "<f2"
    )
    ids = served.client.get("/galleries/main/footprints").json()["ids"]
    found = served.client.post("/search/image", files={"image": ("x.tif", photo)}).json()["features"]
    assert ids[int(np.argmax(column))].startswith("green") and found[0]["id"].startswith("green")
    assert served.client.post("/search/image/scores", files={"image": ("x.tif", b"no")}).status_code == 400


# -- what can never work -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"q": "  "}, "empty"),
        ({"q": "red", "limit": 0}, "limit"),
        ({"bbox": [0, 10, 1, -10]}, "south"),
        ({"bbox": [0, 0, 1]}, "bbox"),
        ({"bbox": [0, 0, 1, 1, 1]}, "bbox"),
        ({"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}}, "Both"),
        ({"datetime": "../.."}, "open on both"),
        ({"datetime": "yesterday"}, "datetime"),
        ({"datetime": "2021/2022/2023"}, "datetime"),
        ({"datetime": "2022-01-01/2021-01-01"}, "swap"),
        ({"datetime": "9999-12-31"}, "datetime"),
        ({"intersects": {"type": "Circle"}}, "GeoJSON"),
        ({"intersects": {"type": "Polygon", "coordinates": [[0]]}}, "GeoJSON"),
        ({"intersects": {"type": "Polygon", "coordinates": [BOW_TIE]}}, "Self-int"),
        ({"intersects": {"type": "Point", "coordinates": [0, 99]}}, "off the Earth"),
        ({"sortby": [{"field": "colour"}]}, "colour"),
        ({"sortby": [{"field": "landsift:score"}]}, "score"),
        ({"filter": "colour = 'red'"}, "colour"),
        ({"filter": "gsd <"}, "value"),
        ({"filter": "gsd = 1", "filter-lang": "cql2-json"}, "cql2-json"),
        ({"token": "gibberish"}, "token"),
        ({"token": "eyJza2lwIjotMSwicm93cyI6e319"}, "token"),
        ({"landsift:like": ["none_s1_x0_y0"]}, "no tile"),
        ({"landsift:not": ["red"]}, "nothing to search"),
        ({"landsift:probe": "boats"}, "Nothing teaches"),
        ({"q": "red", "landsift:min_score": "high"}, "min_score"),
    ],
)  # fmt: skip
def test_impossible_searches_are_refused_in_a_sentence(served, body, words):
    assert words in served.refused(**body)


@pytest.mark.parametrize(
    "text", ['{"q": "\\ud800"}', '{"q": NaN}', "{", "[" * 5000, '{"landsift:min_score": NaN}']
)
def test_bodies_that_are_no_json_are_refused(served, text):
    answer = served.client.post("/search", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and answer.json()["code"] == "BadRequest"


@pytest.mark.parametrize(
    "path",
    ["/collections/none", "/collections/main/items/none", "/nowhere", "/galleries/none/footprints",
     "/collections/none/items", "/tiles/main/none/thumbnail", "/scenes/main/none/0/0/0.png", "/ui/none.js"],
)  # fmt: skip
def test_unknown_things_are_not_found(served, path):
    answer = served.client.get(path)
    assert answer.status_code == 404 and answer.json()["code"] == "NotFound"


def test_unknown_collection_in_a_search_is_not_found(served):
    assert served.client.post("/search", json={"collections": ["none"]}).status_code == 404
