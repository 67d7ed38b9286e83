"""Training of encoders that judge pairs: right ones, and the wrong ones that look most right.

Knows features and scores; no single method.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.features import Features

__all__ = ["hard_pairs", "matching_loss", "ranking_loss"]


def hard_pairs(similarity: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """For each caption the wrong image, and for each image the wrong caption, that score most.

    Args:
        similarity: ``(I, T)``.
        positive: ``(I, T)`` bool.

    Returns:
        ``(T,)`` images and ``(I,)`` captions.
    """
    wrong = similarity.detach().masked_fill(positive, -torch.inf)
    return wrong.argmax(dim=0), wrong.argmax(dim=1)


def matching_loss(
    judged: Callable[[Features, Features], Tensor],
    batch: Batch,
    image: Features,
    text: Features,
    similarity: Tensor,
) -> Tensor:
    """Cross-entropy of a judge of pairs, on the right ones and on the hardest wrong ones (Li et al., 2021,
    ALBEF, arXiv 2107.07651, section 3.2).

    Args:
        judged: Features of ``n`` images and captions, row by row, to ``(n,)`` logits.
        batch: Says which pairs are right.
        image: Of ``I`` images.
        text: Of ``T`` captions.
        similarity: ``(I, T)`` what the wrong pairs are chosen by.

    Returns:
        Scalar: mean over all pairs that are judged.
    """
    images, captions = hard_pairs(similarity, batch.positive)
    every = torch.arange(len(image), device=similarity.device)
    rows = torch.cat([batch.image_row, images, every])
    columns = torch.cat([torch.arange(len(text), device=similarity.device)] * 2 + [captions])
    right = batch.positive[rows, columns].to(similarity.dtype)
    return functional.binary_cross_entropy_with_logits(judged(image.rows(rows), text.rows(columns)), right)


def ranking_loss(
    judged: Callable[[Features, Features], Tensor],
    batch: Batch,
    image: Features,
    text: Features,
    wrong: int,
) -> Tensor:
    """Cross-entropy of each caption's image among others drawn at random, as ViLT is tuned for retrieval (Kim
    et al., ICML 2021, arXiv 2102.03334, section 4.4).

    Args:
        judged: Features of ``n`` images and captions, row by row, to ``(n,)`` logits.
        batch: Says which pairs are right.
        image: Of ``I`` images.
        text: Of ``T`` captions.
        wrong: Others for each caption; at most ``I - 1``.

    Returns:
        Scalar: mean over captions.
    """
    # Pictures that a caption fits too are drawn only where nothing else is left, and then count for nothing.
    allowed = (~batch.positive.T).float() + 1e-6
    others = torch.multinomial(allowed, min(wrong, len(image) - 1))
    images = torch.cat([batch.image_row[:, None], others], dim=1)
    texts = torch.arange(len(text), device=images.device)[:, None].expand_as(images)
    logits = judged(image.rows(images.flatten()), text.rows(texts.flatten())).view(images.shape)
    fits = batch.positive.T.gather(1, others)
    logits = torch.cat([logits[:, :1], logits[:, 1:].masked_fill(fits, -torch.inf)], dim=1)
    return functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))
