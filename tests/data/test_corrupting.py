"""Spoilt pictures and captions: repeatable, of the same shape, worse the higher the severity."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from landsift.data.corrupting import (
    CORRUPTIONS,
    SEVERITIES,
    TEXT_NOISES,
    check_severities,
    corrupt,
    corrupt_text,
    corruption_names,
    find_corruptions,
    spoilt_set,
)
from landsift.data.corrupting.atmosphere import smooth_field
from landsift.errors import UsageError
from landsift.types import RetrievalSet

CAPTION = "There are two planes at the airport, and many cars parked near 3 buildings ."


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A field of green that brightens to one corner, with a lake, a road and grain; nowhere black."""
    rows, columns = np.mgrid[0:72, 0:96].astype(np.float32)
    light = 60 + 0.9 * rows + 0.7 * columns
    image = np.stack([0.6 * light, light, 0.45 * light], axis=2)
    image[10:30, 50:80] = (40, 70, 120)
    image[:, 20:25] = (190, 185, 180)
    grain = np.random.default_rng(0).normal(0, 6, image.shape)
    return np.clip(image + grain, 5, 250).astype(np.uint8)


@pytest.fixture(scope="module")
def slope() -> np.ndarray:
    """Light that rises to one corner, where what moves further differs more."""
    rows, columns = np.mgrid[0:72, 0:72]
    return np.repeat((20 + rows + 2 * columns)[:, :, None], 3, axis=2).astype(np.uint8)


def changed(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.abs(before.astype(np.float64) - after).mean())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_picture_is_spoilt_repeatably_and_more_at_every_severity(picture, slope, name):
    picture = slope if CORRUPTIONS[name].family == "geometry" else picture
    before = picture.copy()
    spoilt = [corrupt(picture, name, severity, key="a.png", seed=3) for severity in SEVERITIES]
    assert np.array_equal(picture, before), "the picture itself is left alone"
    assert all(one.shape == picture.shape and one.dtype == np.uint8 for one in spoilt)
    apart = [changed(picture, one) for one in spoilt]
    assert apart[0] > 0 and all(less < more for less, more in pairwise(apart)), apart
    again = corrupt(picture, name, 3, key="a.png", seed=3)
    assert np.array_equal(again, spoilt[2])
    assert np.array_equal(corrupt(picture, name, 0, key="a.png"), picture)


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"sun-angle", "season", "gsd", "jpeg", "scale"}))
def test_chance_depends_on_the_picture_s_name_and_on_the_seed(picture, name):
    kinds = {corrupt(picture, name, 4, key=key, seed=seed).tobytes() for key in "abcdef" for seed in (0, 1)}
    assert len(kinds) > 1


@pytest.mark.parametrize("name", [name for name, row in CORRUPTIONS.items() if not row.moves])
def test_no_data_stays_no_data(picture, name):
    collared = picture.copy()
    collared[:, :15] = 0
    for severity in (1, 5):
        assert not corrupt(collared, name, severity, key="x")[:, :15].any()


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 40, 3), (33, 2, 3)])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_tiny_and_narrow_pictures_keep_their_shape(name, shape):
    small = np.random.default_rng(1).integers(1, 255, shape, dtype=np.uint8)
    assert corrupt(small, name, 5, key="x").shape == shape


def test_levels_mean_what_they_say(picture):
    flat = np.full((100, 120, 3), 200, np.uint8)
    for severity, share in zip(SEVERITIES, CORRUPTIONS["data-gap"].levels, strict=True):
        lost = (corrupt(flat, "data-gap", severity, key="x") == 0).all(axis=2)
        assert lost.mean() == pytest.approx(share, rel=0.25, abs=0.01)
        assert not lost[:, 60].any(), "the gaps close in the middle"
    for severity, share in zip(SEVERITIES, CORRUPTIONS["impulse-noise"].levels, strict=True):
        hit = corrupt(flat, "impulse-noise", severity, key="x") != 200
        assert hit.mean() == pytest.approx(share, rel=0.1)
    dark = np.full((128, 128, 3), 30, np.uint8)
    for severity, cover in zip(SEVERITIES, CORRUPTIONS["cloud"].levels, strict=True):
        white = corrupt(dark, "cloud", severity, key="x")[:, :, 0] > 0.5 * (30 + 0.95 * 255)
        assert white.mean() == pytest.approx(cover, abs=0.03)
    lost = corrupt(picture, "missing-band", 2, key="x").reshape(-1, 3).std(axis=0)
    assert (lost < 0.01).sum() == 1, "one band is gone"


def test_moved_pictures_are_the_picture_moved(picture):
    turned = corrupt(picture, "rotate", 5, key="x")
    assert changed(turned, picture[::-1, ::-1]) < 2
    shift = corrupt(picture, "misregistration", 2, key="x")
    assert np.array_equal(shift[:, :, 1], picture[:, :, 1]) and changed(shift[:, :, 0], picture[:, :, 0]) > 0
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=25)
    assert np.array_equal(corrupt(picture, "jpeg", 2), np.asarray(Image.open(file)))


