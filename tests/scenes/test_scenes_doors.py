"""Files that cannot be shown: one sentence each, with what to do, and nothing on the terminal."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from landsift.errors import SceneError
from landsift.scenes import TilingOptions, open_scene, plan

Write = Callable[..., Path]
Noise = Callable[..., np.ndarray]

HTML = b"\n<!DOCTYPE html>\n<html><body>404 Not Found</body></html>"
TEXTS = {
    "page.tif": (HTML, "web page"),
    "page.jpg": (b"<html><head></head></html>", "web page"),
    "denied.tif": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "text document"),
    "error.tif": (b'\xef\xbb\xbf{"message": "not found"}', "text document"),
    "zero.tif": (b"", "zero bytes"),
    "garbage.tif": (bytes(range(7, 256)) * 20, "no image format"),
    "word.png": (b"\xd0\xcf\x11\xe0 old word file", "no image format"),
    "head.tif": (b"II*\x00\x08\x00\x00\x00\x10\x00\x00\x01", "cut short"),
    "bad.vrt": (b"<VRTDataset>", r"bad\.vrt"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_files_that_are_no_images(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    content, message = TEXTS[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SceneError, match=message) as caught:
        open_scene(path)
    check_sentence(str(caught.value), path)
    assert capfd.readouterr() == ("", "")


def check_sentence(sentence: str, path: Path) -> None:
    """Names the file, is one line, and ends in what to do."""
    assert str(path) in sentence and "\n" not in sentence and sentence.endswith(".")
    remedies = ("fetch", "convert", "check", "choose", "leave it out", "name ", "one band only")
    assert any(remedy in sentence for remedy in remedies)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="There is no file") as caught:
        open_scene(tmp_path / "gone.tif")
    check_sentence(str(caught.value), tmp_path / "gone.tif")
    with pytest.raises(SceneError, match="is a folder"):
        open_scene(tmp_path)


@pytest.mark.parametrize("compress", [None, "deflate", "jpeg"])
def test_a_file_cut_short_fails_when_the_missing_part_is_read(
    write_raster: Write, noise: Noise, compress: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"compress": compress} if compress else {}
    path = write_raster(noise((3, 600, 500)), tiled=True, photometric="RGB", transform=None, **options)
    with open_scene(path) as scene:
        profile = scene.profile
    body = path.read_bytes()
    path.write_bytes(body[: len(body) * 2 // 3])
    with (
        pytest.raises(SceneError, match="damaged or incomplete") as caught,
        open_scene(path, profile=profile) as scene,
    ):
        list(scene.tiles(TilingOptions()))
    check_sentence(str(caught.value), path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "complex_int16"])
def test_complex_radar_is_refused(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "slc.tif"
    with rasterio.open(path, "w", driver="GTiff", width=30, height=20, count=1, dtype=dtype) as dataset:
        dataset.write(np.ones((1, 20, 30), np.complex64))
    with pytest.raises(SceneError, match="complex samples") as caught:
        open_scene(path)
    check_sentence(str(caught.value), path)


@pytest.mark.parametrize("how", ["nodata", "NaN", "inf", "alpha", "mask", "photograph"])
def test_a_scene_without_any_valid_pixel_is_refused(write_raster: Write, how: str) -> None:
    zeros = np.zeros((3, 60, 60), np.uint8)
    rgba = ["red", "green", "blue", "alpha"]
    path = {
        "nodata": lambda: write_raster(zeros, nodata=0),
        "NaN": lambda: write_raster(np.full((3, 60, 60), np.nan, np.float32)),
        "inf": lambda: write_raster(np.full((1, 60, 60), np.inf, np.float32)),
        "alpha": lambda: write_raster(np.zeros((4, 60, 60), np.uint8), colours=rgba, photometric="RGB"),
        "mask": lambda: write_raster(zeros + 9, mask=zeros[0] > 0),
        "photograph": lambda: write_raster(np.zeros((4, 60, 60), np.uint8), "a.png", driver="PNG"),
    }[how]()
    with pytest.raises(SceneError, match="no valid pixel") as caught:
        open_scene(path)
    check_sentence(str(caught.value), path)


def test_a_large_scene_without_any_valid_pixel_is_refused(write_raster: Write) -> None:
    path = write_raster(np.zeros((1, 2500, 2500), np.uint8), nodata=0, compress="deflate", tiled=True)
    with pytest.raises(SceneError, match="no valid pixel"):
        open_scene(path)


def test_bands_the_file_does_not_have(write_raster: Write, noise: Noise) -> None:
    path = write_raster(noise((3, 20, 20)))
    with pytest.raises(SceneError, match="no band 7; choose from 1 to 3") as caught:
        open_scene(path, bands=(1, 7, 2))
    check_sentence(str(caught.value), path)
    with pytest.raises(SceneError, match="one band only"):
        open_scene(write_raster(noise((1, 20, 20)), "grey.tif"), bands=(1, 2, 3))


def test_a_strip_of_70000_pixels(write_raster: Write) -> None:
    row = (np.arange(70_000) % 251).astype(np.uint8)
    path = write_raster(np.tile(row, (3, 300, 1)), compress="deflate")
    with open_scene(path) as scene:
        for scale in (1, 2):
            block = plan(scene.profile, TilingOptions(scales=(scale,))).blocks[0]
            tracemalloc.start()
            scene.read_block(block)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 70e6
        tiles = list(scene.tiles(TilingOptions(scales=(1, 2))))
    ones = [tile for tile in tiles if tile is not None and tile.scale == 1]
    assert len(ones) == 2 * 365 and len(tiles) == 2 * 365 + 182
    assert max(tile.window.col + tile.window.width for tile in ones) == 70_000
    last = next(tile for tile in ones if tile.window.col == 70_000 - 256)
    with open_scene(path) as scene:
        np.testing.assert_array_equal(scene.read(last.window)[0], last.pixels)


def test_one_pixel(write_raster: Write) -> None:
    with open_scene(write_raster(np.full((3, 1, 1), 7, np.uint8))) as scene:
        (tile,) = scene.tiles(TilingOptions(scales=(1, 2)))
    assert tile is not None and tile.pixels.shape == (1, 1, 3)


def test_a_line_one_pixel_high(write_raster: Write, noise: Noise) -> None:
    with open_scene(write_raster(noise((3, 1, 1000)))) as scene:
        tiles = list(scene.tiles(TilingOptions(tile=64, scales=(1, 2, 4), gsd=33.0)))
    assert tiles and all(tile is not None and tile.pixels.shape[0] == 1 for tile in tiles)


def test_nothing_is_printed_or_warned_of_about_plain_pictures(
    write_raster: Write, noise: Noise, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_raster(noise((5, 90, 90)), transform=None, photometric="RGB", overviews=[2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_scene(path) as scene:
            list(scene.tiles(TilingOptions(tile=32, scales=(1, 2))))
    assert capfd.readouterr() == ("", "")


def test_planning_and_listing_need_no_gdal() -> None:
    code = (
        "import sys, landsift.scenes; from landsift.scenes import SceneSource, find_sources, plan;"
        "print([m for m in ('rasterio', 'pystac', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
