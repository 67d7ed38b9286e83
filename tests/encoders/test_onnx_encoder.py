"""Running an encoder: rows that depend on nothing else, and what each odd input gets."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from landsift.encoders import load_encoder
from landsift.encoders.pixels import resize_square
from landsift.errors import EncoderError, LandsiftWarning, UsageError
from landsift.threads import available_threads
from landsift.types import Encoder


def test_it_is_an_encoder(tiny):
    assert isinstance(load_encoder(tiny), Encoder)


def test_image_rows_are_unit_and_in_order(tiny, pictures):
    rows = load_encoder(tiny).encode_images(pictures)
    assert rows.shape == (9, 6) and rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    for row, picture in zip(rows, pictures, strict=True):
        np.testing.assert_array_equal(load_encoder(tiny, threads=1).encode_images([picture])[0], row)


def test_text_rows_are_unit_and_in_order(tiny):
    texts = ["a red roof", "blue", "a red roof", "green roof a", "roof"]
    rows = load_encoder(tiny).encode_texts(texts)
    assert rows.shape == (5, 6) and rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(rows[0], rows[2])
    for row, text in zip(rows, texts, strict=True):
        np.testing.assert_array_equal(load_encoder(tiny, threads=1).encode_texts([text])[0], row)


def test_nothing_gives_no_rows(tiny):
    encoder = load_encoder(tiny)
    assert encoder.encode_images([]).shape == (0, 6)
    assert encoder.encode_texts([]).shape == (0, 6)


def test_a_tower_is_read_only_when_it_is_needed(tiny, pictures):
    size = (tiny / "image.onnx").stat().st_size
    (tiny / "image.onnx").write_bytes(b"\0" * size)
    encoder = load_encoder(tiny)
    assert encoder.encode_texts(["red"]).shape == (1, 6)
    with pytest.raises(EncoderError, match=r"image\.onnx cannot be loaded as an ONNX graph"):
        encoder.encode_images(pictures)


def test_a_broken_tokenizer_is_named(tiny):
    size = (tiny / "tokenizer.json").stat().st_size
    (tiny / "tokenizer.json").write_bytes(b"{" * size)
    with pytest.raises(EncoderError, match=r"tokenizer\.json cannot be read as a tokenizer"):
        load_encoder(tiny).encode_texts(["red"])


def test_a_card_with_another_width_is_refused(tiny, rewrite_card, pictures):
    rewrite_card(dim=5)
    with pytest.raises(EncoderError, match="gives vectors of shape"):
        load_encoder(tiny).encode_images(pictures[:1])


def test_a_card_with_another_input_size_is_refused(tiny, rewrite_card, pictures):
    rewrite_card(input_size=9)
    with pytest.raises(EncoderError, match="does not take pixels of shape"):
        load_encoder(tiny).encode_images(pictures[:1])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
        "image.png",
    ],
    ids=["grey", "alpha", "channels first", "floats", "empty", "a path"],
)
def test_what_is_no_image_is_told_its_place(tiny, image, pictures):
    with pytest.raises(UsageError, match=r"Image 1 is .*uint8 RGB"):
        load_encoder(tiny).encode_images([pictures[0], image])


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "​", "́"])
def test_blank_text_is_refused(tiny, text):
    with pytest.raises(UsageError, match="Text 1 "):
        load_encoder(tiny).encode_texts(["red", text])


def test_one_string_is_not_a_list_of_letters(tiny):
    with pytest.raises(UsageError, match="put a single one into a list"):
        load_encoder(tiny).encode_texts("red")


def test_a_text_that_is_no_string_is_refused(tiny):
    with pytest.raises(UsageError, match="Text 0 is of type int"):
        load_encoder(tiny).encode_texts([3])


def test_long_texts_are_cut_with_one_warning(tiny):
    encoder = load_encoder(tiny)
    long = "red green blue a roof red green blue"
    with pytest.warns(LandsiftWarning, match="^2 of 3 texts are longer than the 7 tokens") as caught:
        rows = encoder.encode_texts([long, "red", "a " + long])
    assert len(caught) == 1
    np.testing.assert_array_equal(rows[0], encoder.encode_texts(["red green blue a roof"])[0])


def test_a_text_of_ten_thousand_characters_is_cut(tiny):
    with pytest.warns(LandsiftWarning, match="1 of 1 texts"):
        load_encoder(tiny).encode_texts(["red roof " * 1200])


@pytest.mark.parametrize("text", ["🛰️ 🙂", "机场", "аэропорт", "xyzzy"])
def test_a_text_of_unknown_words_alone_is_warned_of(tiny, text):
    with pytest.warns(LandsiftWarning, match="knows no word of 1 of 2 texts") as caught:
        load_encoder(tiny).encode_texts(["red", text])
    assert len(caught) == 1
    load_encoder(tiny).encode_texts([f"red {text}"])


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_below_one_are_refused(tiny, threads):
    with pytest.raises(UsageError, match="at least one thread"):
        load_encoder(tiny, threads=threads)


def test_threads_default_to_the_cpus_of_the_process(tiny):
    assert load_encoder(tiny).threads == available_threads() >= 1


def test_many_threads_may_share_an_encoder(tiny, pictures):
    encoder = load_encoder(tiny)
    expected = load_encoder(tiny).encode_images(pictures)
    results: list[np.ndarray] = []
    workers = [
        threading.Thread(target=lambda: results.append(encoder.encode_images(pictures))) for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 8
    for rows in results:
        np.testing.assert_array_equal(rows, expected)


def test_squares_keep_the_whole_picture_and_their_own_pixels():
    square = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    assert resize_square(square, 8) is square
    wide = np.zeros((10, 400, 3), np.uint8)
    wide[:, 200:] = 250
    small = resize_square(wide, 8)
    assert small.shape == (8, 8, 3)
    assert small[:, :3].max() < 10 and small[:, 5:].min() > 240


def test_shrinking_averages_instead_of_picking():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(resize_square(stripes, 32).astype(int) - 127).max() <= 6


def test_pictures_are_made_square_as_the_card_says(tiny, rewrite_card):
    from landsift.encoders.pixels import fit_square

    wide = np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8)
    squashed = load_encoder(tiny).encode_images([wide])
    rewrite_card(fit='"centre-crop"')
    cropped = load_encoder(tiny).encode_images([wide])
    np.testing.assert_array_equal(
        cropped, load_encoder(tiny).encode_images([fit_square(wide, 8, "centre-crop")])
    )
    assert not np.array_equal(cropped, squashed)
