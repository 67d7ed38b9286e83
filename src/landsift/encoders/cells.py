"""Vectors of an image's cells: what a tower saw where, before it took the mean of it all.

Where a tower ends in the mean of a map and linear layers, the layers can be applied to every cell instead;
the mean of the results, made a unit row, is the image's own vector. ONNX Runtime shows only what a graph
names as an output, so the nodes that do this are written behind the graph's bytes when it is opened; the file
stays as it is. Knows ONNX files; no scenes, and torch only by the name of the module that does the same.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import onnxruntime

from landsift.encoders.cards import IMAGE_FILE, backend_of, folder_of
from landsift.encoders.onnx import OnnxEncoder
from landsift.encoders.pixels import check_pixels, fit_square
from landsift.encoders.wire import fields, integers, message
from landsift.errors import EncoderError
from landsift.types import Encoder, EncoderCard, FloatArray, Pixels

__all__ = ["CellEncoder", "cells_of", "cells_output"]


@runtime_checkable
class CellEncoder(Protocol):
    """Gives a vector for every cell of a grid that it lays over an image."""

    @property
    def card(self) -> EncoderCard:
        """What this encoder is."""
        ...

    def encode_cells(self, images: Sequence[Pixels]) -> FloatArray:
        """``n`` images, each ``(H, W, 3)`` uint8, to ``(n, h, w, dim)``, comparable with vectors of texts.

        The cells cover the image without gaps, row by row, all of one size. Where an image's own vector is
        made by a mean and linear layers, it is the mean of its cells, made a unit row.
        """
        ...


def cells_of(encoder: Encoder) -> CellEncoder:
    """The same encoder as one that shows its cells.

    Raises:
        EncoderError: Its tower keeps them to itself.
    """
    if isinstance(encoder, CellEncoder):
        return encoder
    found: CellEncoder | None = None
    if isinstance(encoder, OnnxEncoder):
        found = _onnx_cells(encoder)
    elif backend_of(encoder.card) in ("torch", "clip"):
        made: Any = importlib.import_module("landsift.models.cells")
        found = made.torch_cells(encoder)
    if found is None:
        raise EncoderError(
            f"{encoder.card.name} gives one vector for an image and none for its parts, which dense maps are "
            f"made of; take the engine windows or two-stage"
        )
    return found


class OnnxCells:
    """The image tower of an ONNX folder, with one more output.

    Args:
        encoder: Whose tower it is.
        session: Of its graph, with the output ``cells``.
    """

    def __init__(self, encoder: OnnxEncoder, session: onnxruntime.InferenceSession) -> None:
        self._encoder, self._session = encoder, session

    @property
    def card(self) -> EncoderCard:
        """What this encoder is."""
        return self._encoder.card

    def encode_cells(self, images: Sequence[Pixels]) -> FloatArray:
        """As :class:`CellEncoder` says; every image is a run of its own, several side by side."""
        checked = [check_pixels(image, position) for position, image in enumerate(images)]
        with ThreadPoolExecutor(max(1, min(self._encoder.threads, len(checked)))) as pool:
            grids = list(pool.map(self._grid, checked))
        return np.stack(grids) if grids else np.empty((0, 1, 1, self.card.dim), np.float32)

    def _grid(self, image: Pixels) -> FloatArray:
        (rows,) = self._run(image, "cells")
        side = math.isqrt(len(rows))
        return rows.reshape(side, side, -1)

    def agree(self) -> bool:
        """Whether the mean of the cells of some noise is its vector."""
        size = self.card.input_size
        noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
        try:
            cells, (vector,) = self._run(noise, "cells", "vectors")
        except Exception:  # onnxruntime's own errors share no base class
            return False
        if cells.ndim != 2 or cells.shape[1:] != vector.shape or math.isqrt(len(cells)) ** 2 != len(cells):
            return False
        mean = cells.mean(axis=0)
        return bool(np.allclose(mean / (np.linalg.norm(mean) or 1), vector, atol=1e-4))

    def _run(self, image: Pixels, *outputs: str) -> list[FloatArray]:
        card = self.card
        square = fit_square(image, card.input_size, card.extra.get("fit", "squash"))
        found: list[FloatArray] = self._session.run(list(outputs), {"pixels": square[None]})
        return found


def _onnx_cells(encoder: OnnxEncoder) -> OnnxCells | None:
    """With a second output, if the graph's end is understood and it proves right."""
    path = folder_of(encoder.card) / IMAGE_FILE
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        content = path.read_bytes()
        added = cells_output(content)
        if added is None:
            return None
        session = onnxruntime.InferenceSession(content + added, options, providers=["CPUExecutionProvider"])
    except Exception:  # onnxruntime's own errors share no base class; a broken file is told by the encoder
        return None
    found = OnnxCells(encoder, session)
    return found if found.agree() else None


# -- the end of a graph --------------------------------------------------------------------------------------

_GRAPH = 7
_NODE, _CONSTANT, _OUTPUT = 1, 5, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_TYPE, _NODE_ATTRIBUTE = 1, 2, 3, 4, 5
_LINEAR = ("MatMul", "Gemm", "Add", "Sub", "Mul", "Div")
_ORDERED = ("MatMul", "Gemm", "Sub", "Div")
_SHAPE_ONLY = ("Flatten", "Reshape", "Squeeze", "Identity", "Dropout")
_POOLING = ("ReduceMean", "GlobalAveragePool")
_ROWS_FIRST, _CHANNELS_FIRST = ({1, 2}, {-3, -2}), ({2, 3}, {-2, -1})
_OWN = "landsift.cells."