def test_the_smooth_field_has_the_spectrum_it_promises():
    field = smooth_field(128, 128, 2.0, np.random.default_rng(0))
    power = np.abs(np.fft.rfft2(field)) ** 2
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)[None])
    known = (frequency > 0.02) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[known]), np.log(power[known]), 1)[0]
    assert slope == pytest.approx(-4, abs=0.2)
    assert abs(field.mean()) < 1e-5 and field.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", TEXT_NOISES)
def test_a_text_is_spoilt_repeatably(name):
    spoilt = [corrupt_text(CAPTION, name, severity, seed=1) for severity in SEVERITIES]
    assert corrupt_text(CAPTION, name, 0, seed=1) == CAPTION
    assert spoilt == [corrupt_text(CAPTION, name, severity, seed=1) for severity in SEVERITIES]
    assert spoilt[4] != CAPTION
    assert len({corrupt_text(CAPTION, name, 2, seed=seed) for seed in range(12)}) > 1
    words = [sum(a != b for a, b in zip(one.split(), CAPTION.split(), strict=False)) for one in spoilt]
    assert words[0] <= words[-1]


def test_text_noises_do_what_they_say():
    assert corrupt_text("two big planes", "casing", 5) == "TWO BIG PLANES"
    assert corrupt_text("two planes, 3 cars.", "numerals", 5) == "2 planes, three cars."
    assert corrupt_text("a big pond", "synonyms", 5) == "a large pool of water"
    assert sorted(corrupt_text(CAPTION, "word-order", 5).split()) == sorted(CAPTION.split())
    dropped = corrupt_text(CAPTION, "word-drop", 5).split()
    assert 0 < len(dropped) < len(CAPTION.split()) and set(dropped) < set(CAPTION.split())
    fewer = corrupt_text(CAPTION, "word-drop", 2).split()
    assert set(dropped) <= set(fewer), "a higher severity makes the slips of a lower one, and more"
    assert "ch" not in corrupt_text("cccc", "misread", 5)
    mistyped = corrupt_text("a field beside a road " * 40, "typos", 3)
    assert np.mean([a != b for a, b in zip("a field beside a road " * 40, mistyped, strict=False)]) > 0.05


@pytest.mark.parametrize("name", TEXT_NOISES)
@pytest.mark.parametrize("text", ["a", "x.", "2", "日本"])
def test_something_legible_is_always_left(name, text):
    for seed in range(8):
        assert any(map(str.isalnum, corrupt_text(text, name, 5, seed=seed)))


def test_names_and_families_are_found_in_the_suite_s_order():
    assert find_corruptions(None) == corruption_names()
    assert find_corruptions(["typos", " jpeg", "haze"]) == ("haze", "jpeg", "typos")
    assert find_corruptions(["air", "cloud"]) == ("haze", "cloud")
    assert set(find_corruptions(["text"])) == set(TEXT_NOISES)
    assert check_severities([5, 1.0, 1]) == (1, 5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: find_corruptions(["clouds"]), "did you mean cloud"),
        (lambda: find_corruptions(["earthquake"]), "there are haze"),
        (lambda: find_corruptions([" "]), "No corruption is named"),
        (lambda: check_severities([6]), "from 1 to 5, got 6"),
        (lambda: check_severities([1.5]), "got 1.5"),
        (lambda: check_severities([]), "got none"),
        (lambda: corrupt(np.ones((2, 2, 3), np.uint8), "typos", 1), "spoils texts"),
        (lambda: corrupt(np.ones((2, 2, 3), np.uint8), "haze", -1), "from 1 to 5"),
        (lambda: corrupt_text("a", "haze", 1), "spoils pictures"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(call, words):
    with pytest.raises(UsageError, match=words):
        call()


def test_a_spoilt_set_spoils_one_side_as_it_is_read(picture):
    data = RetrievalSet(
        "own", "test", [picture, picture], ["a.png", "b.png"], [CAPTION, "a field"], np.array([0, 1])
    )
    spoilt = spoilt_set(data, "cloud", 3, seed=7)
    expected = [corrupt(picture, "cloud", 3, key=name, seed=7) for name in data.image_names]
    assert all(np.array_equal(one, other) for one, other in zip(spoilt.images, expected, strict=True))
    assert np.array_equal(spoilt.images[1], expected[1]) and len(spoilt.images[1:]) == 1
    assert np.array_equal(spoilt.images[1:][0], expected[1])
    assert spoilt.captions == data.captions
    words = spoilt_set(data, "typos", 5, seed=7)
    assert words.images is data.images and words.captions[0] == corrupt_text(CAPTION, "typos", 5, seed=7)
    with pytest.raises(UsageError, match="no corruption"):
        spoilt_set(data, "war", 1)
