"""Blocks that look at two dates at once: differences as memory, joint attention, gates by what changed.

Maps are ``(n, channels, h, w)``, tokens ``(n, cells, width)``; the first of a pair is the earlier date. Knows
tensors only.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.blocks.attention import Attention, FeedForward
from landsift.models.blocks.trunk import grid_tokens

__all__ = [
    "CosineFusion",
    "DateTokens",
    "Dates",
    "DifferenceLayer",
    "JointLayer",
    "LevelFusion",
    "MultiStageFusion",
    "PlacePosition",
    "TemporalAttentionUnit",
    "TemporalDifference",
    "cell_likeness",
]


class Dates(NamedTuple):
    """The same kind of tensor for two dates."""

    before: Tensor
    after: Tensor


def cell_likeness(dates: Dates) -> Tensor:
    """Cosine of both dates at each cell: maps ``(n, channels, h, w)`` to ``(n, h, w)``."""
    return functional.cosine_similarity(dates.before, dates.after, dim=1)


class PlacePosition(nn.Module):
    """A learned vector for each row beside one for each column (as in RSICCformer's release).

    Args:
        side: Of the grid.
        width: Of the tokens; a multiple of 2.
    """

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.randn(side, width // 2) * 0.02)
        self.columns = nn.Parameter(torch.randn(side, width // 2) * 0.02)

    def forward(self) -> Tensor:
        """``(side * side, width)``."""
        side = len(self.rows)
        rows = self.rows[:, None].expand(-1, side, -1)
        return torch.cat([rows, self.columns[None].expand(side, -1, -1)], dim=2).flatten(0, 1)


class DateTokens(nn.Module):
    """A level's maps of both dates as tokens of one width, each with its place (``F_1``, ``F_2``).

    Args:
        channels: Of the maps.
        side: Of their grid.
        width: Of the tokens.
    """

    def __init__(self, channels: int, side: int, width: int) -> None:
        super().__init__()
        self.reduce, self.side = nn.Conv2d(channels, width, 1), side
        self.position = PlacePosition(side, width)

    def forward(self, dates: Dates) -> Dates:
        """Maps to tokens; both dates go through the same weights."""
        place = self.position()
        return Dates(*(grid_tokens(self.reduce(maps), self.side) + place for maps in dates))


class DifferenceLayer(nn.Module):
    """Each date asks, the difference answers (RSICCformer, Liu et al., TGRS 2022; equations as released).

    ``D = F_2 - F_1``; ``F_i <- LN(F_i + MHA(F_i, D, D))``; ``F_i <- LN(F_i + FFN(F_i))``, the weights shared
    by both dates.

    Args:
        width: Of the tokens.
        heads: Divides ``width``.
        dropout: Share hidden in training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.feed = FeedForward(width, 4 * width, dropout)
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, dates: Dates) -> Dates:
        """Tokens of both dates to the same."""
        difference = dates.after - dates.before
        return Dates(*(self._one(tokens, difference) for tokens in dates))

    def _one(self, tokens: Tensor, difference: Tensor) -> Tensor:
        tokens = self.first_norm(tokens + self.dropout(self.attention(tokens, difference)))
        return self.second_norm(tokens + self.dropout(self.feed(tokens)))


