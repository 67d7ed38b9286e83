"""AMFMN: multi-scale visual self-attention, captions guided by the image (Yuan et al., TGRS 2022, arXiv
2204.09868).

Compare with the rows AMFMN-soft, -fusion and -sim. Written after the released code and the paper. Deviates:
a two-way GRU's mean stands for skip-thought states; rotation really rotates (recipe); stop words stay in
the vocabulary. The paper's ``sim`` gate is one number per pair, which a cosine cancels, so the released
product gate is built. The dynamic margin is an option of the recipe's triplet term; the keyword branch,
which the release lacks, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from landsift.models.blocks.heads import PairGate, SoftGate, unit
from landsift.models.blocks.maps import MultiScaleVisual
from landsift.models.blocks.trunk import LEVELS
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["FUSION", "SIM", "SOFT", "AmfmnOptions", "AmfmnSoft", "FusionGated", "ProductGated"]


@dataclass(frozen=True)
class AmfmnOptions(TowerOptions):
    """Towers alone."""


class AmfmnSoft(TowerMatcher):
    """Captions gated by the image alone: two matrix products score all pairs."""

    levels = LEVELS
    exact_index = False

    def __init__(self, options: AmfmnOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.visual = MultiScaleVisual(self.images.channels, self.images.sides["c3"], options.dim)
        self.guide = SoftGate(options.dim)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """The row of the numerator is what an index holds."""
        numerator, denominator = self.guide.fold(self.visual(maps))
        return Features(numerator, extras={"denominator": denominator})

    def text_head(self, states: TextStates) -> Features:
        """Non-negative rows, as in the release."""
        return Features(torch.relu(states.sentence))

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Cosine of the image and the guided caption."""
        return self.guide(image.pooled, image.extras["denominator"], text.pooled)


class _PairGated(TowerMatcher):
    """Captions gated by the pair."""

    levels = LEVELS
    exact_index = False
    kind = "fusion"

    def __init__(self, options: AmfmnOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.visual = MultiScaleVisual(self.images.channels, self.images.sides["c3"], options.dim)
        self.guide = PairGate(options.dim, self.kind)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """The unit row is what an index holds."""
        vector = self.visual(maps)
        return Features(unit(vector), extras={"vector": vector})

    def text_head(self, states: TextStates) -> Features:
        """Non-negative rows."""
        vector = torch.relu(states.sentence)
        return Features(unit(vector), extras={"vector": vector})

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Cosine of the image and the guided caption."""
        return self.guide(image.extras["vector"], text.extras["vector"])


class FusionGated(_PairGated):
    """Gate and value from both vectors side by side."""


class ProductGated(_PairGated):
    """Gate from the product of both vectors."""

    kind = "product"


_BY = "Yuan et al.: AMFMN. IEEE TGRS 60, 2022"
SOFT = MatcherSpec(
    AmfmnOptions,
    AmfmnSoft,
    _BY,
    MethodCard("AMFMN-soft", 2021, "separable gate", "code read", False, "AMFMN-soft", "ResNet-18"),
)
FUSION = MatcherSpec(
    AmfmnOptions,
    FusionGated,
    _BY,
    MethodCard("AMFMN-fusion", 2021, "pair gate", "code read", False, "AMFMN-fusion", "ResNet-18"),
)
SIM = MatcherSpec(
    AmfmnOptions,
    ProductGated,
    _BY,
    MethodCard("AMFMN-sim", 2021, "pair gate", "code read", False, "AMFMN-sim", "ResNet-18"),
)
