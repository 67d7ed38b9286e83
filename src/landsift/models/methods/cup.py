"""CUP: prompts from context, gated adapters, uncertain vectors on frozen towers (Tang et al., TNNLS 2024).

No row is known. Written after the released code. Deviates: frozen CNN and MiniLM, not CLIP; groups of like
cells stand for the context-cluster net; prompts are tokens that the words, and the cells, look at in one
trained layer, for a CNN has no place to put them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.attention import Attention
from landsift.models.blocks.heads import unit
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.regions import pseudo_regions
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.objectives.info_nce import info_nce
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Cup", "CupOptions"]


@dataclass(frozen=True)
class CupOptions(TowerOptions):
    """Prompts and uncertainty.

    Attributes:
        prompts: On each side.
        clusters: Groups of like cells that visual prompts are made from.
        samples: Of the uncertain vectors in a step.
        structure: Weight of the difference between images' likeness and captions' likeness.
        prior: Weight of what keeps uncertainty near its prior.
        temperature: The trained one starts at.
    """

    text: str = "minilm"
    cut: str = "c4"
    prompts: int = 8
    clusters: int = 4
    samples: int = 4
    structure: float = 1.0
    prior: float = 0.1
    temperature: float = 0.07


class _Residual(nn.Module):
    """A small net mixed in by a share from the input, at most a tenth."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, dim // 2), nn.GELU(), nn.Linear(dim // 2, dim))
        self.share = nn.Linear(dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        added = self.net(x)
        # Smooth, where the release clamps: a clamp has no slope outside its range.
        share = 0.1 * torch.sigmoid(self.share(added))
        return share * added + (1 - share) * x


class Cup(TowerMatcher):
    """Means rank; their spread lives in the losses."""

    needs_words = True

    def __init__(self, options: CupOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim, side = options.dim, self.images.sides["c4"]
        self.clusters = min(options.clusters, side * side)
        self.cells = nn.Linear(self.images.channels["c4"], dim)
        self.prior, self.share = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.image_prompts, self.text_prompts = (
            nn.Parameter(0.02 * torch.randn(options.prompts, dim)) for _ in range(2)
        )
        self.image_look, self.text_look = Attention(dim), Attention(dim)
        self.image_adapter, self.text_adapter = _Residual(dim), _Residual(dim)
        self.image_spread, self.text_spread = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(options.temperature)))

    @property
    def scale(self) -> Tensor:
        """One over the temperature, at most 100."""
        return self.log_scale.clamp(max=math.log(100.0)).exp()

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows and their spread."""
        cells = self.cells(grid_tokens(maps["c4"]))
        regions, _ = pseudo_regions(cells, self.clusters)
        context = self.prior(regions.mean(dim=1))
        share = torch.sigmoid(self.share(context))[:, None]
        prompts = (1 - share) * context[:, None] + share * self.image_prompts
        vector = self.image_adapter((cells + self.image_look(cells, prompts)).mean(dim=1))
        return Features(unit(vector), extras={"spread": functional.softplus(self.image_spread(vector) - 4)})

    def text_head(self, states: TextStates) -> Features:
        """Unit rows and their spread."""
        prompts = self.text_prompts.expand(len(states.words), -1, -1)
        words = states.words + self.text_look(states.words, prompts)
        vector = self.text_adapter(masked_mean(words, states.mask))
        return Features(unit(vector), extras={"spread": functional.softplus(self.text_spread(vector) - 4)})

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Contrast of drawn vectors, likeness within both sides, spreads near their prior."""
        options, total = self.options, similarity.new_zeros(())
        for _ in range(options.samples):
            ours, theirs = (
                unit(side.pooled + side.extras["spread"] * torch.randn_like(side.pooled))
                for side in (image, text)
            )
            total = total + info_nce(self.scale * ours @ theirs.T, batch.positive) / options.samples
        mine = image.pooled[batch.image_row]
        structure = (mine @ mine.T - text.pooled @ text.pooled.T).abs().mean()
        prior = sum((_from_prior(side.extras["spread"]) for side in (image, text)), similarity.new_zeros(()))
        return {
            "drawn-contrast": total,
            "structure": options.structure * structure,
            "spread": options.prior * prior,
        }


def _from_prior(spread: Tensor, width: float = 0.02) -> Tensor:
    """Divergence of centred normal distributions of these widths from one of ``width``, per number."""
    ratio = (spread / width).square()
    return 0.5 * (ratio - 1 - ratio.clamp(min=1e-12).log()).mean()


SPEC = MatcherSpec(
    CupOptions,
    Cup,
    "Tang et al.: CUP. IEEE TNNLS, 2024",
    MethodCard("CUP", 2024, "dot", "code read"),
)
