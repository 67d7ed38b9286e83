"""Pixels over the web: thumbnails, chips and map squares show what was indexed, where it lies."""

from __future__ import annotations

import io

import numpy as np
import rasterio
from PIL import Image
from rasterio.io import MemoryFile

from landsift import Gallery
from toys import ToyEncoder


def test_a_thumbnail_is_the_tile_as_it_was_encoded(served):
    tile = served.tiles(q="blue", limit=1)[0]
    answer = served.client.get(f"/tiles/main/{tile}/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        pixels = gallery.read(tile, 256)
    shown = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert shown.shape == pixels.shape == (256, 256, 3)
    assert np.abs(shown.astype(int).mean((0, 1)) - pixels.mean((0, 1))).max() < 3
    small = served.client.get(f"/tiles/main/{tile}/thumbnail?size=32")
    assert Image.open(io.BytesIO(small.content)).size == (32, 32)
    for size in (0, 5000, "x"):
        assert served.client.get(f"/tiles/main/{tile}/thumbnail?size={size}").status_code == 400


def test_a_picture_that_has_not_changed_is_not_sent_again(served):
    tile = served.tiles(q="blue", limit=1)[0]
    first = served.client.get(f"/tiles/main/{tile}/thumbnail")
    again = served.client.get(
        f"/tiles/main/{tile}/thumbnail", headers={"If-None-Match": first.headers["etag"]}
    )
    assert again.status_code == 304 and again.content == b""


def test_a_chip_is_the_original_cut_out(served):
    feature = served.search(q="blue", limit=1)["features"][0]
    col, row, width, height = feature["properties"]["landsift:window"]
    answer = served.client.get(feature["assets"]["chip"]["href"])
    assert "geotiff" in answer.headers["content-type"]
    with (
        MemoryFile(answer.content) as memory,
        memory.open() as chip,
        rasterio.open(served.archive / "blue_20220301.tif") as scene,
    ):
        window = rasterio.windows.Window(col, row, width, height)
        assert np.array_equal(chip.read(), scene.read(window=window))
        assert chip.crs == scene.crs and chip.transform == scene.window_transform(window)


def test_a_source_that_is_gone_is_said_so(served):
    tile = served.tiles(q="red", limit=1)[0]
    (served.archive / "red_20200101.tif").unlink()
    for path in (f"/tiles/main/{tile}/thumbnail", f"/tiles/main/{tile}/chip.tif"):
        answer = served.client.get(path)
        assert answer.status_code == 404 and "no file" in answer.json()["description"]


def test_map_squares_show_the_scene_where_it_lies(served):
    scenes = served.client.get("/galleries/main/footprints").json()["scenes"]
    scene = next(s for s in scenes if s["name"].startswith("blue"))
    w, s, e, n = scene["bounds"]
    zoom = 14
    x = int((w + e + 360) / 720 * 2**zoom)
    latitude = np.radians((s + n) / 2)
    y = int((1 - np.arcsinh(np.tan(latitude)) / np.pi) / 2 * 2**zoom)
    answer = served.client.get(f"/scenes/main/{scene['id']}/{zoom}/{x}/{y}.png")
    square = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert answer.headers["content-type"] == "image/png" and square.shape == (256, 256, 4)
    seen = square[square[..., 3] == 255][:, :3].mean(axis=0)
    assert (square[..., 3] == 255).mean() > 0.2 and seen.argmax() == 2
    far = np.asarray(
        Image.open(io.BytesIO(served.client.get(f"/scenes/main/{scene['id']}/{zoom}/0/0.png").content))
    )
    assert not far[..., 3].any()
    for bad in ("2/4/0", "25/0/0", "-1/0/0", "1/x/0"):
        assert served.client.get(f"/scenes/main/{scene['id']}/{bad}.png").status_code in (400, 404)
