"""Contrasts of codes: within a batch, with a memory of bits, and of clusters. Knows codes only."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from landsift.models.objectives.hashing_similarity import cosines

__all__ = ["cluster_contrast", "code_contrast", "memory_contrast"]


def code_contrast(
    first: Tensor,
    second: Tensor,
    *,
    temperature: float = 1.0,
    across: bool = False,
    weight: Tensor | None = None,
    same: Tensor | None = None,
    reduce: str = "mean",
) -> Tensor:
    """DUCH's NT-Xent of two codes of each pair (Mikriukov et al., ICASSP 2022, equation 2; SimCLR's loss).

    Args:
        first: ``(n, K)`` relaxed codes of one side.
        second: ``(n, K)`` of the other, row by row.
        temperature: Of the softmax; 1 in the release.
        across: Compare with the other side only.
        weight: ``(n,)`` how much each pair counts; all alike when None.
        same: ``(n, n)`` bool, rows that show one picture and are no negatives of each other; the diagonal
            counts anyway.
        reduce: ``mean`` over the 2n rows, or ``sum`` as in the release.
    """
    n = len(first)
    rows = torch.cat([first, second])
    logits = cosines(rows) / temperature
    partner = torch.arange(2 * n, device=rows.device).roll(n)
    hidden = torch.eye(n, dtype=torch.bool, device=rows.device) if same is None else same
    hidden = hidden.repeat(2, 2)
    if across:
        side = torch.arange(2 * n, device=rows.device) < n
        hidden = hidden | (side[:, None] == side[None])
    hidden = hidden.scatter(1, partner[:, None], False)
    cost = functional.cross_entropy(logits.masked_fill(hidden, -torch.inf), partner, reduction="none")
    if weight is not None:
        cost = cost * weight.repeat(2)
    return cost.sum() if reduce == "sum" else cost.mean()


def memory_contrast(codes: Tensor, rows: Tensor, bits: Tensor, *, temperature: float = 0.9) -> Tensor:
    """UCCH's contrast with the bits of all training pairs (Hu et al., TPAMI 2023, equation 6).

    The keys are bits and not relaxed, so the comparison is the one that is searched with.

    Args:
        codes: ``(n, K)`` relaxed codes; scaled to length 1 here.
        rows: ``(n,)`` int64, the key of each.
        bits: ``(N, K)`` of -1 and 1; no gradient flows into them.
        temperature: Times ``sqrt(K)``, the length of a key.
    """
    keys = bits.detach() / math.sqrt(bits.shape[1])
    return functional.cross_entropy(functional.normalize(codes, dim=1) @ keys.T / temperature, rows)


def cluster_contrast(image: Tensor, text: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Contrast of pseudo-categories: each should hold the same pairs on both sides (Li et al., AAAI 2021,
    Contrastive Clustering, arXiv 2009.09687, equations 4 to 6), less the entropy of their sizes.

    Args:
        image: ``(n, C)`` shares of the categories, rows adding up to 1.
        text: ``(n, C)`` likewise.
        temperature: Of the softmax.
    """
    contrast = code_contrast(image.T, text.T, temperature=temperature)
    entropy = image.new_zeros(())
    for shares in (image, text):
        mean = shares.mean(dim=0)
        entropy = entropy - (mean * (mean + 1e-12).log()).sum()
    return contrast - entropy
