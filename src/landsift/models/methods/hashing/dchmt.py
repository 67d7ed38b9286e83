"""DCHMT: bits are chosen, not rounded, and lie at given distances (Tu et al., ACM MM 2022).

No row of remote-sensing sets is known. Written after the released code. Deviates: towers are frozen; Adam in
place of BertAdam. Without classes a picture is alike to itself alone, as in the release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from landsift.models.batch import Batch
from landsift.models.blocks.hashing import SelectingHash
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions
from landsift.models.objectives.hashing_proxies import choice_distances
from landsift.models.registry import MatcherSpec, MethodCard

__all__ = ["SPEC", "Dchmt", "DchmtOptions"]


@dataclass(frozen=True)
class DchmtOptions(HashOptions):
    """Distance.

    Attributes:
        share: Of the largest distance that wrong pairs are pushed to.
    """

    share: float = 0.5


class Dchmt(HashMatcher):
    """Selecting heads."""

    head = "selecting"
    supervised = True

    image_hash: SelectingHash
    text_hash: SelectingHash

    def image_codes(self, maps: Mapping[str, Tensor]) -> Features:
        """Codes and the choices behind them."""
        return self._chosen(self.image_hash.choices(maps["pooled"]))

    def text_codes(self, parts: Mapping[str, Tensor], mask: Tensor) -> Features:
        """Likewise."""
        return self._chosen(self.text_hash.choices(parts["sentence"]))

    def _chosen(self, choices: Tensor) -> Features:
        return self.coded(choices[:, :, 1] - choices[:, :, 0], {"choices": choices.flatten(1)})

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Distances between and within sides."""
        alike = self.pairs(batch, image, text).alike
        ours, theirs = image.extras["choices"][batch.image_row], text.extras["choices"]
        share = self.options.share
        return {
            "between": choice_distances(ours, theirs, alike, share=share),
            "images": choice_distances(ours, ours, alike, share=share),
            "captions": choice_distances(theirs, theirs, alike, share=share),
        }


SPEC = MatcherSpec(
    DchmtOptions,
    Dchmt,
    "Tu et al.: Differentiable Cross-modal Hashing via Multimodal Transformers. ACM MM 2022",
    MethodCard("DCHMT", 2022, "dot", "code read"),
)
