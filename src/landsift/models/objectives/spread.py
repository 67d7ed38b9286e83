"""How evenly vectors lie on the sphere. Knows vectors of one modality only."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["uniformity"]


def uniformity(rows: Tensor, *, sharpness: float = 2.0, logarithm: bool = True) -> Tensor:
    """Mean of ``exp(-sharpness * squared distance)`` over pairs of rows, small when they spread out.

    With the logarithm it is Wang and Isola, 2020 (arXiv 2005.10242, section 4.1.2); without, the term of
    HVSA (Zhang et al., TGRS 2023).

    Args:
        rows: ``(n, dim)``; scaled to length 1 here.
        sharpness: How fast far pairs stop to matter.
        logarithm: Take the logarithm of the mean.

    Returns:
        Scalar; 0 for fewer than two rows.
    """
    if len(rows) < 2:
        return rows.sum() * 0
    unit = functional.normalize(rows, dim=1)
    above = torch.triu_indices(len(rows), len(rows), offset=1, device=rows.device)
    squared = 2 - 2 * (unit @ unit.T)[above[0], above[1]]
    powers = -sharpness * squared
    if logarithm:
        return torch.logsumexp(powers, dim=0) - math.log(len(powers))
    return powers.exp().mean()
