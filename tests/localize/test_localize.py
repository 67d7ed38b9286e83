"""Where something is: windows, maps made in strips, files that a GIS opens, a cache that tells no lies."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, shape

pytest.importorskip("cv2")

from landsift.errors import LandsiftWarning, SceneError, UsageError
from landsift.localize import Evidence, HeatMap, Looker, ask, localize, look, write_regions
from landsift.localize.fusing import fused, fused_strips
from landsift.localize.layouts import anchor_boxes, diagonal_grids, fitting_sides, plain_grid
from landsift.scenes import open_scene
from landsift.types import Window
from toys import ToyEncoder, write_field, write_scene

HEIGHT, WIDTH = 640, 900
RED = (slice(96, 288), slice(600, 792))


@pytest.fixture
def field(tmp_path):
    return write_field(tmp_path / "field.tif", HEIGHT, WIDTH, RED)


def twin(evidence: Evidence) -> np.ndarray:
    """Every pixel of every window, one after the other."""
    total, count = np.zeros((evidence.height, evidence.width)), np.zeros((evidence.height, evidence.width))
    for (left, top, right, bottom), score in zip(evidence.boxes, evidence.scores, strict=True):
        total[top:bottom, left:right] += score
        count[top:bottom, left:right] += 1
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, total / np.maximum(count, 1), evidence.elsewhere)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 25), st.integers(1, 40))
def test_fusion_is_the_mean_over_windows(seed, count, rows):
    random = np.random.default_rng(seed)
    height, width = random.integers(5, 60, 2).tolist()
    low = np.stack([random.integers(0, width, count), random.integers(0, height, count)], axis=1)
    size = random.integers(1, 30, (count, 2))
    boxes = np.concatenate([low, np.minimum(low + size, [width, height])], axis=1)
    evidence = Evidence(width, height, boxes, random.normal(size=count).astype(np.float32))
    np.testing.assert_allclose(fused(evidence), twin(evidence), atol=1e-5)
    strips = [part[above : above + rows] for _, above, part in fused_strips(evidence, rows, halo=7)]
    np.testing.assert_array_equal(np.concatenate(strips), fused(evidence))


def test_windows_as_published():
    windows = diagonal_grids(1000, 700, [256])
    first = {window.col for window in windows[:12]}
    assert first == {0, 256, 512, 744} and {w.row for w in windows[:12]} == {0, 256, 444}
    assert {window.col for window in windows[12:]} == {128, 384, 640, 744}, "half a side in, moved back"
    assert all(w.col + w.width <= 1000 and w.row + w.height <= 700 for w in windows)
    assert len(plain_grid(1000, 700, 500)) == 4
    boxes = anchor_boxes(Window(0, 0, 512, 512), (128, 256), 1000, 700)
    assert len(boxes) == 18 and Window(0, 0, 64, 64) in boxes and Window(192, 192, 128, 128) in boxes
    assert Window(448, 448, 128, 128) in boxes, "around the corner, into the neighbour too"


def test_windows_that_do_not_fit():
    with pytest.warns(LandsiftWarning, match="768 pixels do not fit"):
        assert fitting_sides((768, 256), 500, 400) == (256,)
    with pytest.raises(UsageError, match="less than the smallest window of 512"):
        fitting_sides((512,), 500, 400)
    with pytest.raises(UsageError, match="16 pixels or more"):
        fitting_sides((4,), 500, 400)


@pytest.mark.parametrize("engine", ["windows", "two-stage"])
def test_the_red_square_is_found(field, engine):
    with open_scene(field) as scene:
        heat = localize(scene, "red", ToyEncoder(), engine=engine, sides=(64, 128, 192))
        best = heat.regions(heat.threshold(0.6))[0]
        centre = best.window.col + best.window.width / 2, best.window.row + best.window.height / 2
        assert 600 < centre[0] < 792 and 96 < centre[1] < 288
        assert best.area_m2 == pytest.approx(best.pixels * 100, rel=0.01)
        samples = np.concatenate([strip for _, strip in heat.strips(100)])
        np.testing.assert_array_equal(samples, next(heat.strips(HEIGHT))[1])
        assert samples.shape == (HEIGHT, WIDTH) and samples[192, 696] > 200
        if engine == "windows":
            assert (samples[:, :100] == 255).all(), "where nothing was seen nothing is known"


def test_what_is_not_wanted_turns_the_map_around(field):
    encoder = ToyEncoder()
    np.testing.assert_allclose(np.linalg.norm(ask(encoder, "red", ["blue"])), 1, atol=1e-5)
    with open_scene(field) as scene:
        plain = localize(scene, "grey", encoder, sides=(96,))
        turned = localize(scene, "grey", encoder, unlike=["blue"], sides=(96,))
        red, blue = (192, 696), (500, 400)
        assert (
            turned.similarity[red] - turned.similarity[blue] > plain.similarity[red] - plain.similarity[blue]
        )
        with pytest.raises(UsageError, match="nothing to look for"):
            localize(scene, " ", encoder)
        with pytest.raises(UsageError, match="no engine 'magic'"):
            localize(scene, "red", encoder, engine="magic")


def test_a_second_question_encodes_nothing(field, tmp_path):
    encoder = ToyEncoder()
    with open_scene(field) as scene:
        first = localize(scene, "red", encoder, sides=(128,), cache=tmp_path / "cache")
        seen = encoder.images_seen
        again = localize(scene, "red", encoder, sides=(128,), cache=tmp_path / "cache")
        assert encoder.images_seen == seen > 0
        np.testing.assert_array_equal(again.evidence.scores, first.evidence.scores)
        other = ToyEncoder(salt="retrained")
        localize(scene, "red", other, sides=(128,), cache=tmp_path / "cache")
        assert other.images_seen == seen, "another encoder has vectors of its own"
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(b"cut short")
    with open_scene(field) as scene:
        healed = localize(scene, "red", encoder, sides=(128,), cache=tmp_path / "cache")
    np.testing.assert_array_equal(healed.evidence.scores, first.evidence.scores)


def test_equal_windows_are_encoded_once(field):
    encoder = ToyEncoder()
    with open_scene(field) as scene:
        rows, seen = Looker(scene, encoder).vectors([Window(600, 100, 64, 64)] * 3 + [Window(0, 0, 64, 64)])
    assert encoder.images_seen == 1 and seen.tolist() == [True, True, True, False]
    assert not rows[3].any()


def test_files_that_a_gis_opens(field, tmp_path, landsift_command, monkeypatch):
    monkeypatch.setattr("landsift.encoders.load_encoder", lambda name: ToyEncoder())
    monkeypatch.setenv("LANDSIFT_CACHE", str(tmp_path / "cache"))
    heat, regions, picture = tmp_path / "heat.tif", tmp_path / "hot.geojson", tmp_path / "over.png"
    code, out, err = landsift_command(
        "localize",
        field,
        "red",
        "--scales",
        "64,128",
        "-o",
        heat,
        "--polygons",
        regions,
        "--overlay",
        picture,
    )
    assert code == 0, err
    assert "red: 1 region of field.tif" in out
    with rasterio.open(heat) as file, rasterio.open(field) as scene:
        assert (file.crs, file.transform, file.shape) == (scene.crs, scene.transform, scene.shape)
        assert file.nodata == 255 and file.scales == (pytest.approx(1 / 254),)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and file.tags()["text"] == "red"
        assert file.read(1)[192, 696] > 200
    found = json.loads(regions.read_text())["features"]
    assert len(found) == 1 and found[0]["properties"]["rank"] == 1
    middle = rasterio.warp.transform("EPSG:32633", "EPSG:4326", [500_000 + 6960], [4_600_000 - 1920])
    assert shape(found[0]["geometry"]).contains(Point(middle[0][0], middle[1][0]))
    from PIL import Image

    assert Image.open(picture).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--threshold", "hot"], "--threshold takes auto or a heat"),
        (["--threshold", "7"], "above 0 and at most 1"),
        (["--scales", "64", "-o", "heat.png"], "must end in .tif"),
        (["--scales", "64", "-o", "nowhere/heat.tif"], "does not exist"),
        (["--scales", "64", "--overlay", "heat.bmp"], "must end in .png or .jpg"),
        (["--scales", "5000"], "less than the smallest window"),
    ],
)
def test_what_cannot_be_done_is_said(field, more, sentence, landsift_command, monkeypatch, tmp_path):
    monkeypatch.setattr("landsift.encoders.load_encoder", lambda name: ToyEncoder())
    monkeypatch.setenv("LANDSIFT_CACHE", str(tmp_path / "cache"))
    code, _, err = landsift_command("localize", field, "red", *more)
    assert code == 2 and sentence in " ".join(err.split())


def test_scenes_without_place_or_content(tmp_path):
    pixels = np.random.default_rng(0).integers(1, 255, (80, 90, 3)).astype(np.uint8)
    nowhere = write_scene(tmp_path / "nowhere.tif", pixels, crs=None)
    with open_scene(nowhere) as scene:
        heat = localize(scene, "red", ToyEncoder(), sides=(32,))
        assert all(region.area_m2 is None for region in heat.regions(0.5))
        with pytest.raises(UsageError, match="no coordinate system"):
            write_regions(tmp_path / "hot.geojson", heat, 0.5, "red")
    sparse = np.zeros((200, 200, 3), np.uint8)
    sparse[:4] = pixels[:4, :1]
    with open_scene(write_scene(tmp_path / "sparse.tif", sparse, nodata=0)) as scene:
        evidence = look(Looker(scene, ToyEncoder()), ask(ToyEncoder(), "red"), sides=(128,))
        with pytest.raises(SceneError, match="too little to be searched"):
            HeatMap(scene, evidence)
