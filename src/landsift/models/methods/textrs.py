"""DBTN of TextRS: two towers and a bidirectional triplet loss, an image's sentences fused to one query
(Abdullah et al., Remote Sensing 12(3), 2020, doi 10.3390/rs12030405).

Compare with the row DBTN (unverified, and only where five sentences make one query). Written from the
paper's abstract and outline. Deviates: a one-way GRU stands for the LSTM; with one caption drawn for each
image, as in the common budget, nothing is fused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.blocks.heads import unit
from landsift.models.blocks.trunk import mean_cell
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.objectives import triplet
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "TextRs", "TextRsOptions", "fused_sentences"]


@dataclass(frozen=True)
class TextRsOptions(TowerOptions):
    """Towers and a margin.

    Attributes:
        margin: Of the hinge.
    """

    text: str = "gru"
    margin: float = 0.2


def fused_sentences(rows: Tensor, image_row: Tensor, images: int) -> Tensor:
    """Mean of the sentences of each image: ``(T, dim)`` unit rows to ``(I, dim)`` unit rows.

    Args:
        rows: Of the captions.
        image_row: ``(T,)`` image of each.
        images: How many there are.
    """
    total = rows.new_zeros(images, rows.shape[1]).index_add(0, image_row, rows)
    return unit(total)


class TextRs(TowerMatcher):
    """One vector each; training fuses the captions of an image."""

    def __init__(self, options: TextRsOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.head, self.text_map = (
            nn.Linear(self.images.channels["c4"], options.dim),
            nn.Linear(options.dim, options.dim),
        )

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        return Features(unit(self.head(mean_cell(maps["c4"]))))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(self.text_map(states.sentence)))

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Hinge on images and fused sentences, all wrong pairs."""
        fused = fused_sentences(text.pooled, batch.image_row, len(image))
        right = torch.zeros(len(image), len(image), dtype=torch.bool, device=fused.device)
        right[:, batch.image_row] |= batch.positive
        right |= torch.eye(len(image), dtype=torch.bool, device=fused.device)
        value = triplet(image.pooled @ fused.T, right, margin=self.options.margin, reduce="sum")
        return {"fused-hinge": value}


SPEC = MatcherSpec(
    TextRsOptions,
    TextRs,
    "Abdullah et al.: TextRS. Remote Sensing 12(3), 2020",
    MethodCard("DBTN (TextRS)", 2020, "dot", "paper", published="DBTN", backbone="EfficientNet-B2"),
)