class MultiStageFusion(nn.Module):
    """Both dates of every layer, gathered stage by stage (RSICCformer, multistage bitemporal fusion).

    ``O_0 = 0``; ``O_l = LN(Res(O_(l-1) + [F_1^l ; F_2^l]))`` with a bottleneck as ``Res``.

    Args:
        width: Of one date's tokens; the output has twice as many.
        layers: How many stages.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Bottleneck(2 * width) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(2 * width) for _ in range(layers))

    def forward(self, stages: list[Dates]) -> Tensor:
        """Tokens of both dates after each layer to ``(n, cells, 2 * width)``."""
        found = torch.zeros_like(torch.cat(stages[0], dim=2))
        for dates, block, norm in zip(stages, self.blocks, self.norms, strict=True):
            found = norm(block(found + torch.cat(dates, dim=2)))
        return found


class _Bottleneck(nn.Module):
    """Residual block on a square grid of tokens: 1x1, 3x3, 1x1 convolutions at half the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.body = nn.Sequential(
            nn.Conv2d(width, half, 1),
            nn.ReLU(),
            nn.Conv2d(half, half, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(half, width, 1),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        side = round(tokens.shape[1] ** 0.5)
        maps = tokens.transpose(1, 2).unflatten(2, (side, side))
        return tokens + grid_tokens(self.body(maps))


class JointLayer(nn.Module):
    """Attention within each date, then over both side by side (Chang and Ghamisi, TIP 2023, Chg2Cap).

    ``x_i <- SA(x_i) + x_i`` with shared weights; ``[y_1 ; y_2] = SA([x_1 ; x_2])`` on tokens of twice the
    width; ``x_i <- y_i + F_i``, the input of the first layer added each time. The released code takes the
    values from the projection of the keys; ``tied_values`` does so too.

    Args:
        width: Of one date's tokens.
        heads: Divides ``width``.
        dropout: Share hidden in training.
        tied_values: Keys and values share their weights.
    """

    def __init__(self, width: int, heads: int, dropout: float, tied_values: bool) -> None:
        super().__init__()
        self.own, self.joint = Attention(width, heads, dropout), Attention(2 * width, heads, dropout)
        self.own_feed = FeedForward(width, width, dropout)
        self.joint_feed = FeedForward(2 * width, 2 * width, dropout)
        self.norms = nn.ModuleList([nn.LayerNorm(size) for size in (width, width, 2 * width, 2 * width)])
        if tied_values:
            for attention in (self.own, self.joint):
                attention.value = attention.key

    def forward(self, dates: Dates, first: Dates) -> Dates:
        """Tokens of both dates, and those before the first layer, to the same."""
        own = [self._block(self.own, self.own_feed, self.norms[0], self.norms[1], tokens) for tokens in dates]
        both = self._block(self.joint, self.joint_feed, self.norms[2], self.norms[3], torch.cat(own, dim=2))
        return Dates(*(tokens + start for tokens, start in zip(both.chunk(2, dim=2), first, strict=True)))

    @staticmethod
    def _block(attention: Attention, feed: nn.Module, norm: nn.Module, last: nn.Module, x: Tensor) -> Tensor:
        x = norm(attention(x) + x)
        fed: Tensor = last(feed(x) + x)
        return fed


class CosineFusion(nn.Module):
    """``X = Res(Conv1x1([x_1 ; x_2] + cos(x_1, x_2)))`` (Chg2Cap), the cosine of each cell on all channels.

    Args:
        width: Of one date's tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * width, width)
        self.block = _Bottleneck(width)

    def forward(self, dates: Dates) -> Tensor:
        """Tokens of both dates to ``(n, cells, width)``."""
        likeness = functional.cosine_similarity(dates.before, dates.after, dim=2)[:, :, None]
        found: Tensor = self.block(self.mix(torch.cat(dates, dim=2) + likeness))
        return found


class LevelFusion(nn.Module):
    """One level of Change-Agent's detection branch (Liu et al., TGRS 2024, MCI).

    ``Delta = Conv(F_2 - F_1) + cos(F_1, F_2)``; ``Conv([F_1, Delta, F_2])``.

    Args:
        channels: Of the level's maps.
        width: Of what comes out.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.difference = nn.Conv2d(channels, channels, 3, padding=1)
        self.mix = nn.Sequential(nn.Conv2d(3 * channels, width, 1), nn.GroupNorm(1, width), nn.ReLU())

    def forward(self, dates: Dates) -> Tensor:
        """Maps of both dates to ``(n, width, h, w)``."""
        delta = self.difference(dates.after - dates.before) + cell_likeness(dates)[:, None]
        found: Tensor = self.mix(torch.cat([dates.before, delta, dates.after], dim=1))
        return found


class TemporalDifference(nn.Module):
    """Gates by aligned differences, in both directions of time (TDN, Wang et al., CVPR 2021).

    ``C(F_1, F_2) = F_1 - Conv(F_2)`` at fewer channels; ``M = sigmoid(Conv(sum of CNNs at several scales))``;
    ``H_i = F_i * (M(1, 2) + M(2, 1)) / 2 + F_i``. Of TDN this is the long-term module, between segments; a
    picture on either date has no frames around it, so the short-term one has nothing to look at (inferred).

    Args:
        channels: Of the maps.
        reduction: How many times fewer channels differences have.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        inner = max(4, channels // reduction)
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.align = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.plain = nn.Conv2d(inner, inner, 3, padding=1)
        self.coarse = nn.Conv2d(inner, inner, 3, padding=1)
        self.expand = nn.Conv2d(inner, channels, 1)

    def forward(self, dates: Dates) -> Dates:
        """Maps of both dates to the same."""
        small = Dates(*map(self.reduce, dates))
        gate = (self._gate(small.before, small.after) + self._gate(small.after, small.before)) / 2
        return Dates(*(maps * gate + maps for maps in dates))

    def _gate(self, first: Tensor, second: Tensor) -> Tensor:
        change = first - self.align(second)
        coarse = self.coarse(functional.avg_pool2d(change, 2, ceil_mode=True))
        coarse = functional.interpolate(coarse, size=change.shape[2:])
        return torch.sigmoid(self.expand(change + self.plain(change) + coarse))


class TemporalAttentionUnit(nn.Module):
    """Attention over places and over channels of all dates (TAU, Tan et al., CVPR 2023).

    ``SA = Conv1x1(DW-D(DW(H)))``, a depth-wise and a dilated depth-wise convolution; ``DA = FC(pool(H))``;
    ``H' = (DA x SA) * H`` on the dates side by side. TAU forecasts frames and regularises their differences;
    with nothing to forecast that loss is left out.

    Args:
        channels: Of the dates side by side.
        kernel: Of the first depth-wise convolution.
        dilation: Of the second, whose kernel is 7.
    """

    def __init__(self, channels: int, kernel: int = 5, dilation: int = 3) -> None:
        super().__init__()
        self.near = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.far = nn.Conv2d(channels, channels, 7, padding=3 * dilation, dilation=dilation, groups=channels)
        self.place = nn.Conv2d(channels, channels, 1)
        inner = max(4, channels // 16)
        self.channel = nn.Sequential(
            nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w)`` to the same."""
        still = self.place(self.far(self.near(x)))
        moving: Tensor = self.channel(x.mean(dim=(2, 3)))[:, :, None, None]
        return moving * still * x
