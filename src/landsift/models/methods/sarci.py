"""SARCI: scales refined by coordinate attention, and a gate of the pair that comes apart (TGRS 2024).

Published for spoken captions; no row for text is known. Written after the released code. Deviates: captions
are read, not heard; the release's cross-attention looks at one vector repeated, so it is the linear map it
amounts to; all pairs are scored by matrix products, which gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landsift.models.blocks.maps import CoordinateAttention
from landsift.models.blocks.trunk import LEVELS, mean_cell, regrid
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "Sarci", "SarciOptions"]


@dataclass(frozen=True)
class SarciOptions(TowerOptions):
    """Towers alone."""


class Sarci(TowerMatcher):
    """``cos(x + (s(b) + s(y)) a, y (1 + s(b) + s(a)))``, as sums of inner products.

    ``a`` and ``b`` are linear in ``x`` and ``y``; ``s`` is the sigmoid.
    """

    levels = LEVELS
    exact_index = False

    def __init__(self, options: SarciOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        dim, channels = options.dim, self.images.channels
        self.low = nn.Conv2d(channels["c1"] + channels["c2"], dim // 4, 3, 2, 1)
        self.middle, self.last = (
            nn.Conv2d(channels["c3"], dim - dim // 4, 1),
            nn.Conv2d(channels["c4"], dim, 1),
        )
        self.fused_gate, self.last_gate = CoordinateAttention(dim), CoordinateAttention(dim)
        self.image_cross, self.text_cross = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.dim = 4 * dim

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """The image's part of the numerator."""
        last = self.last(maps["c4"])
        size = (last.shape[2], last.shape[3])
        low = regrid(self.low(torch.cat([maps["c1"], maps["c2"]], dim=1)), *size)
        middle = regrid(self.middle(maps["c3"]), *size)
        fused, last = self.fused_gate(torch.cat([low, middle], dim=1)), self.last_gate(last)
        x = mean_cell(last * torch.sigmoid(fused) + torch.sigmoid(last) * fused + fused)
        a = self.image_cross(x)
        gate = torch.sigmoid(a)
        return Features(torch.cat([x, x * gate, a, a * gate], dim=1), extras={"x": x, "a": a})

    def text_head(self, states: TextStates) -> Features:
        """The caption's part of the numerator."""
        y = states.sentence
        b = torch.sigmoid(self.text_cross(y))
        g, p = b + torch.sigmoid(y), 1 + b
        return Features(torch.cat([y * p, y, g * y * p, g * y], dim=1), extras={"y": y, "g": g, "p": p})

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Numerator by one matrix product, lengths by four."""
        x, a = image.extras["x"], image.extras["a"]
        y, g, p = text.extras["y"], text.extras["g"], text.extras["p"]
        s = torch.sigmoid(a)
        ours = x.square().sum(dim=1, keepdim=True) + 2 * (x * a) @ g.T + a.square() @ g.square().T
        square = y.square()
        theirs = (square * p.square()).sum(dim=1)[None] + 2 * s @ (square * p).T + s.square() @ square.T
        return (image.pooled @ text.pooled.T) / torch.sqrt(ours.clamp(min=0) * theirs.clamp(min=0) + 1e-12)


SPEC = MatcherSpec(
    SarciOptions,
    Sarci,
    "SARCI. IEEE TGRS 62, 2024",
    MethodCard("SARCI", 2024, "separable gate", "code read", False, stands_in="spoken captions"),
)
