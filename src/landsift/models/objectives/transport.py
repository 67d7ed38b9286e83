"""Pseudo-captions for images without captions, by optimal transport. Knows vectors only."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["sinkhorn", "transport_targets"]


def sinkhorn(cost: Tensor, *, regularisation: float = 0.05, iterations: int = 30) -> Tensor:
    """The entropic transport plan between two uniform distributions (Cuturi, 2013, arXiv 1306.0895).

    Computed with logarithms, so that a small regularisation does not underflow.

    Args:
        cost: ``(n, m)``.
        regularisation: Weight of the entropy.
        iterations: Of the alternating scaling; the columns are exact after the last one.

    Returns:
        ``(n, m)`` non-negative; rows sum to about ``1 / n``, columns to ``1 / m``.
    """
    n, m = cost.shape
    kernel = -cost / regularisation
    rows, columns = cost.new_zeros(n), cost.new_zeros(m)
    for _ in range(iterations):
        rows = -math.log(n) - torch.logsumexp(kernel + columns[None, :], dim=1)
        columns = -math.log(m) - torch.logsumexp(kernel + rows[:, None], dim=0)
    return (kernel + rows[:, None] + columns[None, :]).exp()


def transport_targets(
    unpaired: Tensor,
    image: Tensor,
    image_row: Tensor,
    *,
    regularisation: float = 0.05,
    iterations: int = 30,
) -> Tensor:
    """How likely each caption of the batch fits each image that has none (Mo et al., 2023, S-CLIP,
    arXiv 2305.14095, section 3.2).

    Images without captions are carried to those with captions at the least total distance; where an image
    ends up, its mass goes to the captions there, in equal parts.

    Args:
        unpaired: ``(U, dim)`` unit rows of images without captions.
        image: ``(I, dim)`` unit rows of images with captions.
        image_row: ``(T,)`` int64 image of each caption; every image has at least one.
        regularisation: Of the transport; smaller makes the answer sharper.
        iterations: Of the transport.

    Returns:
        ``(U, T)``, each row sums to 1; no gradient flows through it.
    """
    with torch.no_grad():
        plan = sinkhorn(1 - unpaired @ image.T, regularisation=regularisation, iterations=iterations)
        captions = torch.bincount(image_row, minlength=len(image)).clamp(min=1)
        shares = (plan / captions)[:, image_row]
        return shares / shares.sum(dim=1, keepdim=True)
