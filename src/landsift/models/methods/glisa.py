"""GLISA: global and local information, aligned softly (TGRS 2024), which lists call MIIA or GLISA.

No row is known. Written from the abstract: the described idea, no reproduction. Inferred: the most salient
cells and words are chosen by attention; each word looks for its best cell; targets of both contrasts are
softened by how alike the captions are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.attention import SelfAttention
from landsift.models.blocks.heads import by_images, unit
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Glisa", "GlisaOptions"]


@dataclass(frozen=True)
class GlisaOptions(TowerOptions):
    """Global and local scores.

    Attributes:
        keep: Share of the cells that count as salient.
        local: Share of the local score.
        softness: Share of a target that goes to captions that are alike.
        temperature: Of the contrasts.
    """

    text: str = "minilm"
    keep: float = 0.5
    local: float = 0.3
    softness: float = 0.2
    temperature: float = 0.07


class Glisa(TowerMatcher):
    """Cosine of the whole, and of each word with its best cell."""

    needs_words = True
    exact_index = False

    def __init__(self, options: GlisaOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim = options.dim
        self.cells, self.mix = nn.Linear(self.images.channels["c4"], dim), SelfAttention(dim, dropout=0.0)
        self.salience, self.weight = nn.Linear(dim, 1, bias=False), nn.Linear(dim, 1, bias=False)
        self.head = nn.Linear(dim, dim)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows and the salient cells."""
        cells = self.mix(self.cells(grid_tokens(maps["c4"])))
        salience = torch.sigmoid(self.salience(cells))
        count = max(1, round(self.options.keep * cells.shape[1]))
        chosen = salience[:, :, 0].argsort(dim=1, descending=True, stable=True)[:, :count]
        # The gate lets the choice be learned.
        local = (cells * salience).gather(1, chosen[:, :, None].expand(-1, -1, cells.shape[2]))
        whole = (cells * salience).sum(dim=1) / salience.sum(dim=1)
        return Features(unit(self.head(whole)), unit(local))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows, words, and how much each counts."""
        scores = self.weight(states.words)[:, :, 0].masked_fill(~states.mask, -torch.inf)
        weighed = unit(states.words) * torch.softmax(scores, dim=1)[:, :, None]
        return Features(unit(states.sentence), weighed, states.mask)

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Weighted sum of both scores."""
        cells, words = image.tokens, text.tokens
        assert cells is not None and words is not None

        def block(rows: slice) -> Tensor:
            # Weights are positive, so the best cell of a weighed word is that of the word.
            return torch.einsum("jbx,iax->ijba", words, cells[rows]).amax(dim=3).sum(dim=2)

        local = by_images(block, len(cells), len(words) * words.shape[1] * cells.shape[1])
        return (1 - self.options.local) * (image.pooled @ text.pooled.T) + self.options.local * local

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Contrast with targets that captions of like wording share."""
        warm, soft = self.options.temperature, self.options.softness
        alike = torch.softmax(text.pooled.detach() @ text.pooled.detach().T / warm, dim=1)
        right = batch.positive.to(similarity.dtype)
        own = right.T / right.T.sum(dim=1, keepdim=True)
        target = (1 - soft) * own + soft * alike @ own
        by_text = -(target * functional.log_softmax(similarity.T / warm, dim=1)).sum(dim=1).mean()
        forward = target.T / target.T.sum(dim=1, keepdim=True)
        by_image = -(forward * functional.log_softmax(similarity / warm, dim=1)).sum(dim=1).mean()
        return {"soft-alignment": by_text + by_image}


SPEC = MatcherSpec(
    GlisaOptions,
    Glisa,
    "Global-local information soft-alignment. IEEE TGRS 62, 2024",
    MethodCard("GLISA", 2024, "late interaction", "abstract only", False),
)
