"""Parameters and floating-point operations of the towers of an ONNX encoder.

Operations are counted from the shapes of one real run, so that no shape has to be inferred: two for each
multiplication with addition of a convolution or a matrix product, nothing for what is done element by
element. Needs the package ``onnx``; knows no scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from landsift.encoders.cards import IMAGE_FILE, TEXT_FILE, TOKENIZER_FILE, folder_of
from landsift.errors import EncoderError, need
from landsift.types import EncoderCard

__all__ = ["count_graph", "count_onnx"]

_SILENT = 3
_WEIGHTS = {
    "Conv": 1,
    "FusedConv": 1,
    "ConvInteger": 1,
    "QLinearConv": 3,
    "MatMul": 1,
    "MatMulInteger": 1,
    "QLinearMatMul": 3,
    "Gemm": 1,
}
"""Operators that are counted, and which of their inputs is the second factor."""


def count_onnx(card: EncoderCard, caption: str) -> dict[str, dict[str, int]]:
    """Parameters and operations of both towers.

    Args:
        card: Read from disk, of an ONNX encoder.
        caption: Whose length the text tower's operations are for.

    Returns:
        ``image`` and ``text``, each with ``parameters`` and ``flops`` of one picture or of that caption.

    Raises:
        MissingDependency: ``onnx`` is not installed.
        EncoderError: A graph cannot be read or run.
    """
    folder, side = folder_of(card), card.input_size
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    tokenizer.no_padding()
    tokenizer.enable_truncation(card.context_length)
    tokens = np.array([tokenizer.encode(caption).ids], np.int64)
    return {
        "image": count_graph(folder / IMAGE_FILE, {"pixels": np.zeros((1, side, side, 3), np.uint8)}),
        "text": count_graph(folder / TEXT_FILE, {"tokens": tokens}),
    }


def count_graph(path: Path, feed: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Parameters of a graph, and the operations of one run.

    Args:
        path: An ONNX file.
        feed: Its inputs.

    Returns:
        ``parameters`` (elements of the stored tensors that are no indices and shapes; where weights are
        stored as small integers, with their scales) and ``flops``.

    Raises:
        EncoderError: The graph cannot be read or run.
    """
    onnx = need("onnx", extra="train")
    inliner = need("onnx.inliner", extra="train")
    try:
        model = inliner.inline_local_functions(onnx.load(path))
        shapes = _shapes(onnx, model, feed)
    except Exception as error:  # neither package's errors share a base class
        raise EncoderError(
            f"The operations of {path} cannot be counted ({error}); export the encoder again."
        ) from error
    stored = [tensor for tensor in model.graph.initializer if tensor.data_type != onnx.TensorProto.INT64]
    return {
        "parameters": sum(int(np.prod(tensor.dims)) for tensor in stored),
        "flops": sum(2 * _products(node, shapes) for node in _counted(model)),
    }


def _counted(model: Any) -> Iterator[Any]:
    yield from (node for node in model.graph.node if node.op_type in _WEIGHTS)


def _factors(node: Any) -> tuple[str, str, str]:
    """Names of the first factor, the second and the result."""
    return node.input[0], node.input[_WEIGHTS[node.op_type]], node.output[0]


def _shapes(onnx: Any, model: Any, feed: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    """Shapes of the factors and results of every counted operator in one run."""
    known = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    known |= {name: value.shape for name, value in feed.items()}
    wanted = {name for node in _counted(model) for name in _factors(node)} - set(known)
    named = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(wanted - named))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = sorted(wanted)
    found = session.run(names, dict(feed))
    return known | {name: value.shape for name, value in zip(names, found, strict=True)}


def _products(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Multiplications of one operator."""
    first, second, result = (shapes[name] for name in _factors(node))
    size = int(np.prod(result))
    if "Conv" in node.op_type:
        return size * int(np.prod(second[1:]))
    turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return size * first[-2 if turned else -1]
