"""Residual image towers in plain torch (He et al., CVPR 2016, arXiv 1512.03385).

Parts are named as in torchvision, so a torchvision checkpoint of the same size loads as it is. Knows
nothing of text or losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import EncoderError

__all__ = ["RESNET_SIZES", "ResNet", "ResNetSize", "load_resnet", "standardise_pixels"]

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ResNetSize:
    """Shape of a tower.

    Attributes:
        blocks: Residual blocks of the four stages.
        width: Channels of the first stage; each later one has twice as many.
        wide: Three convolutions in a block and four times the channels at its output, instead of two.
    """

    blocks: tuple[int, int, int, int]
    width: int = 64
    wide: bool = False

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Channels at the output of each stage."""
        first = self.width * (4 if self.wide else 1)
        return (first, 2 * first, 4 * first, 8 * first)


RESNET_SIZES = {
    "resnet-mini": ResNetSize((1, 1, 1, 1), 16),
    "resnet18": ResNetSize((2, 2, 2, 2)),
    "resnet50": ResNetSize((3, 4, 6, 3), wide=True),
    "resnet101": ResNetSize((3, 4, 23, 3), wide=True),
}
"""By name; ``resnet-mini`` has no published weights and is for trials."""


def standardise_pixels(pixels: Tensor) -> Tensor:
    """RGB 0 to 255 with the mean and deviation of ImageNet taken out: what torchvision's weights expect."""
    mean = pixels.new_tensor(_MEAN)[:, None, None]
    deviation = pixels.new_tensor(_DEVIATION)[:, None, None]
    return (pixels / 255 - mean) / deviation


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, or 1x1, 3x3 and 1x1, added to the input."""

    def __init__(self, inputs: int, middle: int, outputs: int, stride: int, wide: bool) -> None:
        super().__init__()
        if wide:
            self.conv1 = nn.Conv2d(inputs, middle, 1, bias=False)
            self.conv2 = nn.Conv2d(middle, middle, 3, stride, 1, bias=False)
            self.conv3 = nn.Conv2d(middle, outputs, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)
        else:
            self.conv1 = nn.Conv2d(inputs, middle, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(middle, outputs, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(middle), nn.BatchNorm2d(self.conv2.out_channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.wide = wide

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs, h, w)`` to ``(n, outputs, h / stride, w / stride)``."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.wide:
            y = self.bn3(self.conv3(functional.relu(y)))
        return functional.relu(y + self.downsample(x))


class ResNet(nn.Module):
    """Stem and four stages; no classifier.

    Args:
        size: A key of ``RESNET_SIZES``.
    """

    def __init__(self, size: str) -> None:
        super().__init__()
        shape = RESNET_SIZES[size]
        self.size, self.channels = size, shape.channels
        self.conv1 = nn.Conv2d(3, shape.width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(shape.width)
        inputs = shape.width
        for number, (count, outputs) in enumerate(zip(shape.blocks, shape.channels, strict=True)):
            middle = shape.width * 2**number
            stride = 1 if number == 0 else 2
            stage = nn.Sequential()
            for _ in range(count):
                stage.append(ResidualBlock(inputs, middle, outputs, stride, shape.wide))
                inputs, stride = outputs, 1
            self.add_module(f"layer{number + 1}", stage)

    def stages(self) -> list[nn.Module]:
        """Stem with pooling and first stage, then the other three: strides 4, 8, 16 and 32."""
        stem = nn.Sequential(self.conv1, self.bn1, nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        first, *others = (self.get_submodule(f"layer{number}") for number in (1, 2, 3, 4))
        return [nn.Sequential(stem, first), *others]


def load_resnet(path: str | Path, size: str) -> ResNet:
    """Read a checkpoint in torchvision's layout, as ``.pth`` or ``.safetensors``.

    Args:
        path: The file; its classifier, if any, is left out.
        size: Which variant it holds.

    Raises:
        EncoderError: The file is absent, is no checkpoint, or holds another architecture.
    """
    try:
        state = _state(Path(path))
    except Exception as error:
        raise EncoderError(
            f"{path} cannot be read as a ResNet checkpoint ({type(error).__name__}); "
            f"give a file of weights in torchvision's layout."
        ) from error
    tower = ResNet(size)
    try:
        tower.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})
    except RuntimeError as error:
        raise EncoderError(f"{path} does not hold {size} weights; give the file of that size.") from error
    return tower.eval()


def _state(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(str(path))
    state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
