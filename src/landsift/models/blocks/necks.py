"""What multi-scale blocks are made of: a convolution, moving between grids, and the block all of them are.

A neck takes the maps of several stages and gives as many maps of one width, each on its own grid, so that one
can stand in for another. Knows maps ``(n, channels, h, w)`` only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FastFusion", "Neck", "convolution", "onto"]


def convolution(
    channels: int, width: int, size: int = 3, *, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution that keeps the grid, a norm that knows one image only, and a rectifier."""
    padding = dilation * (size // 2)
    layer = nn.Conv2d(channels, width, size, padding=padding, dilation=dilation, groups=groups, bias=False)
    return nn.Sequential(layer, nn.GroupNorm(1, width), nn.ReLU())


def onto(x: Tensor, like: Tensor) -> Tensor:
    """A map on the grid of another: repeated where that is finer, its maxima where it is coarser.

    Of a coarser grid's cells the maximum is taken, for in a mean what covers few of them is lost.
    """
    size = like.shape[2:]
    if x.shape[2:] == size:
        return x
    if x.shape[2] < size[0]:
        return functional.interpolate(x, size=size)
    return functional.adaptive_max_pool2d(x, size)


class Neck(nn.Module, ABC):
    """Maps of several stages, mixed; the first thing is a 1x1 convolution to one width.

    Args:
        channels: Of each level.
        levels: Which, from the finest to the coarsest.
        width: Channels of every map that comes out; a multiple of 8.
    """

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__()
        self.levels, self.width = levels, width
        self.reduce = nn.ModuleList(nn.Conv2d(channels[level], width, 1) for level in levels)

    def forward(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``(n, channels, h, w)`` by level to ``(n, width, h, w)`` by level."""
        reduced = [layer(maps[level]) for layer, level in zip(self.reduce, self.levels, strict=True)]
        return dict(zip(self.levels, self.mix(reduced), strict=True))

    @abstractmethod
    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps of one width, from the finest to the coarsest, to as many of the same shapes."""


class FastFusion(nn.Module):
    """Maps added with weights that are learned, at least 0 and of sum 1 (Tan et al., 2020, section 3.3).

    Args:
        count: How many maps.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(count))

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps of one shape to one map of it."""
        weights = torch.relu(self.weights)
        weights = weights / (weights.sum() + 1e-4)
        return torch.stack([weight * x for weight, x in zip(weights, maps, strict=True)]).sum(dim=0)
