"""DTBH: triplets of codes and a smooth distance from bits, of images and sound (Chen and Lu, 2020).

Published for spoken captions (UCM sound to image mAP 60.13, image to sound 64.27). Written from the abstract.
Deviates: captions are read, not heard, unless the recipe attaches sound to images as ``data.extras.audio``
(one row of numbers each, such as mean and spread of MFCCs), which is then hashed as a third side; classes
decide what is alike, as in the paper; frozen towers.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from landsift.errors import UsageError
from landsift.models.batch import Batch
from landsift.models.blocks.hashing import LinearHash
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions
from landsift.models.objectives.hashing_codes import balance_samples, log_cosh_quantisation
from landsift.models.objectives.hashing_pairs import code_triplet
from landsift.models.registry import MatcherSpec, MethodCard

__all__ = ["SPEC", "Dtbh", "DtbhOptions"]


@dataclass(frozen=True)
class DtbhOptions(HashOptions):
    """Margin, weights, and sound.

    Attributes:
        margin: Of the hinge on cosines.
        quantisation: Weight of the smooth distance from bits.
        balance: Weight of bits used half the time.
        audio_width: Numbers of ``data.extras.audio``; 0 without sound.
    """

    margin: float = 0.5
    quantisation: float = 0.1
    balance: float = 0.1
    audio_width: int = 0


class Dtbh(HashMatcher):
    """Two sides, or three with sound."""

    supervised = True

    def make_heads(self, image_width: int, text_width: int) -> None:
        """Two layers each."""
        options = self.options
        super().make_heads(image_width, text_width)
        if options.audio_width:
            self.audio_hash = LinearHash(options.audio_width, options.bits, options.hidden)

    def audio_codes(self, audio: Tensor) -> Tensor:
        """``(n, audio_width)`` numbers of sounds to ``(n, K)`` relaxed codes.

        Raises:
            UsageError: The method was made without sound.
        """
        if not self.options.audio_width:
            raise UsageError("This method was made without sound; set model.options.audio_width.")
        codes: Tensor = self.audio_hash(functional.layer_norm(audio.float(), audio.shape[-1:]))
        return codes

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Hinges between sides, bits, balance."""
        found, options = self.pairs(batch, image, text), self.options
        sides = [found.image, found.text]
        if options.audio_width:
            if "audio" not in batch.extras:
                raise UsageError("audio_width is set but no sound given; name a file as data.extras.audio.")
            sides.append(self.audio_codes(batch.extras["audio"][batch.image_row]))
        alike = found.alike
        hinges = [
            code_triplet(anchor, other, alike, margin=options.margin, semi_hard=True)
            for anchor in sides
            for other in sides
            if anchor is not other
        ]
        near = self.total(*(log_cosh_quantisation(side) for side in sides))
        balance = self.total(*(balance_samples(side) for side in sides))
        return {
            "triplet": self.total(*hinges),
            "quantisation": options.quantisation * near,
            "balance": options.balance * balance,
        }


SPEC = MatcherSpec(
    DtbhOptions,
    Dtbh,
    "Chen and Lu: Deep Triplet-Based Hashing of images and voice. Remote Sensing 12, 2020",
    MethodCard("DTBH", 2020, "dot", "abstract only", stands_in="spoken captions"),
)
