"""Towers as ONNX graphs in float32: of the dual encoder, and of any matcher with a vector for each side.

Knows torch's exporter; no files and no scores.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from landsift.errors import EncoderError, need
from landsift.models.clip.matcher import ClipMatcher
from landsift.models.clip.vision import VisionTower
from landsift.models.clip.wavelengths import WavelengthPatches
from landsift.models.dual import DualEncoder
from landsift.models.features import TextInput
from landsift.models.matcher import Matcher

if TYPE_CHECKING:
    import onnx

__all__ = [
    "Padding",
    "image_graph",
    "matcher_bands_graph",
    "matcher_image_graph",
    "matcher_text_graph",
    "text_graph",
]

_OPSET = 18


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


@dataclass(frozen=True)
class Padding:
    """What a text tower that reads padding is given: every text filled up to one length.

    Attributes:
        length: In tokens.
        token: It is filled with.
    """

    length: int
    token: int


class MatcherImages(nn.Module):
    """The image side of a matcher, from ``(n, size, size, 3)`` pixels to ``(n, dim)``."""

    def __init__(self, matcher: Matcher) -> None:
        super().__init__()
        self.matcher = matcher

    def forward(self, pixels: Tensor) -> Tensor:
        """The pooled features."""
        return self.matcher.image_features(pixels.permute(0, 3, 1, 2)).pooled


class MatcherBands(nn.Module):
    """The image side of a model of bands, from ``(n, bands, size, size)`` float32 to ``(n, dim)``."""

    def __init__(self, matcher: ClipMatcher) -> None:
        super().__init__()
        self.matcher = matcher

    def forward(self, bands: Tensor) -> Tensor:
        """The pooled features."""
        return self.matcher.band_features(bands).pooled


class MatcherTexts(nn.Module):
    """The text side of a matcher, from ``(m, length)`` real tokens to ``(m, dim)``."""

    def __init__(self, matcher: Matcher, padding: Padding | None) -> None:
        super().__init__()
        self.matcher, self.padding = matcher, padding

    def forward(self, tokens: Tensor) -> Tensor:
        """The pooled features; padding is added here where the tower reads it."""
        real = torch.ones_like(tokens, dtype=torch.bool)
        if self.padding is not None:
            places, length = torch.arange(self.padding.length), tokens.shape[1]
            inside = (places < length).expand(tokens.shape[0], -1)
            tokens = torch.where(inside, tokens[:, places.clamp(max=length - 1)], self.padding.token)
            real = inside
        return self.matcher.text_features(TextInput(tokens, real)).pooled


def matcher_image_graph(matcher: Matcher) -> onnx.ModelProto:
    """The image side of a matcher; as :func:`image_graph`, but for one picture at a time.

    Features count their rows while they are traced, which settles how many there are.

    Args:
        matcher: In float32 and ``eval`` mode.

    Raises:
        EncoderError: Torch's exporter does not manage it.
    """
    example = torch.zeros(1, matcher.input_size, matcher.input_size, 3, dtype=torch.uint8)
    with _plain_patches(matcher):
        return _managed(MatcherImages(matcher), example, "pixels", {})


@contextmanager
def _plain_patches(matcher: Matcher) -> Iterator[None]:
    """Within it, patches embedded by wavelength are the convolution that they are for pictures."""
    image = matcher.model.image if isinstance(matcher, ClipMatcher) else None
    patches = image.patches if isinstance(image, VisionTower) else None
    if not isinstance(image, VisionTower) or not isinstance(patches, WavelengthPatches):
        yield
        return
    image.patches = patches.convolution()
    try:
        yield
    finally:
        image.patches = patches


def matcher_bands_graph(matcher: ClipMatcher, count: int) -> onnx.ModelProto:
    """The image side of a model that reads bands no picture has; as :func:`matcher_image_graph`.

    Args:
        matcher: In float32 and ``eval`` mode.
        count: Of its bands.

    Raises:
        EncoderError: Torch's exporter does not manage it.
    """
    example = torch.zeros(1, count, matcher.input_size, matcher.input_size)
    return _managed(MatcherBands(matcher), example, "bands", {})


def matcher_text_graph(matcher: Matcher, padding: Padding | None) -> onnx.ModelProto:
    """The text side of a matcher; as :func:`text_graph`, but for one text at a time.

    Args:
        matcher: In float32 and ``eval`` mode.
        padding: What the tower reads behind a text's tokens; None for nothing.

    Raises:
        EncoderError: Torch's exporter does not manage it.
    """
    dims = {1: torch.export.Dim("length", min=2, max=matcher.context_length)}
    return _managed(MatcherTexts(matcher, padding), torch.ones(1, 7, dtype=torch.int64), "tokens", dims)


def _managed(module: nn.Module, example: Tensor, name: str, dims: dict[int, Any]) -> onnx.ModelProto:
    try:
        return _to_onnx(module, example, name, dims)
    except EncoderError:
        raise
    except Exception as error:  # the exporter's errors share no base class
        raise EncoderError(
            f"Torch cannot export the tower that takes {name} ({str(error).strip().splitlines()[0]}); "
            f"use the checkpoint itself as the encoder."
        ) from error


def _to_onnx(module: nn.Module, example: Tensor, name: str, dims: dict[int, Any]) -> onnx.ModelProto:
    need("onnxscript", extra="train")
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            input_names=[name],
            output_names=["vectors"],
            dynamic_shapes=(dims,) if dims else None,
            opset_version=_OPSET,
            verbose=False,
        )
    if program is None:
        raise EncoderError("The exporter of torch returned nothing; use torch 2.6 or later.")
    model = program.model_proto
    _forget_provenance(model)
    _rename_weights(model.graph)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch's exporter tells of packages it does without and of its own old habits: not the user's."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(before)


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
            layer, matrix = names[node.input[1]].removesuffix(".bias"), products[node.input[0]]
            # A norm's bias may follow a product too; but then the norm's own weight is there by its name.
            taken = {f"{layer}.weight", f"{layer}.weight.turned"} & set(names.values())
            if matrix in names and not taken:
                names[matrix] = f"{layer}.weight.turned"
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = names.get(name, name)


def _forget_provenance(model: onnx.ModelProto) -> None:
    """Drop the stack traces and paths the exporter leaves, so equal weights give equal files anywhere."""
    graph = model.graph
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    model.producer_name, model.producer_version, model.doc_string = "landsift", "", ""
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
