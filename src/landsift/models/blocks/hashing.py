"""Hash heads: what turns a vector into K numbers between -1 and 1 whose signs are the bits.

Also the ways around the sign's missing slope, and the memory of the codes of a whole training set. Knows
vectors and row numbers; no towers and no losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import UsageError
from landsift.models.registry import one_of

__all__ = [
    "HASH_HEADS",
    "CodeMemory",
    "LinearHash",
    "MlpHash",
    "PyramidHash",
    "SelectingHash",
    "build_hash_head",
    "continuation",
    "fully_connected",
    "signs",
    "straight_through",
]


def signs(x: Tensor) -> Tensor:
    """-1 and 1, with 1 for 0: ``torch.sign`` gives 0 there, which is no bit."""
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


class _StraightThrough(torch.autograd.Function):
    """Signs forward, the clipped identity backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return signs(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        slope: Tensor = gradients[0] * (x.abs() <= 1).to(gradients[0].dtype)
        return slope


def straight_through(x: Tensor) -> Tensor:
    """Signs on the way there, the identity between -1 and 1 on the way back (Bengio et al., 2013,
    arXiv 1308.3432; clipped as in Hubara et al., 2016, arXiv 1602.02830)."""
    found: Tensor = _StraightThrough.apply(x)
    return found


def continuation(epoch: int) -> float:
    """Steepness of the tanh in a pass, ``sqrt(epoch + 1)`` (HashNet, Cao et al., ICCV 2017, arXiv 1702.00758;
    this schedule is DJSRH's)."""
    return math.sqrt(epoch + 1)


def fully_connected(width: int, hidden: int, out: int, *, dropout: float = 0.0) -> nn.Sequential:
    """Two linear maps with a ReLU between."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, out))


class LinearHash(nn.Module):
    """``tanh(steepness * (W x + b))``: the review's equations 5 and 6, relaxed.

    Args:
        width: Of the vectors.
        bits: K.
        hidden: Width of a ReLU layer before; 0 for none.
        dropout: Share of numbers hidden before the last map.
        relax: ``tanh``, ``straight-through`` or ``none``.

    Attributes:
        steepness: Of the tanh; a buffer, so that checkpoints hold where a continuation is.
    """

    steepness: Tensor

    def __init__(
        self, width: int, bits: int, hidden: int = 0, dropout: float = 0.0, relax: str = "tanh"
    ) -> None:
        super().__init__()
        if relax not in _RELAXED:
            raise UsageError(f"There is no relaxation {relax!r}; {one_of(relax, list(_RELAXED))}")
        first = [nn.Linear(width, hidden), nn.ReLU()] if hidden else []
        self.layers = nn.Sequential(*first, nn.Dropout(dropout), nn.Linear(hidden or width, bits))
        self.relax = relax
        self.register_buffer("steepness", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """``(n, width)`` to ``(n, bits)``."""
        return _RELAXED[self.relax](self.steepness * self.layers(x))


_RELAXED: Mapping[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "straight-through": straight_through,
    "none": lambda x: x,
}


class MlpHash(nn.Module):
    """DUCH's head: linear, batch norm, ReLU, linear, tanh (Mikriukov et al., 2022, arXiv 2201.08125)."""

    def __init__(self, width: int, bits: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, bits), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, width)`` to ``(n, bits)``."""
        found: Tensor = self.layers(x)
        return found


class SelectingHash(nn.Module):
    """DCHMT's head: K choices between two, each a softmax (Tu et al., ACM MM 2022).

    A bit is 1 where the second of its pair is the likelier, so no sign is ever taken in training.
    """

    def __init__(self, width: int, bits: int, hidden: int = 128) -> None:
        super().__init__()
        self.narrow, self.choose = nn.Linear(width, hidden), nn.Linear(hidden, 2 * bits)

    def choices(self, x: Tensor) -> Tensor:
        """``(n, bits, 2)`` shares, each pair adding up to 1."""
        pairs = self.choose(functional.relu(self.narrow(x)))
        return pairs.unflatten(1, (-1, 2)).softmax(dim=2)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, width)`` to ``(n, bits)``: the second share less the first, -1 to 1."""
        choices = self.choices(x)
        return choices[:, :, 1] - choices[:, :, 0]


