"""From a trained dual encoder to the files a core install runs: two ONNX graphs and a tokenizer.

Weights are stored small (8-bit integers with one scale per output channel, or 16-bit floats) and cast to
32-bit floats inside the graph, where ONNX Runtime folds the cast once at load: the arithmetic of every
search is float32, and the loss is that of rounding the weights alone. Knows no data and no scores.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from landsift.errors import EncoderError, need
from landsift.models.dual import DualEncoder

if TYPE_CHECKING:
    import onnx

__all__ = ["Storage", "image_graph", "store_small", "text_graph", "to_integers", "write_graph"]

Storage = Literal["float32", "float16", "mixed", "int8"]
"""``mixed`` is int8 for the tensors that it rounds well, and float16 for the others."""

_OPSET = 18
_ROUNDS_WELL = 0.008
_LEAST_ELEMENTS = 4096
"""Smaller tensors (biases, norms) stay float32: they cost nothing and round badly."""


class _ImageGraph(nn.Module):
    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model.encode_images(pixels.permute(0, 3, 1, 2))


class _TextGraph(nn.Module):
    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model.encode_texts(tokens)


def image_graph(model: DualEncoder, size: int) -> onnx.ModelProto:
    """The image side: ``pixels`` ``(n, size, size, 3)`` uint8 to ``vectors`` ``(n, dim)``, unit rows.

    Batch norm is folded into the convolutions and the pixel range is scaled inside the graph. The model is
    left unchanged.
    """
    model = copy.deepcopy(model).float()
    model.image_tower.fold_batch_norm()
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    graph = _to_onnx(_ImageGraph(model), example, "pixels", {0: torch.export.Dim("n", min=1)})
    return _noted(graph, image_size=model.image_tower.size)


def text_graph(model: DualEncoder) -> onnx.ModelProto:
    """The text side: ``tokens`` ``(m, length)`` int64 to ``vectors`` ``(m, dim)``, unit rows.

    There is no mask and no padding: texts of different lengths go in different runs. The model is left
    unchanged.
    """
    model = copy.deepcopy(model).float()
    longest = model.text_tower.config.context_length
    dims = {0: torch.export.Dim("m", min=1), 1: torch.export.Dim("length", min=2, max=longest)}
    graph = _to_onnx(_TextGraph(model), torch.ones(2, 7, dtype=torch.int64), "tokens", dims)
    config = model.text_tower.config
    return _noted(graph, text_heads=config.heads, text_norm_eps=config.norm_eps)


def _to_onnx(module: nn.Module, example: Tensor, name: str, dims: dict[int, Any]) -> onnx.ModelProto:
    need("onnxscript", extra="train")
    with torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            input_names=[name],
            output_names=["vectors"],
            dynamic_shapes=(dims,),
            opset_version=_OPSET,
            verbose=False,
        )
    if program is None:
        raise EncoderError("The exporter of torch returned nothing; use torch 2.6 or later.")
    model = program.model_proto
    _forget_provenance(model)
    _rename_weights(model.graph)
    return model


def _noted(model: onnx.ModelProto, **notes: object) -> onnx.ModelProto:
    """Add what the weights' shapes do not tell, for :func:`landsift.models.exported.load_exported`."""
    for key, value in notes.items():
        model.metadata_props.add(key=key, value=str(value))
    return model


def _rename_weights(graph: onnx.GraphProto) -> None:
    """Name every tensor after its parameter in the model.

    The exporter turns the matrices of linear layers and numbers them; the bias that is added to the product
    tells which layer they belong to.
    """
    names = {tensor.name: tensor.name.removeprefix("model.") for tensor in graph.initializer}
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    for node in graph.node:
        if (
            node.op_type == "Add"
            and node.input[0] in products
            and names.get(node.input[1], "").endswith(".bias")
        ):
            layer = names[node.input[1]].removesuffix(".bias")
            names[products[node.input[0]]] = f"{layer}.weight.turned"
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = names.get(name, name)


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


def _forget_provenance(model: onnx.ModelProto) -> None:
    """Drop the stack traces and paths the exporter leaves, so equal weights give equal files anywhere."""
    graph = model.graph
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    model.producer_name, model.producer_version, model.doc_string = "landsift", "", ""
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def write_graph(graph: onnx.ModelProto, path: str | Path) -> None:
    """Check a graph and write it; equal graphs give equal bytes."""
    need("onnx", extra="train").checker.check_model(graph, full_check=True)
    Path(path).write_bytes(graph.SerializeToString(deterministic=True))
