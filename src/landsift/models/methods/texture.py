"""Texture and saliency enhanced image learning (Yang et al., IGARSS 2023).

No row is known here, though its abstract speaks of RSICD and UCM. Written from the abstract: the described
idea, no reproduction. Deviates: texture and saliency maps are made from the frozen maps of the trunk, not
from pixels: how much neighbouring cells of the first level differ, and how far cells of the third are from
their mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.heads import unit
from landsift.models.blocks.trunk import mean_cell, regrid
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Texture", "TextureOptions", "saliency_map", "texture_map"]

_SIDE = 7
"""Of the grid that both maps are reconstructed on."""


@dataclass(frozen=True)
class TextureOptions(TowerOptions):
    """Maps to reconstruct.

    Attributes:
        maps: Weight of the reconstructions.
    """

    maps: float = 1.0


@torch.no_grad()
def texture_map(cells: Tensor) -> Tensor:
    """How much neighbours differ: ``(n, channels, h, w)`` to ``(n, 1, side, side)`` from 0 to 1."""
    mean = functional.avg_pool2d(cells, 3, 1, 1, count_include_pad=False)
    square = functional.avg_pool2d(cells.square(), 3, 1, 1, count_include_pad=False)
    return _scaled((square - mean.square()).clamp(min=0).sqrt().mean(dim=1, keepdim=True))


@torch.no_grad()
def saliency_map(cells: Tensor) -> Tensor:
    """How far cells are from their mean: ``(n, channels, h, w)`` to ``(n, 1, side, side)`` from 0 to 1."""
    return _scaled((cells - cells.mean(dim=(2, 3), keepdim=True)).norm(dim=1, keepdim=True))


def _scaled(maps: Tensor) -> Tensor:
    maps = regrid(maps, _SIDE, _SIDE)
    low, high = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-6)


class _Branch(nn.Module):
    """Features that a map is reconstructed from."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.features, self.draw = nn.Conv2d(channels, dim, 1), nn.Conv2d(dim, 1, 1)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        # Averaged first or last is the same: both are linear, and the weights of a mean sum to one.
        x = torch.relu(self.features(regrid(maps, _SIDE, _SIDE)))
        return mean_cell(x), torch.sigmoid(self.draw(x))


class Texture(TowerMatcher):
    """The retrieval branch, enhanced by both others."""

    levels = ("c1", "c3", "c4")

    def __init__(self, options: TextureOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim, channels = options.dim, self.images.channels
        self.head = nn.Linear(channels["c4"], dim)
        self.texture, self.saliency = _Branch(channels["c1"], dim), _Branch(channels["c3"], dim)
        self.join = nn.Sequential(nn.Linear(3 * dim, dim), nn.ReLU(), nn.Linear(dim, dim))

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows; both reconstructions and what they should be."""
        texture, drawn_texture = self.texture(maps["c1"])
        saliency, drawn_saliency = self.saliency(maps["c3"])
        whole = self.head(mean_cell(maps["c4"]))
        return Features(
            unit(whole + self.join(torch.cat([whole, texture, saliency], dim=1))),
            extras={
                "drawn": torch.cat([drawn_texture, drawn_saliency], dim=1),
                "asked": torch.cat([texture_map(maps["c1"]), saliency_map(maps["c3"])], dim=1),
            },
        )

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(states.sentence))

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Squared error of the reconstructions."""
        error = functional.mse_loss(image.extras["drawn"], image.extras["asked"])
        return {"reconstructions": self.options.maps * error}


SPEC = MatcherSpec(
    TextureOptions,
    Texture,
    "Yang et al.: Texture and saliency. IGARSS 2023",
    MethodCard("Texture and saliency", 2023, "dot", "abstract only"),
)
