"""KTIR: what is known of the things a caption names joins the caption (Mi et al., TGRS 2024, arXiv
2405.03373).

No row is known. Written from the paper's description (no code). Deviates: no ConceptNet or RSKG is at hand,
so what is known of a word is which words go with it more often than chance in the training captions; a
linear map of the mean cell stands for the ViT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.blocks.attention import GuidedAttention
from landsift.models.blocks.concepts import concept_table, concepts_of
from landsift.models.blocks.heads import unit
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.methods.fusing import matching_loss
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Ktir", "KtirOptions"]


@dataclass(frozen=True)
class KtirOptions(TowerOptions):
    """Words and what goes with them.

    Attributes:
        concepts: Words that something is known of.
        related: Words known to go with each.
        facts: Most known words that join a caption.
        matching: Weight of the judgement of pairs.
    """

    text: str = "minilm"
    concepts: int = 256
    related: int = 4
    facts: int = 12
    matching: float = 1.0


def companions(
    tokenizer: Tokenizer, captions: Sequence[str], table: Tensor, concepts: int, count: int
) -> Tensor:
    """Which concepts go with each more often than chance (by pointwise mutual information).

    Args:
        tokenizer: Of the text tower.
        captions: Of the training set.
        table: Of :func:`concept_table`.
        concepts: How many there may be.
        count: Companions of each.

    Returns:
        ``(concepts, concepts)`` of 0 and 1.
    """
    together = torch.zeros(concepts, concepts)
    for encoding in tokenizer.encode_batch(list(captions)):
        named = sorted({int(table[number]) for number in encoding.ids} - {-1})
        for one in named:
            together[one, named] += 1
    alone = together.diagonal().clone()
    together.fill_diagonal_(0)
    strength = together * len(captions) / (alone[:, None] * alone[None]).clamp(min=1)
    chosen = torch.zeros_like(together)
    best = strength.topk(min(count, concepts), dim=1)
    return chosen.scatter_(1, best.indices, (best.values > 0).float())


class Ktir(TowerMatcher):
    """One vector each; knowledge touches captions only."""

    needs_words = True
    concept_of: Tensor
    goes_with: Tensor

    def __init__(self, options: KtirOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim, count = options.dim, options.concepts
        table = concept_table(self.texts.tokenizer, source.captions, count)
        known = companions(self.texts.tokenizer, source.captions, table, count, options.related)
        self.register_buffer("concept_of", table)
        self.register_buffer("goes_with", known)
        self.facts, self.nothing = nn.Embedding(count, dim), nn.Parameter(0.02 * torch.randn(dim))
        self.fuse = GuidedAttention(dim)
        self.cells, self.mix = nn.Linear(self.images.channels["c4"], dim), nn.Linear(dim, dim)
        self.judge_attention, self.judge = GuidedAttention(dim), nn.Linear(dim, 1)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows; cells for the judgement of pairs."""
        cells = self.cells(grid_tokens(maps["c4"]))
        return Features(unit(self.mix(cells.mean(dim=1))), cells)

    def text_head(self, states: TextStates) -> Features:
        """Unit rows of the caption and what is known of its words."""
        named = concepts_of(states.tokens, states.mask, self.concept_of, self.options.concepts)
        weight = named @ self.goes_with
        best = weight.topk(min(self.options.facts, self.options.concepts), dim=1)
        # The first fact is none at all, so that a caption of unknown words has something to look at.
        nothing = self.nothing.expand(len(named), 1, -1)
        facts = torch.cat([nothing, self.facts(best.indices)], dim=1)
        known = torch.cat([best.values.new_ones(len(named), 1), best.values], dim=1) > 0
        words = self.fuse(states.words, facts, states.mask, known)
        return Features(unit(masked_mean(words, states.mask)), words, states.mask)

    def judged(self, image: Features, text: Features) -> Tensor:
        """How likely each caption is right for the image of its row: ``(n,)`` logits."""
        assert image.tokens is not None and text.tokens is not None
        fused = self.judge_attention(text.tokens, image.tokens, text.mask)
        return self.judge(masked_mean(fused, text.mask))[:, 0]

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """The judgement of right pairs and the hardest wrong ones."""
        value = matching_loss(self.judged, batch, image, text, similarity)
        return {"matching": self.options.matching * value}


SPEC = MatcherSpec(
    KtirOptions,
    Ktir,
    "Mi et al.: KTIR. IEEE TGRS 62, 2024",
    MethodCard("KTIR", 2024, "dot", "paper", stands_in="knowledge graph"),
)
