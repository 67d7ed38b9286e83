"""MGRM-EL: relations within each modality, masks on what is not salient, entities kept apart (Zhang, Li,
Mei: TGRS 61, 2023).

No row is known. Written from the abstract: the described idea, no reproduction. Inferred: the mask leaves
out the least salient tokens of a learned gate; an entity is a picture, or all captions of one wording, told
from the others of the batch by a view of itself in which numbers are hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.attention import SelfAttention
from landsift.models.blocks.heads import unit
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.objectives.info_nce import info_nce
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Mgrm", "MgrmOptions"]


@dataclass(frozen=True)
class MgrmOptions(TowerOptions):
    """Masks and entities.

    Attributes:
        keep: Share of the cells and words that the mask leaves.
        entities: Weight of what keeps entities apart.
        temperature: Of that contrast.
    """

    keep: float = 0.7
    entities: float = 0.5
    temperature: float = 0.1


class _Salient(nn.Module):
    """Tokens in relation to each other, then a gate on the salient ones, pooled."""

    def __init__(self, dim: int, keep: float) -> None:
        super().__init__()
        self.keep, self.relate, self.salience = keep, SelfAttention(dim), nn.Linear(dim, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.relate(x, mask)
        gate = torch.sigmoid(self.salience(x))[:, :, 0].masked_fill(~mask, 0)
        count = (mask.sum(dim=1) * self.keep).ceil().long()
        rank = gate.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        gate = gate.masked_fill(rank >= count[:, None], 0)
        return (x * gate[:, :, None]).sum(dim=1) / gate.sum(dim=1, keepdim=True)


class Mgrm(TowerMatcher):
    """One vector each."""

    needs_words = True

    def __init__(self, options: MgrmOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.cells = nn.Linear(self.images.channels["c4"], options.dim)
        self.regions, self.words = _Salient(options.dim, options.keep), _Salient(options.dim, options.keep)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        cells = self.cells(grid_tokens(maps["c4"]))
        every = torch.ones(cells.shape[:2], dtype=torch.bool, device=cells.device)
        return Features(unit(self.regions(cells, every)))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(self.words(states.words, states.mask)))

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Each entity against the others of its modality."""
        of_text = batch.positive.T.float()
        shared = (of_text @ of_text.T) > 0
        alone = torch.eye(len(image), dtype=torch.bool, device=shared.device)
        total = similarity.new_zeros(())
        for rows, same in ((image.pooled, alone), (text.pooled, shared)):
            view = unit(functional.dropout(rows, 0.2))
            total = total + info_nce(rows @ view.T / self.options.temperature, same)
        return {"entities": self.options.entities * total}


SPEC = MatcherSpec(
    MgrmOptions,
    Mgrm,
    "Zhang, Li, Mei: MGRM-EL. IEEE TGRS 61, 2023",
    MethodCard("MGRM-EL", 2023, "dot", "abstract only"),
)
