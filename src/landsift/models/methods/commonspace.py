"""Self-attention unsupervised deep common feature space (International Journal of Remote Sensing, 2023, doi
10.1080/01431161.2023.2225705).

No row is known, and no text of it was reachable: built from its title, so it is an idea of ours in its
spirit. No scene classes are used; self-attention on both sides; the common vectors must still hold what
each side and its partner had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.attention import FeedForward, SelfAttention
from landsift.models.blocks.heads import unit
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "CommonSpace", "CommonSpaceOptions"]


@dataclass(frozen=True)
class CommonSpaceOptions(TowerOptions):
    """A common space.

    Attributes:
        rebuild: Weight of rebuilding each side from the common vectors.
    """

    rebuild: float = 0.5


class CommonSpace(TowerMatcher):
    """One vector each, from self-attention; rebuilding lives in the losses."""

    needs_words = True

    def __init__(self, options: CommonSpaceOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim = options.dim
        self.cells = nn.Linear(self.images.channels["c4"], dim)
        self.image_mix, self.text_mix = SelfAttention(dim), SelfAttention(dim)
        self.image_common, self.text_common = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.to_image, self.to_text = FeedForward(dim, 2 * dim), FeedForward(dim, 2 * dim)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows; what is to be rebuilt."""
        own = self.image_mix(self.cells(grid_tokens(maps["c4"]))).mean(dim=1)
        return Features(unit(self.image_common(own)), extras={"own": own})

    def text_head(self, states: TextStates) -> Features:
        """Unit rows; what is to be rebuilt."""
        own = masked_mean(self.text_mix(states.words, states.mask), states.mask)
        return Features(unit(self.text_common(own)), extras={"own": own})

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Each side from its own common vector and from its partner's."""
        mine, total = image.rows(batch.image_row), similarity.new_zeros(())
        for side, net in ((mine, self.to_image), (text, self.to_text)):
            for common in (mine.pooled, text.pooled):
                rebuilt, asked = net(common), side.extras["own"].detach()
                total = total + (1 - functional.cosine_similarity(rebuilt, asked, dim=1)).mean()
        return {"rebuilding": self.options.rebuild * total}


SPEC = MatcherSpec(
    CommonSpaceOptions,
    CommonSpace,
    "Self-attention unsupervised deep common feature space. IJRS, 2023",
    MethodCard("Deep common feature space", 2023, "dot", "title only"),
)
