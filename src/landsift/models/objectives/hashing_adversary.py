"""A critic that tells sides apart, and what hides it from the critic. Knows rows and a critic only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["confusion", "gradient_penalty", "telling_apart"]


def telling_apart(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """What the critic makes small: cross-entropy of 1 for real rows and 0 for fake ones (Goodfellow et al.,
    2014, arXiv 1406.2661).

    Args:
        critic: ``(n, d)`` to ``(n, 1)`` logits.
        real: ``(n, d)``.
        fake: ``(m, d)``.
    """
    judged = critic(torch.cat([real, fake]))[:, 0]
    target = torch.cat([torch.ones(len(real)), torch.zeros(len(fake))]).to(judged)
    return functional.binary_cross_entropy_with_logits(judged, target)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """How far the critic's slope between real and fake rows is from 1 (Gulrajani et al., 2017, WGAN-GP,
    arXiv 1704.00028, equation 3).

    Args:
        critic: ``(n, d)`` to ``(n, 1)``.
        real: ``(n, d)``.
        fake: ``(n, d)``, row by row.
    """
    share = torch.rand(len(real), 1, device=real.device)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.norm(dim=1) - 1).square().mean()


def confusion(critic: nn.Module, fake: Tensor) -> Tensor:
    """What the towers make small: fake rows judged real.

    One released hashing code applies this to the rows that are real already, which presses nobody.
    """
    return functional.softplus(-critic(fake)[:, 0]).mean()
