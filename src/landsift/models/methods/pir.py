"""PIR: tokens chosen by a prior instruction, words refined in cycles (Pan, Ma, Bai: ACM MM 2023, doi
10.1145/3581783.3612374).

Compare with the row PIR (Swin-T; its epoch was chosen on the test split). Written after the released code.
Deviates: cells of the trunk stand for Swin's patches, and the mean of the trunk's third level, which stays
frozen, for the scene classifier that instructs; padding is masked in the text tower; scenes are contrasted
once each (recipe).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.blocks.attention import Attention, FeedForward
from landsift.models.blocks.heads import unit
from landsift.models.blocks.trunk import grid_tokens, mean_cell
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Pir", "PirOptions"]


@dataclass(frozen=True)
class PirOptions(TowerOptions):
    """Tokens chosen by a prior.

    Attributes:
        keep: Share of the tokens that the instruction keeps.
        image_cycles: Rounds on the image side.
        text_cycles: Rounds on the text side.
    """

    text: str = "minilm"
    dropout: float = 0.2
    keep: float = 0.8
    image_cycles: int = 2
    text_cycles: int = 3


class _Cycle(nn.Module):
    """Attention to itself, one vector of what the guide asks for, a feed-forward map."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.own, self.asked, self.guide = Attention(dim), Attention(dim), nn.Linear(dim, dim)
        self.feed, self.dropout = FeedForward(dim, 2 * dim, dropout), nn.Dropout(dropout)
        self.first_norm, self.second_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x: Tensor, guide: Tensor, mask: Tensor | None = None) -> Tensor:
        """``(n, a, dim)`` with queries ``(n, 1 or a, dim)`` to the same."""
        own = self.own(x, mask=mask)
        x = self.first_norm(own + self.dropout(self.asked(self.guide(guide), own, mask)))
        return self.second_norm(x + self.dropout(self.feed(x)))


class Pir(TowerMatcher):
    """One vector each."""

    levels = ("c3", "c4")
    needs_words = True

    def __init__(self, options: PirOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim, channels = options.dim, self.images.channels
        self.cells, self.instruct = nn.Linear(channels["c4"], dim), nn.Linear(channels["c3"], dim)
        self.image_cycles = nn.ModuleList(_Cycle(dim, options.dropout) for _ in range(options.image_cycles))
        self.text_cycles = nn.ModuleList(_Cycle(dim, options.dropout) for _ in range(options.text_cycles))
        self.image_out, self.text_out = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        cells = self.cells(grid_tokens(maps["c4"]))
        whole = cells.mean(dim=1)
        tokens = torch.cat([whole[:, None], cells], dim=1)
        instruction = self.instruct(mean_cell(maps["c3"]))[:, None]
        belief = (tokens @ instruction.transpose(1, 2))[:, :, 0]
        count = max(1, round(self.options.keep * tokens.shape[1]))
        chosen = belief.argsort(dim=1, descending=True, stable=True)[:, :count]
        x = tokens.gather(1, chosen[:, :, None].expand(-1, -1, tokens.shape[2]))
        for cycle in self.image_cycles:
            x = cycle(x, instruction)
        return Features(unit(whole + self.image_out(x[:, 0])))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        words = states.words
        for cycle in self.text_cycles:
            words = cycle(words, words, states.mask)
        return Features(unit(states.words[:, 0] + self.text_out(words[:, 0])))


SPEC = MatcherSpec(
    PirOptions,
    Pir,
    "Pan, Ma, Bai: PIR. ACM MM 2023",
    MethodCard("PIR", 2023, "dot", "code read", True, "PIR", "Swin-T", "scene classifier"),
)
