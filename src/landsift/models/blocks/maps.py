"""Blocks on image maps: fusion of scales (B2, B3), gates (B8), second-order statistics (B9).

Knows maps ``(n, channels, h, w)`` only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.blocks.trunk import mean_cell, regrid

__all__ = [
    "BilinearPool",
    "Cascade",
    "ChannelSpatialGate",
    "CoordinateAttention",
    "MultiScaleVisual",
    "SecondOrderGate",
]


class MultiScaleVisual(nn.Module):
    """AMFMN's multi-scale visual self-attention (B3; Yuan et al., TGRS 2022, arXiv 2204.09868).

    A global vector is gated by a mask made from low maps ``[c1, c2]`` and high maps ``[c3, up(c4)]`` (B2). As
    in the paper, both first convolutions have a PReLU and what they give is scaled to length 1. That of the
    high maps looks at one cell at a time, so c4 goes through its part of it before it is spread over the grid
    of c3 and not after, which gives the same numbers for a hundredth of the memory.

    Args:
        channels: Of each level.
        side: Of the grid of c3.
        dim: Of the vector.
    """

    def __init__(self, channels: Mapping[str, int], side: int, dim: int) -> None:
        super().__init__()
        self.head = nn.Linear(channels["c4"], dim)
        self.low = nn.Sequential(nn.Conv2d(channels["c1"] + channels["c2"], 3, 3, 2, 1), nn.PReLU())
        self.high = nn.Conv2d(channels["c3"] + channels["c4"], 3, 1)
        self.bend = nn.PReLU()
        self.content, self.gate = nn.Conv2d(6, 1, 1), nn.Conv2d(6, 1, 1)
        self.mask = nn.Linear(side * side, dim)

    def forward(self, levels: Mapping[str, Tensor]) -> Tensor:
        """Levels c1 to c4 to ``(n, dim)``."""
        high = self.bend(self._high_maps(levels["c3"], levels["c4"]))
        low = self.low(torch.cat([levels["c1"], levels["c2"]], dim=1))
        low = functional.interpolate(low, size=high.shape[2:])
        both = torch.cat([low, high], dim=1) + high.mean(dim=1, keepdim=True)
        both = functional.normalize(both, dim=1)
        gated = self.content(both) * torch.sigmoid(self.gate(both))
        return self.head(mean_cell(levels["c4"])) * torch.sigmoid(self.mask(gated.flatten(1)))

    def _high_maps(self, c3: Tensor, c4: Tensor) -> Tensor:
        fine, coarse = self.high.weight.split([c3.shape[1], c4.shape[1]], dim=1)
        spread = functional.interpolate(functional.conv2d(c4, coarse), size=c3.shape[2:])
        return functional.conv2d(c3, fine, self.high.bias) + spread


class Cascade(nn.Module):
    """Several levels, each through a 1x1 convolution, on one grid and side by side.

    Args:
        channels: Of each level.
        levels: Which; the grid is that of the second.
        width: Channels of each at the output.
    """

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__()
        self.levels, self.width = levels, width * len(levels)
        self.reduce = nn.ModuleList(nn.Conv2d(channels[level], width, 1) for level in levels)

    def forward(self, maps: Mapping[str, Tensor]) -> Tensor:
        """``(n, width * levels, h, w)``."""
        height, width = maps[self.levels[1]].shape[2:]
        parts = [layer(maps[level]) for level, layer in zip(self.levels, self.reduce, strict=True)]
        return torch.cat([regrid(part, height, width) for part in parts], dim=1)


class ChannelSpatialGate(nn.Module):
    """Gates by channel and by place (B8; Woo et al., ECCV 2018, CBAM, arXiv 1807.06521)."""

    def __init__(self, channels: int, reduction: int = 2) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            nn.Linear(channels, max(2, channels // reduction)),
            nn.LeakyReLU(0.1),
            nn.Linear(max(2, channels // reduction), channels),
        )
        self.place = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """The map, gated."""
        channel = self.mix(mean_cell(x)) + self.mix(x.amax(dim=(2, 3)))
        x = x * torch.sigmoid(channel)[:, :, None, None]
        both = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.place(both))


class BilinearPool(nn.Module):
    """How the channels of two maps go together (B9; Lin et al., ICCV 2015): signed root, then length 1.

    LW-MCR (Yuan et al., TGRS 2022) treats the table as a picture of one channel.
    """

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Two maps ``(n, c, h, w)`` of one grid to ``(n, c, c)``."""
        table = low.flatten(2) @ high.flatten(2).transpose(1, 2) / low.shape[2] / low.shape[3]
        rooted = table.sign() * torch.sqrt(table.abs() + 1e-5)
        return functional.normalize(rooted, dim=1)


class SecondOrderGate(nn.Module):
    """Gates channels by their covariances (Gao et al., CVPR 2019, GSoP, arXiv 1811.12006).

    Args:
        channels: Of the map.
        reduced: Channels that covariances are taken of.
    """

    def __init__(self, channels: int, reduced: int = 64) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.rows = nn.Conv1d(reduced, 4 * reduced, reduced, groups=reduced)
        self.head = nn.Linear(4 * reduced, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The map, gated."""
        cells = self.reduce(x).flatten(2)
        cells = cells - cells.mean(dim=2, keepdim=True)
        covariance = cells @ cells.transpose(1, 2) / cells.shape[2]
        gate = self.head(functional.leaky_relu(self.rows(covariance)[:, :, 0], 0.1))
        return x * torch.sigmoid(gate)[:, :, None, None]


class CoordinateAttention(nn.Module):
    """Gates by row and by column (SARCI's quadruple attention; Hou et al., CVPR 2021, arXiv 2103.02907).

    Mean and maximum of each row and each column, a shared reduction, and the outer product of both answers.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        middle = max(4, channels // reduction)
        self.reduce = nn.Sequential(
            nn.Conv1d(2 * channels, middle, 1, bias=False), nn.BatchNorm1d(middle), nn.ReLU()
        )
        self.mix = nn.Conv2d(middle, middle, 7, padding=3)
        self.expand = nn.Conv2d(middle, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The map, gated."""
        rows = self.reduce(torch.cat([x.mean(dim=3), x.amax(dim=3)], dim=1))
        columns = self.reduce(torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1))
        outer = rows[:, :, :, None] * columns[:, :, None, :]
        return x * torch.sigmoid(self.expand(self.mix(outer)))
