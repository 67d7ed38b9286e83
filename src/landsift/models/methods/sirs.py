"""SIRS: one vector per stage, the mean of their cosines, entities in the foreground (TGRS 2024).

No row is known. Written after the released code. Deviates: without masks of entities in
``batch.extras["segments"]`` the foreground is what does not belong to the largest group of like cells; a
two-way GRU stands for skip-thought states. The mean of cosines folds into one vector, which must not be
scaled again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.heads import fold_mean_of_cosines, unit
from landsift.models.blocks.regions import cell_groups
from landsift.models.blocks.trunk import LEVELS, grid_tokens, mean_cell, regrid
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Sirs", "SirsOptions"]

_SIDE = 14
"""Of the grid that segments are predicted on."""


@dataclass(frozen=True)
class SirsOptions(TowerOptions):
    """Stages and segments.

    Attributes:
        classes: Of the segments, the first of them background; 2 where they are made here.
        groups: Groups of like cells that foregrounds are made from.
        segments: Weight of the segments' cross-entropy.
    """

    classes: int = 2
    groups: int = 4
    segments: float = 4.0


class Sirs(TowerMatcher):
    """Every stage has its say."""

    levels = LEVELS

    def __init__(self, options: SirsOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        channels = self.images.channels
        self.lateral = nn.ModuleList(nn.Conv2d(channels[level], 64, 1) for level in LEVELS[1:])
        self.shared = nn.Sequential(nn.Conv2d(64, 64, 1, bias=False), nn.GroupNorm(8, 64), nn.ReLU())
        self.segment = nn.Conv2d(64, options.classes, 1)
        self.stages = nn.ModuleList(nn.Linear(channels[level], options.dim) for level in LEVELS)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """The folded row; logits of the segments, and the groups that stand for masks."""
        parts = [
            functional.interpolate(self.shared(layer(maps[level])), size=(_SIDE, _SIDE))
            for level, layer in zip(LEVELS[1:], self.lateral, strict=True)
        ]
        logits = self.segment(torch.stack(parts).sum(dim=0))
        salient = torch.sigmoid(logits[:, 1:].sum(dim=1, keepdim=True))
        vectors = []
        for level, layer in zip(LEVELS, self.stages, strict=True):
            height, width = maps[level].shape[2:]
            weighed = maps[level] * regrid(salient, height, width)
            vectors.append(layer(mean_cell(weighed)))
        return Features(
            fold_mean_of_cosines(vectors),
            extras={"logits": logits, "foreground": self._foreground(maps["c2"])},
        )

    def _foreground(self, maps: Tensor) -> Tensor:
        """1 on cells outside the largest group: ``(n, side, side)`` int64."""
        cells = grid_tokens(maps.detach(), _SIDE)
        groups = cell_groups(cells, self.options.groups)
        largest = functional.one_hot(groups, self.options.groups).sum(dim=1).argmax(dim=1)
        return (groups != largest[:, None]).long().unflatten(1, (_SIDE, _SIDE))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(states.sentence))

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Cross-entropy of the segments."""
        given = batch.extras.get("segments")
        if given is None:
            target = image.extras["foreground"]
        else:
            target = functional.interpolate(given[:, None].float(), size=(_SIDE, _SIDE))[:, 0].long()
        return {"segments": self.options.segments * functional.cross_entropy(image.extras["logits"], target)}


SPEC = MatcherSpec(
    SirsOptions,
    Sirs,
    "SIRS. IEEE TGRS 62, 2024",
    MethodCard("SIRS", 2024, "mean of cosines", "code read", stands_in="segmentation masks"),
)
