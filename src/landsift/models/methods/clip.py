"""CLIP-style: one linear map each on both towers, a trained temperature, InfoNCE (Radford et al., ICML
2021, arXiv 2103.00020), as RemoteCLIP, GeoRSCLIP, SkyCLIP and the multilanguage transformer train it.

Compare with the rows RemoteCLIP, GeoRSCLIP-FT and SkyCLIP (all trained on far more data, of which this has
none) and Rahhal et al. What sets these apart is data and changes of the images, so they are one model with
a recipe each: crops that keep nearly all (RemoteCLIP), any rotation by quarter turns (GeoRSCLIP), caption
filtering left to the data room (SkyCLIP). The multilanguage transformer is built from its abstract and has
no translations to learn from. Deviates: towers as the options say, not ViT.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.blocks.heads import unit
from landsift.models.blocks.trunk import mean_cell
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["GEORSCLIP", "MULTILANGUAGE", "REMOTECLIP", "SKYCLIP", "Clip", "ClipOptions"]


@dataclass(frozen=True)
class ClipOptions(TowerOptions):
    """Towers and a temperature.

    Attributes:
        temperature: It starts at.
    """

    text: str = "minilm"
    temperature: float = 0.07


class Clip(TowerMatcher):
    """Unit rows and a scale."""

    def __init__(self, options: ClipOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.head, self.dropout = (
            nn.Linear(self.images.channels["c4"], options.dim),
            nn.Dropout(options.dropout),
        )
        self.log_scale = nn.Parameter(torch.tensor(-math.log(options.temperature)))

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        return Features(unit(self.head(self.dropout(mean_cell(maps["c4"])))))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(states.sentence))

    @property
    def scale(self) -> Tensor:
        """One over the temperature, at most 100."""
        return self.log_scale.clamp(max=math.log(100.0)).exp()


def _spec(by: str, card: MethodCard) -> MatcherSpec:
    return MatcherSpec(ClipOptions, Clip, by, card)


REMOTECLIP = _spec(
    "Liu et al.: RemoteCLIP. IEEE TGRS 62, 2024",
    MethodCard("RemoteCLIP", 2024, "dot", "code read", True, "RemoteCLIP", "ViT-B/32"),
)
GEORSCLIP = _spec(
    "Zhang et al.: RS5M and GeoRSCLIP. IEEE TGRS 62, 2024",
    MethodCard("GeoRSCLIP", 2024, "dot", "code read", True, "GeoRSCLIP-FT (RET-2)", "ViT-B/32"),
)
SKYCLIP = _spec(
    "Wang et al.: SkyScript. AAAI 2024",
    MethodCard("SkyCLIP", 2024, "dot", "code read", True, "SkyCLIP", "ViT-B/32"),
)
MULTILANGUAGE = _spec(
    "Al Rahhal et al.: Multilanguage transformer. IEEE JSTARS 15, 2022",
    MethodCard(
        "Multilanguage Transformer",
        2022,
        "dot",
        "abstract only",
        True,
        "Rahhal et al.",
        "ViT-B/32",
        "translations",
    ),
)
