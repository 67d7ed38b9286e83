"""Targets for codes: how alike pairs should be, by labels or by frozen vectors. Knows vectors only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "attribute_similarity",
    "cosines",
    "label_similarity",
    "neighbour_similarity",
    "second_order_similarity",
]


def cosines(rows: Tensor, others: Tensor | None = None) -> Tensor:
    """``(n, m)`` cosines of rows with other rows, or with themselves."""
    unit = functional.normalize(rows, dim=1)
    return unit @ (unit if others is None else functional.normalize(others, dim=1)).T


def label_similarity(labels: Tensor, others: Tensor) -> Tensor:
    """1 where two classes are the same and known, else 0.

    Args:
        labels: ``(n,)`` int64, -1 where unknown.
        others: ``(m,)`` likewise.
    """
    return ((labels[:, None] == others[None]) & (labels[:, None] >= 0)).to(torch.float32)


def second_order_similarity(
    image: Tensor, text: Tensor, *, balance: float = 0.9, second: float = 0.4, scale: float = 1.5
) -> Tensor:
    """DJSRH's joint-semantics affinity (Su et al., ICCV 2019, equations 2 to 4).

    ``S~ = balance (2 cos_I - 1) + (1 - balance) (2 cos_T - 1)`` and then
    ``scale ((1 - second) S~ + second S~ S~^T / n)``.

    Args:
        image: ``(n, a)`` frozen vectors of images.
        text: ``(n, b)`` of their captions.
        balance: Share of the images.
        second: Share of the second order.
        scale: Stretches the target.

    Returns:
        ``(n, n)``.
    """
    first = balance * (2 * cosines(image) - 1) + (1 - balance) * (2 * cosines(text) - 1)
    return scale * ((1 - second) * first + second * first @ first.T / len(first))


def neighbour_similarity(
    image: Tensor, text: Tensor, *, balance: float = 0.1, first: float = 0.3, kept: float = 0.2
) -> Tensor:
    """CIRH's graph of pairs (Zhu et al., TKDE 2022).

    ``S1`` mixes cosines and keeps the largest of each row; ``S2 = 2 sigmoid(S1) - 1 + I``, made symmetric;
    the graph is ``first S1 + (1 - first) S2``.

    Args:
        image: ``(n, a)`` frozen vectors of images.
        text: ``(n, b)`` of their captions.
        balance: Share of the images.
        first: Share of ``S1``.
        kept: Share of a row that is kept.

    Returns:
        ``(n, n)``.
    """
    mixed = balance * cosines(image) + (1 - balance) * cosines(text)
    count = max(1, round(kept * len(mixed)))
    least = mixed.topk(count, dim=1).values[:, -1:]
    mixed = torch.where(mixed >= least, mixed, 0.0)
    squashed = 2 * torch.sigmoid(mixed) - 1 + torch.eye(len(mixed), device=mixed.device)
    return first * mixed + (1 - first) * (squashed + squashed.T) / 2


def attribute_similarity(attributes: Tensor, labels: Tensor, others: Tensor) -> Tensor:
    """Cosine of the classes' attribute vectors, so that classes are more or less alike (AgNet).

    Args:
        attributes: ``(C, d)``.
        labels: ``(n,)`` int64; a row with an unknown class is unlike all.
        others: ``(m,)`` likewise.
    """
    table = cosines(attributes)
    found = table[labels.clamp(min=0)][:, others.clamp(min=0)]
    known = (labels >= 0)[:, None] & (others >= 0)[None]
    return torch.where(known, found, 0.0)
