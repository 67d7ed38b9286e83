"""From a set of vectors to one: means, a generalised operator (B5), attention. Knows sets and masks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["AttentionPool", "GeneralisedPool", "masked_mean"]


def masked_mean(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of ``(n, length, width)`` over real tokens: ``(n, width)``."""
    if mask is None:
        return x.mean(dim=1)
    weights = mask[:, :, None].to(x.dtype)
    return (x * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


class AttentionPool(nn.Module):
    """A weighted mean, with weights from each vector; several heads are averaged (CAMP's aggregation).

    Args:
        width: Of the vectors.
        heads: How many sets of weights.
    """

    def __init__(self, width: int, heads: int = 1) -> None:
        super().__init__()
        self.widen, self.narrow = nn.Linear(width, width), nn.Linear(width, heads, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """``(..., length, width)`` to ``(..., width)``; ``mask`` ``(..., length)`` is True on real ones."""
        scores = self.narrow(torch.relu(self.widen(x)))
        if mask is not None:
            scores = scores.masked_fill(~mask[..., None], -torch.inf)
        return (torch.softmax(scores, dim=-2).mean(dim=-1, keepdim=True) * x).sum(dim=-2)


class GeneralisedPool(nn.Module):
    """Learns a weight for each rank (B5; Chen et al., CVPR 2021, arXiv 2011.04305, as KAMCL uses it).

    Every number of the vectors is sorted by itself; the largest counts with the first weight, and so on.
    The weights come from the position by a small recurrent net, so sets of any size work.

    Args:
        width: Of the position codes and of the net.
        temperature: Of the softmax over positions.
    """

    def __init__(self, width: int = 32, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature, self.code_width = temperature, width
        self.layer = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.head = nn.Linear(width, 1, bias=False)

    def weights(self, size: int, like: Tensor) -> Tensor:
        """``(size,)`` weights of the ranks, which sum to 1."""
        position = torch.arange(size, device=like.device, dtype=like.dtype)[:, None]
        rate = torch.exp(
            torch.arange(0, self.code_width, 2, device=like.device, dtype=like.dtype)
            * (-math.log(10000.0) / self.code_width)
        )
        codes = torch.stack([torch.sin(position * rate), torch.cos(position * rate)], dim=2).flatten(1)
        states = self.layer(codes[None])[0][0]
        both = (states[:, : self.code_width] + states[:, self.code_width :]) / 2
        return torch.softmax(self.head(both)[:, 0] / self.temperature, dim=0)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """``(n, length, width)`` to ``(n, width)``; ``mask`` is True on real vectors."""
        if mask is None:
            ordered = x.sort(dim=1, descending=True).values
            return (ordered * self.weights(x.shape[1], x)[None, :, None]).sum(dim=1)
        ordered = x.masked_fill(~mask[:, :, None], -torch.inf).sort(dim=1, descending=True).values
        ordered = ordered.masked_fill(ordered == -torch.inf, 0)
        # The weights depend on how many real vectors a set has, not on how far it is padded.
        sizes, group = mask.sum(dim=1).unique(return_inverse=True)
        rows = x.new_zeros(len(sizes), x.shape[1])
        for number, size in enumerate(sizes.tolist()):
            rows[number, :size] = self.weights(size, x)
        return (ordered * rows[group][:, :, None]).sum(dim=1)
