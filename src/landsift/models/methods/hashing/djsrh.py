"""DJSRH: cosines of codes follow a joint similarity of frozen vectors (Su et al., ICCV 2019).

Compare with the row DJSRH of the hashing papers' tables. Written after the released code. Deviates: frozen
towers as the options say, instead of a trained AlexNet and bags of words; Adam.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from landsift.models.batch import Batch, Moment
from landsift.models.blocks.hashing import LinearHash, continuation
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions
from landsift.models.objectives.hashing_pairs import similarity_regression
from landsift.models.objectives.hashing_similarity import second_order_similarity
from landsift.models.registry import MatcherSpec, MethodCard

__all__ = ["SPEC", "Djsrh", "DjsrhOptions"]


@dataclass(frozen=True)
class DjsrhOptions(HashOptions):
    """The target.

    Attributes:
        balance: Share of the images in it.
        second: Share of its second order.
        scale: Its stretch.
        own: Weight of the terms within a side.
    """

    balance: float = 0.6
    second: float = 0.4
    scale: float = 1.5
    own: float = 0.1


class Djsrh(HashMatcher):
    """A linear map of images, two layers for captions, a tanh that grows steeper."""

    image_hash: LinearHash
    text_hash: LinearHash

    def make_heads(self, image_width: int, text_width: int) -> None:
        """Linear, and two layers."""
        bits = self.options.bits
        self.image_hash = LinearHash(image_width, bits)
        self.text_hash = LinearHash(text_width, bits, self.options.hidden)

    def begin_epoch(self, moment: Moment) -> None:
        """A steeper tanh."""
        for head in (self.image_hash, self.text_hash):
            head.steepness.fill_(continuation(moment.epoch))

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """The regression."""
        options, found = self.options, self.pairs(batch, image, text)
        target = second_order_similarity(
            image.extras["x"][batch.image_row],
            text.extras["x"],
            balance=options.balance,
            second=options.second,
            scale=options.scale,
        )
        return {"regression": similarity_regression(found.image, found.text, target, own=options.own)}


SPEC = MatcherSpec(
    DjsrhOptions,
    Djsrh,
    "Su et al.: DJSRH. ICCV 2019",
    MethodCard("DJSRH", 2019, "dot", "code read", published="DJSRH"),
)
