"""Triplet losses: a right pair must beat the wrong ones by a margin. Knows scores only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["dynamic_margin", "triplet"]

REDUCTIONS = ("sum", "hardest", "mean")


def triplet(
    similarity: Tensor,
    positive: Tensor,
    *,
    margin: float | Tensor | None = 0.2,
    reduce: str = "hardest",
    weighting: str = "none",
    strength: float = 0.5,
) -> Tensor:
    """Hinge on every right pair against the wrong captions of its image and the wrong images of its caption.

    ``hardest`` is Faghri et al., 2018 (VSE++, arXiv 1707.05612, equation 6); ``sum`` its equation 5, of
    Kiros et al., 2014; ``mean`` divides that by the number of costs, as SIRS does. With a matrix as margin it
    is the dynamic-margin loss of AMFMN (Yuan et al., TGRS 2022, arXiv 2204.09868, equation 30).

    Args:
        similarity: ``(I, T)``.
        positive: ``(I, T)`` bool; each True is an anchor.
        margin: One number; ``(I, T)``, where the margin of a cost is that of its wrong pair; or None for the
            soft margin ``log(1 + exp(wrong - right))``, which never ends (Hermans et al., 2017,
            arXiv 1703.07737, section 2).
        reduce: ``sum`` of all costs; ``hardest``: the sum over anchors of the largest in each direction;
            ``mean`` of all costs.
        weighting: ``none``; ``difficulty`` multiplies a cost ``c`` by ``exp(-strength c)``, so that likely
            false negatives count less (HVSA, Zhang et al., TGRS 2023); ``focal`` by
            ``(1 - exp(-c)) ** strength``, so that easy ones count less (HarMA, Huang et al., 2024).
        strength: Of the weighting.

    Returns:
        Scalar; 0 if the batch has no wrong pair.
    """
    images, captions = positive.nonzero(as_tuple=True)
    right = similarity[images, captions][:, None]
    wide = margin if isinstance(margin, Tensor) else None
    parts = []
    for scores, marks, rows, margins in (
        (similarity, positive, images, wide),
        (similarity.T, positive.T, captions, None if wide is None else wide.T),
    ):
        excess = scores[rows] - right
        if margin is None:
            cost = functional.softplus(excess)
        else:
            cost = (excess + (margin if margins is None else margins[rows])).clamp(min=0)
        parts.append(_WEIGHTINGS[weighting](cost, strength).masked_fill(marks[rows], 0))
    if reduce == "hardest":
        return sum((part.amax(dim=1).sum() for part in parts), similarity.new_zeros(()))
    total = torch.stack([part.sum() for part in parts]).sum()
    if reduce == "sum":
        return total
    wrong = (~positive[images]).sum() + (~positive.T[captions]).sum()
    return total / wrong.clamp(min=1)


_WEIGHTINGS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "none": lambda cost, strength: cost,
    "difficulty": lambda cost, strength: cost * (-strength * cost).exp(),
    "focal": lambda cost, strength: cost * (-torch.expm1(-cost)) ** strength,
}
WEIGHTINGS = tuple(_WEIGHTINGS)


def dynamic_margin(prior: Tensor, *, largest: float = 0.4, steepness: float = 5.0) -> Tensor:
    """Margins that shrink where a wrong caption says nearly the same as the right ones.

    ``largest * (e^s - e^(s p)) / (e^s - 1)`` with ``p`` the prior and ``s`` the steepness (AMFMN, Yuan et
    al., TGRS 2022, arXiv 2204.09868, section III-D).

    Args:
        prior: ``(I, T)``, 0 to 1: how much each caption has in common with the captions of each image.
        largest: Margin where they have nothing in common.
        steepness: How late the margin falls.

    Returns:
        ``(I, T)``, from ``largest`` down to 0.
    """
    # Written with expm1 of -s, so that a large steepness does not overflow.
    falling = torch.exp(-steepness * (1 - prior)) - torch.exp(torch.as_tensor(-steepness, dtype=prior.dtype))
    whole = -torch.expm1(torch.as_tensor(-steepness, dtype=prior.dtype))
    return largest * (1 - falling / whole)
