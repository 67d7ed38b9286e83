"""Pictures from above, and photographs taken on the ground in them: GRAFT's losses. Knows tensors only."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from landsift.models.objectives.info_nce import spread_cross_entropy

__all__ = ["cells_at", "ground_contrast"]


def ground_contrast(rows: Tensor, photos: Tensor, own: Tensor, *, temperature: float = 0.07) -> Tensor:
    """Find, among all photographs of a batch, those of one's own place.

    Mall et al., GRAFT, ICLR 2024 (arXiv 2312.06960): the image-level loss with images as rows, the
    pixel-level one with cells. The target is spread evenly over a row's own photographs. Only rows learn;
    photographs are as their encoder, which is frozen, sees them.

    Args:
        rows: ``(r, dim)``; scaled to length 1 here.
        photos: ``(p, dim)``; likewise. No gradient flows into them.
        own: ``(r, p)`` bool, which photographs are of which row's place; rows without any take no part.
        temperature: Of the softmax over photographs.

    Returns:
        Scalar: mean over rows; 0 if no row has a photograph, or there is only one photograph.
    """
    known = own.any(dim=1)
    if not known.any() or len(photos) < 2:
        return rows.sum() * 0
    near = functional.normalize(rows[known], dim=1) @ functional.normalize(photos.detach(), dim=1).T
    return spread_cross_entropy(near / temperature, own[known])


def cells_at(tokens: Tensor, image: Tensor, places: Tensor) -> Tensor:
    """The cells of square grids in which places lie.

    Args:
        tokens: ``(n, side * side, width)`` cells, row by row.
        image: ``(p,)`` int64 which image each place is in.
        places: ``(p, 2)`` from 0 to 1: across from the left, down from the top.

    Returns:
        ``(p, width)``.
    """
    side = round(tokens.shape[1] ** 0.5)
    column, row = (places.clamp(0, 1) * side).long().clamp(max=side - 1).unbind(dim=1)
    return tokens[image, row * side + column]
