"""Multi-scale blocks of detectors and segmenters, as image heads can use them. Knows maps only.

All are necks (:class:`~landsift.models.blocks.necks.Neck`), built as their papers describe them. What only
makes sense with boxes (losses, samplers, anchors) is left out, and said.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.blocks.necks import FastFusion, Neck, convolution, onto

__all__ = [
    "Atrous",
    "BidirectionalPyramid",
    "FeaturePyramid",
    "LibraPyramid",
    "PathAggregation",
    "Plain",
    "PyramidPooling",
    "ScaleNormalised",
    "SearchedPyramid",
    "Trident",
]


class Plain(Neck):
    """Nothing is mixed: what the others are compared with."""

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """The maps as they are."""
        return maps


class PyramidPooling(Neck):
    """Spatial pyramid pooling (He et al., ECCV 2014, SPP-net, arXiv 1406.4729): maxima of the coarsest map
    over grids of 1, 2 and 4 cells a side, brought back onto it and fused.
    """

    sides = (1, 2, 4)

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        self.fuse = convolution(width * (1 + len(self.sides)), width)

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """Only the coarsest map changes."""
        *finer, top = maps
        pooled = [onto(functional.adaptive_max_pool2d(top, side), top) for side in self.sides]
        return [*finer, top + self.fuse(torch.cat([top, *pooled], dim=1))]


class Atrous(Neck):
    """Atrous spatial pyramid pooling (Chen et al., 2017, DeepLab v3, arXiv 1706.05587): the coarsest map at
    dilations of 1, 2 and 3 (theirs, 6 to 18, are for grids eight times as fine), alone, and averaged.
    """

    rates = (1, 2, 3)

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        self.branches = nn.ModuleList(convolution(width, width, dilation=rate) for rate in self.rates)
        self.alone, self.average = convolution(width, width, 1), nn.Conv2d(width, width, 1)
        self.fuse = convolution(width * (2 + len(self.rates)), width, 1)

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """Only the coarsest map changes."""
        *finer, top = maps
        whole = torch.relu(self.average(top.mean(dim=(2, 3), keepdim=True)))
        seen = [self.alone(top), *(branch(top) for branch in self.branches), whole.expand_as(top)]
        return [*finer, top + self.fuse(torch.cat(seen, dim=1))]


class FeaturePyramid(Neck):
    """Feature pyramid network (Lin et al., CVPR 2017, arXiv 1612.03144): what coarse maps mean is handed down
    to the fine ones.
    """

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in levels)

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """From the coarsest down."""
        summed = [maps[-1]]
        for x in reversed(maps[:-1]):
            summed.insert(0, x + onto(summed[0], x))
        return [layer(x) for layer, x in zip(self.smooth, summed, strict=True)]


class PathAggregation(FeaturePyramid):
    """Path aggregation network (Liu et al., CVPR 2018, PANet, arXiv 1803.01534): a feature pyramid, and a
    short way up again for what fine maps know of places.
    """

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        self.lift = nn.ModuleList(convolution(width, width) for _ in levels[1:])
        self.fuse = nn.ModuleList(convolution(width, width) for _ in levels[1:])

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """Down, then up."""
        down = super().mix(maps)
        up = [down[0]]
        for lifting, fuse, x in zip(self.lift, self.fuse, down[1:], strict=True):
            up.append(fuse(x + onto(lifting(up[-1]), x)))
        return up


class LibraPyramid(FeaturePyramid):
    """Libra R-CNN's balanced feature pyramid (Pang et al., CVPR 2019, arXiv 1904.02701): all levels meet on
    the middle grid in equal parts, are refined by non-local attention, and strengthen each level. Its
    balanced sampling and loss are for boxes.
    """

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        half = width // 2
        self.query, self.key = nn.Conv2d(width, half, 1), nn.Conv2d(width, half, 1, bias=False)
        self.value, self.out = nn.Conv2d(width, half, 1), nn.Conv2d(half, width, 1)

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """Each level and what the balanced one knows."""
        pyramid = super().mix(maps)
        middle = pyramid[len(pyramid) // 2]
        balanced = torch.stack([onto(x, middle) for x in pyramid]).mean(dim=0)
        query, key, value = (layer(balanced).flatten(2) for layer in (self.query, self.key, self.value))
        weights = torch.softmax(query.transpose(1, 2) @ key / query.shape[1] ** 0.5, dim=2)
        seen = (value @ weights.transpose(1, 2)).unflatten(2, balanced.shape[2:])
        refined = balanced + self.out(seen)
        return [x + onto(refined, x) for x in pyramid]


class BidirectionalPyramid(Neck):
    """BiFPN (Tan et al., CVPR 2020, EfficientDet, arXiv 1911.09070): down and up with learned shares of each
    input, depthwise convolutions, and the inputs once more on the way up.
    """

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        count = len(levels)
        self.down_shares = nn.ModuleList(FastFusion(2) for _ in range(count - 1))
        self.up_shares = nn.ModuleList(FastFusion(3 if n < count - 2 else 2) for n in range(count - 1))
        self.down = nn.ModuleList(_separable(width) for _ in range(count - 1))
        self.up = nn.ModuleList(_separable(width) for _ in range(count - 1))

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """Down, then up."""
        handed = [maps[-1]]
        for share, layer, x in zip(self.down_shares, self.down, reversed(maps[:-1]), strict=True):
            handed.insert(0, layer(share(x, onto(handed[0], x))))
        risen = [handed[0]]
        for number, (share, layer) in enumerate(zip(self.up_shares, self.up, strict=True), 1):
            x = maps[number]
            # The coarsest map was not handed down to, so it has two inputs.
            inputs = [x] if number == len(maps) - 1 else [x, handed[number]]
            risen.append(layer(share(*inputs, onto(risen[-1], x))))
        return risen


def _separable(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), convolution(width, width, 1)
    )


class SearchedPyramid(Neck):
    """Merging cells whose operation is searched (Ghiasi et al., CVPR 2019, NAS-FPN, arXiv 1904.07392).

    A cell brings two maps onto one grid and merges them, by adding or by global attention: the coarser's mean
    gates the finer. Which cells follow which is fixed here, down and up again; how each merges is learned by
    the continuous relaxation of DARTS (Liu et al., ICLR 2019, arXiv 1806.09055): both, weighted by a softmax.
    """

    operations = ("sum", "attention")

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        top = len(levels) - 1
        down = [(n + 1, n) for n in reversed(range(top))]
        self.merges = [*down, *((n - 1, n) for n in range(1, top + 1))]
        self.choice = nn.Parameter(torch.zeros(len(self.merges), len(self.operations)))
        self.cells = nn.ModuleList(convolution(width, width) for _ in self.merges)

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """Each cell's answer takes the place of the map it was brought onto."""
        maps = list(maps)
        for (source, target), choice, cell in zip(self.merges, self.choice, self.cells, strict=True):
            x = maps[target]
            other = onto(maps[source], x)
            high, low = (other, x) if source > target else (x, other)
            gated = high + low * torch.sigmoid(high.mean(dim=(2, 3), keepdim=True))
            shares = torch.softmax(choice, dim=0)
            maps[target] = cell(shares[0] * (x + other) + shares[1] * gated)
        return maps

    def chosen(self) -> list[tuple[str, str, str]]:
        """The cells that the search came to: level that is brought, level it is merged into, operation."""
        names = [self.operations[int(row.argmax())] for row in self.choice]
        return [
            (self.levels[source], self.levels[target], name)
            for (source, target), name in zip(self.merges, names, strict=True)
        ]


