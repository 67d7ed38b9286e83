"""MCRN: modal patterns shared by all modalities (Yuan et al., JAG 2022).

Compare with the row MCRN (unverified). Written after the released code. Deviates: images and captions only,
no audio; attention over one token is the linear map it amounts to; the entanglement of modalities runs
beside the training, not before it; the maximum mean discrepancy is left out; each side has its own batch
norm; a two-way GRU stands for skip- thought states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.heads import unit
from landsift.models.blocks.maps import MultiScaleVisual
from landsift.models.blocks.trunk import LEVELS
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Mcrn", "McrnOptions"]


@dataclass(frozen=True)
class McrnOptions(TowerOptions):
    """Patterns of modalities.

    Attributes:
        patterns: How many.
        alignment: Weight of what makes right pairs alike, per vector (the release: 1,000 per number).
        temperature: Of the comparison of their numbers as distributions.
        confusion: Weight of what hides from the critic which modality a vector is of.
    """

    dropout: float = 0.3
    patterns: int = 3
    alignment: float = 2.0
    temperature: float = 0.2
    confusion: float = 0.01


class _Layer(nn.Module):
    """A transformer layer on one token: a linear map for the attention, then the feed-forward part."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attend = nn.Linear(dim, dim)
        self.feed = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.first_norm(x))
        return x + self.feed(self.second_norm(x))


class PatternTransfer(nn.Module):
    """Rows of any modality through a mixture of learned maps."""

    def __init__(self, dim: int, patterns: int, dropout: float) -> None:
        super().__init__()
        self.before, self.after = _Layer(dim, 3 * dim // 2, dropout), _Layer(dim, 3 * dim // 2, dropout)
        self.choose = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, patterns))
        self.patterns = nn.Parameter(torch.randn(patterns, dim, dim) / dim**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, dim)`` to the same."""
        x = self.before(x)
        mixed = torch.einsum("nm,nd,mde->ne", torch.sigmoid(self.choose(x)), x, self.patterns)
        return self.after(mixed)


class Mcrn(TowerMatcher):
    """Both modalities through the same patterns."""

    levels = LEVELS

    def __init__(self, options: McrnOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.visual = MultiScaleVisual(self.images.channels, self.images.sides["c3"], options.dim)
        self.dropout = nn.Dropout(options.dropout)
        self.shared = PatternTransfer(options.dim, options.patterns, options.dropout)
        # One for each side: the running statistics of a shared one would fit neither.
        self.image_norm, self.text_norm = nn.BatchNorm1d(options.dim), nn.BatchNorm1d(options.dim)
        self.critic = nn.Sequential(nn.Linear(options.dim, 128), nn.ReLU(), nn.Linear(128, 1))

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        rows = self.image_norm(unit(self.dropout(self.visual(maps))))
        return Features(unit(self.shared(rows)))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(self.shared(self.text_norm(unit(self.dropout(states.sentence))))))

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Right pairs alike, number by number, and neither modality to be told from the other."""
        assert self.critic is not None
        ours, theirs = image.pooled[batch.image_row], text.pooled
        warm = self.options.temperature
        divergence = functional.kl_div(
            functional.log_softmax(ours / warm, dim=1),
            functional.log_softmax(theirs / warm, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        alike = divergence + (ours - theirs).square().sum(dim=1).mean()
        judged = self.critic(torch.cat([image.pooled, text.pooled]))
        unsure = functional.binary_cross_entropy_with_logits(judged, torch.full_like(judged, 0.5))
        return {"alignment": self.options.alignment * alike, "confusion": self.options.confusion * unsure}

    def critic_losses(self, batch: Batch, image: Features, text: Features) -> dict[str, Tensor]:
        """Which modality is it?"""
        assert self.critic is not None
        images, texts = self.critic(image.pooled), self.critic(text.pooled)
        return {"modality": functional.softplus(-images).mean() + functional.softplus(texts).mean()}


SPEC = MatcherSpec(
    McrnOptions,
    Mcrn,
    "Yuan et al.: MCRN. International Journal of Applied Earth Observation, 2022",
    MethodCard("MCRN", 2022, "dot", "code read", published="MCRN", backbone="ResNet-18"),
)
