"""MSA: scales of the image aligned with words in training only (Yang et al., TGRS 2024).

Compare with the rows MSA (its epoch was chosen on the test split) and MSA, last epoch. Written after the
released code. Deviates: matching scores have a temperature before their softmax, for scores between 0 and 1
cannot get far below its start; the largest scale teaches the others without moving; captions of one picture
are no wrong answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.heads import unit
from landsift.models.blocks.trunk import LEVELS, mean_cell
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.objectives.info_nce import spread_cross_entropy
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Msa", "MsaOptions"]


@dataclass(frozen=True)
class MsaOptions(TowerOptions):
    """Scales and words.

    Attributes:
        matching: Weight of the cross-entropy of each scale's matching scores.
        guidance: Weight of the divergence of the smaller scales from the largest.
        temperature: Of the softmax over matching scores.
    """

    text: str = "minilm"
    matching: float = 15.0
    guidance: float = 10.0
    temperature: float = 0.1


class _Matching(nn.Module):
    """Attention of one scale's vector to the words of every caption, and how likely the pair is right."""

    def __init__(self, channels: int, dim: int, heads: int = 8) -> None:
        super().__init__()
        self.heads = heads
        self.scale, self.scale_norm = nn.Linear(channels, dim), nn.LayerNorm(dim)
        self.word_norm = nn.LayerNorm(dim)
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim, bias=False)
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.judge = nn.Linear(dim, 1)

    def forward(self, pooled: Tensor, words: Tensor, mask: Tensor, sentence: Tensor) -> Tensor:
        """``(I, channels)``, ``(T, b, dim)``, ``(T, b)`` and ``(T, dim)`` to ``(I, T)`` between 0 and 1."""
        query = self.scale_norm(self.scale(pooled))
        words = self.word_norm(words)
        keys, values = (layer(words).unflatten(2, (self.heads, -1)) for layer in (self.key, self.value))
        asked = self.query(query).unflatten(1, (self.heads, -1)) / math.sqrt(keys.shape[3])
        scores = torch.einsum("ihd,jbhd->ijhb", asked, keys)
        weights = torch.softmax(scores.masked_fill(~mask[None, :, None, :], -torch.inf), dim=3)
        seen = self.out(torch.einsum("ijhb,jbhd->ijhd", weights, values).flatten(2))
        return torch.sigmoid(self.judge((seen + sentence[None]) * query[:, None])[:, :, 0])


class Msa(TowerMatcher):
    """One vector each; the matching of scales lives in the losses."""

    levels = LEVELS
    needs_words = True

    def __init__(self, options: MsaOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim, channels = options.dim, self.images.channels
        self.sum = nn.ModuleList(nn.Linear(channels[level], dim) for level in LEVELS)
        self.inner, self.gate, self.outer = (nn.Linear(dim, dim) for _ in range(3))
        self.matching = nn.ModuleList(_Matching(channels[level], dim) for level in LEVELS)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows; the pooled levels for the losses."""
        pooled = {level: maps[level].amax(dim=(2, 3)) for level in LEVELS[:3]}
        pooled["c4"] = mean_cell(maps["c4"])
        total = torch.stack([layer(pooled[level]) for level, layer in zip(LEVELS, self.sum, strict=True)])
        inner = self.inner(total.sum(dim=0))
        vector = self.outer(inner * torch.sigmoid(self.gate(inner)))
        return Features(unit(vector), extras=pooled)

    def text_head(self, states: TextStates) -> Features:
        """The first token's state, of length 1; the words for the losses."""
        first = states.words[:, 0]
        return Features(unit(first), states.words, states.mask, {"first": first})

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Every scale matches the captions, and the smaller ones as the largest does."""
        assert text.tokens is not None and text.mask is not None
        scores = [
            layer(image.extras[level], text.tokens, text.mask, text.extras["first"])
            for level, layer in zip(LEVELS, self.matching, strict=True)
        ]
        warm = self.options.temperature
        matching = sum(
            (spread_cross_entropy(score / warm, batch.positive) for score in scores), similarity.new_zeros(())
        )
        taught = functional.log_softmax(scores[-1].detach() / 2, dim=0)
        guidance = sum(
            (
                functional.kl_div(
                    functional.log_softmax(score / 2, dim=0), taught, reduction="batchmean", log_target=True
                )
                for score in scores[:-1]
            ),
            similarity.new_zeros(()),
        )
        return {"scales": self.options.matching * matching, "guidance": self.options.guidance * guidance}


SPEC = MatcherSpec(
    MsaOptions,
    Msa,
    "Yang et al.: MSA. IEEE TGRS 62, 2024",
    MethodCard("MSA", 2024, "dot", "code read", published="MSA", backbone="ResNet-50"),
)
