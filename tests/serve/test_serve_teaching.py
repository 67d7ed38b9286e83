"""What the page lives on besides searches: footprints, dates, places, labels, saved searches, exports."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pyogrio
import pytest
from pyarrow import parquet

from landsift import Gallery
from landsift.gallery.query import compose
from toys import ToyEncoder, coloured, write_scene


def label(served, topic, tile, wanted):
    body = {"collection": "main", "topic": topic, "tile": tile, "wanted": wanted}
    answer = served.client.post("/feedback", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def labels(served, topic):
    return served.client.get("/feedback", params={"collection": "main", "topic": topic}).json()["labels"]


def tiles_of(served, colour, count):
    wish = {"filter": f"landsift:scene LIKE '{colour}%'", "limit": count}
    return served.tiles(**wish)


# -- the map -------------------------------------------------------------------------------------------------


def test_the_configuration_describes_each_gallery(start):
    config = start(second=True).client.get("/ui-config").json()
    main, other = config["galleries"]
    assert (main["id"], main["tiles"], main["scenes"]) == ("main", 72, 3) and other["tiles"] == 24
    assert main["dates"] == ["2020-01-01", "2022-03-01"] and other["dates"] is None
    assert main["encoder"] == {"name": "toy", "dim": 16} and main["bounds"][0] < main["bounds"][2]
    assert config["read_only"] is False and config["examples"] and config["version"]


def test_footprints_are_those_of_the_tiles(served):
    found = served.client.get("/galleries/main/footprints").json()
    assert found["count"] == len(found["ids"]) == len(found["scene"]) == len(found["gsd"]) == 72
    assert len(found["rings"]) == 8 * 72 and found["dates"] == ["2022-03-01", "2021-06-15", "2020-01-01"]
    assert [s["tiles"] for s in found["scenes"]] == [24, 24, 24]
    for at in (0, 30, 71):
        item = served.client.get(f"/collections/main/items/{found['ids'][at]}").json()
        ring = np.array(found["rings"][8 * at : 8 * at + 8]).reshape(4, 2)
        corners = {tuple(point) for point in item["geometry"]["coordinates"][0]}
        assert {tuple(point) for point in ring.tolist()} == corners
        assert found["scenes"][found["scene"][at]]["name"] == item["properties"]["landsift:scene"]
    only = served.client.get("/galleries/main/footprints", params={"scene": "red*"}).json()
    assert only["count"] == 24 and {s["name"] for s in only["scenes"]} == {"red_20200101.tif"}


def test_large_footprints_are_compressed_for_those_who_take_it(served, monkeypatch):
    monkeypatch.setattr("landsift.serve.service._WORTH_PACKING", 100)
    path = "/galleries/main/footprints"
    plain = served.client.get(path, headers={"Accept-Encoding": "identity"})
    squeezed = served.client.get(path, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers and squeezed.headers["content-encoding"] == "gzip"
    assert squeezed.json() == plain.json() and len(gzip.compress(plain.content)) < len(plain.content)


def test_dates_count_the_tiles_of_each_day(served):
    found = served.client.get("/galleries/main/dates").json()
    assert found == {"days": ["2020-01-01", "2021-06-15", "2022-03-01"], "tiles": [24, 24, 24]}


def test_one_place_through_time(served):
    for year, colour in ((2018, "grey"), (2024, "green")):
        write_scene(served.archive / f"again_{year}0505.tif", coloured(colour, year), west=500_100)
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        gallery.add(served.archive)
    tile = next(t for t in tiles_of(served, "red", 30) if t.endswith("_x96_y48"))
    strip = served.client.get(f"/galleries/main/place/{tile}").json()["tiles"]
    assert [item["properties"]["landsift:scene"] for item in strip] == [
        "again_20180505.tif", "red_20200101.tif", "again_20240505.tif",
    ]  # fmt: skip
    assert strip[1]["id"] == tile
    assert [item["properties"]["landsift:window"][:2] for item in strip] == [[96, 48], [96, 48], [96, 48]]


# -- teaching ------------------------------------------------------------------------------------------------


def test_labels_are_given_changed_and_taken_back(served):
    tile = served.tiles(q="blue", limit=1)[0]
    assert label(served, "boats", tile, True) == {
        "topic": "boats", "wanted": 1, "unwanted": 0, "probe_ready": False,
    }  # fmt: skip
    label(served, "boats", tile, False)
    (given,) = labels(served, "boats")
    assert given["tile"] == tile and given["wanted"] is False and given["lon"] == pytest.approx(15.1, abs=0.5)
    assert served.client.get("/feedback", params={"collection": "main"}).json() == {
        "topics": [{"topic": "boats", "wanted": 0, "unwanted": 1}]
    }
    with Gallery.open(served.folder, ToyEncoder()) as gallery:  # kept in the gallery
        assert [known.tile for known in gallery.labels.of("boats")] == [tile]
    label(served, "boats", tile, None)
    assert labels(served, "boats") == []
    body = {"collection": "main", "topic": "boats", "tile": "none_s1_x0_y0", "wanted": True}
    assert served.client.post("/feedback", json=body).status_code == 404


def test_few_labels_move_the_query_and_five_of_each_rank_the_gallery(served):
    good, bad = tiles_of(served, "blue", 6), tiles_of(served, "red", 6)
    ask = {"landsift:probe": "boats", "landsift:explain": True, "limit": 30, "landsift:overlapping": "keep"}
    for tile in good[:2]:
        label(served, "boats", tile, True)
    moved = served.search(q="grey", **ask)
    assert moved["landsift:explain"]["path"] == "exact scan" and "linear probe" in str(
        moved["landsift:explain"]
    )
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        query = compose(
            np.vstack([gallery.encoder.encode_texts(["grey"]), gallery.vectors(good[:2])]), np.empty((0, 16))
        )
        expected = [match.tile for match in gallery.rank(query, k=30, overlapping="keep")]
    assert (
        [f["id"] for f in moved["features"]]
        == expected
        != served.tiles(q="grey", **ask | {"landsift:probe": "x"})
    )
    for wanted, unwanted in zip(good[:5], bad[:5], strict=True):
        label(served, "boats", wanted, True)
        ready = label(served, "boats", unwanted, False)["probe_ready"]
    assert ready
    learnt = served.search(**ask)
    assert learnt["landsift:explain"]["path"].startswith("linear probe")
    features = learnt["features"]
    assert {f["properties"]["landsift:scene"] for f in features[:24]} == {"blue_20220301.tif"}
    chances = [f["properties"]["landsift:probability"] for f in features]
    assert chances == sorted(chances, reverse=True) and chances[0] > 0.5
    worst = served.search(**ask | {"sortby": [{"field": "landsift:score"}]})["features"][0]
    assert "red" in worst["id"] and worst["properties"]["landsift:probability"] < 0.5


def test_labels_travel_as_geojson_points(served):
    tiles = tiles_of(served, "blue", 3)
    for tile, wanted in zip(tiles, (True, False, True), strict=True):
        label(served, "boats", tile, wanted)
    answer = served.client.get("/feedback/export", params={"collection": "main", "topic": "boats"})
    document = answer.json()
    assert [f["properties"]["label"] for f in document["features"]] == [1, 0, 1]
    assert {f["geometry"]["type"] for f in document["features"]} == {"Point"}
    assert "attachment" in answer.headers["content-disposition"]
    body = {"collection": "main", "topic": "again", "labels": document}
    assert served.client.post("/feedback/import", json=body).json() == {"imported": 3, "without_tile": 0}
    pick = [(known["tile"], known["wanted"]) for known in labels(served, "boats")]
    assert sorted((known["tile"], known["wanted"]) for known in labels(served, "again")) == sorted(pick)
    for feature in document["features"]:  # from elsewhere: only the place is known
        feature["properties"] = {"label": feature["properties"]["label"]}
    document["features"].append({"type": "Feature", "geometry": {"type": "Point", "coordinates": [0, 0]},
                                 "properties": {"label": 1}})  # fmt: skip
    body = {"collection": "main", "topic": "by place", "labels": document}
    assert served.client.post("/feedback/import", json=body).json() == {"imported": 3, "without_tile": 1}
    assert {known["tile"] for known in labels(served, "by place")} == set(tiles)


@pytest.mark.parametrize(
    "document",
    [{}, {"features": 3}, {"features": [3]}, {"features": [{"properties": {}}]},
     {"features": [{"properties": {"label": 2}}]}, {"features": [{"properties": {"label": True}}]}],
)  # fmt: skip
def test_labels_that_are_none_are_refused(served, document):
    body = {"collection": "main", "topic": "x", "labels": document}
    assert served.client.post("/feedback/import", json=body).status_code == 400
    assert labels(served, "x") == []


# -- watching ------------------------------------------------------------------------------------------------


def test_a_saved_search_shows_what_was_indexed_since(served):
    wish = {"q": "blue", "limit": 50, "landsift:overlapping": "keep"}
    saved = served.client.post("/queries", json={"name": "water", "request": wish}).json()
    assert saved["name"] == "water" and saved["new_tiles"] == 0 and saved["request"] == wish

    def run(new_only):
        answer = served.client.post(f"/queries/{saved['id']}/run", json={"new_only": new_only})
        assert answer.status_code == 200, answer.text
        return [f["id"] for f in answer.json()["features"]]

    assert run(True) == [] and run(False) == served.tiles(**wish)
    write_scene(served.archive / "new.tif", coloured("blue", 8), west=640_000)
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        gallery.add(served.archive)
    assert served.client.get("/queries").json()["queries"][0]["new_tiles"] == 24
    new = run(True)
    assert len(new) == 24 and all(tile.startswith("new-") for tile in new)
    assert run(True) == [] and served.client.get("/queries").json()["queries"][0]["new_tiles"] == 0
    assert served.client.delete(f"/queries/{saved['id']}").status_code == 200
    assert served.client.get("/queries").json() == {"queries": []}
    assert served.client.delete(f"/queries/{saved['id']}").status_code == 404
    assert served.client.post(f"/queries/{saved['id']}/run", json={}).status_code == 404


def test_a_search_of_two_galleries_is_one_saved_search(start):
    served = start(second=True)
    served.client.post("/queries", json={"name": "all", "request": {"q": "yellow"}})
    (saved,) = served.client.get("/queries").json()["queries"]
    assert saved["collections"] == ["main", "other"]
    found = served.client.post(f"/queries/{saved['id']}/run", json={"new_only": False}).json()
    assert found["features"][0]["collection"] == "other"


def test_a_search_that_could_never_work_is_not_saved(served):
    for wish in ({"bbox": [0, 10, 1, -10]}, {"filter": "colour = 1"}, {"collections": []}):
        assert served.client.post("/queries", json={"name": "n", "request": wish}).status_code == 400
    assert served.client.get("/queries").json() == {"queries": []}


# -- export --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["geojson", "gpkg", "parquet", "csv"])
def test_an_export_holds_the_matches_in_order(served, tmp_path, format_):
    wish = {"q": "blue", "landsift:not": ["red"], "limit": 6}
    answer = served.client.post("/export", json={"format": format_, "request": wish})
    assert answer.status_code == 200 and f"landsift.{format_}" in answer.headers["content-disposition"]
    path = tmp_path / f"out.{format_}"
    path.write_bytes(answer.content)
    if format_ == "parquet":
        table = parquet.read_table(path)
        tiles, queries = table.column("tile").to_pylist(), table.column("query").to_pylist()
        assert b"geo" in parquet.read_schema(path).metadata
    else:
        meta, _, _, columns = pyogrio.raw.read(path)
        values = dict(zip(meta["fields"], columns, strict=True))
        tiles, queries = values["tile"].tolist(), values["query"].tolist()
    assert tiles == served.tiles(**wish) and set(queries) == {"blue, not red"}


def test_an_export_of_a_search_by_image_holds_its_matches(served, tmp_path):
    photo = write_scene(tmp_path / "photo.tif", coloured("green", 4), crs=None).read_bytes()
    files, wish = {"image": ("x.tif", photo)}, json.dumps({"limit": 5, "q": "blue"})
    found = served.client.post("/search/image", files=files, data={"request": wish}).json()["features"]
    answer = served.client.post("/export/image", files=files, data={"request": wish, "format": "geojson"})
    written = answer.json()["features"]
    assert [f["properties"]["tile"] for f in written] == [f["id"] for f in found]
    assert {f["properties"]["query"] for f in written} == {"blue, like a picture"}
    broken = {"image": ("x.tif", photo[:300])}
    assert served.client.post("/export/image", files=broken, data={"format": "csv"}).status_code == 400


def test_unknown_formats_are_refused(served):
    assert served.client.post("/export", json={"format": "shp", "request": {}}).status_code == 400
    files = {"image": ("x.png", b"x")}
    assert served.client.post("/export/image", files=files, data={"format": "shp"}).status_code == 400


# -- looking after it ----------------------------------------------------------------------------------------


def test_metrics_count_by_route_and_not_by_address(served):
    tile = served.tiles(q="blue", limit=1)[0]
    for path in (f"/collections/main/items/{tile}", "/collections/main/items/none", "/x/y", "/x/z"):
        served.client.get(path)
    text = served.client.get("/metrics").text
    route = "/collections/{collection}/items/{tile}"
    assert f'landsift_requests_total{{method="GET",route="{route}",status="200"}} 1' in text
    assert f'landsift_requests_total{{method="GET",route="{route}",status="404"}} 1' in text
    assert 'landsift_requests_total{method="GET",route="other",status="404"} 2' in text and "/x/y" not in text
    assert f'landsift_request_seconds_count{{route="{route}"}} 2' in text
    assert 'landsift_tiles{collection="main"} 72' in text
    buckets = [
        line
        for line in text.splitlines()
        if line.startswith('landsift_request_seconds_bucket{route="/search"')
    ]
    counts = [int(line.rpartition(" ")[2]) for line in buckets]
    assert counts == sorted(counts) and counts[-1] == 1


def test_browsers_are_sent_to_the_page_and_programs_get_the_catalog(served):
    assert served.client.get("/", headers={"Accept": "text/html,*/*"}).headers["location"] == "/ui/"
    assert served.client.get("/").json()["type"] == "Catalog"
    page = served.client.get("/ui/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert served.client.get("/ui").headers["location"] == "/ui/"
    again = served.client.get("/ui/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304


def test_the_openapi_document_promises_only_what_is_kept(served):
    schema = served.client.get("/openapi.json").json()
    assert json.dumps(schema)
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            assert "422" not in operation["responses"] and "400" in operation["responses"], path
