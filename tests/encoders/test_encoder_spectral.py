"""Which bands an encoder gets of a scene: by name, by wavelength, by count, or none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from landsift.encoders import card_of
from landsift.encoders.spectral import SENTINEL_2, SpectralNeed, choose_bands, scaled_samples, spectral_need
from landsift.errors import EncoderError, SceneError
from landsift.types import Spectra

TEN = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
ANY, NAMED = SpectralNeed((), "limits"), SpectralNeed(TEN, "samples")
RGB = (1, 2, 3)


def test_cards_say_what_they_need():
    assert spectral_need(card_of("remoteclip-vit-b-32")) is None
    assert spectral_need(card_of("llama3-ms-clip")) == NAMED
    assert spectral_need(card_of("geolangbind-b-16")) == ANY
    assert len(spectral_need(card_of("ms-clip-12")).bands) == 12


@pytest.mark.parametrize("asked", [{"bands": ["B99"]}, {"scale": "loud"}])
def test_a_card_that_asks_for_the_unknown_is_told(asked):
    card = dataclasses.replace(card_of("geolangbind-b-16"), extra={"spectral": asked})
    with pytest.raises(EncoderError, match="asks for"):
        spectral_need(card)


def test_bands_are_found_by_name_in_any_order_and_spelling():
    names = [f"B{band[1:].lstrip('0')}, central wavelength" for band in reversed(TEN)]
    names[0] = "Band_12"
    names = ["QA60", *names]
    found = choose_bands(NAMED, names, [None] * 11, RGB)
    assert found.numbers == tuple(range(11, 1, -1))
    assert found.wavelengths == tuple(SENTINEL_2[band] for band in TEN)


def test_bands_are_found_by_wavelength():
    waves = [SENTINEL_2[band] + 0.004 for band in TEN]
    assert choose_bands(NAMED, [""] * 10, waves, RGB).numbers == tuple(range(1, 11))


@pytest.mark.parametrize(
    ("count", "numbers"),
    [
        (13, (2, 3, 4, 5, 6, 7, 8, 9, 12, 13)),
        (12, (2, 3, 4, 5, 6, 7, 8, 9, 11, 12)),
        (10, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
    ],
)
def test_nameless_bands_are_taken_in_the_order_of_sentinel_2(count, numbers):
    assert choose_bands(NAMED, [""] * count, [None] * count, RGB).numbers == numbers


def test_a_scene_without_the_bands_is_told_which_are_missing():
    with pytest.raises(SceneError, match=r"of the 4 bands of this scene none is known as B02, B03"):
        choose_bands(NAMED, [""] * 4, [None] * 4, RGB)
    with pytest.raises(SceneError, match=r"known as B05, B06, B07, B8A, B11, B12;"):
        choose_bands(NAMED, ["B2", "B3", "B4", "B8"], [None] * 4, RGB)


def test_any_bands_are_those_of_known_wavelength():
    found = choose_bands(ANY, ["", "", "", "", "cloud mask"], [0.49, 0.56, 0.665, 1.61, None], (3, 2, 1))
    assert found.numbers == (1, 2, 3, 4) and found.wavelengths == (0.49, 0.56, 0.665, 1.61)
    named = choose_bands(ANY, ["B4", "B3", "B2", "B11"], [None] * 4, RGB)
    assert named.numbers == (1, 2, 3, 4) and named.wavelengths == (0.665, 0.56, 0.49, 1.61)


def test_where_nothing_is_known_the_picture_is_read():
    found = choose_bands(ANY, ["", "", "", ""], [None] * 4, (3, 2, 1))
    assert found.numbers == (3, 2, 1) and found.wavelengths == (0.665, 0.56, 0.49)


def test_samples_are_scaled_as_asked():
    samples = np.float32([[[0, 50], [100, 500]]])
    one = Spectra(samples, (0.5, 0.6), np.float32([[0, 100], [100, 300]]))
    np.testing.assert_array_equal(scaled_samples(one, "samples"), samples)
    np.testing.assert_array_equal(scaled_samples(one, "limits"), [[[0, 0], [1, 1]]])
    flat = Spectra(samples, (0.5, 0.6), np.float32([[7, 7], [7, 7]]))
    assert np.isfinite(scaled_samples(flat, "limits")).all()


def test_spectra_that_contradict_themselves_are_refused():
    with pytest.raises(ValueError, match="Spectra of 2 bands"):
        Spectra(np.zeros((4, 4, 3), np.float32), (0.5, 0.6), np.zeros((2, 2), np.float32))
