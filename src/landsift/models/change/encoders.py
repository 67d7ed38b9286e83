"""Encoders of two dates: the trunk's maps before and after to tokens that tell what changed.

All give ``(n, tokens, dim)``, and all tell the directions of time apart: the same pair the other way round
has other tokens. Knows maps by level; no text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.blocks.attention import GuidedAttention, SelfAttention
from landsift.models.blocks.trunk import LEVELS, mean_cell
from landsift.models.change.blocks import (
    CosineFusion,
    Dates,
    DateTokens,
    DifferenceLayer,
    JointLayer,
    LevelFusion,
    MultiStageFusion,
    TemporalAttentionUnit,
    TemporalDifference,
)

__all__ = [
    "ENCODERS",
    "Chg2Cap",
    "GlobalFusion",
    "MciNet",
    "PairEncoder",
    "PairFusion",
    "Rsiccformer",
    "TemporalAttention",
    "TemporalGates",
    "TokenFusion",
]

Levels = Mapping[str, Dates]


class PairEncoder(nn.Module, ABC):
    """Maps of two dates to tokens.

    Args:
        channels: Of each level.
        sides: Of each level's grid.
        options: :class:`~landsift.models.change.matcher.ChangeOptions`.

    Attributes:
        levels: Maps it reads, the one that likeness is taken of last.
        detects: Whether it can say where something changed.
    """

    levels: ClassVar[tuple[str, ...]] = ("c4",)
    detects: ClassVar[bool] = False

    def __init__(self, channels: Mapping[str, int], sides: Mapping[str, int], options: Any) -> None:
        super().__init__()
        self.side, self.width = sides[self.levels[-1]], options.dim

    @abstractmethod
    def forward(self, maps: Levels) -> Tensor:
        """Maps of both dates by level to ``(n, tokens, dim)``."""

    def mask_logits(self, maps: Levels) -> Tensor:
        """Where what changed: ``(n, classes, h, w)``; only of an encoder that ``detects``."""
        raise AssertionError(f"{type(self).__name__} makes no masks")


class Rsiccformer(PairEncoder):
    """RSICCformer (Liu, Zhao, Chen, Zou, Shi, TGRS 2022): two branches that ask the difference of the dates.

    Equations as in :class:`~landsift.models.change.blocks.DifferenceLayer` and
    :class:`~landsift.models.change.blocks.MultiStageFusion`; three layers at a stride of 16, as released. The
    released tokens are of twice the width; one linear map makes them ``dim`` here, which all decoders read.
    """

    levels = ("c3",)

    def __init__(self, channels: Mapping[str, int], sides: Mapping[str, int], options: Any) -> None:
        super().__init__(channels, sides, options)
        width, count = options.dim, options.layers
        self.tokens = DateTokens(channels["c3"], self.side, width)
        self.layers = nn.ModuleList(
            DifferenceLayer(width, options.heads, options.dropout) for _ in range(count)
        )
        self.fusion, self.out = MultiStageFusion(width, count), nn.Linear(2 * width, width)

    def forward(self, maps: Levels) -> Tensor:
        """Layers, and their stages gathered."""
        dates, stages = self.tokens(maps["c3"]), []
        for layer in self.layers:
            dates = layer(dates)
            stages.append(dates)
        found: Tensor = self.out(self.fusion(stages))
        return found


class Chg2Cap(PairEncoder):
    """Chg2Cap's attentive encoder (Chang and Ghamisi, TIP 2023), on the last stage of the trunk.

    Equations as in :class:`~landsift.models.change.blocks.JointLayer` and
    :class:`~landsift.models.change.blocks.CosineFusion`. The retrieval model of Ferrod et al. (Discovery
    Science 2024) has this encoder too, with three layers and eight heads.
    """

    def __init__(self, channels: Mapping[str, int], sides: Mapping[str, int], options: Any) -> None:
        super().__init__(channels, sides, options)
        self.tokens = DateTokens(channels["c4"], self.side, options.dim)
        self.layers = nn.ModuleList(
            JointLayer(options.dim, options.heads, options.dropout, options.tied_values)
            for _ in range(options.layers)
        )
        self.fusion = CosineFusion(options.dim)

    def forward(self, maps: Levels) -> Tensor:
        """Layers that each start from the first tokens again, then the fusion."""
        first = self.tokens(maps["c4"])
        dates = first
        for layer in self.layers:
            dates = layer(dates, first)
        found: Tensor = self.fusion(dates)
        return found


class MciNet(PairEncoder):
    """Change-Agent's MCI model (Liu et al., TGRS 2024, arXiv 2403.19646): captions and masks from one trunk.

    Captions: the dates look at each other in turn, ``F_1 <- T(F_1; F_2)``, ``F_2 <- T(F_2; F_1)``, and are
    fused.
    Masks: :class:`~landsift.models.change.blocks.LevelFusion` at each level, added from the top down through
    transposed convolutions. The paper's trunk is SegFormer-B1, whose first map has a stride of 4; here the
    trunk is any of ours, whose finest map has a stride of 8, and the fusion for captions is Chg2Cap's
    (inferred).
    """

    levels = ("c2", "c3", "c4")
    detects = True

    def __init__(self, channels: Mapping[str, int], sides: Mapping[str, int], options: Any) -> None:
        super().__init__(channels, sides, options)
        self.tokens = DateTokens(channels["c4"], self.side, options.dim)
        self.layers = nn.ModuleList(
            GuidedAttention(options.dim, options.heads, dropout=options.dropout)
            for _ in range(options.layers)
        )
        self.fusion = CosineFusion(options.dim)
        width = max(16, options.dim // 4)
        self.differences = nn.ModuleDict(
            {level: LevelFusion(channels[level], width) for level in self.levels}
        )
        self.up = nn.ModuleDict(
            {level: nn.ConvTranspose2d(width, width, 2, stride=2) for level in self.levels[1:]}
        )
        self.classify = nn.Conv2d(width, options.mask_classes, 1)

    def forward(self, maps: Levels) -> Tensor:
        """The dates looking at each other in turn."""
        dates = self.tokens(maps["c4"])
        for layer in self.layers:
            before = layer(dates.before, dates.after)
            dates = Dates(before, layer(dates.after, before))
        found: Tensor = self.fusion(dates)
        return found

    def mask_logits(self, maps: Levels) -> Tensor:
        """On the grid of c2."""
        x = self.differences["c4"](maps["c4"])
        for level, finer in (("c4", "c3"), ("c3", "c2")):
            own = self.differences[finer](maps[finer])
            x = own + functional.interpolate(self.up[level](x), size=own.shape[2:])
        found: Tensor = self.classify(x)
        return found


class GlobalFusion(PairEncoder):
    """Text-ITSR's global feature fusion (Hoxha, Angyal, Demir, TGRS 2025): one vector a date, side by side.

    The abstract names a concatenation and a difference or sum; a sum would be blind to the direction of time,
    so ``fusion`` is ``concatenation`` or ``difference``. The paper's vectors are ViT class tokens; here they
    are means over the last map of any trunk (inferred).
    """

    def __init__(self, channels: Mapping[str, int], sides: Mapping[str, int], options: Any) -> None:
        super().__init__(channels, sides, options)
        self.difference = options.fusion == "difference"
        self.mix = nn.Linear(channels["c4"] * (1 if self.difference else 2), options.dim)

    def forward(self, maps: Levels) -> Tensor:
        """One token."""
        before, after = map(mean_cell, maps["c4"])
        both = after - before if self.difference else torch.cat([before, after], dim=1)
        found: Tensor = self.mix(both)[:, None]
        return found


class TokenFusion(PairEncoder):
    """Text-ITSR's transformer fusion (Hoxha, Angyal, Demir, TGRS 2025): the cells of both dates in
    one list, read by a transformer.

    Each date has a learned vector of its own (inferred: without one the list would have no order in time).
    """

    def __init__(self, channels: Mapping[str, int], sides: Mapping[str, int], options: Any) -> None:
        super().__init__(channels, sides, options)
        self.tokens = DateTokens(channels["c4"], self.side, options.dim)
        self.date = nn.Parameter(torch.randn(2, options.dim) * 0.5)
        self.layers = nn.ModuleList(
            SelfAttention(options.dim, options.heads, dropout=options.dropout) for _ in range(options.layers)
        )

    def forward(self, maps: Levels) -> Tensor:
        """All cells of both dates."""
        dates = self.tokens(maps["c4"])
        x = torch.cat([tokens + date for tokens, date in zip(dates, self.date, strict=True)], dim=1)
        for layer in self.layers:
            x = layer(x)
        return x


class PairFusion(PairEncoder):
    """The least that can work: ``z = W [f_1 ; f_2 ; f_2 - f_1 ; f_1 * f_2]`` of the dates' mean cells.

    Of no paper; what the others are to be compared with.
    """

    def __init__(self, channels: Mapping[str, int], sides: Mapping[str, int], options: Any) -> None:
        super().__init__(channels, sides, options)
        self.mix = nn.Linear(4 * channels["c4"], options.dim)

    def forward(self, maps: Levels) -> Tensor:
        """One token."""
        before, after = map(mean_cell, maps["c4"])
        found: Tensor = self.mix(torch.cat([before, after, after - before, before * after], dim=1))[:, None]
        return found


class _Gated(PairEncoder):
    """Cells of both dates and their difference, mixed, after a block of its own."""

    def __init__(self, channels: Mapping[str, int], sides: Mapping[str, int], options: Any) -> None:
        super().__init__(channels, sides, options)
        self.tokens = DateTokens(channels["c4"], self.side, options.dim)
        self.mix = nn.Linear(3 * options.dim, options.dim)
        self.read = SelfAttention(options.dim, options.heads, dropout=options.dropout)

    def _read(self, dates: Dates) -> Tensor:
        both = self.tokens(dates)
        found: Tensor = self.read(self.mix(torch.cat([*both, both.after - both.before], dim=2)))
        return found


class TemporalGates(_Gated):
    """Temporal differences as in TDN (Wang et al., CVPR 2021) before the cells are read.

    :class:`~landsift.models.change.blocks.TemporalDifference`, ``layers`` times; what reads the gated cells
    is ours, since TDN classifies videos (inferred).
    """

    def __init__(self, channels: Mapping[str, int], sides: Mapping[str, int], options: Any) -> None:
        super().__init__(channels, sides, options)
        self.gates = nn.ModuleList(TemporalDifference(channels["c4"]) for _ in range(options.layers))

    def forward(self, maps: Levels) -> Tensor:
        """Gated cells."""
        dates = maps["c4"]
        for gate in self.gates:
            dates = gate(dates)
        return self._read(dates)


class TemporalAttention(_Gated):
    """Temporal attention units as in TAU (Tan et al., CVPR 2023) before the cells are read.

    :class:`~landsift.models.change.blocks.TemporalAttentionUnit` on the dates side by side, ``layers`` times,
    each added to what it reads; what reads the cells is ours, since TAU forecasts (inferred).
    """

    def __init__(self, channels: Mapping[str, int], sides: Mapping[str, int], options: Any) -> None:
        super().__init__(channels, sides, options)
        count = 2 * options.dim
        self.reduce = nn.Conv2d(2 * channels["c4"], count, 1)
        self.units = nn.ModuleList(TemporalAttentionUnit(count) for _ in range(options.layers))
        self.norms = nn.ModuleList(nn.GroupNorm(1, count) for _ in range(options.layers))
        self.tokens = DateTokens(options.dim, self.side, options.dim)

    def forward(self, maps: Levels) -> Tensor:
        """Attended cells."""
        x = self.reduce(torch.cat(maps["c4"], dim=1))
        for unit, norm in zip(self.units, self.norms, strict=True):
            x = norm(x + unit(x))
        return self._read(Dates(*x.chunk(2, dim=1)))


ENCODERS: Sequence[type[PairEncoder]] = (
    Rsiccformer,
    Chg2Cap,
    MciNet,
    GlobalFusion,
    TokenFusion,
    PairFusion,
    TemporalGates,
    TemporalAttention,
)
"""All of them."""

assert all(level in LEVELS for kind in ENCODERS for level in kind.levels)
