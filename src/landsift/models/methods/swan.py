"""SWAN: coarse and fine scales of the image, single and joint words (Pan et al., ICMR 2023).

Compare with the row SWAN (ResNet-50). Written after the released code. Deviates: the first level stands for
the stem's map; joint words reach the output, which pools over all three groups of tokens (in the release
they cannot); padding is masked; layer norms stand for batch norms that counted padding; the weighted sum of
fine tokens has one weight each, as many as have any effect in the release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.blocks.attention import FeedForward, GatedAttention, SelfAttention
from landsift.models.blocks.heads import unit
from landsift.models.blocks.maps import Cascade
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.trunk import LEVELS, mean_cell, regrid
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Swan", "SwanOptions"]

_FINE = ((1, 32), (3, 32), (5, 64))
"""Size and channels of the fine convolutions, whose stride is their size."""


@dataclass(frozen=True)
class SwanOptions(TowerOptions):
    """Scales and joint words.

    Attributes:
        fine_side: Of the grid that fine maps are averaged onto.
    """

    fine_side: int = 16
    dropout: float = 0.2


class _FineScale(nn.Module):
    """Maps of the first level at three scales, each channel a token."""

    def __init__(self, channels: int, side: int, dim: int) -> None:
        super().__init__()
        self.side = side
        self.reduce = _convolution(channels, 32, 1, 1)
        self.scales = nn.ModuleList(_convolution(32, outputs, size, size) for size, outputs in _FINE)
        self.widen = nn.Sequential(nn.Linear(side * side, dim), nn.ReLU(), nn.Dropout(0.1))
        self.mix = SelfAttention(dim)
        self.weights = nn.Parameter(torch.full((sum(outputs for _, outputs in _FINE),), 1 / 128))

    def forward(self, maps: Tensor) -> Tensor:
        x = self.reduce(maps)
        parts = [regrid(scale(x), self.side, self.side).flatten(2) for scale in self.scales]
        tokens = self.mix(self.widen(torch.cat(parts, dim=1)))
        return torch.einsum("k,nkd->nd", self.weights, tokens)


def _convolution(inputs: int, outputs: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class _JointWords(nn.Module):
    """Pairs or triples of neighbouring words."""

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self.size, self.layer, self.norm = size, nn.Conv1d(dim, dim, size, size), nn.LayerNorm(dim)

    def forward(self, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Joint tokens and which of them begin with a real word."""
        more = -words.shape[1] % self.size
        joint = self.layer(functional.pad(words, (0, 0, 0, more)).transpose(1, 2)).transpose(1, 2)
        return torch.relu(self.norm(joint)), functional.pad(mask, (0, more))[:, :: self.size]


class Swan(TowerMatcher):
    """Two vectors of the image made one, three groups of words pooled."""

    levels = LEVELS
    needs_words = True

    def __init__(self, options: SwanOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim, channels = options.dim, self.images.channels
        self.coarse = Cascade(channels, ("c2", "c3", "c4"), dim)
        self.merge = _convolution(self.coarse.width, dim, 1, 1)
        self.whole = FeedForward(dim, 2 * dim, options.dropout)
        self.fine = _FineScale(channels["c1"], options.fine_side, dim)
        self.join = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.gated, self.gated_norm = GatedAttention(dim), nn.LayerNorm(dim)
        self.dropout = nn.Dropout(options.dropout)
        self.joint = nn.ModuleList(_JointWords(dim, size) for size in (2, 3))
        self.words = FeedForward(dim, 2 * dim, options.dropout)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        whole = self.whole(mean_cell(self.merge(self.coarse(maps))))
        return Features(unit(self.join(torch.cat([self.fine(maps["c1"]), whole], dim=1))))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        words, mask = states.words, states.mask
        single = words + self.dropout(self.gated_norm(self.gated(words, mask)))
        groups = [(single, mask), *(joint(words, mask) for joint in self.joint)]
        tokens = torch.cat([group for group, _ in groups], dim=1)
        real = torch.cat([marks for _, marks in groups], dim=1)
        return Features(unit(masked_mean(tokens + self.words(tokens), real)))


SPEC = MatcherSpec(
    SwanOptions,
    Swan,
    "Pan, Ma, Bai: SWAN. ICMR 2023",
    MethodCard("SWAN", 2023, "dot", "code read", published="SWAN", backbone="ResNet-50"),
)
