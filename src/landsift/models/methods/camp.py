"""CAMP: messages between cells and words, gated fusion, one score per pair (Wang et al., ICCV 2019, arXiv
1909.05506).

Compare with the rows CAMP-triplet and CAMP-bce (re-run by AMFMN). Written after the released code.
Deviates: grid cells stand for detected regions; trained in one stage, so that the bce variant counts
all wrong pairs (the hardest alone, without the paper's first stage, teach it nothing); the triplet variant is
trained by the hinge loss, which the release's configuration asks for and never gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.blocks.heads import MessagePassing, by_images, unit
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.objectives import PAIR_REDUCTIONS, pair_cross_entropy
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard, check_choices

__all__ = ["BCE", "TRIPLET", "Camp", "CampBce", "CampBceOptions", "CampOptions"]


@dataclass(frozen=True)
class CampOptions(TowerOptions):
    """Messages between cells and words.

    Attributes:
        side: Of the grid of cells; memory of a step grows with its square.
    """

    side: int = 4
    dim: int = 256


@dataclass(frozen=True)
class CampBceOptions(CampOptions):
    """Of the variant that judges pairs.

    Attributes:
        reduce: Which wrong pairs count: ``mean`` of all, or the ``hardest`` alone as in the paper, whose
            cross-attention is trained beforehand.
    """

    reduce: str = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, {"reduce": PAIR_REDUCTIONS})


class Camp(TowerMatcher):
    """Pooled regions and words of a pair, compared by cosine."""

    needs_words = True
    exact_index = False

    def __init__(self, options: CampOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.head = nn.Linear(self.images.channels["c4"], options.dim)
        self.messages = MessagePassing(options.dim)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Cells, not scaled."""
        cells = self.head(grid_tokens(maps["c4"], self.options.side))
        return Features(unit(cells.mean(dim=1)), cells)

    def text_head(self, states: TextStates) -> Features:
        """Words, not scaled."""
        return Features(unit(masked_mean(states.words, states.mask)), states.words, states.mask)

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Every pair anew."""
        cells, words, mask = image.tokens, text.tokens, text.mask
        assert cells is not None and words is not None and mask is not None
        largest = len(words) * max(cells.shape[1], words.shape[1]) * 2 * self.dim
        return by_images(
            lambda rows: self.scored(*self.messages(cells[rows], words, mask)), len(cells), largest
        )

    def scored(self, regions: Tensor, words: Tensor) -> Tensor:
        """Pooled vectors ``(n, m, dim)`` of each side to ``(n, m)``."""
        return (unit(regions) * unit(words)).sum(dim=2)


class CampBce(Camp):
    """A small net says how likely a pair is right."""

    def __init__(self, options: CampBceOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.judge = nn.Sequential(
            nn.Linear(2 * options.dim, options.dim), nn.ReLU(), nn.Linear(options.dim, 1)
        )

    def scored(self, regions: Tensor, words: Tensor) -> Tensor:
        """The logit; its sigmoid, which the paper scores by, ranks alike."""
        return self.judge(torch.cat([regions, words], dim=2))[:, :, 0]

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Cross-entropy of right and wrong pairs."""
        return {"pairs": pair_cross_entropy(similarity, batch.positive, reduce=self.options.reduce)}


_BY = "Wang et al.: CAMP. ICCV 2019"
TRIPLET = MatcherSpec(
    CampOptions,
    Camp,
    _BY,
    MethodCard(
        "CAMP-triplet", 2019, "late interaction", "code read", False, "CAMP-triplet", "ResNet-18", "regions"
    ),
)
BCE = MatcherSpec(
    CampBceOptions,
    CampBce,
    _BY,
    MethodCard("CAMP-bce", 2019, "late interaction", "code read", False, "CAMP-bce", "ResNet-18", "regions"),
)
