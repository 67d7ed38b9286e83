"""The pairwise sigmoid loss. Knows logits only."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["sigmoid_pairs"]


def sigmoid_pairs(logits: Tensor, positive: Tensor) -> Tensor:
    """Each pair is a yes-or-no question of its own (Zhai et al., 2023, SigLIP, arXiv 2303.15343, equation 1).

    Args:
        logits: ``(I, T)`` scores times the scale plus the bias.
        positive: ``(I, T)`` bool.

    Returns:
        Scalar: the sum over all pairs, divided by the number of captions.
    """
    sign = positive.to(logits.dtype) * 2 - 1
    return functional.softplus(-sign * logits).sum() / logits.shape[1]
