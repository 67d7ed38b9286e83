"""What GIS programs read back from the files that are written."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow.parquet as parquet
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landsift import formats
from landsift.errors import MissingDependency, UsageError
from landsift.formats import FeatureTable, outline_geometries, write_table

TYPES = {"tile": str, "rank": int, "score": float, "date": str}


def square(west: float, south: float, side: float) -> list[list[float]]:
    return [[west, south + side], [west + side, south + side], [west + side, south], [west, south]]


@pytest.fixture
def table() -> FeatureTable:
    corners = np.array([square(10, 50, 1), square(179.5, -1, 1), [[np.nan] * 2] * 4])
    columns = {
        "tile": ["a", "b\n€", "c"],
        "rank": [1, 2, 3],
        "score": [0.5, np.float32(0.25), None],
        "date": [None] * 3,
    }
    return FeatureTable(corners, columns, TYPES, np.eye(3, 8), {"model": "toy"})


def test_geojson_follows_rfc_7946(tmp_path, table):
    assert write_table(tmp_path / "t.geojson", [table, table]) == 6
    found = json.loads((tmp_path / "t.geojson").read_text(encoding="utf-8"))
    assert found["type"] == "FeatureCollection" and len(found["features"]) == 6 and "crs" not in found
    first, crossing, nowhere = found["features"][:3]
    ring = shapely.LinearRing(first["geometry"]["coordinates"][0])
    assert ring.is_ccw and ring.is_ring
    assert crossing["geometry"]["type"] == "MultiPolygon"
    assert all(abs(x) <= 180 for part in crossing["geometry"]["coordinates"] for x, _ in part[0])
    assert shapely.from_geojson(json.dumps(crossing["geometry"])).area == pytest.approx(1.0)
    assert nowhere["geometry"] is None
    assert crossing["properties"] == {"tile": "b\n€", "rank": 2, "score": 0.25, "date": None}
    assert nowhere["properties"]["score"] is None


def test_geopackage_opens_with_its_types(tmp_path, table):
    write_table(tmp_path / "t.gpkg", [table, table], layer="matches")
    facts = pyogrio.read_info(tmp_path / "t.gpkg", layer="matches")
    assert facts["features"] == 6 and facts["crs"] == "EPSG:4326"
    assert dict(zip(facts["fields"], facts["ogr_types"], strict=True)) == {
        "tile": "OFTString",
        "rank": "OFTInteger64",
        "score": "OFTReal",
        "date": "OFTString",
    }
    _, _, shapes, values = pyogrio.raw.read(tmp_path / "t.gpkg")
    assert shapely.from_wkb(shapes[0]).equals(shapely.box(10, 50, 11, 51))
    assert shapes[2] is None and values[0][1] == "b\n€" and np.isnan(values[2][2])


def test_geoparquet_has_its_footer_covering_and_embeddings(tmp_path, table):
    write_table(tmp_path / "t.parquet", [table, table])
    found = parquet.read_table(tmp_path / "t.parquet")
    footer = json.loads(found.schema.metadata[b"geo"])
    assert footer["version"] == "1.1.0" and footer["primary_column"] == "geometry"
    assert footer["columns"]["geometry"]["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert json.loads(found.schema.metadata[b"emb"]) == {"model": "toy"}
    assert found.column("bbox")[0].as_py() == {"xmin": 10, "ymin": 50, "xmax": 11, "ymax": 51}
    assert shapely.from_wkb(found.column("geometry")[0].as_py()).area == 1.0
    assert np.array_equal(np.array(found.column("embedding").to_pylist())[:3], np.eye(3, 8))
    assert found.column("date").null_count == 6 and str(found.schema.field("date").type) == "string"


def test_csv_has_a_header_and_wkt(tmp_path, table):
    write_table(tmp_path / "t.csv", [table])
    rows = list(csv.DictReader((tmp_path / "t.csv").open(encoding="utf-8", newline="")))
    assert [row["tile"] for row in rows] == ["a", "b\n€", "c"] and rows[2]["score"] == ""
    assert shapely.from_wkt(rows[0]["geometry"]).equals(shapely.box(10, 50, 11, 51))


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "parquet", "csv"])
def test_no_match_still_gives_a_file_that_opens(tmp_path, suffix):
    empty = FeatureTable(np.empty((0, 4, 2)), {name: [] for name in TYPES}, TYPES)
    path = tmp_path / f"t.{suffix}"
    assert write_table(path, [empty]) == 0
    if suffix in ("geojson", "gpkg"):
        assert pyogrio.read_info(path)["features"] == 0
    elif suffix == "parquet":
        assert parquet.read_table(path).num_rows == 0
    else:
        assert path.read_text().strip() == "tile,rank,score,date,geometry"


@given(
    west=st.floats(-400, 400), south=st.floats(-89, 80), width=st.floats(0.01, 30), height=st.floats(0.01, 9)
)
def test_outlines_keep_their_area_wherever_they_are_wrapped(west, south, width, height):
    box = np.array(
        [[[west, south + height], [west + width, south + height], [west + width, south], [west, south]]]
    )
    shape = outline_geometries(box)[0]
    assert shape.area == pytest.approx(width * height, rel=1e-3)
    assert shape.bounds[0] >= -180 and shape.bounds[2] <= 180 and shape.is_valid


def test_bad_targets_are_refused(tmp_path, table, monkeypatch):
    with pytest.raises(UsageError, match="Cannot tell a format"):
        write_table(tmp_path / "t.shp", [table])
    with pytest.raises(UsageError, match="does not exist"):
        write_table(tmp_path / "no" / "t.csv", [table])

    def absent(name, *, extra):
        raise MissingDependency(f"{name} [{extra}]")

    monkeypatch.setattr(formats, "need", absent)
    with pytest.raises(MissingDependency):
        write_table(tmp_path / "t.parquet", [table])
    assert list(tmp_path.iterdir()) == []
