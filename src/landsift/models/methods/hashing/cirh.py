"""CIRH: a graph of pairs fused into bits, then hash functions that find them (Zhu et al., TKDE 2022).

No row of remote-sensing sets is known. Written after the released code.
Deviates: the graph is that of the batch, not of the whole set, and features are not smoothed over it; the two
stages are shares of one training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.hashing import LinearHash, signs
from landsift.models.features import Features
from landsift.models.methods.hashing.base import HashMatcher, HashOptions
from landsift.models.objectives.hashing_codes import quantisation
from landsift.models.objectives.hashing_pairs import similarity_regression
from landsift.models.objectives.hashing_similarity import cosines, neighbour_similarity
from landsift.models.registry import MatcherSpec, MethodCard

__all__ = ["SPEC", "Cirh", "CirhOptions"]


@dataclass(frozen=True)
class CirhOptions(HashOptions):
    """Graph, stages and weights.

    Attributes:
        balance: Share of the images in the graph.
        first: Share of plain cosines in it.
        kept: Share of neighbours that are kept.
        fusing: Share of the training that fuses.
        middle: Width of the graph layers.
        rebuilding: Weight of rebuilding the vectors.
        likeness: Weight of the similarity terms of the second stage.
    """

    balance: float = 0.1
    first: float = 0.3
    kept: float = 0.2
    fusing: float = 0.5
    middle: int = 256
    rebuilding: float = 10.0
    likeness: float = 0.01


class _Fusion(nn.Module):
    """Graph convolutions within each side, and across them; three codes and two rebuilt vectors."""

    def __init__(self, image_width: int, text_width: int, middle: int, bits: int) -> None:
        super().__init__()
        self.image, self.text = _narrowed(image_width, middle), _narrowed(text_width, middle)
        self.image_graph, self.text_graph = _narrowed(middle, middle), _narrowed(middle, middle)
        self.joint_graph = _narrowed(middle, middle)
        self.image_code, self.text_code = nn.Linear(middle, bits), nn.Linear(middle, bits)
        self.fuse = nn.Sequential(nn.Linear(4 * middle, bits), nn.BatchNorm1d(bits), nn.Tanh())
        self.image_back, self.text_back = nn.Linear(bits, image_width), nn.Linear(bits, text_width)

    def forward(self, image: Tensor, text: Tensor, graph: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of pairs and ``(n, n)`` graph to the fused code and the two sides' codes."""
        n = len(image)
        near = graph / graph.abs().sum(dim=1, keepdim=True).clamp(min=1e-6)
        own_image, own_text = self.image(image), self.text(text)
        seen_image, seen_text = self.image_graph(near @ own_image), self.text_graph(near @ own_text)
        # Nodes of both sides: neighbours within a side, its partner on the other.
        both = torch.cat([(near @ own_image + own_text) / 2, (near @ own_text + own_image) / 2])
        joint = self.joint_graph(both)
        fused = self.fuse(torch.cat([seen_image, seen_text, joint[:n], joint[n:]], dim=1))
        return fused, torch.tanh(self.image_code(seen_image)), torch.tanh(self.text_code(seen_text))


def _narrowed(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, out), nn.BatchNorm1d(out), nn.ReLU())


class Cirh(HashMatcher):
    """Bits by pair first, then functions of one side that regress to them."""

    remembers = True

    def make_heads(self, image_width: int, text_width: int) -> None:
        """The fusing net, and two layers a side."""
        options = self.options
        self.fusion = _Fusion(image_width, text_width, options.middle, options.bits)
        self.image_hash, self.text_hash = (
            LinearHash(width, options.bits, options.hidden, 0.3) for width in (image_width, text_width)
        )

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Fusing, or finding the bits that were fused."""
        found, options = self.pairs(batch, image, text), self.options
        ours, theirs = image.extras["x"][batch.image_row], text.extras["x"]
        graph = neighbour_similarity(
            ours, theirs, balance=options.balance, first=options.first, kept=options.kept
        )
        if batch.moment.step < options.fusing * batch.moment.steps:
            losses, fused = self._fused(ours, theirs, graph)
            self.memory.remember(found.rows, fused, fused, found.labels)
            self.memory.unify()
            return losses
        bits = self._bits(found.rows, ours, theirs, graph)
        regression = self.total(
            quantisation(found.image, bits),
            quantisation(found.text, bits),
            (found.image - found.text).square().mean(),
        )
        likeness = similarity_regression(found.image, found.text, graph, own=1.0)
        return {"regression": regression, "likeness": options.likeness * likeness}

    def _fused(self, image: Tensor, text: Tensor, graph: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        fused, image_code, text_code = self.fusion(image, text, graph)
        rebuilt = functional.mse_loss(self.fusion.image_back(fused + image_code), image)
        rebuilt = rebuilt + functional.mse_loss(self.fusion.text_back(fused + text_code), text)
        codes = (fused, image_code, text_code)
        likeness = self.total(*((graph - cosines(code)).square().mean() for code in codes))
        return {
            "rebuilding": self.options.rebuilding / 10 * rebuilt,
            "likeness": likeness,
            "quantisation": quantisation(fused),
        }, fused

    def _bits(self, rows: Tensor, image: Tensor, text: Tensor, graph: Tensor) -> Tensor:
        """The bits that were fused; pairs the first stage never drew are fused now."""
        new = ~self.memory.seen[rows]
        if new.any():
            with torch.no_grad():
                fused = signs(self.fusion(image, text, graph)[0])
            self.memory.remember(rows[new], fused[new], fused[new], self.memory.labels[rows[new]])
        return self.memory.binary[rows]


SPEC = MatcherSpec(
    CirhOptions,
    Cirh,
    "Zhu et al.: Work Together: Correlation-Identity Reconstruction Hashing. IEEE TKDE, 2022",
    MethodCard("CIRH", 2022, "dot", "code read"),
)
