"""VSE++: two towers, one linear map each, cosine (Faghri et al., BMVC 2018, arXiv 1707.05612).

Compare with the rows VSE++ (ResNet-18, re-run by AMFMN) and VSE0 (ResNet-50, re-run by SWAN). Written after
the released code. Deviates: towers as the options say; the hinge loss spares captions that fit several
images of a batch; no order embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from landsift.models.blocks.heads import unit
from landsift.models.blocks.trunk import mean_cell
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Vse", "VseOptions"]


@dataclass(frozen=True)
class VseOptions(TowerOptions):
    """Towers alone."""

    text: str = "gru"


class Vse(TowerMatcher):
    """Mean cell and last word state, compared by cosine."""

    def __init__(self, options: TowerOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.head = nn.Linear(self.images.channels["c4"], options.dim)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        return Features(unit(self.head(unit(mean_cell(maps["c4"])))))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(states.sentence))


SPEC = MatcherSpec(
    VseOptions,
    Vse,
    "Faghri et al.: VSE++. BMVC 2018",
    MethodCard("VSE++", 2018, "dot", "code read", published="VSE++", backbone="ResNet-18"),
)
