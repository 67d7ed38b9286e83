"""What changed, from the outside: the known place comes first, in time's direction, whatever lies between."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from ground import (
    BLUE,
    CHANGED,
    NORTH,
    RED,
    SIDE,
    STEP,
    WEST,
    meadow,
    painted,
    write_date,
    write_warped,
)

import landsift.gallery.gallery as gallery_module
from landsift.changes import ChangeResult, find_changes, pictures_of
from landsift.errors import UsageError
from toys import ToyEncoder

PLACE = "s1_x192_y128"


def found(result: ChangeResult) -> tuple[float, float]:
    return tuple(result[0].corners.mean(axis=0))


@pytest.fixture
def middle() -> tuple[float, float]:
    """Longitude and latitude of the middle of the place that changes."""
    from rasterio.warp import transform

    rows, columns = CHANGED
    east = WEST + STEP * (columns.start + columns.stop) / 2
    north = NORTH - STEP * (rows.start + rows.stop) / 2
    (longitude,), (latitude,) = transform("EPSG:32633", "EPSG:4326", [east], [north])
    return longitude, latitude


def test_the_changed_place_is_first_though_the_light_changed_everywhere(index, two_dates, middle):
    result = find_changes(index(two_dates), before="2010", after="2020", k=3)
    best = result[0]
    assert best.before.tile.endswith(PLACE) and best.after.tile.endswith(PLACE)
    assert (best.before.date, best.after.date) == ("2010-07-01", "2020-07-01")
    assert best.score > 10 * max(abs(result[1].score), 1.0)
    assert best.vectors == "stored" and best.shared == pytest.approx(1.0)
    assert found(result) == pytest.approx(middle, abs=1e-5)
    assert result.places == 25 and result.left_out == {}


def test_a_sentence_has_a_direction_in_time(index, two_dates):
    gallery = index(two_dates)
    forth = find_changes(gallery, "green turned into red", before="2010", after="2020", k=25)
    assert forth[0].after.tile.endswith(PLACE) and forth[0].score > 3
    assert (forth.was, forth.became) == ("green", "red")
    back = find_changes(gallery, "green turned into red", before="2020", after="2010", k=25)
    assert back[-1].before.tile.endswith(PLACE) and back[-1].score < -3
    assert any("backwards" in note for note in back.notes)
    undone = find_changes(gallery, "red turned into green", before="2020", after="2010", k=1)
    assert undone[0].before.tile.endswith(PLACE)


def test_what_was_always_there_did_not_become_so(index, tmp_path):
    folder, old = tmp_path / "ground", (slice(64, 128), slice(64, 128))
    write_date(folder, "20100701", painted(meadow(1), RED, old))
    write_date(folder, "20200701", painted(painted(meadow(2), RED, old), RED))
    result = find_changes(index(folder), "new red", before="2010", after="2020", k=25)
    assert result[0].after.tile.endswith(PLACE)
    always = next(change for change in result if change.after.tile.endswith("s1_x64_y64"))
    assert always.score < result[0].score / 3


def test_both_ends_said_outright_take_the_place_of_the_sentence(index, tmp_path):
    folder, other = tmp_path / "ground", (slice(64, 128), slice(64, 128))
    write_date(folder, "20100701", meadow(1))
    write_date(folder, "20200701", painted(painted(meadow(2), RED), BLUE, other))
    gallery = index(folder)
    said = find_changes(gallery, "green to red", before="2010", after="2020", was="green", became="blue", k=1)
    assert said[0].after.tile.endswith("s1_x64_y64") and said.query == "green to red"
    put_back = find_changes(gallery, before="2010", after="2020", unlike=["red"], k=1)
    assert put_back[0].after.tile.endswith("s1_x64_y64")
    put_back = find_changes(gallery, before="2010", after="2020", unlike=["blue"], k=1)
    assert put_back[0].after.tile.endswith(PLACE)


def test_overlapping_tiles_give_one_place(index, two_dates):
    result = find_changes(index(two_dates, overlap=0.5), before="2010", after="2020", k=10)
    outlines = shapely.polygons([change.corners for change in result])
    assert len(result) == 10
    for number, outline in enumerate(outlines):
        shared = shapely.area(shapely.intersection(outline, outlines[:number]))
        assert (shared <= 0.101 * outline.area).all()


@pytest.mark.parametrize(("crs", "finer"), [("EPSG:4326", 2.0), ("EPSG:32634", 1.0), ("EPSG:3857", 0.5)])
def test_other_grids_and_resolutions_are_laid_over_each_other(index, tmp_path, middle, crs, finer):
    folder = tmp_path / "ground"
    write_date(folder, "20100701", meadow(1))
    write_warped(folder, "20200701", painted(meadow(2), RED), crs=crs, finer=finer)
    result = find_changes(index(folder), "green became red", before="2010", after="2020", k=1)
    assert shapely.Polygon(result[0].corners).contains(shapely.Point(middle))
    assert result[0].vectors == "encoded"
    assert any("other coordinate system" in note and "encoded" in note for note in result.notes)
    coarser = max(10.0, 10.0 / finer)
    assert result[0].gsd == pytest.approx(coarser, rel=0.4)


def test_a_file_that_is_gone_leaves_its_vectors(index, tmp_path, middle):
    folder = tmp_path / "ground"
    write_date(folder, "20100701", meadow(1), shift=200.0)
    path = write_date(folder, "20200701", painted(meadow(2), RED))
    gallery = index(folder)
    (folder / "ground_20100701.tif").unlink()
    path.unlink()
    result = find_changes(gallery, before="2010", after="2020", k=1)
    assert result[0].vectors == "averaged"
    assert shapely.Polygon(result[0].corners).contains(shapely.Point(middle))
    assert sum("cannot be read" in note for note in result.notes) == 2
    assert pictures_of(gallery, list(result), 32) == [(None, None)]


def test_clouds_are_left_out_and_counted(index, tmp_path):
    folder = tmp_path / "ground"
    write_date(folder, "20100701", meadow(1))
    clouded = painted(painted(meadow(2), RED), (243, 243, 243), (slice(64, 128), slice(64, 128)))
    write_date(folder, "20200701", clouded)
    gallery = index(folder)
    result = find_changes(gallery, before="2010", after="2020", k=25)
    assert result[0].after.tile.endswith(PLACE) and result.left_out == {"clouds": 1} and result.places == 24
    assert "1 place left out: clouds." in result.notes
    kept = find_changes(gallery, before="2010", after="2020", k=2, keep_clouds=True)
    assert {change.after.tile.partition("_s1_")[2] for change in kept} == {"x64_y64", "x192_y128"}


def test_of_an_interval_the_nearest_clear_date_is_taken(index, tmp_path):
    folder, cloud = tmp_path / "ground", (slice(64, 128), slice(64, 128))
    write_date(folder, "20050701", painted(meadow(1), BLUE, cloud))
    write_date(folder, "20100701", painted(meadow(2), (243, 243, 243), cloud))
    write_date(folder, "20200701", meadow(3))
    result = find_changes(index(folder), before="2000/2012", after="2013/2024", k=25)
    dates = {change.after.tile.partition("_s1_")[2]: change.before.date for change in result}
    assert dates.pop("x64_y64") == "2005-07-01"
    assert set(dates.values()) == {"2010-07-01"} and len(dates) == 24


def test_places_without_enough_pixels_are_left_out(index, tmp_path):
    folder = tmp_path / "ground"
    write_date(folder, "20100701", meadow(1))
    holes = painted(meadow(2), RED)
    holes[256:, :30] = 0
    from toys import write_scene

    write_scene(folder / "ground_20200701.tif", holes, west=WEST, north=NORTH, step=STEP, nodata=0)
    result = find_changes(index(folder), before="2010", after="2020", k=1)
    assert result.left_out == {"nodata": 1} and result[0].after.tile.endswith(PLACE)


def test_few_places_are_compared_plainly(index, tmp_path):
    folder = tmp_path / "ground"
    write_date(folder, "20100701", meadow(1))
    write_date(folder, "20200701", painted(meadow(2), RED, (slice(160, 320), slice(160, 320))))
    result = find_changes(index(folder, tile=160), before="2010", after="2020", k=4)
    assert result[0].after.tile.endswith("x160_y160") and 0 < result[0].score < 2
    assert any("too few" in note for note in result.notes)


def test_the_pictures_show_one_outline_on_both_dates(index, two_dates):
    gallery = index(two_dates)
    result = find_changes(gallery, before="2010", after="2020", k=1)
    ((before, after),) = pictures_of(gallery, list(result), 48, margin=0.0)
    assert before.shape == after.shape == (48, 48, 3)
    assert (
        before[..., 1].mean() > 2 * before[..., 0].mean() and after[..., 0].mean() > 2 * after[..., 1].mean()
    )
    ((_, wider),) = pictures_of(gallery, list(result), 96, margin=0.5)
    assert wider[48, 48, 0] > wider[48, 48, 1] and wider[48, 4, 1] > wider[48, 4, 0]


# -- what cannot be answered ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"before": "2011", "after": "2020"}, "No scene is of 2011"),
        ({"before": "2010", "after": "2019-05"}, "there are 2010-07-01, 2020-07-01"),
        ({"before": "soon", "after": "2020"}, "--before takes a date"),
        ({"before": "2010/2020", "after": "2020"}, "overlap"),
        ({"before": "2010", "after": "2020", "k": 0}, "k must be 1"),
        ({"before": "2010", "after": "2020", "text": " "}, "text is empty"),
        ({"before": "2010", "after": "2020", "became": ""}, "text is empty"),
        ({"before": "2010", "after": "2020", "unlike": [""]}, "not wanted is empty"),
        ({"before": "2010", "after": "2020", "box": (40.0, 0.0, 41.0, 1.0)}, "share no ground in the box"),
    ],
)
def test_wrong_questions_are_answered_by_one_sentence(index, two_dates, asked, sentence):
    with pytest.raises(UsageError, match=sentence) as error:
        find_changes(index(two_dates), **asked)
    assert "\n" not in str(error.value)


def write_cloud(folder: Path) -> None:
    write_date(folder, "20100701", meadow(1))
    cloud = 240 + np.random.default_rng(0).integers(0, 9, (SIDE, SIDE, 3))
    write_date(folder, "20200701", cloud.astype(np.uint8))


def write_apart(folder: Path) -> None:
    write_date(folder, "20100701", meadow(1))
    write_date(folder, "20200701", meadow(2), shift=90_000.0)


def write_once(folder: Path) -> None:
    write_date(folder, "20100701", meadow(1))


def write_small(folder: Path) -> None:
    write_date(folder, "20100701", meadow(1)[:40, :150], shift=2_000.0)
    write_date(folder, "20200701", meadow(2))


def write_undated(folder: Path) -> None:
    write_date(folder, "first", meadow(1))


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (write_cloud, "Clouds hide every place"),
        (write_apart, "share no ground"),
        (write_once, "All scenes are of one date, 2010-07-01"),
        (write_undated, "No scene of the gallery has a date"),
    ],
)
def test_galleries_without_change_to_show_say_why(index, tmp_path, write, sentence):
    write(tmp_path / "ground")
    with pytest.raises(UsageError, match=sentence):
        find_changes(index(tmp_path / "ground"), before="2010", after="2020")


def test_a_scene_smaller_than_a_tile_is_named(index, tmp_path):
    write_small(tmp_path / "ground")
    gallery = index(tmp_path / "ground", tile=256)
    with pytest.raises(UsageError, match="150 x 40 pixels, less than a tile of 256; index it with a smaller"):
        find_changes(gallery, before="2010", after="2020")


def test_one_scene_that_spans_both_dates_is_no_pair(index, tmp_path):
    write_date(tmp_path / "ground", "20100701", meadow(1))
    write_date(tmp_path / "ground", "20200701", meadow(2))
    (tmp_path / "ground" / "ground_20200701.tif").rename(tmp_path / "ground" / "2020.tif")
    with pytest.raises(UsageError, match="both mean the scenes of 2020; choose two of 2010-07-01, 2020"):
        find_changes(index(tmp_path / "ground"), before="2020-01", after="2020-06")


# -- the command ---------------------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch, landsift_command):
    monkeypatch.setattr(gallery_module, "load_encoder", lambda name: ToyEncoder())
    return landsift_command


def test_the_command_prints_writes_and_draws(run, two_dates, tmp_path):
    gallery = tmp_path / "g"
    assert run("index", gallery, two_dates, "--tile", 64, "--overlap", 0)[0] == 0
    dates = ("--before", "2010", "--after", "2020")
    code, out, err = run(
        "changes", gallery, "green cleared for red", *dates, "-k", 3,
        "-o", tmp_path / "c.geojson", "--sheet", tmp_path / "c.png",
    )  # fmt: skip
    assert code == 0 and PLACE in out and "2010-07-01" in out and "Read as: green -> red." in err
    features = json.loads((tmp_path / "c.geojson").read_text())["features"]
    first = features[0]["properties"]
    assert len(features) == 3 and features[0]["geometry"]["type"] == "Polygon"
    assert first["before_tile"].endswith(PLACE) and first["after_tile"].endswith(PLACE)
    assert (first["before_date"], first["after_date"]) == ("2010-07-01", "2020-07-01") and first["score"] > 3
    from PIL import Image

    with Image.open(tmp_path / "c.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"), int)
    red, green = (pixels[..., i] - pixels[..., 1 - i] > 80 for i in (0, 1))
    assert red.sum() > 5000 and green.sum() > 20_000

    code, out, _ = run("changes", gallery, *dates, "--json", "-k", 2)
    answer = json.loads(out)
    assert code == 0 and answer["places"] == 25 and len(answer["changes"]) == 2
    assert answer["changes"][0]["after_tile"].endswith(PLACE) and len(answer["changes"][0]["corners"]) == 4


def test_the_command_needs_two_dates(run, two_dates, tmp_path):
    gallery = tmp_path / "g"
    run("index", gallery, two_dates, "--tile", 64)
    code, _, err = run("changes", gallery, "--before", "2010")
    assert code == 2 and err.count("\n") == 1 and "Two dates are needed" in err
    code, _, err = run("changes", gallery, "--before", "1999", "--after", "2020")
    assert code == 2 and err.count("\n") == 1 and "No scene is of 1999" in err
    code, _, err = run(
        "changes", gallery, "--before", "2010", "--after", "2020", "--sheet", tmp_path / "x.tif"
    )
    assert code == 2 and "end the name with .png" in err


def test_the_ucayali_cut_through_its_bend(real_data, tmp_path):
    """Between 1985 and 2020 the river left its bend near 74.26 W, 8.52 S; nothing else changed as much."""
    from landsift import Gallery

    with Gallery.create(tmp_path / "g", tile=128, overlap=0.0) as gallery:
        gallery.add(*(real_data / "scenes" / "landsat" / f"{year}.tif" for year in (1985, 2020)))
        result = find_changes(gallery, before="1985", after="2020", k=1)
    assert shapely.Polygon(result[0].corners).contains(shapely.Point(-74.26, -8.52))
