"""DMFH: many scales, weighed against redundancy, before the code (IEEE GRSL, 2024).

No row of it is known here. Written from the abstract. Inferred: the scales are two lower levels, the whole
and the cells of the last level; the redundancy optimiser is a softmax over scales and gated channels,
penalised where scales say the same. Frozen towers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.blocks.heads import unit
from landsift.models.blocks.pooling import masked_mean
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions
from landsift.models.objectives.hashing_codes import quantisation
from landsift.models.objectives.hashing_contrast import code_contrast
from landsift.models.objectives.hashing_pairs import code_triplet
from landsift.models.registry import MatcherSpec, MethodCard

__all__ = ["SPEC", "Dmfh", "DmfhOptions"]

_SCALES = ("c2", "c3", "pooled", "cells")


@dataclass(frozen=True)
class DmfhOptions(HashOptions):
    """Sizes and weights.

    Attributes:
        middle: Width of a scale.
        temperature: Of the contrast.
        triplet: Weight of the hinge.
        margin: Of the hinge.
        redundancy: Weight of scales that say the same.
        quantisation: Weight of the distance from bits.
    """

    middle: int = 256
    temperature: float = 0.3
    triplet: float = 0.5
    margin: float = 0.2
    redundancy: float = 0.1
    quantisation: float = 0.01


class Dmfh(HashMatcher):
    """Four scales of the image, whole and words of the caption."""

    needs_local = True

    def make_heads(self, image_width: int, text_width: int) -> None:
        """A map for each scale, the gates, the last maps."""
        options = self.options
        widths = {**self.towers.level_widths, "pooled": image_width, "cells": image_width}
        self.scales = nn.ModuleDict({name: _narrowed(widths[name], options.middle) for name in _SCALES})
        self.scale_gate = nn.Linear(options.middle, 1)
        self.channel_gate = nn.Linear(options.middle, options.middle)
        self.image_code = nn.Linear(options.middle, options.bits)
        self.sentence, self.words = (_narrowed(text_width, options.middle) for _ in range(2))
        self.text_code = nn.Linear(2 * options.middle, options.bits)

    def image_codes(self, maps: Mapping[str, Tensor]) -> Features:
        """Scales weighed, and what they were."""
        found = {name: self.scales[name](maps[name]) for name in _SCALES}
        found["cells"] = found["cells"].amax(dim=1)
        scales = torch.stack(list(found.values()), dim=1)
        mixed = (self.scale_gate(scales).softmax(dim=1) * scales).sum(dim=1)
        kept = mixed * torch.sigmoid(self.channel_gate(mixed))
        return self.coded(torch.tanh(self.image_code(kept)), {"scales": scales})

    def text_codes(self, parts: Mapping[str, Tensor], mask: Tensor) -> Features:
        """The whole and the mean word."""
        whole, words = self.sentence(parts["sentence"]), masked_mean(self.words(parts["words"]), mask)
        return self.coded(torch.tanh(self.text_code(torch.cat([whole, words], dim=1))), {})

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Contrast, hinge both ways, scales apart, bits."""
        found, options = self.pairs(batch, image, text), self.options
        same = batch.positive[batch.image_row]
        hinge = code_triplet(found.image, found.text, same, margin=options.margin)
        hinge = hinge + code_triplet(found.text, found.image, same.T, margin=options.margin)
        scales = unit(image.extras["scales"])
        alike = scales @ scales.transpose(1, 2) - torch.eye(len(_SCALES), device=scales.device)
        return {
            "contrast": code_contrast(found.image, found.text, temperature=options.temperature, same=same),
            "triplet": options.triplet * hinge,
            "redundancy": options.redundancy * alike.square().mean(),
            "quantisation": options.quantisation
            * self.total(quantisation(found.image), quantisation(found.text)),
        }


def _narrowed(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, out), nn.ReLU())


SPEC = MatcherSpec(
    DmfhOptions,
    Dmfh,
    "DMFH: Deep Multiscale Fine-Grained Hashing. IEEE GRSL, 2024",
    MethodCard("DMFH", 2024, "dot", "abstract only"),
)
