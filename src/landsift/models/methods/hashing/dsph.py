"""DSPH: a trained proxy for each class, as far apart as codes of K bits can be (Huo et al., TCSVT 2023).

No row of remote-sensing sets is known. Written after the released code. Deviates: towers are frozen; the best
least distance is Plotkin's bound in place of a table; proxies share Adam, at a rate of their own (recipe).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.blocks.hashing import LinearHash
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions
from landsift.models.objectives.hashing_proxies import best_distance, proxy_margin, unlike_margin
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Dsph", "DsphOptions"]


@dataclass(frozen=True)
class DsphOptions(HashOptions):
    """Weights.

    Attributes:
        unlike: Weight of pairs without a class in common.
        dropout: As in the release.
    """

    unlike: float = 0.8
    dropout: float = 0.2


class Dsph(HashMatcher):
    """One linear map a side, and the proxies."""

    supervised = True

    def __init__(self, options: DsphOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        classes = len(self.class_names)
        self.proxies = nn.Parameter(torch.randn(classes, options.bits) / options.bits**0.5)
        self.threshold = 1 - 2 * best_distance(classes, options.bits) / options.bits

    def make_heads(self, image_width: int, text_width: int) -> None:
        """Linear, dropout, tanh."""
        bits, dropout = self.options.bits, self.options.dropout
        self.image_hash = LinearHash(image_width, bits, dropout=dropout)
        self.text_hash = LinearHash(text_width, bits, dropout=dropout)

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Near to the own proxy, and unlike pairs apart."""
        found, limit = self.pairs(batch, image, text), self.threshold
        unlike = ~found.alike
        near = [
            proxy_margin(side, self.proxies, found.labels, threshold=limit)
            for side in (found.image, found.text)
        ]
        apart = [
            unlike_margin(first, second, unlike, threshold=limit)
            for first, second in (
                (found.image, found.text),
                (found.image, found.image),
                (found.text, found.text),
            )
        ]
        return {"proxies": self.total(*near), "unlike": self.options.unlike * self.total(*apart)}


SPEC = MatcherSpec(
    DsphOptions,
    Dsph,
    "Huo et al.: Deep Semantic-aware Proxy Hashing. IEEE TCSVT, 2023",
    MethodCard("DSPH", 2023, "dot", "code read"),
)
