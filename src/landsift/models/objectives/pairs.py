"""Cross-entropy of pairs: is this caption right for this image? Knows logits only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["hardest_cross_entropy"]


def hardest_cross_entropy(logits: Tensor, positive: Tensor) -> Tensor:
    """Right pairs against the likeliest wrong caption of their image and image of their caption.

    CAMP's loss (Wang et al., ICCV 2019, arXiv 1909.05506, equation 10): right pairs count twice.

    Args:
        logits: ``(I, T)``.
        positive: ``(I, T)`` bool; each True is an anchor.

    Returns:
        Scalar: the sum over anchors.
    """
    images, captions = positive.nonzero(as_tuple=True)
    total = 2 * functional.softplus(-logits[images, captions]).sum()
    for scores, marks, rows in ((logits, positive, images), (logits.T, positive.T, captions)):
        wrong = scores.masked_fill(marks, -torch.inf).amax(dim=1)[rows]
        total = total + functional.softplus(wrong).sum()
    return total
