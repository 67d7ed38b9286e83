"""SCAN: stacked cross-attention between grid cells and words (Lee et al., ECCV 2018, arXiv 1803.08024).

Compare with the rows SCAN t2i and SCAN i2t (ResNet-18 grid, re-run by AMFMN). Written after the released
code. Deviates: cells of the last two levels' grid stand for the 36 detected regions; two-way GRU states as
there; scored by Gram matrices, which gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.blocks.heads import clipped_attention_scores, unit
from landsift.models.blocks.maps import Cascade
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["I2T", "T2I", "Scan", "ScanI2tOptions", "ScanT2iOptions"]


@dataclass(frozen=True)
class ScanT2iOptions(TowerOptions):
    """Words attend to cells.

    Attributes:
        side: Of the grid of cells.
        sharpness: Lambda of the attention.
        smoothness: Lambda of the pooling.
    """

    side: int = 5
    sharpness: float = 9.0
    smoothness: float = 6.0


@dataclass(frozen=True)
class ScanI2tOptions(ScanT2iOptions):
    """Cells attend to words."""

    sharpness: float = 4.0
    smoothness: float = 5.0


class Scan(TowerMatcher):
    """Cells and words of unit length, compared by attention."""

    levels = ("c3", "c4")
    needs_words = True
    exact_index = False
    words_attend = True

    def __init__(self, options: ScanT2iOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.cells = Cascade(self.images.channels, ("c4", "c3"), options.dim // 2)
        self.head = nn.Linear(self.cells.width, options.dim)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit cells; their mean is what an index holds."""
        cells = unit(self.head(torch.relu(grid_tokens(self.cells(maps), self.options.side))))
        return Features(unit(cells.mean(dim=1)), cells)

    def text_head(self, states: TextStates) -> Features:
        """Unit words."""
        words = unit(states.words)
        return Features(unit(masked_mean(words, states.mask)), words, states.mask)

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Relevances of all words of a caption, or of all cells of an image, pooled."""
        assert image.tokens is not None and text.tokens is not None
        options = {"sharpness": self.options.sharpness, "smoothness": self.options.smoothness}
        if self.words_attend:
            return clipped_attention_scores(text.tokens, text.mask, image.tokens, None, **options).T
        return clipped_attention_scores(image.tokens, None, text.tokens, text.mask, **options)


class CellsAttend(Scan):
    """SCAN with the roles swapped."""

    words_attend = False


_BY = "Lee et al.: SCAN. ECCV 2018"
T2I = MatcherSpec(
    ScanT2iOptions,
    Scan,
    _BY,
    MethodCard("SCAN t2i", 2018, "late interaction", "code read", False, "SCAN t2i", "ResNet-18", "regions"),
)
I2T = MatcherSpec(
    ScanI2tOptions,
    CellsAttend,
    _BY,
    MethodCard("SCAN i2t", 2018, "late interaction", "code read", False, "SCAN i2t", "ResNet-18", "regions"),
)
