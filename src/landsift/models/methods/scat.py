"""SCAT: pseudo regions beside cells, attention by place and by channel (TGRS 2024).

No row is known. Written from the abstract: the described idea, no reproduction. Inferred: groups of like
cells as regions; cells look at regions only, which makes the attention's cost linear; channels are gated by
their covariances; one layer; means of both kinds of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.blocks.attention import Attention, FeedForward
from landsift.models.blocks.heads import unit
from landsift.models.blocks.maps import Cascade, SecondOrderGate
from landsift.models.blocks.pooling import AttentionPool
from landsift.models.blocks.regions import pseudo_regions
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Scat", "ScatOptions"]


@dataclass(frozen=True)
class ScatOptions(TowerOptions):
    """Cells and regions.

    Attributes:
        regions: How many, at most as many as the map has cells.
    """

    regions: int = 16


class Scat(TowerMatcher):
    """Cells and regions through one layer, pooled by attention."""

    levels = ("c3", "c4")
    needs_words = True

    def __init__(self, options: ScatOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim, side = options.dim, self.images.sides["c3"]
        self.cells = Cascade(self.images.channels, ("c4", "c3"), dim // 2)
        self.regions = min(options.regions, side * side)
        self.space, self.channel = Attention(dim), SecondOrderGate(dim, 32)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.feed, self.pool, self.word_pool = (
            FeedForward(dim, 2 * dim),
            AttentionPool(dim),
            AttentionPool(dim),
        )

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        whole = self.cells(maps)
        cells = grid_tokens(whole)
        regions, _ = pseudo_regions(cells, self.regions)
        tokens = torch.cat([cells, regions], dim=1)
        by_channel = grid_tokens(self.channel(whole)).mean(dim=1, keepdim=True)
        tokens = self.norms[0](tokens + self.space(tokens, regions) + by_channel)
        return Features(unit(self.pool(self.norms[1](tokens + self.feed(tokens)))))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(self.word_pool(states.words, states.mask)))


SPEC = MatcherSpec(
    ScatOptions, Scat, "SCAT. IEEE TGRS 62, 2024", MethodCard("SCAT", 2024, "dot", "abstract only")
)
