"""What goes into and comes out of the towers: bundles of tensors whose rows belong together.

A bundle can be cut into chunks, joined, gathered and detached as one thing, which is all that training in
chunks, over several processes or in shards of a score matrix needs to know of a method's features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["CUT", "Features", "TextInput", "joined", "lengthened", "mapped", "shortened"]

CUT = "cut"
"""Name of the extra of a :class:`TextInput` that tells which captions were cut, ``(n,)`` bool, where a method
knows."""


@dataclass(frozen=True, eq=False)
class TextInput:
    """Captions as a text tower reads them.

    Attributes:
        tokens: ``(n, length)`` int64 token numbers.
        mask: ``(n, length)`` bool, True on real tokens.
        extras: Whatever else a method reads from a caption, ``(n, ...)`` each.
    """

    tokens: Tensor
    mask: Tensor
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.tokens.shape != self.mask.shape or self.tokens.ndim != 2:
            raise ValueError(
                f"TextInput needs two (n, length) tensors; got {tuple(self.tokens.shape)} "
                f"and {tuple(self.mask.shape)}"
            )

    def __len__(self) -> int:
        return len(self.tokens)

    def rows(self, index: Tensor | slice) -> TextInput:
        """The captions at ``index``."""
        return mapped(self, lambda tensor: tensor[index])

    def to(self, device: torch.device | str) -> TextInput:
        """The same on another device."""
        return mapped(self, lambda tensor: tensor.to(device, non_blocking=True))


@dataclass(frozen=True, eq=False)
class Features:
    """What a tower makes of ``n`` images or captions.

    Attributes:
        pooled: ``(n, dim)`` one vector each; what an index holds.
        tokens: ``(n, length, width)`` local vectors (words, grid cells, regions), or None.
        mask: ``(n, length)`` bool, True on real tokens; None where every token is real.
        extras: Whatever else the method's score or losses read, ``(n, ...)`` each.
    """

    pooled: Tensor
    tokens: Tensor | None = None
    mask: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pooled.ndim != 2:
            raise ValueError(f"pooled features must be (n, dim); got {tuple(self.pooled.shape)}")
        sizes = {name: len(tensor) for name, tensor in self.tensors().items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"all features of a batch need one row per item; got {sizes}")

    def __len__(self) -> int:
        return len(self.pooled)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name: ``pooled``, ``tokens``, ``mask`` where there are, ``extras.<name>``."""
        named = {"pooled": self.pooled, "tokens": self.tokens, "mask": self.mask}
        found = {name: tensor for name, tensor in named.items() if tensor is not None}
        return found | {f"extras.{name}": tensor for name, tensor in self.extras.items()}

    def replaced(self, tensors: Mapping[str, Tensor]) -> Features:
        """The same structure with other tensors, named as :meth:`tensors` names them."""
        extras = {name: tensors[f"extras.{name}"] for name in self.extras}
        return Features(tensors["pooled"], tensors.get("tokens"), tensors.get("mask"), extras)

    def rows(self, index: Tensor | slice) -> Features:
        """The items at ``index``."""
        return mapped(self, lambda tensor: tensor[index])

    def chunks(self, size: int) -> Iterator[Features]:
        """Consecutive parts of at most ``size`` items."""
        for first in range(0, len(self), size):
            yield self.rows(slice(first, first + size))

    def detach(self) -> Features:
        """The same values, cut off from what made them."""
        return mapped(self, Tensor.detach)

    def float(self) -> Features:
        """Floating-point tensors as float32, others as they are: losses are computed in full precision."""
        return mapped(self, lambda tensor: tensor.float() if tensor.is_floating_point() else tensor)

    def to(self, device: torch.device | str) -> Features:
        """The same on another device."""
        return mapped(self, lambda tensor: tensor.to(device))


_Bundle = TypeVar("_Bundle", TextInput, Features)


def mapped(bundle: _Bundle, change: Callable[[Tensor], Tensor]) -> _Bundle:
    """Apply ``change`` to every tensor of a bundle."""
    extras = {name: change(tensor) for name, tensor in bundle.extras.items()}
    if isinstance(bundle, TextInput):
        return TextInput(change(bundle.tokens), change(bundle.mask), extras)
    tokens = None if bundle.tokens is None else change(bundle.tokens)
    mask = None if bundle.mask is None else change(bundle.mask)
    return Features(change(bundle.pooled), tokens, mask, extras)


def joined(parts: Sequence[Features]) -> Features:
    """Put features one after the other; token lists of different lengths are padded and masked.

    Raises:
        ValueError: Nothing to join, or token lists of different lengths without masks.
    """
    if not parts:
        raise ValueError("There are no features to join")
    if len(parts) == 1:
        return parts[0]
    parts = _padded(parts)
    names = parts[0].tensors()
    return parts[0].replaced({name: torch.cat([part.tensors()[name] for part in parts]) for name in names})


def _padded(parts: Sequence[Features]) -> Sequence[Features]:
    lengths = [part.tokens.shape[1] for part in parts if part.tokens is not None]
    if len(set(lengths)) < 2:
        return parts
    longest = max(lengths)
    return [lengthened(part, longest) for part in parts]


def lengthened(part: Features, length: int) -> Features:
    """Pad token lists to ``length``.

    Raises:
        ValueError: They are shorter and have no mask that could tell padding from tokens.
    """
    if part.tokens is None or part.tokens.shape[1] == length:
        return part
    if part.mask is None:
        raise ValueError("Token lists of different lengths need masks to be joined")
    more = length - part.tokens.shape[1]
    tokens, mask = functional.pad(part.tokens, (0, 0, 0, more)), functional.pad(part.mask, (0, more))
    return Features(part.pooled, tokens, mask, part.extras)


def shortened(part: Features) -> Features:
    """Without the last places of token lists that are padding in every row."""
    if part.tokens is None or part.mask is None:
        return part
    used = part.mask.any(dim=0).nonzero()
    longest = max(1, int(used.max()) + 1 if len(used) else 1)
    return Features(part.pooled, part.tokens[:, :longest], part.mask[:, :longest], part.extras)
