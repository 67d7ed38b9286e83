"""Fusions made for small objects, as image heads can use them. Knows maps only.

All are necks (:class:`~landsift.models.blocks.necks.Neck`). The papers are on detectors; of each, what fuses
levels is built here. Where only an abstract (or a summary) was at hand, the described idea is built, with
sizes and details of our own: no reproduction.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.blocks.attention import Attention
from landsift.models.blocks.necks import FastFusion, Neck, convolution, onto
from landsift.models.blocks.trunk import grid_tokens

__all__ = ["BackgroundAware", "BoundaryAware", "InterlayerCorrelation", "SpaceToDepth", "WeightedLevels"]


class InterlayerCorrelation(Neck):
    """EFC: a lightweight fusion with enhanced inter-layer feature correlation (Xiao et al., IEEE TGRS 62,
    2024). From the abstract and summaries of it.

    Neighbouring levels meet in a *grouped feature focus* (where to look, from both; then each group of
    channels by itself; then one scale for all cells) and a *multi-level reconstruction*: what is strong there
    passes plainly, what is weak through a convolution of its own, so that small things are not smoothed away.
    """

    groups = 4

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        pairs = range(len(levels) - 1)
        self.where = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in pairs)
        self.which = nn.ModuleList(nn.Conv1d(width, width, 1, groups=self.groups) for _ in pairs)
        self.level = nn.ModuleList(nn.GroupNorm(self.groups, width) for _ in pairs)
        self.strong = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in pairs)
        self.weak = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, groups=width) for _ in pairs)

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """From the coarsest down."""
        fused = [maps[-1]]
        for number in reversed(range(len(maps) - 1)):
            x = maps[number]
            focused = self._focus(number, x + onto(fused[0], x))
            fused.insert(0, x + self._rebuilt(number, focused))
        return fused

    def _focus(self, number: int, x: Tensor) -> Tensor:
        looked = x * torch.sigmoid(self.where[number](x))
        channels = torch.sigmoid(self.which[number](looked.mean(dim=(2, 3))[:, :, None]))
        return self.level[number](looked * channels[:, :, :, None])

    def _rebuilt(self, number: int, x: Tensor) -> Tensor:
        energy = x.abs().mean(dim=1, keepdim=True)
        strong = (energy >= energy.mean(dim=(2, 3), keepdim=True)).to(x.dtype)
        return self.strong[number](x * strong) + self.weak[number](x * (1 - strong))


class BackgroundAware(Neck):
    """PBT: progressive background-aware transformer (Yang et al., IEEE TGRS 62, 2024). From the abstract.

    What stands out (a map less its smoothed self, a prior of high frequencies) is taken from every level, the
    background from the coarsest; from there down, each level's cells look at the background and what they
    find there is told apart from what they are.
    """

    side = 4

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        self.background = convolution(width, width)
        self.look = nn.ModuleList(Attention(width, 4) for _ in levels)
        self.apart = nn.ModuleList(convolution(3 * width, width, 1) for _ in levels)

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """From the coarsest down, each level guided by the one before."""
        behind = grid_tokens(self.background(maps[-1]), min(self.side, maps[-1].shape[2]))
        refined: list[Tensor] = []
        for number in reversed(range(len(maps))):
            x = maps[number] + (onto(refined[0], maps[number]) if refined else 0)
            stands_out = x - functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            seen = self.look[number](grid_tokens(x), behind).transpose(1, 2).unflatten(2, x.shape[2:])
            refined.insert(0, x + self.apart[number](torch.cat([x - seen, seen, stands_out], dim=1)))
        return refined


class BoundaryAware(Neck):
    """BAFNet: boundary-aware fusion with dual-stream attention (Song et al., IEEE TGRS 63, 2025). From the
    abstract.

    Two levels meet as a foreground and a background stream, each gated by what the other holds; the edges of
    the foreground bring back detail of the finer level. The paper supervises edges by boxes; here they are
    the morphological gradient of the foreground that is found.
    """

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        pairs = range(len(levels) - 1)
        self.front = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in pairs)
        self.from_front = nn.ModuleList(nn.Linear(width, width) for _ in pairs)
        self.from_back = nn.ModuleList(nn.Linear(width, width) for _ in pairs)
        self.fuse = nn.ModuleList(convolution(2 * width, width) for _ in pairs)

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """From the coarsest down."""
        fused = [maps[-1]]
        for number in reversed(range(len(maps) - 1)):
            fused.insert(0, self._pair(number, maps[number], fused[0]))
        return fused

    def _pair(self, number: int, fine: Tensor, coarse: Tensor) -> Tensor:
        both = fine + onto(coarse, fine)
        inside = torch.sigmoid(self.front[number](both))
        front, back = both * inside, both * (1 - inside)
        by_back = torch.sigmoid(self.from_back[number](back.mean(dim=(2, 3))))[:, :, None, None]
        by_front = torch.sigmoid(self.from_front[number](front.mean(dim=(2, 3))))[:, :, None, None]
        mixed = self.fuse[number](torch.cat([front * by_back, back * by_front], dim=1))
        return mixed + fine * (1 + _edges(inside))


def _edges(inside: Tensor) -> Tensor:
    """Largest less smallest among neighbouring cells."""
    return functional.max_pool2d(inside, 3, 1, 1) + functional.max_pool2d(-inside, 3, 1, 1)


class WeightedLevels(Neck):
    """MwdpNet: multi-level weighted depth perception (Ma et al., Scientific Reports 13, 2023,
    doi 10.1038/s41598-023-41021-8). From the abstract.

    The coarsest map goes through a chain of ever wider dilations (depth perception); every level then is a
    weighted sum of all (multi-level weighted fusion), its channels gated by the coarsest (channel attention
    guidance).
    """

    rates = (1, 2, 3)

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        self.depth = nn.ModuleList(convolution(width, width, dilation=rate) for rate in self.rates)
        self.shares = nn.ModuleList(FastFusion(len(levels)) for _ in levels)
        self.guide = nn.ModuleList(nn.Linear(width, width) for _ in levels)

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """Every level from all."""
        deep = maps[-1]
        for layer in self.depth:
            deep = deep + layer(deep)
        maps = [*maps[:-1], deep]
        known = deep.mean(dim=(2, 3)) + deep.amax(dim=(2, 3))
        return [
            share(*(onto(other, x) for other in maps)) * torch.sigmoid(guide(known))[:, :, None, None]
            for x, share, guide in zip(maps, self.shares, self.guide, strict=True)
        ]


class SpaceToDepth(Neck):
    """SEB-YOLO: space-to-depth, pyramid pooling with channel attention, a two-way pyramid (Hui et al.,
    Sensors 24(7):2193, 2024). From the abstract.

    Fine maps come to coarse grids with all their cells put side by side as channels instead of being strided
    over; the coarsest map is max-pooled at several reaches and its channels are gated by their neighbours
    (ECA, Wang et al., CVPR 2020, arXiv 1910.03151); levels are fused with learned shares, upwards bilinearly.
    """

    reaches = (3, 5)

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        pairs = range(len(levels) - 1)
        self.pooled = convolution(width * (1 + len(self.reaches)), width, 1)
        self.neighbours = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.down_shares = nn.ModuleList(FastFusion(2) for _ in pairs)
        self.up_shares = nn.ModuleList(FastFusion(2) for _ in pairs)
        self.fold = nn.ModuleList(convolution(4 * width, width, 1) for _ in pairs)
        self.down = nn.ModuleList(convolution(width, width) for _ in pairs)

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """Pooling at the top, then down, then up."""
        handed = [self._top(maps[-1])]
        for number in reversed(range(len(maps) - 1)):
            x = maps[number]
            finer = functional.interpolate(handed[0], size=x.shape[2:], mode="bilinear")
            handed.insert(0, self.down[number](self.down_shares[number](x, finer)))
        risen = [handed[0]]
        for number, (_, x) in enumerate(pairwise(handed)):
            folded = self.fold[number](functional.pixel_unshuffle(_even(risen[-1]), 2))
            risen.append(self.up_shares[number](x, onto(folded, x)))
        return risen

    def _top(self, x: Tensor) -> Tensor:
        reached = [functional.max_pool2d(x, reach, 1, reach // 2) for reach in self.reaches]
        y = self.pooled(torch.cat([x, *reached], dim=1))
        gate = self.neighbours(y.mean(dim=(2, 3))[:, None])[:, 0]
        return y * torch.sigmoid(gate)[:, :, None, None]


def _even(x: Tensor) -> Tensor:
    """The map with its last row or column repeated where their number is odd."""
    return functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), mode="replicate")
