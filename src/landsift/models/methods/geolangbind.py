"""GeoLangBind: a first layer made from the wavelengths of the bands (Xiong et al., arXiv 2503.06312; DOFA-
CLIP).

Compare with the row GeoLangBind-L (zero-shot, another protocol). Written after the released code. Deviates:
the trunk is what the options name, not SigLIP so400m, so that scores here say little of the published
weights; made kernels begin as the trunk's own for red, green and blue; layer norms are not modulated by
wavelengths; teachers are those the recipe names. Other bands come in through :meth:`GeoLangBind.bands`; what
their kernels should be is learnt only from sets that have them, with nothing frozen. The published weights
themselves are encoders by name, ``geolangbind-b-16`` and its kin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.errors import UsageError
from landsift.models.blocks.any_bands import any_bands
from landsift.models.blocks.heads import unit
from landsift.models.blocks.pooling import AttentionPool
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.clip.wavelengths import require_one_each
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard
from landsift.models.towers import LITE_SIZES

__all__ = ["SPEC", "GeoLangBind", "GeoLangBindOptions"]


@dataclass(frozen=True)
class GeoLangBindOptions(TowerOptions):
    """Towers, and SigLIP's scale.

    Attributes:
        scale: Factor from cosines to logits that it starts at.
        offset: What is added to logits at the start.
    """

    text: str = "minilm"
    scale: float = 10.0
    offset: float = -10.0


class GeoLangBind(TowerMatcher):
    """Unit rows of attention over the cells of any bands, and of a text tower."""

    def __init__(self, options: GeoLangBindOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self._first = (any_bands(self.images),)  # in a tuple: it is a part of the trunk
        self.cells = nn.Linear(self.images.channels["c4"], options.dim)
        self.pool, self.dropout = AttentionPool(options.dim), nn.Dropout(options.dropout)
        self.log_scale = nn.Parameter(torch.tensor(math.log(options.scale)))
        self.shift = nn.Parameter(torch.tensor(options.offset))

    @property
    def scale(self) -> Tensor:
        """Factor from cosines to logits, at most 100."""
        return self.log_scale.clamp(max=math.log(100.0)).exp()

    @property
    def bias(self) -> Tensor:
        """Offset of the logits."""
        return self.shift

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        return Features(unit(self.pool(self.cells(self.dropout(grid_tokens(maps["c4"]))))))

    def bands(self, pixels: Tensor, micrometres: Sequence[float]) -> Features:
        """Unit rows of images of any bands.

        Args:
            pixels: ``(n, bands, H, W)`` from 0 to 255.
            micrometres: The centre of each band.

        Raises:
            UsageError: Not one wavelength for each band, or a tower that scales red, green and blue each its
                own way.
        """
        require_one_each(pixels, len(micrometres))
        if self.options.image not in LITE_SIZES:
            raise UsageError(
                f"{self.options.image} scales red, green and blue each its own way and takes no other bands; "
                f"train with model.options.image set to one of {', '.join(LITE_SIZES)}."
            )
        with self._first[0].reading(micrometres):
            return self.image_features(pixels)

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(states.sentence))


SPEC = MatcherSpec(
    GeoLangBindOptions,
    GeoLangBind,
    "Xiong et al.: GeoLangBind. arXiv:2503.06312",
    MethodCard("GeoLangBind", 2025, "dot", "code read", published="GeoLangBind-L"),
)
