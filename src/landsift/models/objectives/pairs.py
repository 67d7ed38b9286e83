"""Cross-entropy of pairs: is this caption right for this image? Knows logits only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["PAIR_REDUCTIONS", "pair_cross_entropy"]

PAIR_REDUCTIONS = ("hardest", "mean")


def pair_cross_entropy(logits: Tensor, positive: Tensor, *, reduce: str = "hardest") -> Tensor:
    """Right pairs against the wrong captions of their image and the wrong images of their caption.

    ``hardest`` is CAMP's loss (Wang et al., ICCV 2019, arXiv 1909.05506, equation 10): the likeliest wrong
    pair of each direction, and right pairs count twice.

    Args:
        logits: ``(I, T)``.
        positive: ``(I, T)`` bool; each True is an anchor.
        reduce: ``hardest``, or the ``mean`` over all wrong pairs of an anchor and direction.

    Returns:
        Scalar: the sum over anchors.
    """
    images, captions = positive.nonzero(as_tuple=True)
    total = 2 * functional.softplus(-logits[images, captions]).sum()
    for scores, marks, rows in ((logits, positive, images), (logits.T, positive.T, captions)):
        if reduce == "hardest":
            cost = functional.softplus(scores.masked_fill(marks, -torch.inf).amax(dim=1))
        else:
            count = (~marks).sum(dim=1).clamp(min=1)
            cost = functional.softplus(scores).masked_fill(marks, 0).sum(dim=1) / count
        total = total + cost[rows].sum()
    return total
