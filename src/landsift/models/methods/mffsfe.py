"""MFF-SFE: fused scales, enhanced features (Journal of the University of Chinese Academy of Sciences, 2024,
doi 10.7523/j.ucas.2024.025).

No row is known, and no text of it was reachable: built from its title, taking MFF for multi-scale feature
fusion and SFE for the enhancement of salient features, so it is an idea of ours in its spirit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from landsift.models.blocks.heads import unit
from landsift.models.blocks.maps import Cascade, ChannelSpatialGate
from landsift.models.blocks.pooling import AttentionPool
from landsift.models.blocks.trunk import mean_cell
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "MffSfe", "MffSfeOptions"]


@dataclass(frozen=True)
class MffSfeOptions(TowerOptions):
    """Towers alone."""


class MffSfe(TowerMatcher):
    """Three levels on one grid, gated by channel and place; salient words pooled."""

    levels = ("c2", "c3", "c4")
    needs_words = True

    def __init__(self, options: MffSfeOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim = options.dim
        self.fuse = Cascade(self.images.channels, self.levels, dim // 2)
        self.gate = ChannelSpatialGate(self.fuse.width, 4)
        self.head, self.pool = nn.Linear(self.fuse.width, dim), AttentionPool(dim)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        return Features(unit(self.head(mean_cell(self.gate(self.fuse(maps))))))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(self.pool(states.words, states.mask)))


SPEC = MatcherSpec(
    MffSfeOptions, MffSfe, "MFF-SFE. J. UCAS, 2024", MethodCard("MFF-SFE", 2024, "dot", "title only")
)
