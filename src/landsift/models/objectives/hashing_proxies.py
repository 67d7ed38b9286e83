"""Codes against centres of classes, and against each other at given distances. Knows codes and classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from landsift.models.objectives.hashing_similarity import cosines

__all__ = ["best_distance", "choice_distances", "proxy_margin", "unlike_margin"]


def best_distance(classes: int, bits: int) -> int:
    """Largest least distance that ``classes`` words of ``bits`` bits can hope for, by Plotkin's bound.

    DSPH looks it up in a table of best known codes (Huo et al., TCSVT 2023); the bound is at most a little
    above it.
    """
    if classes < 2:
        return bits
    best = 1
    for distance in range(1, bits + 1):
        even = distance + distance % 2
        size = bits + distance % 2
        # A code of odd distance is one of the next even distance with a parity bit.
        if 2 * even > size:
            most = 2 * (even // (2 * even - size))
        elif 2 * even == size:
            most = 4 * even
        else:
            # Shorten by bits until the bound applies; each bit doubles it.
            most = 4 * even << (size - 2 * even)
        if most >= classes:
            best = distance
    return best


def proxy_margin(codes: Tensor, proxies: Tensor, labels: Tensor, *, threshold: float) -> Tensor:
    """DSPH's proxy loss: near to the class's own proxy, no nearer than a threshold to the others.

    ``mean(1 - cos(u, own)) + mean(max(0, cos(u, other) - threshold))`` (Huo et al., TCSVT
    2023).

    Args:
        codes: ``(n, K)`` relaxed codes.
        proxies: ``(C, K)``.
        labels: ``(n,)`` int64; rows with -1 are left out.
        threshold: Cosine of two words at the best distance, ``1 - 2 d / K``.
    """
    known = labels >= 0
    scores = cosines(codes[known], proxies)
    own = torch.nn.functional.one_hot(labels[known], len(proxies)).bool()
    near = (1 - scores[own]).sum() / own.sum().clamp(min=1)
    far = (scores[~own] - threshold).clamp(min=0).sum() / (~own).sum().clamp(min=1)
    return near + far


def unlike_margin(first: Tensor, second: Tensor, unlike: Tensor, *, threshold: float) -> Tensor:
    """Pairs without a class in common no nearer than a threshold (DSPH).

    Args:
        first: ``(n, K)`` relaxed codes.
        second: ``(m, K)``.
        unlike: ``(n, m)`` bool.
        threshold: Largest cosine.

    Returns:
        Scalar: mean over the pairs; 0 without any.
    """
    over = (cosines(first, second) - threshold).clamp(min=0) * unlike
    return over.sum() / unlike.sum().clamp(min=1)


def choice_distances(first: Tensor, second: Tensor, alike: Tensor, *, share: float = 0.5) -> Tensor:
    """DCHMT's loss on Euclidean distances of soft choices: right pairs at 0, wrong ones at the edge.

    Wrong pairs are pushed until ``sqrt(2 K share)`` (Tu et al., ACM MM 2022).

    Args:
        first: ``(n, 2K)`` shares.
        second: ``(m, 2K)``.
        alike: ``(n, m)`` bool.
        share: Of the largest distance that wrong pairs are pushed to.

    Returns:
        Scalar: the mean of right and the mean of wrong pairs, added.
    """
    squared = (
        first.square().sum(dim=1)[:, None] + second.square().sum(dim=1)[None] - 2 * first @ second.T
    ).clamp(min=0)
    # The small number keeps the root's slope finite where two rows are the same.
    distance = torch.sqrt(squared + 1e-8)
    edge = math.sqrt(first.shape[1] * share)
    right = (squared * alike).sum() / alike.sum().clamp(min=1)
    wrong = ((edge - distance).clamp(min=0).square() * ~alike).sum() / (~alike).sum().clamp(min=1)
    return right + wrong
