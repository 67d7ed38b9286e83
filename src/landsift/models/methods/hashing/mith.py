"""MITH: a branch of the whole and one of the parts, which teach each other (Liu et al., ACM MM 2023).

No row of remote-sensing sets is known. Written after the released code. Deviates: towers are frozen; the
parts are nine cells and word pieces, aligned by attention to concepts that both sides share, with linear maps
in place of transformer layers; similar pairs weigh as much as all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.batch import Batch, Moment
from landsift.models.blocks.heads import unit
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, LikelihoodOptions
from landsift.models.objectives.hashing_codes import quantisation
from landsift.models.objectives.hashing_pairs import nll_pairwise
from landsift.models.objectives.hashing_similarity import label_similarity
from landsift.models.objectives.info_nce import info_nce
from landsift.models.registry import MatcherSpec, MethodCard

__all__ = ["SPEC", "Mith", "MithOptions"]


@dataclass(frozen=True)
class MithOptions(LikelihoodOptions):
    """Sizes and weights.

    Attributes:
        width: Of the common space.
        concepts: What parts are gathered by.
        temperature: Of the contrasts.
        contrast: Weight of the contrasts.
        whole: Share of the whole in the final code.
        quantisation: Weight of the distance from the unified bits.
        teaching: Weight of the parts learning from the whole, and a tenth of it the other way.
    """

    width: int = 256
    concepts: int = 8
    temperature: float = 0.07
    contrast: float = 0.5
    whole: float = 0.6
    quantisation: float = 0.1
    teaching: float = 0.1


class _Branches(nn.Module):
    """A whole vector and parts to two vectors and two codes."""

    def __init__(self, width: int, options: MithOptions) -> None:
        super().__init__()
        self.whole, self.part = nn.Linear(width, options.width), nn.Linear(width, options.width)
        self.whole_code = nn.Linear(options.width, options.bits)
        self.part_code = nn.Linear(options.width, options.bits)

    def forward(self, whole: Tensor, parts: Tensor, mask: Tensor | None, concepts: Tensor) -> list[Tensor]:
        """``(n, width)``, ``(n, l, width)``, ``(n, l)`` and ``(c, d)``; vectors of whole and parts, codes."""
        whole, parts = torch.relu(self.whole(whole)), torch.relu(self.part(parts))
        weight = parts @ concepts.T / concepts.shape[1] ** 0.5
        if mask is not None:
            weight = weight.masked_fill(~mask[:, :, None], -torch.inf)
        gathered = (weight.softmax(dim=1).transpose(1, 2) @ parts).mean(dim=1)
        codes = (torch.tanh(self.whole_code(whole)), torch.tanh(self.part_code(gathered)))
        return [whole, gathered, *codes]


class Mith(HashMatcher):
    """Two branches a side, shared concepts."""

    supervised = True
    needs_local = True
    remembers = True

    image_hash: _Branches
    text_hash: _Branches

    def make_heads(self, image_width: int, text_width: int) -> None:
        """Branches and concepts."""
        options = self.options
        self.concepts = nn.Parameter(torch.randn(options.concepts, options.width) / options.width**0.5)
        self.image_hash = _Branches(image_width, options)
        self.text_hash = _Branches(text_width, options)

    def image_codes(self, maps: Mapping[str, Tensor]) -> Features:
        """The mixed code, and what it is mixed from."""
        return self._mixed(self.image_hash(maps["pooled"], maps["cells"], None, self.concepts))

    def text_codes(self, parts: Mapping[str, Tensor], mask: Tensor) -> Features:
        """Likewise."""
        return self._mixed(self.text_hash(parts["sentence"], parts["words"], mask, self.concepts))

    def _mixed(self, branches: list[Tensor]) -> Features:
        whole, parts, whole_code, part_code = branches
        share = self.options.whole
        extras = {"whole": whole, "parts": parts, "whole_code": whole_code, "part_code": part_code}
        return self.coded(share * whole_code + (1 - share) * part_code, extras)

    def begin_epoch(self, moment: Moment) -> None:
        """The unified bits of what is remembered."""
        self.memory.unify()

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Likelihood against remembered codes, contrasts of both branches, teaching, bits."""
        found, options, memory = self.pairs(batch, image, text), self.options, self.memory
        memory.remember(found.rows, found.image, found.text, found.labels)
        seen, ours = memory.seen, image.rows(batch.image_row)
        target = label_similarity(found.labels, memory.labels[seen])
        likelihood = nll_pairwise(found.image, memory.text[seen], target, reduce=options.pairs)
        likelihood = likelihood + nll_pairwise(found.text, memory.image[seen], target, reduce=options.pairs)
        positive = batch.positive[batch.image_row]
        contrasts = [
            info_nce(unit(ours.extras[name]) @ unit(text.extras[name]).T / options.temperature, positive)
            for name in ("whole", "parts")
        ]
        bits = memory.binary[found.rows]
        codes = [side.extras[name] for side in (ours, text) for name in ("whole_code", "part_code")]
        return {
            "likelihood": likelihood,
            "contrast": options.contrast * self.total(*contrasts),
            "teaching": options.teaching * self.total(_taught(ours), _taught(text)),
            "quantisation": options.quantisation * self.total(*(quantisation(code, bits) for code in codes)),
        }


def _taught(side: Features) -> Tensor:
    """The parts' code towards that of the whole, and a tenth of that the other way."""
    whole, part = side.extras["whole_code"], side.extras["part_code"]
    return (part - whole.detach()).square().mean() + 0.1 * (whole - part.detach()).square().mean()


SPEC = MatcherSpec(
    MithOptions,
    Mith,
    "Liu et al.: Multi-Granularity Interactive Transformer Hashing. ACM MM 2023",
    MethodCard("MITH", 2023, "dot", "code read"),
)
