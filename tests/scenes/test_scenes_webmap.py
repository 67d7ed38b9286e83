"""Scenes as squares of the web map against GDAL's own warper; chips and uploads."""

from __future__ import annotations

import io

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.io import MemoryFile
from rasterio.transform import from_bounds, from_origin
from rasterio.vrt import WarpedVRT

from landsift.errors import SceneError, UsageError
from landsift.scenes import check_size, cut_window, draw_square, image_suffix, open_scene
from landsift.scenes.webmap import SIDE
from landsift.types import Window
from toys import write_scene

HALF = np.pi * 6_378_137.0


def smooth(height: int, width: int, bands: int = 3) -> np.ndarray:
    """Slow waves, so that a pixel's neighbour is nearly as bright."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [120 + 100 * np.sin(x / (40 + 9 * k) + k) * np.cos(y / (35 + 7 * k)) for k in range(bands)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def square_of(path, zoom, x, y):
    with open_scene(path) as scene:
        data = draw_square(scene.source, scene.profile, zoom, x, y)
    return np.asarray(Image.open(io.BytesIO(data)))


def square_under(path, zoom):
    """The square that holds the middle of a scene."""
    with open_scene(path) as scene:
        lon, lat = np.asarray(scene.profile.corners).mean(axis=0)
    lon = (lon + 180) % 360 - 180
    x = int((lon + 180) / 360 * 2**zoom)
    return x, int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom)


def warped(path, zoom, x, y):
    """(samples, validity) of a square as GDAL warps it."""
    side = 2 * HALF / 2**zoom
    west, north = -HALF + x * side, HALF - y * side
    place = from_bounds(west, north - side, west + side, north, SIDE, SIDE)
    with (
        rasterio.open(path) as source,
        WarpedVRT(source, crs="EPSG:3857", transform=place, width=SIDE, height=SIDE, add_alpha=True) as warp,
    ):
        samples = warp.read()
    return np.moveaxis(samples[:3], 0, 2), samples[3] != 0


PLACES = {
    "utm": {"west": 500_000, "north": 4_600_000, "step": 10.0, "crs": "EPSG:32633"},
    "degrees": {"west": 12.0, "north": -33.0, "step": 1e-4, "crs": "EPSG:4326"},
    "polar": {"west": -800_000, "north": 900_000, "step": 30.0, "crs": "EPSG:3413"},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("ratio", [0.4, 1.0, 3.0])
def test_squares_agree_with_gdals_warper(tmp_path, place, ratio):
    path = write_scene(tmp_path / "s.tif", smooth(600, 700), photometric="RGB", **PLACES[place])
    with open_scene(path) as scene:
        assert scene.profile.stretch[0] != (0.0, 255.0)
        latitude = np.radians(np.asarray(scene.profile.corners)[:, 1].mean())
        zoom = round(np.log2(2 * HALF / SIDE * np.cos(latitude) / (ratio * scene.profile.gsd)))
        stretch = np.array(scene.profile.stretch)
    x, y = square_under(path, zoom)
    square = square_of(path, zoom, x, y)
    samples, valid = warped(path, zoom, x, y)
    expected = np.clip((samples - stretch[:, 0]) * 255 / (stretch[:, 1] - stretch[:, 0]), 0, 255)
    assert (valid != (square[..., 3] == 255)).mean() < 0.02 and valid.mean() > 0.1
    both = valid & (square[..., 3] == 255)
    assert np.abs(square[both][:, :3] - expected[both]).mean() < 6 * max(1, ratio)


def test_a_scene_across_the_antimeridian_shows_on_both_sides(tmp_path):
    path = write_scene(
        tmp_path / "s.tif", smooth(300, 400), west=179.8, north=-15.0, step=1e-3, crs="EPSG:4326"
    )
    _, y = square_under(path, 8)
    west, east = square_of(path, 8, 255, y), square_of(path, 8, 0, y)
    assert west[:, -1, 3].any() and east[:, 0, 3].any() and not west[:, 0, 3].any()


def test_nodata_is_clear_and_a_square_elsewhere_is_empty(tmp_path):
    pixels = smooth(300, 300)
    pixels[:150] = 0
    path = write_scene(tmp_path / "s.tif", np.where(pixels == 0, 0, np.maximum(pixels, 1)), nodata=0)
    zoom = 13
    x, y = square_under(path, zoom)
    with open_scene(path) as scene:
        shown = square_of(path, zoom, x, y)[..., 3] == 255
        assert scene.profile.nodata[0] == 0
    valid = warped(path, zoom, x, y)[1]
    assert (shown != valid).mean() < 0.02 and 0 < shown.mean() < 1
    assert not square_of(path, zoom, 0, 0)[..., 3].any()
    loose = write_scene(tmp_path / "loose.tif", smooth(90, 90), crs=None)
    assert not square_of(loose, 0, 0, 0)[..., 3].any()


def test_a_whole_large_scene_is_drawn_from_one_overview(tmp_path, monkeypatch):
    path = write_scene(tmp_path / "s.tif", smooth(2500, 2500), step=30.0)
    x, y = square_under(path, 6)
    first = square_of(path, 6, x, y)
    assert first[..., 3].any()
    monkeypatch.setattr("landsift.scenes.webmap.open_scene", lambda *a, **k: pytest.fail("read again"))
    x5, y5 = square_under(path, 5)
    assert square_of(path, 5, x5, y5)[..., 3].any()


@pytest.mark.parametrize(("zoom", "x", "y"), [(0, 1, 0), (2, 0, 4), (25, 0, 0), (-1, 0, 0), (3, -1, 0)])
def test_squares_that_are_not_there_are_refused(tmp_path, zoom, x, y):
    path = write_scene(tmp_path / "s.tif", smooth(90, 90))
    with pytest.raises(UsageError, match="no square"):
        square_of(path, zoom, x, y)


# -- chips ---------------------------------------------------------------------------------------------------


def chip_of(path, window, **options):
    with open_scene(path, **options) as scene:
        return cut_window(scene.source, scene.profile, window)


def test_a_chip_keeps_bands_samples_place_and_meaning(tmp_path):
    samples = smooth(80, 90, 5).astype(np.uint16) * 40
    path = write_scene(tmp_path / "s.tif", samples, nodata=7)
    with rasterio.open(path, "r+") as file:
        file.set_band_description(4, "near infrared")
        file.scales, file.offsets = (1e-4,) * 5, (-0.1,) * 5
        file.update_tags(TIFFTAG_DATETIME="2020:01:02 03:04:05")
    window = Window(11, 13, 40, 30)
    with MemoryFile(chip_of(path, window)) as memory, memory.open() as chip:
        assert np.array_equal(np.moveaxis(chip.read(), 0, 2), samples[13:43, 11:51])
        assert chip.dtypes == ("uint16",) * 5 and chip.nodata == 7
        assert chip.descriptions[3] == "near infrared" and chip.scales == (1e-4,) * 5
        assert chip.crs.to_epsg() == 32633 and chip.tags()["TIFFTAG_DATETIME"] == "2020:01:02 03:04:05"
        assert chip.transform == from_origin(500_110, 4_599_870, 10, 10)


def test_a_chip_of_a_scene_without_crs_takes_the_one_given(tmp_path):
    path = write_scene(tmp_path / "s.tif", smooth(80, 90), crs=None)
    with MemoryFile(chip_of(path, Window(0, 0, 9, 9))) as memory, memory.open() as chip:
        assert chip.crs is None
    path.with_suffix(".tfw").write_text("10\n0\n0\n-10\n500005\n4599995\n")
    with MemoryFile(chip_of(path, Window(1, 0, 9, 9), crs="EPSG:32633")) as memory, memory.open() as chip:
        assert chip.crs.to_epsg() == 32633 and chip.transform.c == 500_010


def test_a_palette_and_a_mask_travel_with_the_chip(tmp_path):
    path = tmp_path / "p.tif"
    numbers = np.arange(900, dtype=np.uint8).reshape(30, 30) % 4
    with rasterio.open(path, "w", driver="GTiff", width=30, height=30, count=1, dtype="uint8") as file:
        file.write(numbers, 1)
        file.write_colormap(1, {n: (60 * n, 0, 255, 255) for n in range(4)})
    with MemoryFile(chip_of(path, Window(3, 3, 8, 8))) as memory, memory.open() as chip:
        assert chip.colormap(1)[3] == (180, 0, 255, 255) and chip.colorinterp[0].name == "palette"
    path = write_scene(tmp_path / "m.tif", smooth(30, 30))
    mask = np.zeros((30, 30), np.uint8)
    mask[:, :20] = 255
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    with rasterio.open(path) as file:
        assert file.dataset_mask().any()
    with MemoryFile(chip_of(path, Window(10, 0, 20, 30))) as memory, memory.open() as chip:
        assert np.array_equal(chip.dataset_mask() != 0, mask[:, 10:] != 0)


def test_a_scene_that_shrank_gives_no_chip(tmp_path):
    path = write_scene(tmp_path / "s.tif", smooth(80, 90))
    with open_scene(path) as scene:
        source, profile = scene.source, scene.profile
    write_scene(path, smooth(40, 40))
    with pytest.raises(SceneError, match="smaller"):
        cut_window(source, profile, Window(30, 30, 20, 20))


# -- uploads -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_images_are_known_by_their_first_bytes(tmp_path, format_):
    out = io.BytesIO()
    Image.fromarray(smooth(20, 30)).save(out, format_)
    path = tmp_path / f"image{image_suffix(out.getvalue())}"
    path.write_bytes(out.getvalue())
    check_size(path, 600)
    with pytest.raises(UsageError, match="30 x 20"):
        check_size(path, 599)


@pytest.mark.parametrize(
    "data", [b"", b"<VRTDataset", b"GIF89a", b"RIFF0000WAVE", b"%PDF", b'{"type": "Feature"}']
)
def test_everything_else_is_no_image(data):
    with pytest.raises(UsageError, match="no PNG"):
        image_suffix(data)


def test_an_image_of_many_bands_or_of_none_is_refused(tmp_path):
    path = write_scene(tmp_path / "many.tif", smooth(4, 4, 65))
    with pytest.raises(UsageError, match="65 bands"):
        check_size(path, 1000)
    path.write_bytes(b"II*\x00 and nothing more")
    with pytest.raises(SceneError, match="cannot be opened"):
        check_size(path, 1000)
