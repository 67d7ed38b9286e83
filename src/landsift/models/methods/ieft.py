"""IEFT: one transformer per pair, whose cells are refined by channel and by place (Tang et al., TGRS 2023).

No row is known: its numbers are printed only where its test split chose the epoch. Written after the
released code. Deviates: cells of the trunk and words of the text tower stand for ViLT's embeddings; fewer
layers; cells keep their order, so that the local convolution sees neighbours (in the release the order is
random).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.blocks.attention import SelfAttention
from landsift.models.blocks.heads import unit
from landsift.models.blocks.joint import JointEncoder
from landsift.models.blocks.pooling import masked_mean
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.methods.fusing import ranking_loss
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Ieft", "IeftOptions"]


@dataclass(frozen=True)
class IeftOptions(TowerOptions):
    """One transformer per pair.

    Attributes:
        side: Of the grid of cells.
        layers: Of the transformer; all but the first refine cells before they mix with words.
        wrong: Wrong captions that each image is judged with, drawn at random.
    """

    text: str = "minilm"
    dim: int = 256
    side: int = 4
    layers: int = 3
    wrong: int = 7


class _Refined(nn.Module):
    """Channels as tokens, then a gated convolution over neighbours."""

    def __init__(self, dim: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.channels = SelfAttention(side * side, heads=1, hidden=2 * side * side, dropout=0.0)
        self.norm = nn.LayerNorm(dim)
        self.widen = nn.Conv2d(dim, 4 * dim, 1)
        self.near = nn.Conv2d(4 * dim, 4 * dim, 3, padding=1, groups=4 * dim)
        self.narrow = nn.Conv2d(2 * dim, dim, 1)

    def forward(self, cells: Tensor) -> Tensor:
        cells = cells + self.channels(cells.transpose(1, 2)).transpose(1, 2)
        maps = self.norm(cells).transpose(1, 2).unflatten(2, (self.side, self.side))
        gate, value = self.near(self.widen(maps)).chunk(2, dim=1)
        return cells + grid_tokens(self.narrow(functional.gelu(gate) * value))


class Ieft(TowerMatcher):
    """Pairs are judged one by one."""

    needs_words = True
    exact_index = False
    scores_batches = False

    def __init__(self, options: IeftOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        self.cells = nn.Linear(self.images.channels["c4"], options.dim)
        refine = [_Refined(options.dim, options.side) for _ in range(options.layers - 1)]
        # Nothing to refine before the first layer, as published.
        self.joint = JointEncoder(options.dim, options.layers, [nn.Identity(), *refine])

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Cells; their unit mean is what an index holds."""
        cells = self.cells(grid_tokens(maps["c4"], self.options.side))
        return Features(unit(cells.mean(dim=1)), cells)

    def text_head(self, states: TextStates) -> Features:
        """Words; their unit mean is what an index is asked."""
        return Features(unit(masked_mean(states.words, states.mask)), states.words, states.mask)

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Logits of all pairs."""
        return self.joint.pairs(image, text)

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Each caption's image among others; and a little for the vectors that propose candidates."""
        recall = functional.cross_entropy(20 * text.pooled @ image.pooled.T, batch.image_row)
        return {
            "pairs": ranking_loss(self.joint.rows, batch, image, text, self.options.wrong),
            "first-stage": 0.1 * recall,
        }


SPEC = MatcherSpec(
    IeftOptions,
    Ieft,
    "Tang et al.: IEFT. IEEE TGRS 61, 2023",
    MethodCard("IEFT", 2023, "single stream", "code read", False),
)