@dataclass(frozen=True, eq=False)
class _Node:
    inputs: list[str]
    outputs: list[str]
    kind: str
    content: memoryview


def cells_output(model: bytes) -> bytes | None:
    """What must follow an image graph's bytes for it to have the output ``cells``.

    Args:
        model: An ONNX file with the input ``pixels``.

    Returns:
        The bytes, or None where no mean over a map followed by linear layers is found.

    Raises:
        ValueError: The bytes are no ONNX file.
    """
    graph = [value for number, value in fields(memoryview(model)) if number == _GRAPH]
    parts = [(number, value) for part in graph for number, value in fields(_bytes(part))]
    nodes = [_node(_bytes(value)) for number, value in parts if number == _NODE]
    constants = dict(_small_constant(_bytes(value)) for number, value in parts if number == _CONSTANT)
    seen = _seen(nodes)
    for pooling in reversed(nodes):
        if pooling.kind in _POOLING and pooling.inputs[0] in seen:
            rows_first = _rows_first(pooling, constants)
            if rows_first is not None:
                chain = _linear_chain(pooling.outputs[0], nodes, seen)
                return message((_GRAPH, _added(pooling.inputs[0], rows_first, chain)))
    return None


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message is expected")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_bytes(value)).decode()


def _node(content: memoryview) -> _Node:
    given: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_TYPE: []}
    for number, value in fields(content):
        if number in given:
            given[number].append(_text(value))
    return _Node(given[_NODE_INPUT], given[_NODE_OUTPUT], "".join(given[_NODE_TYPE]), content)


def _small_constant(content: memoryview) -> tuple[str, list[int]]:
    """Name and values of a short list of 64-bit integers; no values for any other tensor."""
    name, kind, values, raw = "", 0, list[int](), b""
    for number, value in fields(content):
        if number == 8:
            name = _text(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 7:
            values += integers(value)
        elif number == 9 and len(_bytes(value)) <= 64:
            raw = bytes(_bytes(value))
    if kind != 7:
        return name, []
    return name, values or np.frombuffer(raw, "<i8").tolist()


def _seen(nodes: Sequence[_Node]) -> set[str]:
    """Tensors that depend on the pixels."""
    seen = {"pixels"}
    for node in nodes:
        if seen.intersection(node.inputs):
            seen.update(node.outputs)
    return seen


def _rows_first(pooling: _Node, constants: dict[str, list[int]]) -> bool | None:
    """Whether a map that is averaged lies as ``(n, h, w, c)``; None if something else is averaged."""
    if pooling.kind == "GlobalAveragePool":
        return False
    axes = set(constants.get(pooling.inputs[1], [])) if len(pooling.inputs) > 1 else _axes(pooling)
    return True if axes in _ROWS_FIRST else False if axes in _CHANNELS_FIRST else None


def _axes(node: _Node) -> set[int]:
    """The attribute ``axes``, where graphs of old had it."""
    for number, value in fields(node.content):
        if number == _NODE_ATTRIBUTE:
            attribute = list(fields(_bytes(value)))
            if (1, b"axes") in attribute:
                return {axis for field, some in attribute if field == 8 for axis in integers(some)}
    return set()


def _linear_chain(tensor: str, nodes: Sequence[_Node], seen: set[str]) -> list[tuple[_Node, str]]:
    """Linear layers behind a tensor, each with the name of the input that comes from it."""
    chain: list[tuple[_Node, str]] = []
    while True:
        found = [node for node in nodes if tensor in node.inputs and _is_linear(node, tensor, seen)]
        if len(found) != 1:
            return chain
        if found[0].kind not in _SHAPE_ONLY:
            chain.append((found[0], tensor))
        tensor = found[0].outputs[0]


def _is_linear(node: _Node, tensor: str, seen: set[str]) -> bool:
    if sum(name in seen for name in node.inputs) != 1 or node.kind not in _LINEAR + _SHAPE_ONLY:
        return False
    return node.kind not in _ORDERED or node.inputs[0] == tensor


def _added(tensor: str, rows_first: bool, chain: Sequence[tuple[_Node, str]]) -> bytes:
    """Nodes from a map to the output ``cells`` of ``(n * h * w, dim)``, and the output itself."""
    order = (0, 1, 2, 3) if rows_first else (0, 2, 3, 1)
    perm = message((1, "perm"), *((8, axis) for axis in order), (20, 7))
    axis = message((1, "axis"), (3, 3), (20, 2))
    names = [f"{_OWN}{number}" for number in range(len(chain) + 1)]
    names[-1] = "cells"
    added = [
        (_NODE, _made("Transpose", tensor, f"{_OWN}last", perm)),
        (_NODE, _made("Flatten", f"{_OWN}last", names[0], axis)),
    ]
    for (node, given), before, after in zip(chain, names, names[1:], strict=False):
        added.append((_NODE, _again(node, {given: before}, after)))
    return message(*added, (_OUTPUT, message((1, "cells"))))


def _made(kind: str, source: str, result: str, attribute: bytes) -> bytes:
    return message(
        (_NODE_INPUT, source), (_NODE_OUTPUT, result), (_NODE_TYPE, kind), (_NODE_ATTRIBUTE, attribute)
    )


def _again(node: _Node, renamed: dict[str, str], result: str) -> bytes:
    """A node like another one, from another input to another output."""
    kept = [
        (number, value)
        for number, value in fields(node.content)
        if number not in (_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME)
    ]
    inputs = [(_NODE_INPUT, renamed.get(name, name)) for name in node.inputs]
    return message(*inputs, (_NODE_OUTPUT, result), (_NODE_NAME, _OWN + result), *kept)
