"""CCLS2T: contrast with spatiotemporal context over several scales (TGRS 62, 2024).

No row is known, and no text of it was reachable: built from its title, "Cross-modal contrastive learning
with spatiotemporal context for correlation-aware multiscale remote sensing image retrieval", so it is an
idea of ours in its spirit. Context is a vector of place and time in ``batch.extras["context"]``; without
one, scene classes say which pictures belong together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.attention import FeedForward
from landsift.models.blocks.heads import unit
from landsift.models.blocks.pooling import AttentionPool
from landsift.models.blocks.trunk import mean_cell
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Ccls2t", "Ccls2tOptions", "context_targets"]


@dataclass(frozen=True)
class Ccls2tOptions(TowerOptions):
    """Scales and context.

    Attributes:
        temperature: Of the contrast.
        context: Share of a target that goes to pictures of like context.
    """

    temperature: float = 0.07
    context: float = 0.2


def context_targets(batch: Batch, share: float) -> Tensor:
    """What each image's captions should get: ``(I, T)``, rows sum to 1.

    Args:
        batch: With ``extras["context"]`` ``(I, k)``, or scene classes.
        share: Of a row that goes to captions of images of like context.
    """
    given = batch.extras.get("context")
    if given is None:
        labels = batch.labels
        like = ((labels[:, None] == labels[None]) & (labels >= 0)[:, None]).float()
    else:
        like = torch.softmax(-torch.cdist(given.float(), given.float()), dim=1)
    right = batch.positive.float()
    near = like @ right
    right, near = (rows / rows.sum(dim=1, keepdim=True).clamp(min=1e-9) for rows in (right, near))
    known = (near.sum(dim=1, keepdim=True) > 0).float()
    return right * (1 - share * known) + share * known * near


class Ccls2t(TowerMatcher):
    """One vector each, from three scales."""

    levels = ("c2", "c3", "c4")

    def __init__(self, options: Ccls2tOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim = options.dim
        self.scales = nn.ModuleList(nn.Linear(self.images.channels[level], dim) for level in self.levels)
        self.pool, self.head = AttentionPool(dim), FeedForward(dim, 2 * dim)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        rows = [layer(mean_cell(maps[level])) for level, layer in zip(self.levels, self.scales, strict=True)]
        pooled = self.pool(torch.stack(rows, dim=1))
        return Features(unit(pooled + self.head(pooled)))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(states.sentence))

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Contrast both ways against targets that know of context."""
        target, logits = context_targets(batch, self.options.context), similarity / self.options.temperature
        forward = -(target * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()
        back = target.T / target.T.sum(dim=1, keepdim=True).clamp(min=1e-9)
        backward = -(back * functional.log_softmax(logits.T, dim=1)).sum(dim=1).mean()
        return {"context-contrast": (forward + backward) / 2}


SPEC = MatcherSpec(
    Ccls2tOptions,
    Ccls2t,
    "CCLS2T. IEEE TGRS 62, 2024",
    MethodCard("CCLS2T", 2024, "dot", "title only", stands_in="place and time"),
)
