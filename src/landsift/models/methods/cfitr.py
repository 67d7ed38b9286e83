"""CFITR and C2F-ITR: coarse recall by short codes, fine judgement of pairs by one transformer (GRSL 2024;
IGARSS 2024).

No row is known. Written after the released code of CFITR, of which C2F-ITR is the conference version.
Deviates: the trunk and the text tower stand for the first half of ViLT; codes are recomputed in each batch,
not once a pass; the re-weighting of the coarse scores is the re-ranker ``csls``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.batch import Batch
from landsift.models.blocks.heads import unit
from landsift.models.blocks.joint import JointEncoder
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.methods.fusing import ranking_loss
from landsift.models.objectives import triplet
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Cfitr", "CfitrOptions"]


@dataclass(frozen=True)
class CfitrOptions(TowerOptions):
    """Codes and pairs.

    Attributes:
        bits: Length of a code.
        side: Of the grid of cells.
        layers: Of the transformer that judges pairs.
        wrong: Wrong images that each caption is judged with, drawn at random.
        margin: Of the hinge on codes.
        quantisation: Weight of the distance of codes from bits.
        balance: Weight of the bits' imbalance.
    """

    text: str = "minilm"
    dim: int = 256
    bits: int = 128
    side: int = 4
    layers: int = 2
    wrong: int = 7
    margin: float = 0.2
    quantisation: float = 0.001
    balance: float = 0.01


def _hash(dim: int, bits: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(dim, 2 * dim), nn.LayerNorm(2 * dim), nn.ReLU(), nn.Linear(2 * dim, bits), nn.Tanh()
    )


class Cfitr(TowerMatcher):
    """Codes find, pairs decide."""

    needs_words = True
    exact_index = False
    scores_batches = False

    def __init__(self, options: CfitrOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.cells = nn.Linear(self.images.channels["c4"], options.dim)
        self.image_code, self.text_code = _hash(options.dim, options.bits), _hash(options.dim, options.bits)
        self.joint = JointEncoder(options.dim, options.layers)
        self.dim = options.bits

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Codes between -1 and 1, scaled to length 1, and cells."""
        cells = self.cells(grid_tokens(maps["c4"], self.options.side))
        code = self.image_code(cells.mean(dim=1))
        return Features(unit(code), cells, extras={"code": code})

    def text_head(self, states: TextStates) -> Features:
        """Codes and words."""
        code = self.text_code(masked_mean(states.words, states.mask))
        return Features(unit(code), states.words, states.mask, {"code": code})

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Logits of all pairs."""
        return self.joint.pairs(image, text)

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Hinge on codes, codes near to bits, bits in balance, and the judgement of pairs."""
        coarse = image.pooled @ text.pooled.T
        ours, theirs = image.extras["code"][batch.image_row], text.extras["code"]
        bits = torch.sign(ours + theirs).detach()
        distance = sum(
            ((bits - code).square().sum(dim=1).mean() for code in (ours, theirs)), coarse.new_zeros(())
        )
        balance = ours.mean(dim=0).square().sum() + theirs.mean(dim=0).square().sum()
        return {
            "coarse": triplet(coarse, batch.positive, margin=self.options.margin),
            "quantisation": self.options.quantisation * distance,
            "balance": self.options.balance * balance,
            "fine": ranking_loss(self.joint.rows, batch, image, text, self.options.wrong),
        }


SPEC = MatcherSpec(
    CfitrOptions,
    Cfitr,
    "CFITR. IEEE GRSL 2024; C2F-ITR. IGARSS 2024",
    MethodCard("CFITR", 2024, "single stream", "code read", False),
)
