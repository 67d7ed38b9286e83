"""Graphs made small: weights as 8-bit integers with a scale per output channel, or as 16-bit floats.

Stored weights are cast to 32-bit floats inside the graph, where ONNX Runtime folds the cast once at load: the
arithmetic of every search is float32, and the loss is that of rounding the weights alone. Only
``integer_products`` goes further and multiplies integers. Knows graphs; no models.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from landsift.errors import EncoderError, need

if TYPE_CHECKING:
    import onnx

__all__ = ["Storage", "integer_products", "store_small", "to_integers", "write_graph"]

Storage = Literal["float32", "float16", "mixed", "int8"]
"""``mixed`` is int8 for the tensors that it rounds well, and float16 for the others."""

_ROUNDS_WELL = 0.008
_MOST_BYTES = 2**31 - 1
_LEAST_ELEMENTS = 4096
"""Smaller tensors (biases, norms) stay float32: they cost nothing and round badly."""


def store_small(model: onnx.ModelProto, storage: Storage) -> onnx.ModelProto:
    """Store the large float32 tensors of a graph as ``storage``, cast back to float32 where they are used.

    Args:
        model: Changed in place.
        storage: ``float32`` leaves the graph as it is.

    Returns:
        The same object.
    """
    if storage == "float32":
        return model
    onnx = need("onnx", extra="train")
    for tensor in list(model.graph.initializer):
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < _LEAST_ELEMENTS:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        users = [node for node in model.graph.node if tensor.name in node.input]
        model.graph.initializer.remove(tensor)
        if storage == "float16" or (storage == "mixed" and not _rounds_well(values, _output_axis(users[0]))):
            _store_half(model.graph, tensor.name, values)
        elif all(node.op_type == "Gather" for node in users):
            _store_table(model.graph, tensor.name, values, users)
        else:
            _store_integers(model.graph, tensor.name, values, _output_axis(users[0]))
    return model


def integer_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Multiply 8-bit integers where a large weight meets a matrix: quicker, and rounder, than storing it so.

    Inputs are rounded run by run to their own range (dynamic quantisation: Jacob et al., 2018, arXiv
    1712.05877, section 2), weights once, with a scale for each output. Convolutions stay as they are.

    Args:
        model: Changed in place.

    Returns:
        The same object.
    """
    onnx = need("onnx", extra="train")
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "MatMul"]:
        tensor = weights.get(node.input[1])
        if tensor is None or len(tensor.dims) != 2 or np.prod(tensor.dims) < _LEAST_ELEMENTS:
            continue
        _multiply_integers(model.graph, node, tensor.name, onnx.numpy_helper.to_array(tensor))
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for name, tensor in weights.items() if name not in used]:
        model.graph.initializer.remove(tensor)
    return model


def _multiply_integers(
    graph: onnx.GraphProto, node: onnx.NodeProto, name: str, values: NDArray[np.float32]
) -> None:
    """Put integer arithmetic where a product stands."""
    onnx = need("onnx", extra="train")
    integers, scale = to_integers(values, 1)
    if not any(tensor.name == f"{name}.integers" for tensor in graph.initializer):
        _add_constants(graph, {f"{name}.integers": integers, f"{name}.scale": scale})
    make, given, result = onnx.helper.make_node, node.input[0], node.output[0]
    rounded, step, zero = f"{result}.rounded", f"{result}.step", f"{result}.zero"
    place = list(graph.node).index(node)
    graph.node.remove(node)
    for new in (
        make("Mul", [f"{result}.wide", f"{result}.scale"], [result]),
        make("Mul", [step, f"{name}.scale"], [f"{result}.scale"]),
        make("Cast", [f"{result}.sum"], [f"{result}.wide"], to=onnx.TensorProto.FLOAT),
        make("MatMulInteger", [rounded, f"{name}.integers", zero], [f"{result}.sum"]),
        make("DynamicQuantizeLinear", [given], [rounded, step, zero]),
    ):
        graph.node.insert(place, new)


def _output_axis(user: onnx.NodeProto) -> int:
    """The axis of a weight that counts output channels: last for ``x @ w``, else first."""
    turned = any(attribute.name == "transB" and attribute.i for attribute in user.attribute)
    return 1 if user.op_type == "MatMul" or (user.op_type == "Gemm" and not turned) else 0


def to_integers(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round to -127..127 with one scale per index of ``axis``; ``integers * scale`` gives the values back."""
    others = tuple(number for number in range(values.ndim) if number != axis)
    largest = np.abs(values).max(axis=others, keepdims=True)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale


def _rounds_well(values: NDArray[np.float32], axis: int) -> bool:
    """Whether rounding to integers changes a tensor by less than ``_ROUNDS_WELL`` of its own size."""
    integers, scale = to_integers(values, axis)
    return bool(np.linalg.norm(integers * scale - values) < _ROUNDS_WELL * np.linalg.norm(values))


def _store_half(graph: onnx.GraphProto, name: str, values: NDArray[np.float32]) -> None:
    onnx = need("onnx", extra="train")
    _add_constants(graph, {f"{name}.half": values.astype(np.float16)})
    graph.node.insert(0, onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))


def _store_integers(graph: onnx.GraphProto, name: str, values: NDArray[np.float32], axis: int) -> None:
    onnx = need("onnx", extra="train")
    integers, scale = to_integers(values, axis)
    _add_constants(graph, {f"{name}.integers": integers, f"{name}.scale": scale})
    make = onnx.helper.make_node
    graph.node.insert(0, make("Mul", [f"{name}.wide", f"{name}.scale"], [name]))
    graph.node.insert(0, make("Cast", [f"{name}.integers"], [f"{name}.wide"], to=onnx.TensorProto.FLOAT))


def _store_table(
    graph: onnx.GraphProto, name: str, values: NDArray[np.float32], users: Iterable[onnx.NodeProto]
) -> None:
    """Pick rows as integers and scale the picked ones, so the table is never widened as a whole."""
    onnx = need("onnx", extra="train")
    integers, scale = to_integers(values, 0)
    _add_constants(graph, {f"{name}.integers": integers, f"{name}.scale": scale})
    make = onnx.helper.make_node
    for node in users:
        rows, result = node.input[1], node.output[0]
        place = list(graph.node).index(node)
        graph.node.remove(node)
        for new in (
            make("Mul", [f"{result}.wide", f"{result}.scale"], [result]),
            make("Gather", [f"{name}.scale", rows], [f"{result}.scale"], axis=0),
            make("Cast", [f"{result}.picked"], [f"{result}.wide"], to=onnx.TensorProto.FLOAT),
            make("Gather", [f"{name}.integers", rows], [f"{result}.picked"], axis=0),
        ):
            graph.node.insert(place, new)


def _add_constants(graph: onnx.GraphProto, arrays: dict[str, NDArray[Any]]) -> None:
    onnx = need("onnx", extra="train")
    graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())


def write_graph(graph: onnx.ModelProto, path: str | Path) -> None:
    """Check a graph and write it; equal graphs give equal bytes.

    Raises:
        EncoderError: It is larger than the format can hold.
    """
    if graph.ByteSize() >= _MOST_BYTES:
        raise EncoderError(
            f"{Path(path).name} would have {graph.ByteSize() / 1e9:.1f} GB, more than the 2 GB of an ONNX "
            f"file; store it smaller: --fp16 or --int8."
        )
    need("onnx", extra="train").checker.check_model(graph, full_check=True)
    Path(path).write_bytes(graph.SerializeToString(deterministic=True))
