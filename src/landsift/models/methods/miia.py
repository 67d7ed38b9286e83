"""Masking-based retrieval by dynamic contrast (TGRS 2024), which lists call GLISA or MIIA.

No row is known. Written from the abstract: the described idea, no reproduction. Inferred: a fifth of the
words and of the cells is hidden and guessed from the other side by one layer of attention, in training
only; wrong answers come from queues that a slow copy fills; the distributions of both directions are drawn
together. Two encoders and a cosine rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.attention import GuidedAttention
from landsift.models.blocks.heads import unit
from landsift.models.blocks.masking import WordGuesser, hidden_words
from landsift.models.blocks.momentum import MomentumContrast
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features, TextInput
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard
from landsift.models.starting import MARKS

__all__ = ["SPEC", "Miia", "MiiaOptions"]


@dataclass(frozen=True)
class MiiaOptions(TowerOptions):
    """Masks and queues.

    Attributes:
        hide: Share of words and of cells that are hidden.
        queue: Rows remembered of each side.
        decay: Of the slow copy, per step.
        temperature: Of the contrasts.
        guessing: Weight of the hidden words and cells.
        agreement: Weight of what draws both directions together.
    """

    text: str = "minilm"
    hide: float = 0.2
    queue: int = 2048
    decay: float = 0.999
    temperature: float = 0.07
    guessing: float = 0.5
    agreement: float = 0.5


class Miia(TowerMatcher):
    """One vector each; masks live in the losses."""

    needs_words = True

    def __init__(self, options: MiiaOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim = options.dim
        self.cells, self.head = nn.Linear(self.images.channels["c4"], dim), nn.Linear(dim, dim)
        self.word_guesser = WordGuesser(dim, self.texts.vocabulary)
        self.cell_guesser, self.cell_head = GuidedAttention(dim, dropout=0.0), nn.Linear(dim, dim)
        self.hidden_cell = nn.Parameter(0.02 * torch.randn(dim))
        self.contrast = MomentumContrast(options.queue, dim, options.decay)
        self.contrast.track(self)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows; cells for the masks."""
        cells = self.cells(grid_tokens(maps["c4"]))
        return Features(unit(self.head(cells.mean(dim=1))), cells)

    def text_head(self, states: TextStates) -> Features:
        """Unit rows; words for the masks."""
        return Features(unit(states.sentence), states.words, states.mask)

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Contrast with the queues, agreement of both directions, hidden words and cells."""
        options, mine = self.options, image.rows(batch.image_row)
        contrast = self.contrast(mine, text, ~batch.positive[batch.image_row], options.temperature)
        return {
            "queue-contrast": contrast,
            "agreement": options.agreement * self._agreement(mine.pooled @ text.pooled.T),
            "guessing": options.guessing * (self._words(batch, mine) + self._cells(mine, text)),
        }

    def _agreement(self, scores: Tensor) -> Tensor:
        """Divergence of images' distributions over captions from captions' over images, and back."""
        forward, backward = (
            functional.log_softmax(matrix / self.options.temperature, dim=1) for matrix in (scores, scores.T)
        )
        return sum(
            (
                functional.kl_div(one, other.detach(), reduction="batchmean", log_target=True)
                for one, other in ((forward, backward), (backward, forward))
            ),
            scores.new_zeros(()),
        )

    def _words(self, batch: Batch, mine: Features) -> Tensor:
        assert mine.tokens is not None
        text = self.prepare(batch.captions).to(mine.pooled.device)
        special = text.tokens < len(MARKS)
        hide = (
            text.mask & ~special & (torch.rand(text.mask.shape, device=text.mask.device) < self.options.hide)
        )
        tokens, answers = hidden_words(text.tokens, hide, MARKS.index("[UNK]"))
        states = self.texts(TextInput(tokens, text.mask))
        return self.word_guesser(states.words, states.mask, mine.tokens, answers)

    def _cells(self, mine: Features, text: Features) -> Tensor:
        assert mine.tokens is not None and text.tokens is not None
        cells = mine.tokens
        hide = torch.rand(cells.shape[:2], device=cells.device) < self.options.hide
        hide[:, 0] |= ~hide.any(dim=1)
        shown = torch.where(hide[:, :, None], self.hidden_cell, cells)
        guessed = self.cell_head(self.cell_guesser(shown, text.tokens, memory_mask=text.mask))
        return (1 - (unit(guessed) * unit(cells.detach())).sum(dim=2))[hide].mean()

    def after_step(self, batch: Batch) -> None:
        """Move the slow copy, and remember what it makes of this batch."""
        self.contrast.remember(self, batch)


SPEC = MatcherSpec(
    MiiaOptions,
    Miia,
    "Masking-based retrieval via dynamic contrastive learning. IEEE TGRS 62, 2024",
    MethodCard("MIIA", 2024, "dot", "abstract only"),
)
