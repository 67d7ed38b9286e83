"""GaLR: a global vector and a graph of local regions, fused (Yuan et al., TGRS 2022, arXiv 2204.09860).

Compare with the row GaLR; the re-ranker ``multivariate`` makes it GaLR with MR. Written after the released
code. Deviates: groups of like cells stand for the 20 detected objects, whose making was never released;
attention over one token is the linear map it amounts to; both fusion weights count (the release uses one of
them twice, which a cosine cancels); a two-way GRU stands for skip-thought states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.blocks.heads import unit
from landsift.models.blocks.maps import MultiScaleVisual
from landsift.models.blocks.regions import GraphConvolutions, pseudo_regions
from landsift.models.blocks.trunk import LEVELS, grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Galr", "GalrOptions"]

_WIDTHS = (20, 20, 10, 20)


@dataclass(frozen=True)
class GalrOptions(TowerOptions):
    """A global vector and local regions.

    Attributes:
        regions: How many, at most as many as the map has cells.
    """

    regions: int = 20


class _Mixed(nn.Module):
    """What attention blocks on single tokens come down to: linear maps, sums and norms."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.own, self.other = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.feed = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        x = self.norms[0](x + self.own(x))
        x = self.norms[1](x + self.other(guide))
        return self.norms[2](x + self.feed(x))


class Galr(TowerMatcher):
    """Global and local vector, each guided by the other, weighted by the image."""

    levels = LEVELS

    def __init__(self, options: GalrOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim, channels, side = options.dim, self.images.channels, self.images.sides["c3"]
        self.visual = MultiScaleVisual(channels, side, dim)
        self.regions = min(options.regions, side * side)
        self.shrink = nn.Linear(channels["c3"], _WIDTHS[0])
        self.graph = GraphConvolutions(_WIDTHS)
        self.local = nn.Linear(self.regions * _WIDTHS[-1], dim)
        self.to_local, self.to_whole = _Mixed(dim), _Mixed(dim)
        self.dropout = nn.Dropout(options.dropout)
        self.narrow, self.weigh = nn.Linear(dim, dim), nn.Linear(dim, 2)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        whole = unit(self.visual(maps))
        regions, shares = pseudo_regions(grid_tokens(maps["c3"]), self.regions)
        local = unit(self.local(self.graph(self.shrink(unit(regions)), shares).flatten(1)))
        local = self.to_local(self.dropout(local), whole)
        whole = self.to_whole(self.dropout(whole), local)
        gated, summed = torch.sigmoid(local) * whole, whole + local
        weights = torch.softmax(self.weigh(torch.sigmoid(self.narrow(gated + summed))), dim=1)
        return Features(unit(weights[:, :1] * gated + weights[:, 1:] * summed))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(states.sentence))


SPEC = MatcherSpec(
    GalrOptions,
    Galr,
    "Yuan et al.: GaLR. IEEE TGRS 60, 2022",
    MethodCard("GaLR", 2022, "dot", "code read", True, "GaLR", "ResNet-18", "detected objects"),
)
