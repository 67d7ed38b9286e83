"""The encoder that ships: stable to the last bit, the same in torch, and it knows an airport."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from landsift.encoders import load_encoder
from landsift.encoders.cards import folder_of
from landsift.encoders.pixels import resize_square
from landsift.errors import LandsiftWarning

SENTENCES = [
    "an airport with planes",
    "a dense forest",
    "boats in a harbor",
    "Many buildings and some green trees are in a dense residential area .",
    "river",
    "a baseball field next to a road",
    "storage tanks",
]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("landsift-lite")


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Twelve coarse patterns of twelve sizes, each in a colour of its own."""
    rng = np.random.default_rng(3)
    made = []
    for number in range(12):
        coarse = (rng.random((3 + number, 4 + number, 1)) * rng.random((1, 1, 3)) * 255).astype(np.uint8)
        made.append(coarse.repeat(5 + 3 * number, axis=0).repeat(9, axis=1))
    return made


@pytest.fixture(scope="module")
def data(real_data) -> Path:
    return real_data


def test_rows_do_not_depend_on_their_company(encoder, pictures):
    together = encoder.encode_images(pictures)
    for order in (range(12), range(11, -1, -1), (3, 3, 7, 0, 3)):
        np.testing.assert_array_equal(
            encoder.encode_images([pictures[i] for i in order]), together[list(order)]
        )
    for threads in (1, 2, 5):
        again = load_encoder("landsift-lite", threads=threads)
        np.testing.assert_array_equal(again.encode_images(pictures), together)
    alone = np.concatenate([encoder.encode_images([picture]) for picture in pictures])
    np.testing.assert_array_equal(alone, together)


def test_text_rows_do_not_depend_on_their_company(encoder):
    together = encoder.encode_texts(SENTENCES)
    np.testing.assert_array_equal(encoder.encode_texts(SENTENCES[::-1]), together[::-1])
    alone = np.concatenate([encoder.encode_texts([text]) for text in SENTENCES])
    np.testing.assert_array_equal(alone, together)


def test_rows_are_unit_and_not_all_the_same(encoder, pictures):
    for rows in (encoder.encode_images(pictures), encoder.encode_texts(SENTENCES)):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        cosines = rows @ rows.T
        assert np.median(cosines[~np.eye(len(rows), dtype=bool)]) < 0.9


def test_case_and_spaces_do_not_matter(encoder):
    rows = encoder.encode_texts(["an airport with planes", "An Airport  with PLANES"])
    np.testing.assert_array_equal(rows[0], rows[1])


@pytest.mark.parametrize("text", ["🛰️🙂", "机场", "аэропорт"])
def test_what_it_cannot_read_it_says(encoder, text):
    with pytest.warns(LandsiftWarning, match="knows no word of 1 of 1 texts"):
        encoder.encode_texts([text])


def test_a_novel_is_cut(encoder):
    with pytest.warns(LandsiftWarning, match="longer than the 128 tokens"):
        rows = encoder.encode_texts(["a river that winds through green fields " * 250])
    np.testing.assert_allclose(np.linalg.norm(rows), 1, atol=1e-5)


def test_a_text_search_reads_no_image_tower_and_no_torch(tmp_path):
    program = """
import sys
from landsift.encoders import list_encoders, load_encoder

list_encoders()
assert 'onnxruntime' not in sys.modules and 'tokenizers' not in sys.modules
import onnxruntime

opened, session = [], onnxruntime.InferenceSession
onnxruntime.InferenceSession = lambda path, *rest, **more: opened.append(path) or session(path, *rest, **more)
load_encoder('landsift-lite').encode_texts(['a bridge'])
assert len(opened) == 1 and opened[0].endswith('text.onnx'), opened
assert 'torch' not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def test_nothing_is_noted_down_for_the_makers_of_the_runtime(tmp_path):
    """ONNX Runtime keeps what it means to report in the user's cache, unless it is told not to."""
    quiet = {
        "CI",
        "TF_BUILD",
        "GITHUB_ACTIONS",
        "ORT_DISABLE_TELEMETRY",
    }  # it keeps quiet by itself where tests run
    settings = {name: value for name, value in os.environ.items() if name not in quiet}
    settings |= dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(tmp_path))
    program = "import landsift; landsift.load_encoder('landsift-lite').encode_texts(['a bridge'])"
    subprocess.run([sys.executable, "-c", program], check=True, env=settings)
    assert list(tmp_path.rglob("*")) == []


def test_torch_says_the_same_of_patterns_and_sentences(encoder, pictures):
    images, texts = in_torch(encoder, pictures, SENTENCES)
    assert (images * encoder.encode_images(pictures)).sum(1).min() > 0.9999
    assert (texts * encoder.encode_texts(SENTENCES)).sum(1).min() > 0.9999


def in_torch(encoder, pictures, sentences) -> tuple[np.ndarray, np.ndarray]:
    """The same encoder by torch in float32, one image and one text at a time."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from tokenizers import Tokenizer

    from landsift.models.exported import load_exported

    model = load_exported(folder_of(encoder.card))
    tokenizer = Tokenizer.from_file(str(folder_of(encoder.card) / "tokenizer.json"))
    squares = [resize_square(picture, encoder.card.input_size) for picture in pictures]
    with torch.no_grad():
        images = [model.encode_images(torch.tensor(square).permute(2, 0, 1)[None]) for square in squares]
        texts = [model.encode_texts(torch.tensor([tokenizer.encode(text).ids])) for text in sentences]
    return torch.cat(images).numpy(), torch.cat(texts).numpy()


def test_torch_says_the_same_of_real_images_and_captions(encoder, data):
    from landsift.data import load_dataset, read_images

    pairs = load_dataset("ucm-captions", data, "val")
    pictures, sentences = list(read_images(pairs.images[::10])), list(dict.fromkeys(pairs.captions[::25]))
    images, texts = in_torch(encoder, pictures, sentences)
    assert (images * encoder.encode_images(pictures)).sum(1).min() > 0.9999
    assert (texts * encoder.encode_texts(sentences)).sum(1).min() > 0.9999


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("an airport with planes", "airplane"),
        ("airplanes", "airplane"),
        ("dense forest", "forest"),
        ("boats in a harbor", "harbor"),
        ("tennis court", "tenniscourt"),
        ("waves on a sandy beach", "beach"),
        ("baseball field", "baseballdiamond"),
        ("round storage tanks", "storagetanks"),
    ],
)
def test_a_query_finds_its_class_among_real_images(encoder, data, query, wanted):
    from landsift.data import load_dataset, read_images

    pairs = load_dataset("ucm-captions", data, "val")
    assert pairs.labels is not None
    rows = validation_rows(encoder, pairs, read_images)
    best = np.argsort(-(rows @ encoder.encode_texts([query])[0]))[:5]
    names = [pairs.class_names[pairs.labels[row]] for row in best]
    assert names.count(wanted) >= 4, names


_rows: dict[str, np.ndarray] = {}


def validation_rows(encoder, pairs, read_images) -> np.ndarray:
    """Encoded once for all queries."""
    if pairs.name not in _rows:
        _rows[pairs.name] = encoder.encode_images(list(read_images(pairs.images)))
    return _rows[pairs.name]
