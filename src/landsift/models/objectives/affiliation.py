"""Contrast with the scene, not with the single other: the affiliation loss. Knows vectors and classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["affiliation"]


def affiliation(
    image: Tensor, text: Tensor, labels: Tensor, image_row: Tensor, *, temperature: float = 0.07
) -> Tensor:
    """Draw each image to the captions' centre of its scene, and each caption to the images' centre.

    Pan et al., 2023 (PIR, ACM MM, doi 10.1145/3581783.3612374), with one centre for each scene of the batch
    and the scene as the target: in the paper every sample brings the centre of its scene, so that equal
    centres are negatives of each other.

    Args:
        image: ``(I, dim)``; scaled to length 1 here.
        text: ``(T, dim)``; likewise.
        labels: ``(I,)`` int64 scene, -1 where unknown; those take no part.
        image_row: ``(T,)`` int64 image of each caption.
        temperature: Of both softmaxes.

    Returns:
        Scalar: mean of the two directions; 0 if the batch holds fewer than two known scenes.
    """
    scenes = labels[labels >= 0].unique()
    if len(scenes) < 2:
        return (image.sum() + text.sum()) * 0
    of_text = labels[image_row]
    total = image.new_zeros(())
    for rows, own, others, their in ((image, labels, text, of_text), (text, of_text, image, labels)):
        centres = _centres(functional.normalize(others, dim=1), their, scenes)
        known = own >= 0
        logits = functional.normalize(rows[known], dim=1) @ centres.T / temperature
        total = total + functional.cross_entropy(logits, torch.searchsorted(scenes, own[known]))
    return total / 2


def _centres(rows: Tensor, labels: Tensor, scenes: Tensor) -> Tensor:
    """Mean direction of the rows of each scene: ``(scenes, dim)``, length 1."""
    member = (labels[None, :] == scenes[:, None]).to(rows.dtype)
    return functional.normalize(member @ rows, dim=1)