class PyramidHash(nn.Module):
    """CACH's head: four layers, each half as wide as the one before, then K numbers."""

    levels = 4

    def __init__(self, width: int, bits: int, hidden: int) -> None:
        super().__init__()
        widths = [width, *(max(8, hidden >> level) for level in range(self.levels))]
        self.steps = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()) for a, b in pairwise(widths)
        )
        self.widths, self.out = tuple(widths[1:]), nn.Linear(widths[-1], bits)

    def all_levels(self, x: Tensor) -> list[Tensor]:
        """The four layers' outputs, the widest first."""
        found = []
        for step in self.steps:
            x = step(x)
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """``(n, width)`` to ``(n, bits)``."""
        return torch.tanh(self.out(self.all_levels(x)[-1]))


HASH_HEADS: Mapping[str, Callable[[int, int, int], nn.Module]] = {
    "linear": lambda width, bits, hidden: LinearHash(width, bits),
    "two-layer": lambda width, bits, hidden: LinearHash(width, bits, hidden),
    "straight-through": lambda width, bits, hidden: LinearHash(width, bits, hidden, 0.0, "straight-through"),
    "mlp": lambda width, bits, hidden: MlpHash(width, bits, hidden),
    "selecting": lambda width, bits, hidden: SelectingHash(width, bits),
}
"""Heads by name: width of the vectors, bits and hidden width to a module."""


def build_hash_head(name: str, width: int, bits: int, hidden: int) -> nn.Module:
    """Make a head by name.

    Raises:
        UsageError: There is none.
    """
    if name not in HASH_HEADS:
        raise UsageError(f"There is no hash head {name!r}; {one_of(name, list(HASH_HEADS))}")
    return HASH_HEADS[name](width, bits, hidden)


class CodeMemory(nn.Module):
    """The codes of every training pair as last seen, for losses over the whole set.

    Args:
        images: N.
        bits: K.

    Attributes:
        image: ``(N, K)`` codes of the images.
        text: ``(N, K)`` codes of their captions.
        binary: ``(N, K)`` the unified bits, as of the last :meth:`unify`.
        labels: ``(N,)`` int64 classes.
        seen: ``(N,)`` bool.
    """

    image: Tensor
    text: Tensor
    binary: Tensor
    labels: Tensor
    seen: Tensor

    def __init__(self, images: int, bits: int) -> None:
        super().__init__()
        self.register_buffer("image", torch.zeros(images, bits))
        self.register_buffer("text", torch.zeros(images, bits))
        self.register_buffer("binary", torch.zeros(images, bits))
        self.register_buffer("labels", torch.full((images,), -1))
        self.register_buffer("seen", torch.zeros(images, dtype=torch.bool))

    @torch.no_grad()
    def remember(self, rows: Tensor, image: Tensor, text: Tensor, labels: Tensor) -> None:
        """Write the codes of some pairs; bits that are new are unified at once.

        Args:
            rows: ``(n,)`` int64 training rows.
            image: ``(n, K)``.
            text: ``(n, K)``.
            labels: ``(n,)`` int64.
        """
        new = rows[~self.seen[rows]]
        # A new tensor's values, but the same tensor: what was computed with the old ones is not spoilt.
        for kept, values in ((self.image, image), (self.text, text), (self.labels, labels)):
            kept.data = kept.index_copy(0, rows, values.detach().to(kept.dtype))
        self.seen.data = self.seen.index_fill(0, rows, True)
        self.binary.data = self.binary.index_copy(0, new, signs(self.image[new] + self.text[new]))

    @torch.no_grad()
    def unify(self, extra: Tensor | None = None) -> None:
        """Set the bits to the signs of what both sides, and a third where given, say together."""
        both = self.image + self.text
        self.binary.data = torch.where(
            self.seen[:, None], signs(both if extra is None else both + extra), self.binary
        )