class Trident(Neck):
    """TridentNet's branches (Li et al., ICCV 2019, arXiv 1901.01892): one convolution, with the same weights,
    at dilations 1, 2 and 3, averaged. Its scale-aware choice of what trains which branch needs boxes.
    """

    rates = (1, 2, 3)

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        self.shared = nn.ModuleList(nn.Conv2d(width, width, 3, bias=False) for _ in levels)
        self.norm = nn.ModuleList(nn.GroupNorm(1, width) for _ in levels)

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """Every level by itself."""
        pairs = zip(maps, self.shared, self.norm, strict=True)
        return [x + self._branches(x, layer, norm) for x, layer, norm in pairs]

    def _branches(self, x: Tensor, layer: nn.Module, norm: nn.Module) -> Tensor:
        weight = layer.get_parameter("weight")
        seen = [functional.conv2d(x, weight, padding=rate, dilation=rate) for rate in self.rates]
        return torch.stack([torch.relu(norm(y)) for y in seen]).mean(dim=0)


class ScaleNormalised(Neck):
    """Scale normalization in the manner of SNIP (Singh and Davis, CVPR 2018, arXiv 1711.08189): one head for
    all scales, which answers for a cell at the scale that fits it.

    SNIP chooses by the size of boxes; without boxes each cell's share of the scales is learned.
    """

    def __init__(self, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> None:
        super().__init__(channels, levels, width)
        self.head, self.fits = convolution(width, width), nn.Conv2d(width, 1, 1, bias=False)

    def mix(self, maps: list[Tensor]) -> list[Tensor]:
        """The shared head's maps, each weighted by where its scale fits."""
        answers = [self.head(x) for x in maps]
        finest = answers[0]
        shares = torch.softmax(torch.cat([onto(self.fits(y), finest) for y in answers], dim=1), dim=1)
        return [y * onto(share, y) for y, share in zip(answers, shares.split(1, dim=1), strict=True)]
