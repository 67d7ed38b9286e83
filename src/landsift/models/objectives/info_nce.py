"""InfoNCE in which any number of pairs are positive."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["info_nce", "spread_cross_entropy"]


def info_nce(similarity: Tensor, positive: Tensor) -> Tensor:
    """Symmetric InfoNCE in which any number of pairs are positive.

    The target of each row (and column) is spread evenly over its positives, so a caption that fits several
    images of the batch is never a negative of any. With the diagonal alone positive this is the loss of
    Radford et al., 2021 (arXiv 2103.00020); the even spread is that of Khosla et al., 2020 (arXiv 2004.11362,
    equation 2).

    Args:
        similarity: ``(n, m)`` cosines times the inverse temperature.
        positive: ``(n, m)`` bool, at least one True in each row and each column.

    Returns:
        Scalar: mean of the two directions.
    """
    return (spread_cross_entropy(similarity, positive) + spread_cross_entropy(similarity.T, positive.T)) / 2


def spread_cross_entropy(similarity: Tensor, positive: Tensor) -> Tensor:
    """Mean cross-entropy of rows whose target is spread evenly over their positives.

    Args:
        similarity: ``(n, m)`` logits.
        positive: ``(n, m)`` bool, at least one True in each row.
    """
    log_share = functional.log_softmax(similarity, dim=1)
    target = positive.to(similarity.dtype)
    target = target / target.sum(dim=1, keepdim=True)
    return -(target * log_share).sum(dim=1).mean()
