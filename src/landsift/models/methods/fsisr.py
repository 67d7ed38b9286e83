"""FSISR: each modality looks at the cluster centres of the other, short codes (TGRS 62, 2024).

Published for optical and radar images of ships; no row for text is known. Written from the abstract: the
described idea, no reproduction. Inferred: centres are moving means of the other side's tokens, so that each
side can still be encoded alone; codes are kept as numbers between -1 and 1, whose signs are the bits; the
ranking loss is the soft margin on the hardest pairs (recipe), the shared semantic layer a contrast with
scene centres (recipe).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.attention import Attention
from landsift.models.blocks.heads import unit
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Fsisr", "FsisrOptions"]


@dataclass(frozen=True)
class FsisrOptions(TowerOptions):
    """Centres and codes.

    Attributes:
        bits: Length of a code.
        centres: Of each side.
        decay: Of the moving centres, per step.
        quantisation: Weight of the codes' distance from bits.
    """

    bits: int = 128
    centres: int = 16
    decay: float = 0.95
    quantisation: float = 0.001


class Fsisr(TowerMatcher):
    """Relaxed codes, compared by cosine."""

    needs_words = True
    image_centres: Tensor
    text_centres: Tensor

    def __init__(self, options: FsisrOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim = options.dim
        self.cells = nn.Linear(self.images.channels["c4"], dim)
        self.image_look, self.text_look = Attention(dim), Attention(dim)
        self.image_code, self.text_code = nn.Linear(dim, options.bits), nn.Linear(dim, options.bits)
        self.register_buffer("image_centres", unit(torch.randn(options.centres, dim)))
        self.register_buffer("text_centres", unit(torch.randn(options.centres, dim)))
        self.dim = self.code_bits = options.bits

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Codes of length 1, and the cells that centres are made from."""
        cells = self.cells(grid_tokens(maps["c4"]))
        seen = cells + self.image_look(cells, self.text_centres.expand(len(cells), -1, -1))
        code = torch.tanh(self.image_code(seen.mean(dim=1)))
        return Features(unit(code), cells, extras={"code": code})

    def text_head(self, states: TextStates) -> Features:
        """Codes of length 1, and the words that centres are made from."""
        words = states.words
        seen = words + self.text_look(words, self.image_centres.expand(len(words), -1, -1))
        code = torch.tanh(self.text_code(masked_mean(seen, states.mask)))
        return Features(unit(code), words, states.mask, {"code": code})

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Codes near to bits; centres move on the way."""
        assert image.tokens is not None and text.tokens is not None and text.mask is not None
        self._move(self.image_centres, image.tokens.flatten(0, 1))
        self._move(self.text_centres, text.tokens[text.mask])
        distance = sum(
            ((1 - side.extras["code"].abs()).square().sum(dim=1).mean() for side in (image, text)),
            similarity.new_zeros(()),
        )
        return {"quantisation": self.options.quantisation * distance}

    @torch.no_grad()
    def _move(self, centres: Tensor, tokens: Tensor) -> None:
        """One step of k-means with momentum."""
        rows = unit(tokens.detach())
        member = functional.one_hot((rows @ centres.T).argmax(dim=1), len(centres)).to(rows.dtype)
        found = member.sum(dim=0) > 0
        means = unit(member.T @ rows)
        # A new tensor's values, but the same tensor: what was computed with the old ones is not spoilt.
        moved = torch.where(found[:, None], unit(centres.lerp(means, 1 - self.options.decay)), centres)
        centres.data = moved


SPEC = MatcherSpec(
    FsisrOptions,
    Fsisr,
    "FSISR. IEEE TGRS 62, 2024",
    MethodCard("FSISR", 2024, "dot", "abstract only", stands_in="radar images"),
)
