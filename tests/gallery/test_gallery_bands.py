"""An encoder of bands gets the bands of its scenes; encoders of pictures get pictures, as before."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import rasterio

from landsift import Gallery
from landsift.errors import EncoderError
from landsift.gallery.bands import band_choice, encode_tiles
from landsift.scenes import open_scene
from landsift.types import Window
from toys import ToyEncoder, write_scene

BANDS = ("B02", "B03", "B04", "B11")


class BandEncoder(ToyEncoder):
    """The mean of each band, as its vector."""

    def __init__(self, bands=BANDS, scale="samples"):
        super().__init__("bands")
        self.card = dataclasses.replace(self.card, extra={"spectral": {"bands": list(bands), "scale": scale}})
        self.seen = []

    def encode_spectra(self, spectra):
        self.seen += spectra
        rows = np.zeros((len(spectra), 16), np.float32)
        for row, one in zip(rows, spectra, strict=True):
            row[: one.samples.shape[2]] = one.samples.mean(axis=(0, 1))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def scene(tmp_path):
    """Twelve 16-bit bands in the order of Sentinel-2, each of its own level, 512 x 512."""
    levels = np.arange(1, 13) * 500
    noise = np.random.default_rng(0).integers(0, 100, (512, 512, 12))
    path = write_scene(tmp_path / "s2.tif", (levels + noise).astype(np.uint16))
    names = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = names
    return path


def test_the_gallery_passes_the_bands_and_wavelengths_that_the_card_asks_for(tmp_path, scene):
    encoder = BandEncoder()
    gallery = Gallery.open_or_create(tmp_path / "g", encoder=encoder)
    report = gallery.add(scene)
    assert report.tiles and len(encoder.seen) == report.tiles and encoder.images_seen == 0
    one = encoder.seen[0]
    assert one.wavelengths == (0.49, 0.56, 0.665, 1.61)
    np.testing.assert_allclose(one.samples.mean(axis=(0, 1)), [1050, 1550, 2050, 5550], atol=10)
    assert (one.limits[:, 0] < one.limits[:, 1]).all()


def test_a_scene_without_the_bands_is_recorded_and_the_rest_goes_on(tmp_path, scene):
    poor = write_scene(tmp_path / "rgb.tif", np.full((300, 300, 3), 90, np.uint8))
    gallery = Gallery.open_or_create(tmp_path / "g", encoder=BandEncoder())
    report = gallery.add(poor, scene)
    assert report.tiles and len(report.failed) == 1
    assert "none is known as B02, B03, B04, B11" in report.failed[0][1]


def test_bands_lie_over_the_same_ground_as_the_picture(scene):
    """Against a plain read of the file, at full and at half resolution."""
    choose = band_choice(BandEncoder(("B04",)).card)
    with open_scene(scene, spectra=choose) as opened, rasterio.open(scene) as plain:
        for window, size in ((Window(64, 32, 96, 96), (96, 96)), (Window(0, 128, 256, 256), (128, 128))):
            cut = opened._spectral.cut(window, size)
            raw = plain.read(4)[
                window.row : window.row + window.height, window.col : window.col + window.width
            ].astype(np.float32)
            step = window.width // size[1]
            raw = raw.reshape(size[0], step, size[1], step).mean(axis=(1, 3))
            np.testing.assert_allclose(cut.samples[..., 0], raw, atol=1)


def test_a_tile_cut_again_by_its_stored_profile_is_the_same(scene):
    choose = band_choice(BandEncoder().card)
    with open_scene(scene, spectra=choose) as opened:
        profile = type(opened.profile).from_json(opened.profile.to_json())
        first = next(tile for tile in opened.tiles() if tile is not None)
    assert profile.spectra is not None and [band[0] for band in profile.spectra] == [2, 3, 4, 11]
    with open_scene(scene, profile=profile) as again:
        second = next(tile for tile in again.tiles() if tile is not None)
    np.testing.assert_array_equal(first.spectra.samples, second.spectra.samples)
    np.testing.assert_array_equal(first.spectra.limits, second.spectra.limits)


def test_encoders_of_pictures_get_no_bands(scene):
    assert band_choice(ToyEncoder().card) is None
    with open_scene(scene) as opened:
        tiles = [tile for tile in opened.tiles() if tile is not None]
    assert all(tile.spectra is None for tile in tiles)
    toy = ToyEncoder()
    assert encode_tiles(toy, tiles).shape == (len(tiles), 16) and toy.images_seen == len(tiles)
    with pytest.raises(EncoderError, match="without the bands"):
        encode_tiles(BandEncoder(), tiles)


def test_a_card_that_asks_for_bands_its_encoder_cannot_read_is_told(scene):
    toy = ToyEncoder()
    toy.card = BandEncoder().card
    with pytest.raises(EncoderError, match="which it cannot encode"):
        encode_tiles(toy, [])
