"""HVSA: external attention on the image, hard pairs weighed down, vectors spread out (Zhang et al., TGRS
2023).

Compare with the row HVSA. Written after the released code. Deviates: the map is brought to the vectors'
width before the attention; all images of a batch are spread, for a batch holds each image once; the learned
balance of both losses looks at their values only; a two-way GRU stands for skip-thought states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.blocks.attention import ExternalAttention
from landsift.models.blocks.heads import unit
from landsift.models.blocks.trunk import mean_cell
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.objectives import triplet, uniformity
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Hvsa", "HvsaOptions"]


@dataclass(frozen=True)
class HvsaOptions(TowerOptions):
    """Attention to memories.

    Attributes:
        memories: How many.
        margin: Of the hinge.
        strength: How much hard pairs are weighed down.
        spread: Fixed share of the uniformity term; 0 learns the balance, which can drift to the smaller term.
    """

    memories: int = 64
    margin: float = 0.2
    strength: float = 0.5
    spread: float = 0.0


class _Balance(nn.Sequential):
    """Shares of two losses, from their values."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(2, 64, bias=False),
            nn.PReLU(),
            nn.Linear(64, 128, bias=False),
            nn.PReLU(),
            nn.Linear(128, 2, bias=False),
            nn.Softmax(dim=0),
        )


class Hvsa(TowerMatcher):
    """One vector each."""

    def __init__(self, options: HvsaOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.shrink = nn.Conv2d(self.images.channels["c4"], options.dim, 1)
        self.attention = ExternalAttention(options.dim, options.memories)
        self.head = nn.Linear(options.dim, options.dim)
        self.balance = None if options.spread else _Balance()

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        return Features(unit(self.head(mean_cell(self.attention(self.shrink(maps["c4"]))))))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(states.sentence))

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """The hinge, per pair, and the spread of the images, in shares that sum to 1."""
        options = self.options
        hinge = triplet(
            similarity,
            batch.positive,
            margin=options.margin,
            reduce="sum",
            weighting="difficulty",
            strength=options.strength,
        )
        values = torch.stack([hinge / similarity.numel(), uniformity(image.pooled, logarithm=False)])
        if self.balance is None:
            shares = values.new_tensor([1 - options.spread, options.spread])
        else:
            shares = self.balance(values.detach())
        hard, spread = shares * values
        return {"weighted-hinge": hard, "spread": spread}


SPEC = MatcherSpec(
    HvsaOptions,
    Hvsa,
    "Zhang et al.: HVSA. IEEE TGRS 61, 2023",
    MethodCard("HVSA", 2023, "dot", "code read", published="HVSA", backbone="ResNet-18"),
)
