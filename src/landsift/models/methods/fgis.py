"""FGIS: fine-grained supplements, weighted contrast, value-guided learning (Zhou et al., JSTARS 17, 2024,
doi 10.1109/JSTARS.2024.3480014).

No row is known. Written from the abstract: the described idea, no reproduction. Inferred: the global vector
asks the cells of two levels for what it lacks; wrong pairs count more the more alike they look; scenes
weigh much at first and little at last, the weighted contrast the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.blocks.attention import Attention
from landsift.models.blocks.heads import unit
from landsift.models.blocks.maps import Cascade
from landsift.models.blocks.trunk import grid_tokens, mean_cell
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.objectives import affiliation
from landsift.models.objectives.info_nce import info_nce
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Fgis", "FgisOptions", "weighted_contrast"]


@dataclass(frozen=True)
class FgisOptions(TowerOptions):
    """Supplements and stages.

    Attributes:
        temperature: Of the contrasts.
        strength: How much more wrong pairs count that look alike.
    """

    text: str = "minilm"
    temperature: float = 0.07
    strength: float = 1.0


def weighted_contrast(scores: Tensor, positive: Tensor, *, temperature: float, strength: float) -> Tensor:
    """InfoNCE both ways in which a wrong pair counts ``exp(strength * score)`` times, relative to the mean.

    Args:
        scores: ``(I, T)`` cosines.
        positive: ``(I, T)`` bool.
        temperature: Of the softmax.
        strength: 0 weighs all alike.
    """
    weight = strength * scores.detach()
    wrong = weight.masked_fill(positive, -torch.inf)
    count = (~positive).sum().clamp(min=1)
    log_mean = torch.logsumexp(wrong.flatten(), dim=0) - count.log()
    log_mean = torch.nan_to_num(log_mean, neginf=0.0)
    return info_nce(scores / temperature + (weight - log_mean).masked_fill(positive, 0.0), positive)


class Fgis(TowerMatcher):
    """One vector each."""

    levels = ("c3", "c4")

    def __init__(self, options: FgisOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim = options.dim
        self.cells = Cascade(self.images.channels, ("c4", "c3"), dim // 2)
        self.whole, self.ask = nn.Linear(self.images.channels["c4"], dim), Attention(dim)
        self.gate = nn.Linear(2 * dim, dim)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        whole = self.whole(mean_cell(maps["c4"]))
        fine = self.ask(whole[:, None], grid_tokens(self.cells(maps)))[:, 0]
        return Features(unit(whole + torch.sigmoid(self.gate(torch.cat([whole, fine], dim=1))) * fine))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(states.sentence))

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Scenes first, single pairs last."""
        options, done = self.options, batch.moment.step / max(1, batch.moment.steps)
        pairs = weighted_contrast(
            similarity, batch.positive, temperature=options.temperature, strength=options.strength
        )
        scenes = affiliation(
            image.pooled, text.pooled, batch.labels, batch.image_row, temperature=options.temperature
        )
        return {"weighted-contrast": (0.5 + done) * pairs, "scenes": (1 - done) * scenes}


SPEC = MatcherSpec(
    FgisOptions,
    Fgis,
    "Zhou et al.: FGIS. IEEE JSTARS 17, 2024",
    MethodCard("FGIS", 2024, "dot", "abstract only"),
)
