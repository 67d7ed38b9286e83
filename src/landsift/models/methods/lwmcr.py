"""LW-MCR: the lightweight model (Yuan et al., TGRS 2022), in three trainings.

Compare with the rows LW-MCR(b) and LW-MCR(d). Layers written after released code, training after the
abstract. Deviates: the trunk's second and third level stand for SqueezeNet's two; ``d`` learns vectors and
rankings of whatever encoder the recipe names as teacher, not hidden layers of AMFMN, whose weights in the
loss were never published; ``u`` learns from two views beside the captions, in one training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.blocks.heads import unit
from landsift.models.blocks.maps import BilinearPool, ChannelSpatialGate
from landsift.models.blocks.trunk import regrid
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["BASE", "DISTILLED", "UNSUPERVISED", "LwMcr", "LwMcrOptions"]

_CHANNELS = 64


@dataclass(frozen=True)
class LwMcrOptions(TowerOptions):
    """Towers alone."""

    text: str = "textcnn"
    cut: str = "c2"
    dropout: float = 0.2


class LwMcr(TowerMatcher):
    """A table of how low and high channels go together, read as a picture."""

    levels = ("c2", "c3")

    def __init__(self, options: LwMcrOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        channels = self.images.channels
        self.low = nn.Sequential(
            nn.Conv2d(channels["c2"], _CHANNELS, 3, 2, 1, bias=False), nn.BatchNorm2d(_CHANNELS), nn.ReLU()
        )
        self.high = nn.Sequential(
            nn.Conv2d(channels["c3"], _CHANNELS, 1, bias=False), nn.BatchNorm2d(_CHANNELS), nn.ReLU()
        )
        self.table = BilinearPool()
        self.reader = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2, 1, bias=False),
            nn.BatchNorm2d(4),
            nn.PReLU(),
            ChannelSpatialGate(4),
            nn.MaxPool2d(2),
            nn.Dropout(options.dropout),
            nn.Conv2d(4, 8, 3, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.PReLU(),
            ChannelSpatialGate(8),
            nn.Flatten(),
            nn.Linear(8 * 8 * 8, options.dim),
        )

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        high = self.high(maps["c3"])
        low = regrid(self.low(maps["c2"]), high.shape[2], high.shape[3])
        return Features(unit(self.reader(torch.unsqueeze(self.table(low, high), 1))))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(states.sentence))


_BY = "Yuan et al.: LW-MCR. IEEE TGRS 60, 2022"
BASE = MatcherSpec(
    LwMcrOptions,
    LwMcr,
    _BY,
    MethodCard("LW-MCR(b)", 2021, "dot", "code read", published="LW-MCR(b)"),
)
DISTILLED = MatcherSpec(
    LwMcrOptions,
    LwMcr,
    _BY,
    MethodCard("LW-MCR(d)", 2021, "dot", "abstract only", published="LW-MCR(d)"),
)
UNSUPERVISED = MatcherSpec(LwMcrOptions, LwMcr, _BY, MethodCard("LW-MCR(u)", 2021, "dot", "abstract only"))
