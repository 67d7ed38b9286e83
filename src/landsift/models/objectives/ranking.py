"""A ranking loss over all wrong pairs that tolerates false ones among them. Knows scores only."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["ranking"]


def ranking(
    similarity: Tensor,
    positive: Tensor,
    *,
    margin: float = 0.2,
    shift: float = 1.0,
    temperature: float = 1.0,
) -> Tensor:
    """The cross-modal ranking loss of UCCH (Hu et al., TPAMI 2023, doi 10.1109/TPAMI.2022.3177356).

    ``mean[margin - right + temperature * log sum exp(s / temperature)]``, where ``s`` runs over the right
    score and the wrong ones of its row, and a wrong one further than ``margin`` below the right one is
    lowered by ``shift``; the same by columns, added.

    Args:
        similarity: ``(I, T)``.
        positive: ``(I, T)`` bool; each True is an anchor, and no other True counts as wrong.
        margin: How far below is far enough.
        shift: How much less those count.
        temperature: Of the smooth maximum.
    """
    images, captions = positive.nonzero(as_tuple=True)
    right = similarity[images, captions]
    total = similarity.new_zeros(())
    for scores, marks, rows, own in (
        (similarity, positive, images, captions),
        (similarity.T, positive.T, captions, images),
    ):
        row = scores[rows]
        row = torch.where(row >= right[:, None] - margin, row, row - shift)
        itself = torch.zeros_like(marks[rows]).scatter_(1, own[:, None], True)
        row = row.masked_fill(marks[rows] & ~itself, -torch.inf)
        total = total + (margin - right + temperature * torch.logsumexp(row / temperature, dim=1)).mean()
    return total
