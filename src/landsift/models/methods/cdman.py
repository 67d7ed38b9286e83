"""CDMAN: cues guide each modality, general and fine associations are learned together (TGRS 62, 2024).

No row is known. Written from the abstract: the described idea, no reproduction. Inferred: an image's cues
are its most salient cells, a caption's the words that name things; each side looks at its own cues once;
cues are contrasted beside the whole vectors, in training only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.blocks.attention import GuidedAttention
from landsift.models.blocks.concepts import concept_table
from landsift.models.blocks.heads import unit
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.objectives.info_nce import info_nce
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Cdman", "CdmanOptions"]


@dataclass(frozen=True)
class CdmanOptions(TowerOptions):
    """Cues.

    Attributes:
        cues: Cells that count as cues.
        concepts: Words that may name things.
        temperature: Of the contrasts.
        fine: Weight of the contrast of cues.
    """

    text: str = "minilm"
    cues: int = 8
    concepts: int = 800
    temperature: float = 0.07
    fine: float = 0.5


class Cdman(TowerMatcher):
    """One vector each; cues live in the losses."""

    needs_words = True
    concept_of: Tensor

    def __init__(self, options: CdmanOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim = options.dim
        self.cells, self.salience = nn.Linear(self.images.channels["c4"], dim), nn.Linear(dim, 1, bias=False)
        self.image_guide, self.text_guide = GuidedAttention(dim), GuidedAttention(dim)
        table = concept_table(self.texts.tokenizer, source.captions, options.concepts)
        self.register_buffer("concept_of", table)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows; the cues' mean."""
        cells = self.cells(grid_tokens(maps["c4"]))
        salience = self.salience(cells)[:, :, 0]
        count = min(self.options.cues, cells.shape[1])
        chosen = salience.argsort(dim=1, descending=True, stable=True)[:, :count]
        gate = torch.sigmoid(salience.gather(1, chosen))
        cues = cells.gather(1, chosen[:, :, None].expand(-1, -1, cells.shape[2])) * gate[:, :, None]
        guided = self.image_guide(cells, cues)
        return Features(unit(guided.mean(dim=1)), extras={"cue": unit(cues.mean(dim=1))})

    def text_head(self, states: TextStates) -> Features:
        """Unit rows; the mean of the words that name things, or of all if none does."""
        named = states.mask & (self.concept_of[states.tokens] >= 0)
        named = torch.where(named.any(dim=1, keepdim=True), named, states.mask)
        guided = self.text_guide(states.words, states.words, states.mask, named)
        cue = unit(masked_mean(states.words, named))
        return Features(unit(masked_mean(guided, states.mask)), extras={"cue": cue})

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Contrast of the whole, and of cues with cues and with the whole."""
        warm, ours, theirs = self.options.temperature, image.extras["cue"], text.extras["cue"]
        fine = info_nce(ours @ theirs.T / warm, batch.positive)
        mixed = info_nce(ours @ text.pooled.T / warm, batch.positive) + info_nce(
            image.pooled @ theirs.T / warm, batch.positive
        )
        return {
            "general": info_nce(similarity / warm, batch.positive),
            "cues": self.options.fine * (fine + mixed / 2),
        }


SPEC = MatcherSpec(
    CdmanOptions,
    Cdman,
    "Thread the needle: CDMAN. IEEE TGRS 62, 2024",
    MethodCard("CDMAN", 2024, "dot", "abstract only"),
)
