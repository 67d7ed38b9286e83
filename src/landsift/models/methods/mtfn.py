"""MTFN: rank-20 fusion of one vector each (Wang et al., ACM MM 2019), folded into a bilinear form.

Compare with the row MTFN (re-run by AMFMN); the re-ranker ``reciprocal`` makes it MTFN-RR. Written after
the released code. Deviates: a GRU stands for skip-thought states; the recipe counts all wrong pairs, where
the release counts the hardest, which a few hundred steps hardly move; an index ranks by the logit, whose
sigmoid the release compares; the release's re-ranker looks at a caption's siblings and so at the answer,
ours does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.blocks.heads import BilinearFusion
from landsift.models.blocks.trunk import mean_cell
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.objectives import triplet
from landsift.models.objectives.triplet import REDUCTIONS
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard, check_choices

__all__ = ["SPEC", "Mtfn", "MtfnOptions"]


@dataclass(frozen=True)
class MtfnOptions(TowerOptions):
    """Fusion of one vector each.

    Attributes:
        ranks: R of the fusion.
        middle: Length of the fused vector.
        margin: What a right pair's probability must be ahead by.
        reduce: ``hardest`` as released, ``sum`` or ``mean``; see :func:`landsift.models.objectives.triplet`.
    """

    text: str = "gru"
    ranks: int = 20
    middle: int = 512
    dropout: float = 0.25
    margin: float = 0.2
    reduce: str = "hardest"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, {"reduce": REDUCTIONS})


class Mtfn(TowerMatcher):
    """The image's row holds the whole form; captions have a 1 appended."""

    def __init__(self, options: MtfnOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.image_map = nn.Linear(self.images.channels["c4"], options.dim)
        self.text_map = nn.Linear(options.dim, options.dim)
        self.dropout = nn.Dropout(options.dropout)
        self.fusion = BilinearFusion(options.dim, options.middle, options.ranks)
        self.offset = nn.Parameter(torch.zeros(()))
        self.dim = self.fusion.out

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """``v^T A``."""
        vector = torch.tanh(self.image_map(self.dropout(mean_cell(maps["c4"]))))
        return Features(self.fusion.fold(vector))

    def text_head(self, states: TextStates) -> Features:
        """``[t; 1]``."""
        return Features(self.fusion.text_rows(torch.tanh(self.text_map(self.dropout(states.sentence)))))

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Hinge on probabilities."""
        options = self.options
        likely = torch.sigmoid(similarity + self.offset)
        return {
            "hinge-of-likelihoods": triplet(
                likely, batch.positive, margin=options.margin, reduce=options.reduce
            )
        }


SPEC = MatcherSpec(
    MtfnOptions,
    Mtfn,
    "Wang et al.: MTFN. ACM MM 2019",
    MethodCard("MTFN", 2019, "bilinear", "code read", published="MTFN", backbone="ResNet-18"),
)
