"""FAAMI: levels cascaded, channels gated by second-order statistics, words attend to regions (Sensors 23,
2023).

Compare with the row FAAMI (DetNet and BERT). Written from the abstract and the outline: the described idea,
no reproduction. Inferred: sizes, one head and one layer of cross-attention, the mean over words of the
cosine with what each sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from landsift.models.blocks.attention import SelfAttention
from landsift.models.blocks.heads import shallow_attention_scores, unit
from landsift.models.blocks.maps import Cascade, SecondOrderGate
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Faami", "FaamiOptions"]


@dataclass(frozen=True)
class FaamiOptions(TowerOptions):
    """Cascaded levels and words.

    Attributes:
        side: Of the grid of cells.
    """

    text: str = "minilm"
    side: int = 6


class Faami(TowerMatcher):
    """Cells and words, compared by one layer of attention."""

    levels = ("c2", "c3", "c4")
    needs_words = True
    exact_index = False

    def __init__(self, options: FaamiOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim = options.dim
        self.cascade = Cascade(self.images.channels, self.levels, dim // 2)
        self.gate = SecondOrderGate(self.cascade.width, 32)
        self.cells, self.mix = nn.Linear(self.cascade.width, dim), SelfAttention(dim)
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Cells; their unit mean is what an index holds."""
        cells = self.mix(self.cells(grid_tokens(self.gate(self.cascade(maps)), self.options.side)))
        return Features(unit(self.value(cells).mean(dim=1)), cells)

    def text_head(self, states: TextStates) -> Features:
        """Words."""
        return Features(unit(masked_mean(states.words, states.mask)), states.words, states.mask)

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Mean over words of the cosine with what each sees."""
        cells, words, mask = image.tokens, text.tokens, text.mask
        assert cells is not None and words is not None and mask is not None
        return shallow_attention_scores(
            unit(words), mask, self.query(words), self.key(cells), self.value(cells)
        )


SPEC = MatcherSpec(
    FaamiOptions,
    Faami,
    "FAAMI. Sensors 23, 2023",
    MethodCard("FAAMI", 2023, "late interaction", "abstract only", False, "FAAMI", "DetNet"),
)
