"""CMDVH: bits that both sides fuse into, then variational nets that find them (Liong et al., ICCV 2017).

No row of remote-sensing sets is known. Written from what is told of the paper, not from its text; the split
into two stages by share of the passes, and all widths, are inferred. Frozen towers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.hashing import LinearHash, signs
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions
from landsift.models.objectives.hashing_codes import quantisation
from landsift.models.registry import MatcherSpec, MethodCard

__all__ = ["SPEC", "Cmdvh", "CmdvhOptions"]


@dataclass(frozen=True)
class CmdvhOptions(HashOptions):
    """Stages and weights.

    Attributes:
        fusing: Share of the training that learns the fused bits.
        quantisation: Weight of their distance from bits.
        divergence: Weight of the variational nets' divergence from a normal distribution.
    """

    fusing: float = 0.4
    quantisation: float = 0.1
    divergence: float = 1e-3


class _Variational(nn.Module):
    """Mean and logarithm of the variance of a code."""

    def __init__(self, width: int, hidden: int, bits: int) -> None:
        super().__init__()
        self.below = nn.Sequential(nn.Linear(width, hidden), nn.ReLU())
        self.mean, self.spread = nn.Linear(hidden, bits), nn.Linear(hidden, bits)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.below(x)
        return self.mean(x), self.spread(x).clamp(-8, 4)


class Cmdvh(HashMatcher):
    """The signs of the means are the bits."""

    supervised = True

    image_hash: _Variational
    text_hash: _Variational

    def make_heads(self, image_width: int, text_width: int) -> None:
        """The fusing net with its classifier, and a variational net a side."""
        options = self.options
        self.fusion = LinearHash(image_width + text_width, options.bits, options.hidden)
        self.classify = nn.Linear(options.bits, len(self.class_names))
        self.image_hash = _Variational(image_width, options.hidden, options.bits)
        self.text_hash = _Variational(text_width, options.hidden, options.bits)

    def image_codes(self, maps: Mapping[str, Tensor]) -> Features:
        """Means, spreads and the vector."""
        mean, spread = self.image_hash(maps["pooled"])
        return self.coded(mean, {"x": maps["pooled"], "spread": spread})

    def text_codes(self, parts: Mapping[str, Tensor], mask: Tensor) -> Features:
        """Likewise."""
        mean, spread = self.text_hash(parts["sentence"])
        return self.coded(mean, {"x": parts["sentence"], "spread": spread})

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Bits first, then the nets that find them."""
        order, options = batch.image_row, self.options
        x = torch.cat([image.extras["x"][order], text.extras["x"]], dim=1)
        if batch.moment.step < options.fusing * batch.moment.steps:
            return self._fused(self.fusion(x), batch.labels[order])
        with torch.no_grad():
            bits = (signs(self.fusion(x)) + 1) / 2
        found = {"bits": x.new_zeros(()), "divergence": x.new_zeros(())}
        for side in (image.rows(order), text):
            mean, spread = side.extras["code"], side.extras["spread"]
            drawn = mean + torch.randn_like(mean) * (spread / 2).exp()
            found["bits"] = found["bits"] + functional.binary_cross_entropy_with_logits(drawn, bits)
            divergence = (mean.square() + spread.exp() - spread - 1).mean() / 2
            found["divergence"] = found["divergence"] + options.divergence * divergence
        return found

    def _fused(self, code: Tensor, labels: Tensor) -> dict[str, Tensor]:
        known = labels >= 0
        classes = functional.cross_entropy(self.classify(code[known]), labels[known])
        return {"classes": classes, "quantisation": self.options.quantisation * quantisation(code)}


SPEC = MatcherSpec(
    CmdvhOptions,
    Cmdvh,
    "Liong et al.: Cross-Modal Deep Variational Hashing. ICCV 2017",
    MethodCard("CMDVH", 2017, "dot", "abstract only"),
)
