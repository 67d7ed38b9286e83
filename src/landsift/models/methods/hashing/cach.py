"""CACH: a pyramid of layers whose levels agree, and decoders across sides (IEEE JSTARS, 2025).

No row of remote-sensing sets is known here. Written from the abstract and the released training loop.
Deviates: frozen towers; pairs have no altered twins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.blocks.hashing import PyramidHash
from landsift.models.blocks.heads import unit
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions
from landsift.models.objectives.hashing_codes import quantisation
from landsift.models.objectives.hashing_contrast import code_contrast
from landsift.models.registry import MatcherSpec, MethodCard

__all__ = ["SPEC", "Cach", "CachOptions"]

_COMPARED = 3  # levels whose features should agree


@dataclass(frozen=True)
class CachOptions(HashOptions):
    """Weights.

    Attributes:
        temperature: Of the contrast.
        levels: Weight of the levels' agreement.
        rebuilding: Weight of rebuilding the first level from the third.
        quantisation: Weight of the distance from bits.
    """

    temperature: float = 0.3
    levels: float = 0.001
    rebuilding: float = 0.1
    quantisation: float = 0.001


class Cach(HashMatcher):
    """Four decoders: image to image, image to caption, and back."""

    image_hash: PyramidHash
    text_hash: PyramidHash

    def make_heads(self, image_width: int, text_width: int) -> None:
        """Two pyramids, four decoders."""
        bits, hidden = self.options.bits, self.options.hidden
        self.image_hash = PyramidHash(image_width, bits, hidden)
        self.text_hash = PyramidHash(text_width, bits, hidden)
        first, third = self.image_hash.widths[0], self.image_hash.widths[_COMPARED - 1]
        self.decoders = nn.ModuleList(nn.Linear(third, first) for _ in range(4))

    def image_codes(self, maps: Mapping[str, Tensor]) -> Features:
        """Codes and the three levels that are compared."""
        return self._levelled(self.image_hash, maps["pooled"])

    def text_codes(self, parts: Mapping[str, Tensor], mask: Tensor) -> Features:
        """Likewise."""
        return self._levelled(self.text_hash, parts["sentence"])

    def _levelled(self, head: PyramidHash, x: Tensor) -> Features:
        levels = head.all_levels(x)
        named = {f"level{number}": level for number, level in enumerate(levels[:_COMPARED])}
        return self.coded(head.out(levels[-1]).tanh(), named)

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Contrast, agreement of levels, rebuilding, bits."""
        options, ours = self.options, image.rows(batch.image_row)
        codes = (ours.extras["code"], text.extras["code"])
        same = batch.positive[batch.image_row]
        names = [f"level{number}" for number in range(_COMPARED)]
        apart = self.total(*(_apart(ours.extras[name], text.extras[name]) for name in names))
        rebuilt = [
            _apart(decoder(source.extras[names[-1]]), target.extras[names[0]].detach())
            for decoder, (source, target) in zip(self.decoders, product((ours, text), repeat=2), strict=True)
        ]
        return {
            "contrast": code_contrast(*codes, temperature=options.temperature, same=same),
            "levels": options.levels * apart,
            "rebuilding": options.rebuilding * self.total(*rebuilt),
            "quantisation": options.quantisation * self.total(*(quantisation(code) for code in codes)),
        }


def _apart(rows: Tensor, others: Tensor) -> Tensor:
    """Mean of 1 less the cosine."""
    return 1 - (unit(rows) * unit(others)).sum(dim=1).mean()


SPEC = MatcherSpec(
    CachOptions,
    Cach,
    "CACH: autoencoder semantic similarity for cross-modal hashing. IEEE JSTARS, 2025",
    MethodCard("CACH", 2025, "dot", "abstract only"),
)
