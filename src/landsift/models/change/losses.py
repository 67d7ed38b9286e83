"""Losses of change models, as pure functions: contrast that minds false negatives, captions, masks, likeness.

Knows tensors only.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["FALSE_NEGATIVES", "caption_loss", "change_contrast", "mask_loss", "pair_contrast"]

FALSE_NEGATIVES = ("attract", "eliminate", "keep")
"""What is done with pairs that a caption fits as well as its own: made positives, left out, nothing."""
_FAR = -1e9


def pair_contrast(
    logits: Tensor, own: Tensor, alike: Tensor, false_negatives: str = "attract", hardest: int = 0
) -> Tensor:
    """InfoNCE of pairs and captions in which false negatives are no negatives, both ways.

    Ferrod et al., Discovery Science 2024: for each positive ``p`` of a query ``i``,
    ``-log(exp(s_p) / (exp(s_p) + sum of exp(s_j) over the negatives j of i))``, averaged over all positive
    pairs. Elimination takes what is alike out of the negatives; attraction makes it positive too.

    Args:
        logits: ``(I, T)`` scores over the temperature.
        own: ``(I, T)`` bool: the caption was written for the pair.
        alike: ``(I, T)`` bool: it fits as well, ``own`` included or not.
        false_negatives: One of :data:`FALSE_NEGATIVES`.
        hardest: Only so many negatives of each query count, the likest; 0 for all.

    Returns:
        Scalar: mean of the two directions.
    """
    alike = alike | own
    positive = alike if false_negatives == "attract" else own
    negative = ~own if false_negatives == "keep" else ~alike
    sides = (
        _one_way(logits, positive, negative, hardest),
        _one_way(logits.T, positive.T, negative.T, hardest),
    )
    return (sides[0] + sides[1]) / 2


def _one_way(logits: Tensor, positive: Tensor, negative: Tensor, hardest: int) -> Tensor:
    # A finite number, so that a query without negatives has a gradient of 0 and not NaN.
    others = logits.masked_fill(~negative, _FAR)
    if 0 < hardest < others.shape[1]:
        others = others.topk(hardest, dim=1).values
    level = torch.logsumexp(others, dim=1, keepdim=True)
    costs = functional.softplus(level - logits)
    return costs[positive].mean() if positive.any() else logits.sum() * 0


def caption_loss(logits: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy of each caption's words given those before.

    Args:
        logits: ``(T, length, vocabulary)`` of the word after each place.
        tokens: ``(T, length)``, the beginning mark first.
        mask: ``(T, length)`` bool, True on real tokens.
    """
    wanted = tokens[:, 1:].masked_fill(~mask[:, 1:], -100)
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), wanted.flatten())


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Mean cross-entropy over pixels (Change-Agent, Liu et al., TGRS 2024).

    Args:
        logits: ``(I, classes, h, w)``, resized to the masks.
        masks: ``(I, H, W)`` class numbers, 0 for no change.
    """
    resized = functional.interpolate(logits, size=masks.shape[1:], mode="bilinear")
    return functional.cross_entropy(resized, masks.long())


def change_contrast(
    likeness: Tensor, unchanged: Tensor, *, margin: float = 0.3, share: float = 0.1
) -> Tensor:
    """Cells of the two dates drawn together where nothing changed, pushed apart where something did.

    After ClearSCD (Tang et al., ISPRS Journal 2024), which contrasts the dates of changed and unchanged
    places with land-cover maps to know them by. Captions only say whether a pair changed, so of a changed
    pair the least alike ``share`` of the cells is pushed below ``margin``, and nothing is asked of the
    others (inferred).

    Args:
        likeness: ``(I, cells)`` cosine of both dates at each cell.
        unchanged: ``(I,)`` bool.
        margin: Largest cosine that a changed cell may have for nothing.
        share: Of a changed pair's cells that count as changed.

    Returns:
        Scalar: mean over pairs.
    """
    count = max(1, round(share * likeness.shape[1]))
    least = likeness.topk(count, dim=1, largest=False).values
    together, apart = 1 - likeness.mean(dim=1), functional.relu(least - margin).mean(dim=1)
    return torch.where(unchanged, together, apart).mean()
