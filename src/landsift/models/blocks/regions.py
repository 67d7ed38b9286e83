"""Regions for any image: cells of a map grouped by likeness, in place of a detector's boxes.

Methods that were published with detected objects or clusters take regions from here. Knows cells only.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["GraphConvolutions", "cell_groups", "pseudo_regions"]

_ROUNDS = 3


@torch.no_grad()
def cell_groups(cells: Tensor, count: int) -> Tensor:
    """Group the cells of each image by likeness: k-means on unit rows, from the most salient cell outwards.

    The first centre is the cell of greatest length, each other one the cell least like those before it, so
    nothing is drawn at random and an image's groups do not depend on the rest of the batch.

    Args:
        cells: ``(n, m, channels)``.
        count: How many groups; at most ``m``.

    Returns:
        ``(n, m)`` int64 group of each cell.
    """
    rows = functional.normalize(cells, dim=2)
    n = len(rows)
    every = torch.arange(n, device=cells.device)
    chosen = cells.norm(dim=2).argmax(dim=1)
    centres = [rows[every, chosen]]
    nearest = (rows @ centres[0][:, :, None])[:, :, 0]
    for _ in range(count - 1):
        chosen = nearest.argmin(dim=1)
        centres.append(rows[every, chosen])
        nearest = torch.maximum(nearest, (rows @ centres[-1][:, :, None])[:, :, 0])
    centre = torch.stack(centres, dim=1)
    for _ in range(_ROUNDS):
        member = _members(rows, centre)
        moved = functional.normalize(member.transpose(1, 2) @ rows, dim=2)
        # A group that lost all its cells stays where it was.
        centre = torch.where((member.sum(dim=1) > 0)[:, :, None], moved, centre)
    return (rows @ centre.transpose(1, 2)).argmax(dim=2)


def _members(rows: Tensor, centre: Tensor) -> Tensor:
    nearest = (rows @ centre.transpose(1, 2)).argmax(dim=2)
    return functional.one_hot(nearest, centre.shape[1]).to(rows.dtype)


def pseudo_regions(cells: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean cell of each group, the largest groups first, and how like the regions are.

    Args:
        cells: ``(n, m, channels)``; gradients flow into them through the means.
        count: How many regions; at most ``m``.

    Returns:
        ``(n, count, channels)`` regions, zero where a group is empty, and ``(n, count, count)`` shares:
        cosines without the negative ones, itself included, each row summing to 1.
    """
    member = functional.one_hot(cell_groups(cells, count), count).to(cells.dtype)
    sizes = member.sum(dim=1)
    regions = member.transpose(1, 2) @ cells / sizes.clamp(min=1)[:, :, None]
    order = sizes.argsort(dim=1, descending=True, stable=True)
    regions = regions.gather(1, order[:, :, None].expand_as(regions))
    rows = functional.normalize(regions, dim=2)
    like = (rows @ rows.transpose(1, 2)).clamp(min=0) + 1e-6
    return regions, like / like.sum(dim=2, keepdim=True)


class GraphConvolutions(nn.Module):
    """``X <- f(A X W)``, some times (Kipf and Welling, ICLR 2017, arXiv 1609.02907).

    Args:
        widths: Of ``X`` before, between and after.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.maps = nn.ModuleList(
            nn.Linear(inputs, outputs, bias=False) for inputs, outputs in pairwise(widths)
        )

    def forward(self, x: Tensor, shares: Tensor) -> Tensor:
        """``(n, k, first width)`` with ``(n, k, k)`` to ``(n, k, last width)``."""
        for layer in self.maps:
            x = functional.leaky_relu(shares @ layer(x), 0.1)
        return x
