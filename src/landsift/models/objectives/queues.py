"""Contrast with remembered vectors beside those of the batch. Knows vectors and masks only."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["queue_contrast"]


def queue_contrast(
    rows: Tensor,
    right: Tensor,
    remembered: Tensor,
    *,
    temperature: float = 0.07,
    wrong: Tensor | None = None,
) -> Tensor:
    """InfoNCE whose wrong answers are remembered (He et al., 2020, MoCo, arXiv 1911.05722, equation 1; across
    modalities in KAMCL, Ji et al., TGRS 2023).

    Args:
        rows: ``(n, dim)`` unit rows.
        right: ``(n, dim)`` unit rows, the right answer of each.
        remembered: ``(k, dim)`` unit rows of earlier batches; no gradient flows into them.
        temperature: Of the softmax.
        wrong: ``(n, n)`` bool: which right answers of others are wrong for a row and count beside those
            remembered; None for none of them.

    Returns:
        Scalar: mean over rows; 0 while nothing is remembered and nothing in the batch is wrong.
    """
    own = (rows * right).sum(dim=1, keepdim=True) / temperature
    answers = [own, rows @ remembered.detach().T / temperature]
    if wrong is not None:
        answers.append((rows @ right.T / temperature).masked_fill(~wrong, -torch.inf))
    return (torch.logsumexp(torch.cat(answers, dim=1), dim=1) - own[:, 0]).mean()
