"""EBAKER and iEBAKER: weak pairs are eliminated before they are aligned, keywords are guessed from the
image (Zhang et al., ACM MM 2024; ESWA 296, 2026, arXiv 2504.05644).

Compare with the rows EBAKER and iEBAKER (both chose their epoch on the test split). Written after the
released code. Deviates: towers as the options say, not CLIP's; memories of similarities start empty instead
of random, so nothing is dropped before they are filled; keywords are the frequent words of the training
captions, and hidden ones are found by token, not by counting blanks; the sorting after reversed retrieval
is the transductive re-ranker ``reciprocal``. EBAKER scores by the global cosine, iEBAKER adds the local
score, as the root of an inner product of Gram matrices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.batch import Batch, Moment
from landsift.models.blocks.concepts import concept_table
from landsift.models.blocks.heads import gram_scores, unit
from landsift.models.blocks.masking import WordGuesser, hidden_words
from landsift.models.blocks.momentum import Queue
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features, TextInput
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.objectives.info_nce import spread_cross_entropy
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard
from landsift.models.starting import MARKS

__all__ = ["EBAKER", "IEBAKER", "Ebaker", "EbakerOptions", "Iebaker"]


@dataclass(frozen=True)
class EbakerOptions(TowerOptions):
    """Elimination and keywords.

    Attributes:
        temperature: Of the softmax over cosines.
        memory: Similarities of right pairs that are remembered, at most three passes of captions.
        drop: Share of right pairs that count as weak.
        drop_from: Share of the training after which they are dropped as anchors.
        keywords: Most words that may be hidden.
        guessing: Weight of guessing them.
        local: Share of the local score in the score.
    """

    text: str = "minilm"
    temperature: float = 0.05
    memory: int = 5000
    drop: float = 0.01
    drop_from: float = 0.55
    keywords: int = 800
    guessing: float = 0.5
    local: float = 0.4


class Ebaker(TowerMatcher):
    """Unit rows, cells and words."""

    needs_words = True
    keyword_of: Tensor
    threshold: Tensor

    def __init__(self, options: EbakerOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.cells = nn.Linear(self.images.channels["c4"], options.dim)
        self.guesser = WordGuesser(options.dim, self.texts.vocabulary)
        table = concept_table(self.texts.tokenizer, source.captions, options.keywords)
        self.register_buffer("keyword_of", table)
        self.register_buffer("threshold", torch.tensor(-torch.inf))
        self.memory = Queue(options.memory, 1)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows and cells."""
        cells = self.cells(grid_tokens(maps["c4"]))
        return Features(unit(cells.mean(dim=1)), unit(cells))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows and words."""
        return Features(unit(states.sentence), unit(states.words), states.mask)

    def begin_epoch(self, moment: Moment) -> None:
        """Where weak pairs begin, from what is remembered."""
        held = self.memory.held().flatten()
        if moment.step >= self.options.drop_from * moment.steps and len(held):
            self.threshold.fill_(float(held.sort().values[int(self.options.drop * len(held))]))

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Both directions of cross-entropy without weak anchors, and the guessing of keywords."""
        whole = image.pooled @ text.pooled.T
        right = whole[batch.image_row, torch.arange(len(text), device=whole.device)].detach()
        self.memory.add(right[:, None])
        strong = right > self.threshold
        if not strong.any():
            strong = right == right.max()
        kept_images = torch.zeros(len(image), dtype=torch.bool, device=whole.device)
        kept_images[batch.image_row[strong]] = True
        found = {"global": self._aligned(whole / self.options.temperature, batch, kept_images, strong)}
        local = self.local_logits(image, text)
        if local is not None:
            found["local"] = self._aligned(local, batch, kept_images, strong)
        return found | {"keywords": self.options.guessing * self._guessed(batch, image)}

    def local_logits(self, image: Features, text: Features) -> Tensor | None:
        """Logits of the local score, if the method has one."""
        return None

    @staticmethod
    def _aligned(logits: Tensor, batch: Batch, images: Tensor, captions: Tensor) -> Tensor:
        """Cross-entropy of strong anchors; weak ones stay as wrong answers."""
        forward = spread_cross_entropy(logits[images], batch.positive[images])
        return forward + spread_cross_entropy(logits.T[captions], batch.positive.T[captions])

    def _guessed(self, batch: Batch, image: Features) -> Tensor:
        assert image.tokens is not None
        text = self.prepare(batch.captions).to(image.pooled.device)
        hide = text.mask & (self.keyword_of[text.tokens] >= 0)
        tokens, answers = hidden_words(text.tokens, hide, MARKS.index("[UNK]"))
        states = self.texts(TextInput(tokens, text.mask))
        return self.guesser(states.words, states.mask, image.tokens[batch.image_row], answers)


class Iebaker(Ebaker):
    """The local score beside the global one."""

    exact_index = False

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Weighted sum of both scores."""
        assert image.tokens is not None and text.tokens is not None
        local = gram_scores(image.tokens, text.tokens, text.mask)
        share = self.options.local
        return (1 - share) * (image.pooled @ text.pooled.T) + share * local

    def local_logits(self, image: Features, text: Features) -> Tensor:
        """The local score, times 20 as published."""
        assert image.tokens is not None and text.tokens is not None
        return math.exp(2.996) * gram_scores(image.tokens, text.tokens, text.mask)


EBAKER = MatcherSpec(
    EbakerOptions,
    Ebaker,
    "Zhang et al.: EBAKER. ACM MM 2024",
    MethodCard("EBAKER", 2024, "dot", "code read", published="EBAKER", backbone="ViT-B/32"),
)
IEBAKER = MatcherSpec(
    EbakerOptions,
    Iebaker,
    "Zhang et al.: iEBAKER. ESWA 296, 2026",
    MethodCard("iEBAKER", 2026, "late interaction", "code read", False, "iEBAKER", "ViT-B/32"),
)
