"""Codes of pairs against how alike the pairs should be. Knows codes and targets only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from landsift.models.objectives.hashing_similarity import cosines

__all__ = ["code_triplet", "l2_pairwise", "nll_pairwise", "similarity_regression"]


def nll_pairwise(first: Tensor, second: Tensor, target: Tensor, *, reduce: str = "mean") -> Tensor:
    """Negative log-likelihood of pairs, ``log(1 + e^h) - s h`` with ``h`` half the inner product.

    The review's equation 7 in its likelihood form (DCMH, Jiang and Li, CVPR 2017, arXiv 1602.02255,
    equation 1; SSAH; MITH).

    Args:
        first: ``(n, K)`` relaxed codes.
        second: ``(m, K)``.
        target: ``(n, m)``, 0 to 1.
        reduce: ``mean`` or ``sum`` over pairs, or ``balanced``: the mean over similar pairs and that over
            the others count half each (HashNet, Cao et al., ICCV 2017, arXiv 1702.00758, equations 2, 3, in
            proportion). Where one pair in twenty is similar, the plain mean is made small by codes of
            images that are all the opposite of those of texts.
    """
    half = first @ second.T / 2
    cost = functional.softplus(half) - target * half
    if reduce == "balanced":
        similar, other = target.sum().clamp(min=1e-6), (1 - target).sum().clamp(min=1e-6)
        return (cost * (target / similar + (1 - target) / other)).sum() / 2
    return cost.sum() if reduce == "sum" else cost.mean()


def l2_pairwise(first: Tensor, second: Tensor, target: Tensor, *, normalised: bool = True) -> Tensor:
    """Squared distance of inner products from the target.

    The review's equation 7 as printed, ``sum (u v - K s)^2`` (KSH, Liu et al., CVPR 2012), or normalised,
    ``mean (u v / K - s)^2``, whose size does not depend on K.

    Args:
        first: ``(n, K)`` relaxed codes.
        second: ``(m, K)``.
        target: ``(n, m)``, -1 to 1.
        normalised: Which of the two.
    """
    bits = first.shape[1]
    product = first @ second.T
    if normalised:
        return (product / bits - target).square().mean()
    return (product - bits * target).square().sum()


def similarity_regression(
    image: Tensor, text: Tensor, target: Tensor, *, own: float = 0.1, across: float = 1.0
) -> Tensor:
    """Cosines of codes towards a target, across and within sides (DJSRH, Su et al., ICCV 2019, equation 6).

    Args:
        image: ``(n, K)`` relaxed codes.
        text: ``(n, K)``.
        target: ``(n, n)``.
        own: Weight within each side.
        across: Weight across.
    """
    found = across * (target - cosines(image, text)).square().mean()
    for side in (image, text):
        found = found + own * (target - cosines(side)).square().mean()
    return found


def code_triplet(
    anchor: Tensor, other: Tensor, alike: Tensor, *, margin: float | None = 0.2, semi_hard: bool = False
) -> Tensor:
    """Hinge on cosines of codes: the least alike right one must beat a wrong one.

    DTBH (Chen and Lu, Remote Sensing 12, 2020) takes wrong ones within the margin; FSISR-like methods the
    hardest with a soft margin (Hermans et al., 2017, arXiv 1703.07737).

    Args:
        anchor: ``(n, K)`` relaxed codes.
        other: ``(m, K)`` of the other side.
        alike: ``(n, m)`` bool, at least one True in each row.
        margin: None for the soft margin ``log(1 + e^d)``.
        semi_hard: Average over all wrong ones within the margin; otherwise the hardest alone.

    Returns:
        Scalar: mean over anchors that have a wrong one; 0 without any.
    """
    scores = cosines(anchor, other)
    right = scores.masked_fill(~alike, torch.inf).amin(dim=1)
    with_wrong = (~alike).any(dim=1)
    if not with_wrong.any():
        return scores.sum() * 0
    excess = (scores - right[:, None])[with_wrong]
    wrong = ~alike[with_wrong]
    if semi_hard and margin is not None:
        cost = (excess + margin).clamp(min=0) * wrong
        return cost.sum() / (cost.detach() > 0).sum().clamp(min=1)
    hardest = excess.masked_fill(~wrong, -torch.inf).amax(dim=1)
    if margin is None:
        return functional.softplus(hardest).mean()
    return (hardest + margin).clamp(min=0).mean()
