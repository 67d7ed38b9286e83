"""A CLIP-like model: an image tower, a text tower, a scale and perhaps an offset of the logits.

Knows towers by their shapes; no files, no tokenizers, no pixels' ranges.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from landsift.models.clip.resnet import ClipResNet
from landsift.models.clip.shapes import Architecture, ImageShape, TextShape
from landsift.models.clip.vision import VisionTower
from landsift.models.clip.words import ClipTextTower, RobertaTextTower

__all__ = ["ClipModel", "build_empty"]

_START_TEMPERATURE, _SIGLIP_SCALE, _SIGLIP_OFFSET = 0.07, 10.0, -10.0


class ClipModel(nn.Module):
    """Both towers.

    Args:
        architecture: Sizes.
        activate: Name of the activation of both towers.
    """

    def __init__(self, architecture: Architecture, activate: str) -> None:
        super().__init__()
        self.architecture, self.activate = architecture, activate
        self.image = _image_tower(architecture.image, activate, architecture.dim)
        self.text = _text_tower(architecture.text, activate, architecture.dim)
        start = _SIGLIP_SCALE if architecture.offset else 1 / _START_TEMPERATURE
        self.log_scale = nn.Parameter(torch.tensor(math.log(start)))
        self.offset = nn.Parameter(torch.tensor(_SIGLIP_OFFSET)) if architecture.offset else None

    def initialise(self) -> ClipModel:
        """Random weights, to train from."""
        self.image.initialise()
        self.text.initialise()
        return self

    def encode_images(self, pixels: Tensor, wavelengths: Tensor | None = None) -> Tensor:
        """Standardised ``(n, bands, H, W)`` pixels to ``(n, dim)`` unit rows."""
        return functional.normalize(self.image(pixels, wavelengths).float(), dim=1)

    def encode_texts(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """``(m, length)`` token numbers and mask to ``(m, dim)`` unit rows."""
        return functional.normalize(self.text(tokens, mask).float(), dim=1)


class _Undrawn(TorchFunctionMode):
    """Within it, layers draw no random weights: on the meta device that would load torch's compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))


def build_empty(architecture: Architecture, activate: str) -> ClipModel:
    """A model without memory of its own, for weights that are given to it afterwards (``assign=True``)."""
    with torch.device("meta"), _Undrawn():
        return ClipModel(architecture, activate)


def _image_tower(shape: ImageShape, activate: str, dim: int) -> VisionTower | ClipResNet:
    return ClipResNet(shape, dim) if shape.pool == "resnet" else VisionTower(shape, activate, dim)


def _text_tower(shape: TextShape, activate: str, dim: int) -> ClipTextTower | RobertaTextTower:
    return RobertaTextTower(shape, dim) if shape.kind == "roberta" else ClipTextTower(shape, activate, dim)
