"""A tiny encoder in a folder: three colours and a vocabulary of nine words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from landsift.encoders.cards import FILE_NAMES, combined_hash, sha256_of

onnx = pytest.importorskip("onnx")

SIZE, DIM, CONTEXT = 8, 6, 7
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "green", "blue", "roof")


def _graph(nodes, inputs, constants) -> bytes:
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    graph = helper.make_graph(
        nodes,
        "tiny",
        [inputs],
        [helper.make_tensor_value_info("vectors", onnx.TensorProto.FLOAT, ["n", DIM])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    ).SerializeToString()


def _unit_rows() -> list:
    make = onnx.helper.make_node
    return [make("LpNormalization", ["rows"], ["vectors"], axis=1, p=2)]


def image_graph() -> bytes:
    make, kinds = onnx.helper.make_node, onnx.TensorProto
    nodes = [
        make("Cast", ["pixels"], ["wide"], to=kinds.FLOAT),
        make("ReduceMean", ["wide", "axes"], ["colour"], keepdims=0),
        make("MatMul", ["colour", "weight"], ["rows"]),
        *_unit_rows(),
    ]
    weight = np.random.default_rng(0).normal(size=(3, DIM)).astype(np.float32)
    pixels = onnx.helper.make_tensor_value_info("pixels", kinds.UINT8, ["n", SIZE, SIZE, 3])
    return _graph(nodes, pixels, {"weight": weight, "axes": np.array([1, 2])})


def text_graph() -> bytes:
    make = onnx.helper.make_node
    nodes = [
        make("Gather", ["table", "tokens"], ["words"]),
        make("ReduceMean", ["words", "axes"], ["rows"], keepdims=0),
        *_unit_rows(),
    ]
    table = np.random.default_rng(1).normal(size=(len(WORDS), DIM)).astype(np.float32)
    tokens = onnx.helper.make_tensor_value_info("tokens", onnx.TensorProto.INT64, ["n", "length"])
    return _graph(nodes, tokens, {"table": table, "axes": np.array([1])})


def tokenizer_json() -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str()


def write_card(folder: Path, **changes: object) -> None:
    """A card that fits the files in ``folder``, with some fields changed."""
    hashes = {name: sha256_of(folder / name) for name in FILE_NAMES}
    fields = {
        "name": '"tiny"',
        "dim": DIM,
        "weights_sha256": f'"{combined_hash(hashes)}"',
        "input_size": SIZE,
        "context_length": CONTEXT,
        "licence": '"CC0-1.0"',
        "trained_on": '["nothing/train"]',
        "remark": '"kept as it is"',
    } | changes
    lines = [f"{key} = {value}" for key, value in fields.items() if value is not None]
    for name, hashed in hashes.items():
        lines += [f'[files."{name}"]', f"bytes = {(folder / name).stat().st_size}", f'sha256 = "{hashed}"']
    (folder / "card.toml").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def tiny(tmp_path) -> Path:
    """A folder that ``load_encoder`` takes."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "image.onnx").write_bytes(image_graph())
    (folder / "text.onnx").write_bytes(text_graph())
    (folder / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    write_card(folder)
    return folder


@pytest.fixture
def rewrite_card(tiny) -> Callable[..., None]:
    """Write the tiny encoder's card again, with some fields changed (None leaves one out)."""
    return lambda **changes: write_card(tiny, **changes)


@pytest.fixture
def pictures() -> list[np.ndarray]:
    """Nine pictures of nine sizes."""
    rng = np.random.default_rng(7)
    sizes = [(8, 8), (3, 5), (40, 40), (1, 1), (9, 2), (224, 200), (64, 65), (31, 7), (16, 16)]
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
