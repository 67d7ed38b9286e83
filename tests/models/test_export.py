"""Exported graphs say what the torch model says, however stored, and nothing of where they were made."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

import onnxruntime  # noqa: E402

from landsift.errors import EncoderError  # noqa: E402
from landsift.export import image_graph, store_small, text_graph, to_integers, write_graph  # noqa: E402
from landsift.models.dual import DualEncoder  # noqa: E402
from landsift.models.exported import load_exported  # noqa: E402
from landsift.models.text import BertTower, TextConfig  # noqa: E402
from landsift.models.towers import EfficientNetLite  # noqa: E402

SIZE = 64
SMALL_TEXT = TextConfig(vocabulary=300, width=48, layers=2, heads=4, hidden=96, context_length=20)


def coloured_squares(count: int) -> np.ndarray:
    """Pictures of coarse squares, each picture in a colour of its own: ``(count, SIZE, SIZE, 3)`` uint8."""
    rng = np.random.default_rng(0)
    coarse = rng.random((count, 4, 4, 1)) * rng.random((count, 1, 1, 3)) * 255
    return coarse.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> DualEncoder:
    torch.manual_seed(0)
    model = DualEncoder(EfficientNetLite(), BertTower(SMALL_TEXT), dim=32).train()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None  # the statistics of the next batch, instead of a slow average
    with torch.no_grad():
        model.encode_images(torch.from_numpy(coloured_squares(16)).permute(0, 3, 1, 2))
        for parameter in model.text_tower.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


@pytest.fixture(scope="module")
def graphs(model):
    """Both sides as float32; making them leaves the model as it was."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = image_graph(model, SIZE), text_graph(model)
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return made


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return coloured_squares(5)


@pytest.fixture(scope="module")
def tokens() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 300, (5, 9))


def run(graph, storage: str, **inputs: np.ndarray) -> np.ndarray:
    copied = onnx.ModelProto.FromString(graph.SerializeToString())
    session = onnxruntime.InferenceSession(store_small(copied, storage).SerializeToString())
    return session.run(["vectors"], inputs)[0]


def worst_cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float((left * right).sum(1).min())


@pytest.mark.parametrize(
    ("storage", "least"), [("float32", 0.99999), ("float16", 0.9999), ("mixed", 0.99), ("int8", 0.98)]
)
def test_images(model, graphs, pixels, storage, least):
    with torch.no_grad():
        expected = model.encode_images(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()
    got = run(graphs[0], storage, pixels=pixels)
    assert worst_cosine(got, expected) > least
    assert (expected @ expected.T)[~np.eye(5, dtype=bool)].max() < 0.98, "else any answer would pass"
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("storage", "least"), [("float32", 0.99999), ("float16", 0.9999), ("int8", 0.999)])
@pytest.mark.parametrize(("rows", "length"), [(5, 9), (1, 2), (2, 20)])
def test_texts(model, graphs, tokens, storage, least, rows, length):
    tokens = np.tile(tokens, (1, 3))[:rows, :length]
    with torch.no_grad():
        expected = model.encode_texts(torch.from_numpy(tokens)).numpy()
    assert worst_cosine(run(graphs[1], storage, tokens=tokens), expected) > least
    assert rows == 1 or (expected[0] @ expected[1]) < 0.98, "else any answer would pass"


def test_small_storage_is_small(graphs):
    sizes = {}
    for storage in ("float32", "float16", "mixed", "int8"):
        copied = onnx.ModelProto.FromString(graphs[1].SerializeToString())
        sizes[storage] = len(store_small(copied, storage).SerializeToString())
    assert sizes["float16"] < 0.7 * sizes["float32"] and sizes["int8"] < 0.5 * sizes["float32"]
    assert sizes["int8"] <= sizes["mixed"] <= sizes["float16"]


def test_files_are_the_same_every_time_and_name_no_place(model, graphs, tmp_path):
    write_graph(graphs[1], tmp_path / "first.onnx")
    write_graph(text_graph(model), tmp_path / "second.onnx")
    data = (tmp_path / "first.onnx").read_bytes()
    assert data == (tmp_path / "second.onnx").read_bytes()
    assert os.fsencode(Path(torch.__file__).parent.parent) not in data
    assert b".py" not in data


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rounding_to_integers_stays_within_half_a_step(axis):
    values = np.random.default_rng(2).normal(size=(4, 5, 6)).astype(np.float32)
    np.moveaxis(values, axis, 0)[1] = 0
    integers, scale = to_integers(values, axis)
    assert integers.dtype == np.int8 and scale.size == values.shape[axis]
    assert (np.abs(integers * scale - values) <= scale / 2 + 1e-7).all()
    assert np.abs(integers).max() == 127


@pytest.mark.parametrize("storage", ["float32", "mixed", "int8"])
def test_an_exported_encoder_reads_back(model, graphs, pixels, tokens, tmp_path, storage):
    for graph, name in zip(graphs, ("image.onnx", "text.onnx"), strict=True):
        copied = onnx.ModelProto.FromString(graph.SerializeToString())
        write_graph(store_small(copied, storage), tmp_path / name)
    again = load_exported(tmp_path)
    with torch.no_grad():
        images = again.encode_images(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()
        texts = again.encode_texts(torch.from_numpy(tokens)).numpy()
    assert worst_cosine(run(graphs[0], storage, pixels=pixels), images) > 0.99999
    assert worst_cosine(run(graphs[1], storage, tokens=tokens), texts) > 0.99999
    if storage == "float32":
        torch.testing.assert_close(again.text_tower.state_dict(), model.text_tower.state_dict())


def test_a_graph_from_elsewhere_is_refused(graphs, tmp_path):
    for graph, name in zip(graphs, ("image.onnx", "text.onnx"), strict=True):
        other = onnx.ModelProto.FromString(graph.SerializeToString())
        del other.metadata_props[:]
        write_graph(other, tmp_path / name)
    with pytest.raises(EncoderError, match="not written by this version's export"):
        load_exported(tmp_path)
    (tmp_path / "text.onnx").write_bytes(b"<html>")
    with pytest.raises(EncoderError, match=r"text\.onnx cannot be read"):
        load_exported(tmp_path)
