"""CMPAGL: local windows that look at a global one, alignment before fusion (TGRS 62, 2024, arXiv
2411.14704).

No table row is known. Written from the abstract (its release holds no code): the described idea, no
reproduction. Inferred: windows over the trunk's third level instead of a Swin tower; the fusion encoder
judges pairs in training only, so that an index ranks as the method does; the intra-class distance is a
hinge between images, and between captions, of different pictures. Its re-weighting of the similarity matrix
is of the family of the re-ranker ``csls``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.blocks.attention import GuidedAttention
from landsift.models.blocks.heads import unit
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.trunk import grid_tokens, mean_cell, regrid
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.methods.fusing import matching_loss
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Cmpagl", "CmpaglOptions"]


@dataclass(frozen=True)
class CmpaglOptions(TowerOptions):
    """Windows and fusion.

    Attributes:
        windows: Windows along each side of the map.
        window: Cells along each side of a window.
        matching: Weight of the fusion encoder's judgement.
        apart: Weight of the distance between different pictures of one modality.
        margin: Of that distance.
    """

    text: str = "minilm"
    windows: int = 2
    window: int = 4
    matching: float = 1.0
    apart: float = 1.0
    margin: float = 0.2


class Cmpagl(TowerMatcher):
    """One vector each; fusion lives in the losses."""

    levels = ("c3", "c4")
    needs_words = True

    def __init__(self, options: CmpaglOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim, channels = options.dim, self.images.channels
        self.shrink = nn.Conv2d(channels["c3"], dim, 1)
        self.windows = GuidedAttention(dim)
        self.whole = nn.Linear(channels["c4"], dim)
        self.fusion, self.judge = GuidedAttention(dim), nn.Linear(dim, 1)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows; the windows' cells for the fusion."""
        count, side = self.options.windows, self.options.window
        x = self.shrink(regrid(maps["c3"], count * side, count * side))
        everywhere = grid_tokens(x, side)
        cells = x.unflatten(2, (count, side)).unflatten(4, (count, side)).permute(0, 2, 4, 3, 5, 1)
        local = cells.flatten(3, 4).flatten(1, 2)
        n, many = local.shape[:2]
        mixed = self.windows(local.flatten(0, 1), everywhere.repeat_interleave(many, dim=0))
        tokens = mixed.unflatten(0, (n, many)).flatten(1, 2)
        return Features(unit(self.whole(mean_cell(maps["c4"])) + tokens.mean(dim=1)), tokens)

    def text_head(self, states: TextStates) -> Features:
        """Unit rows; the words for the fusion."""
        return Features(unit(masked_mean(states.words, states.mask)), states.words, states.mask)

    def judged(self, image: Features, text: Features) -> Tensor:
        """How likely each caption is right for the image of its row: ``(n,)`` logits."""
        assert image.tokens is not None and text.tokens is not None
        fused = self.fusion(text.tokens, image.tokens, text.mask)
        return self.judge(masked_mean(fused, text.mask))[:, 0]

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Right pairs against the hardest wrong ones by fusion; pictures of one modality apart."""
        matching = matching_loss(self.judged, batch, image, text, similarity)
        mine = image.rows(batch.image_row)
        right = (mine.pooled * text.pooled).sum(dim=1)
        other = ~(batch.positive[batch.image_row] | batch.positive[batch.image_row].T)
        apart = similarity.new_zeros(())
        for side in (mine.pooled, text.pooled):
            nearest = (side @ side.T).masked_fill(~other, -1.0).amax(dim=1)
            apart = apart + (self.options.margin + nearest - right).clamp(min=0).mean()
        return {"matching": self.options.matching * matching, "apart": self.options.apart * apart}


SPEC = MatcherSpec(
    CmpaglOptions,
    Cmpagl,
    "CMPAGL. IEEE TGRS 62, 2024",
    MethodCard("CMPAGL", 2024, "dot", "abstract only"),
)
