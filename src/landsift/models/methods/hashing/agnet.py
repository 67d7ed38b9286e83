"""AgNet: codes by way of attributes, so that classes never seen have them too (Ji et al., TNNLS 2020).

No row of remote-sensing sets is known. Written from what is told of the paper, not from its text. Inferred:
the attributes of a class are what the frozen text tower makes of its name, as the zero-shot setting asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.hashing import LinearHash, fully_connected
from landsift.models.blocks.heads import unit
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions
from landsift.models.objectives.hashing_codes import quantisation
from landsift.models.objectives.hashing_pairs import l2_pairwise
from landsift.models.objectives.hashing_similarity import attribute_similarity
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Agnet", "AgnetOptions"]


@dataclass(frozen=True)
class AgnetOptions(HashOptions):
    """Weights.

    Attributes:
        temperature: Of guessing the class by its attributes.
        attributes: Weight of that.
        likeness: Weight of codes as alike as attributes.
        quantisation: Weight of the distance from bits.
    """

    temperature: float = 0.05
    attributes: float = 1.0
    likeness: float = 5.0
    quantisation: float = 0.1


class Agnet(HashMatcher):
    """A vector, its attributes, the code of these; one hash function for both sides."""

    supervised = True
    class_attributes: Tensor

    def __init__(self, options: AgnetOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        names = self.towers.read([f"{name} in an image from above" for name in self.class_names])
        self.register_buffer("class_attributes", _centred(names.extras["sentence"]))

    def make_heads(self, image_width: int, text_width: int) -> None:
        """Two maps to attributes, and the hash function."""
        options = self.options
        self.image_attributes = fully_connected(image_width, options.hidden, text_width)
        self.text_attributes = fully_connected(text_width, options.hidden, text_width)
        self.hash = LinearHash(text_width, options.bits)
        self.more = nn.LayerNorm(text_width)

    def image_codes(self, maps: Mapping[str, Tensor]) -> Features:
        """Codes and attributes."""
        return self._through(self.image_attributes(maps["pooled"]))

    def text_codes(self, parts: Mapping[str, Tensor], mask: Tensor) -> Features:
        """Likewise."""
        return self._through(self.text_attributes(parts["sentence"]))

    def _through(self, attributes: Tensor) -> Features:
        return self.coded(self.hash(self.more(attributes)), {"attributes": attributes})

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Attributes that tell the class, codes as alike as the attributes, bits."""
        found, options, order = self.pairs(batch, image, text), self.options, batch.image_row
        known = found.labels >= 0
        sides = (image.extras["attributes"][order], text.extras["attributes"])
        guesses = [unit(side[known]) @ self.class_attributes.T / options.temperature for side in sides]
        told = self.total(*(functional.cross_entropy(guess, found.labels[known]) for guess in guesses))
        target = attribute_similarity(self.class_attributes, found.labels, found.labels)
        codes = torch.cat([found.image, found.text])
        return {
            "attributes": options.attributes * told,
            "likeness": options.likeness * l2_pairwise(codes, codes, target.repeat(2, 2)),
            "quantisation": options.quantisation
            * self.total(quantisation(found.image), quantisation(found.text)),
        }


def _centred(rows: Tensor) -> Tensor:
    """Unit rows without what all names share, so that unlike classes are unlike."""
    return unit(rows - rows.mean(dim=0))


SPEC = MatcherSpec(
    AgnetOptions,
    Agnet,
    "Ji et al.: Attribute-Guided Network for Cross-Modal Zero-Shot Hashing. IEEE TNNLS 31, 2020",
    MethodCard("AgNet", 2020, "dot", "abstract only"),
)
