"""KAMCL: pooled hierarchies, concepts, contrast with a queue of slow copies (Ji et al., TGRS 2023).

Compare with the rows KAMCL (ResNet-18, 50 and 101). Written after the released code. Deviates: concepts are
the most frequent words of the training captions, and an image's are those of the captions drawn for it (in
the release the targets belong to another image for four in five); the batch's own wrong answers count
beside the queue's, without which all vectors fell into one; pooling weights do not count padding; a two-way
GRU stands for skip-thought states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.concepts import concept_table, concepts_of
from landsift.models.blocks.heads import unit
from landsift.models.blocks.momentum import MomentumContrast
from landsift.models.blocks.pooling import GeneralisedPool
from landsift.models.blocks.trunk import LEVELS, grid_tokens, mean_cell
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Kamcl", "KamclOptions"]


@dataclass(frozen=True)
class KamclOptions(TowerOptions):
    """Concepts and queues; as many concepts as a vector has numbers.

    Attributes:
        queue: Rows remembered of each side.
        decay: Of the slow copy, per step; the recipe has .99, since .999 is for thousands of steps.
        temperature: Of the contrast.
        contrast: Weight of the contrast with the queue.
        concepts: Weight of the concepts' cross-entropy.
        concepts_from: Share of the training after which concepts count.
    """

    queue: int = 2048
    decay: float = 0.999
    temperature: float = 0.07
    contrast: float = 10.0
    concepts: float = 10.0
    concepts_from: float = 0.35


class Kamcl(TowerMatcher):
    """Six vectors of the image, all words of the caption, pooled by rank."""

    levels = LEVELS
    needs_words = True
    concept_of: Tensor

    def __init__(self, options: KamclOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim, channels, side = options.dim, self.images.channels, self.images.sides["c2"]
        self.cells = nn.Linear(channels["c4"], dim)
        self.low, self.high = nn.Linear(side * side, dim), nn.Linear(channels["c3"] + channels["c4"], dim)
        self.cell_pool, self.low_pool, self.image_pool = (GeneralisedPool() for _ in range(3))
        self.word_pool, self.text_pool = GeneralisedPool(), GeneralisedPool()
        self.image_mix, self.word_mix = _mix(dim), _mix(dim)
        self.concept_map = nn.Linear(dim, dim)
        self.image_concepts, self.text_concepts = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.register_buffer("concept_of", concept_table(self.texts.tokenizer, source.captions, dim))
        self.contrast = MomentumContrast(options.queue, dim, options.decay)
        self.contrast.track(self)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows, and how likely each concept is (logits)."""
        low = torch.cat([maps["c1"], maps["c2"]], dim=1).flatten(2)
        high = torch.cat([mean_cell(maps["c3"]), mean_cell(maps["c4"])], dim=1)
        parts = [
            self.cell_pool(self.cells(grid_tokens(maps["c4"]))),
            self.low(self.low_pool(low)),
            self.high(high),
        ]
        three = torch.stack(parts, dim=1)
        vector = self.image_pool(torch.cat([self.image_mix(three), three], dim=1))
        return _with_concepts(vector, self.image_concepts(vector))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows, concept logits, and the bag of concepts that the caption names."""
        both = torch.cat([states.words, self.word_mix(states.words)], dim=1)
        words = torch.tanh(self.word_pool(both, torch.cat([states.mask, states.mask], dim=1)))
        bag = concepts_of(states.tokens, states.mask, self.concept_of, self.options.dim)
        vector = self.text_pool(torch.stack([words, self.concept_map(bag)], dim=1))
        return _with_concepts(vector, self.text_concepts(vector), {"bag": bag})

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Contrast with the queues, and, later, cross-entropy of the concepts."""
        options, mine = self.options, image.rows(batch.image_row)
        contrast = self.contrast(mine, text, ~batch.positive[batch.image_row], options.temperature)
        found = {"queue-contrast": options.contrast * contrast}
        if batch.moment.step >= options.concepts_from * batch.moment.steps:
            bag = text.extras["bag"]
            found["concepts"] = options.concepts * sum(
                (
                    functional.binary_cross_entropy_with_logits(side.extras["concepts"], bag)
                    for side in (mine, text)
                ),
                similarity.new_zeros(()),
            )
        return found

    def after_step(self, batch: Batch) -> None:
        """Move the slow copy, and remember what it makes of this batch."""
        self.contrast.remember(self, batch)


def _mix(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))


def _with_concepts(vector: Tensor, logits: Tensor, more: Mapping[str, Tensor] | None = None) -> Features:
    return Features(unit(vector + torch.sigmoid(logits)), extras={"concepts": logits, **(more or {})})


SPEC = MatcherSpec(
    KamclOptions,
    Kamcl,
    "Ji et al.: KAMCL. IEEE TGRS 61, 2023",
    MethodCard("KAMCL", 2023, "dot", "code read", published="KAMCL", backbone="ResNet-18"),
)
