"""CLIP's ResNet: three convolutions as the stem, averaging before every stride, attention as the pooling.

Radford et al., 2021 (arXiv 2103.00020), section 2.4. Parameter names are those of the published files. Knows
no text and no files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.clip.layers import initialise
from landsift.models.clip.shapes import ImageShape

__all__ = ["ClipResNet"]

_EXPANSION = 4


class _Block(nn.Module):
    """Three convolutions; an average halves the grid where the stage begins."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shrink = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
            if stride > 1 or inputs != outputs
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(self.shrink(y)))
        kept = x if self.downsample is None else self.downsample(self.shrink(x))
        return functional.relu(y + kept)


class _Pool(nn.Module):
    """The mean of the grid asks all cells, itself among them."""

    def __init__(self, cells: int, width: int, heads: int, dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.zeros(cells + 1, width))
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, dim)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, width, h, w)`` to ``(n, dim)``."""
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1) + self.positional_embedding
        query, key, value = self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x)
        parts = [
            part.view(len(x), -1, self.heads, part.shape[2] // self.heads).transpose(1, 2)
            for part in (query, key, value)
        ]
        y = functional.scaled_dot_product_attention(*parts)
        return self.c_proj(y.transpose(1, 2).reshape(len(x), -1))


class ClipResNet(nn.Module):
    """The modified ResNet.

    Args:
        shape: Sizes.
        dim: Length of its vectors.

    Attributes:
        shape: As given.
    """

    def __init__(self, shape: ImageShape, dim: int) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.conv1 = nn.Conv2d(shape.channels, width // 2, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        channels = width
        for number, count in enumerate(shape.blocks):
            stage = width * 2**number
            strides = [2 if number else 1] + [1] * (count - 1)
            blocks = []
            for stride in strides:
                blocks.append(_Block(channels, stage, stride))
                channels = stage * _EXPANSION
            self.add_module(f"layer{number + 1}", nn.Sequential(*blocks))
        self.attnpool = _Pool(shape.grid**2, channels, shape.heads, dim)

    def initialise(self) -> None:
        """Random weights."""
        initialise(self)
        width = self.attnpool.positional_embedding.shape[1]
        nn.init.normal_(self.attnpool.positional_embedding, std=width**-0.5)

    def grid(self, pixels: Tensor) -> Tensor:
        """Standardised ``(n, 3, H, W)`` pixels to the last stage's ``(n, channels, H / 32, W / 32)``."""
        x = functional.relu(self.bn1(self.conv1(pixels)))
        x = functional.relu(self.bn2(self.conv2(x)))
        x = functional.avg_pool2d(functional.relu(self.bn3(self.conv3(x))), 2)
        for number in range(len(self.shape.blocks)):
            x = self.get_submodule(f"layer{number + 1}")(x)
        return x

    def forward(self, pixels: Tensor, wavelengths: Tensor | None = None) -> Tensor:
        """Standardised ``(n, 3, H, W)`` pixels to ``(n, dim)``; wavelengths are of no use to it."""
        return self.attnpool(self.grid(pixels))
