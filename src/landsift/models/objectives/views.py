"""Learning from images alone: two changed views of a picture should look alike. Knows vectors only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["nt_xent", "vicreg"]


def nt_xent(first: Tensor, second: Tensor, *, temperature: float = 0.1, same: Tensor | None = None) -> Tensor:
    """The contrastive loss of SimCLR (Chen et al., 2020, arXiv 2002.05709, equation 1).

    Args:
        first: ``(n, dim)`` one view of each picture; scaled to length 1 here.
        second: ``(n, dim)`` the other view.
        temperature: Of the softmax.
        same: ``(n, n)`` bool, True where two rows show one picture; those are no negatives of each other.

    Returns:
        Scalar: mean over the 2n views.
    """
    n = len(first)
    rows = functional.normalize(torch.cat([first, second]), dim=1)
    logits = rows @ rows.T / temperature
    partner = torch.arange(2 * n, device=rows.device).roll(n)
    hidden = torch.eye(n, dtype=torch.bool, device=rows.device) if same is None else same
    hidden = hidden.repeat(2, 2).scatter(1, partner[:, None], False)
    return functional.cross_entropy(logits.masked_fill(hidden, -torch.inf), partner)


def vicreg(
    first: Tensor,
    second: Tensor,
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Tensor:
    """Variance, invariance and covariance regularisation (Bardes et al., 2022, arXiv 2105.04906, equation 6).

    Args:
        first: ``(n, dim)`` one view of each picture, n above 1.
        second: ``(n, dim)`` the other view.
        invariance: Weight of the mean squared distance of the views.
        variance: Weight of the hinge that keeps each number's standard deviation at 1 or more.
        covariance: Weight of the squared covariances between numbers.
    """
    apart = functional.mse_loss(first, second)
    narrow = sum(
        (functional.relu(1 - _deviation(rows)).mean() for rows in (first, second)), first.new_zeros(())
    )
    mixed = sum((_mixing(rows) for rows in (first, second)), first.new_zeros(()))
    return invariance * apart + variance * narrow / 2 + covariance * mixed


def _deviation(rows: Tensor) -> Tensor:
    # The small number keeps the square root's slope finite where a number never varies.
    return torch.sqrt(rows.var(dim=0) + 1e-4)


def _mixing(rows: Tensor) -> Tensor:
    n, dim = rows.shape
    centred = rows - rows.mean(dim=0)
    covariance = centred.T @ centred / (n - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / dim
