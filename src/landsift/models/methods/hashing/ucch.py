"""UCCH: contrast with a memory of bits, ranking over all wrong pairs (Hu et al., TPAMI 2023).

No row of remote-sensing sets is known. Written after the released code and the paper, doi
10.1109/TPAMI.2022.3177356. Deviates: frozen towers; narrower layers; all keys are compared with, no sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.hashing import LinearHash, fully_connected, signs
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions, Pairs
from landsift.models.objectives.hashing_contrast import memory_contrast
from landsift.models.objectives.ranking import ranking
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Ucch", "UcchOptions"]


@dataclass(frozen=True)
class UcchOptions(HashOptions):
    """Memory, ranking and their balance.

    Attributes:
        keep: Of the memory, at each sight of a pair.
        warm_up: Passes in which nothing is kept of it.
        temperature: Of the contrast.
        contrast: Share of the contrast; the rest is the ranking's.
        margin: Of the ranking.
        shift: How much less likely wrong pairs count beyond the margin.
    """

    keep: float = 0.4
    warm_up: int = 1
    temperature: float = 0.9
    contrast: float = 0.7
    margin: float = 0.2
    shift: float = 1.0


class Ucch(HashMatcher):
    """Three layers for images, two for captions; keys are never relaxed."""

    keys: Tensor

    def __init__(self, options: UcchOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.register_buffer("keys", functional.normalize(torch.randn(self.images, options.bits), dim=1))

    def make_heads(self, image_width: int, text_width: int) -> None:
        """Three layers, and two."""
        bits, hidden = self.options.bits, self.options.hidden
        below = fully_connected(image_width, hidden, hidden)
        self.image_hash = nn.Sequential(below, nn.ReLU(), LinearHash(hidden, bits))
        self.text_hash = LinearHash(text_width, bits, hidden)

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Contrast and ranking; keys move first, so that a pair's key is of this step."""
        found, options = self.pairs(batch, image, text), self.options
        self._move(found, 0.0 if batch.moment.epoch < options.warm_up else options.keep)
        bits = signs(self.keys)
        contrast = [
            memory_contrast(side, found.rows, bits, temperature=options.temperature)
            for side in (found.image, found.text)
        ]
        ranked = ranking(similarity, batch.positive, margin=options.margin, shift=options.shift)
        return {
            "contrast": options.contrast * self.total(*contrast),
            "ranking": (1 - options.contrast) * ranked,
        }

    @torch.no_grad()
    def _move(self, found: Pairs, keep: float) -> None:
        both = functional.normalize(found.image.detach(), dim=1) + functional.normalize(
            found.text.detach(), dim=1
        )
        moved = functional.normalize(keep * self.keys[found.rows] + (1 - keep) * both / 2, dim=1)
        self.keys.data = self.keys.index_copy(0, found.rows, moved)


SPEC = MatcherSpec(
    UcchOptions,
    Ucch,
    "Hu et al.: Unsupervised Contrastive Cross-Modal Hashing. IEEE TPAMI 45, 2023",
    MethodCard("UCCH", 2023, "dot", "code read"),
)
