"""Late interaction: words meet cells only when they are scored. Knows tokens and masks.

Cells and words are encoded each by themselves and can be stored; a pair costs one small matrix product. Kept
small by averaging neighbouring cells or keeping one bit a number.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import UsageError
from landsift.models.blocks.heads import by_images, unit
from landsift.models.registry import one_of

__all__ = [
    "INTERACTIONS",
    "PromptedPool",
    "colbert_scores",
    "filip_scores",
    "late_scores",
    "one_bit",
    "pooled_cells",
]

INTERACTIONS = ("colbert", "filip")


def colbert_scores(cells: Tensor, words: Tensor, mask: Tensor | None = None) -> Tensor:
    """The sum over words of the nearest cell's score (Khattab and Zaharia, SIGIR 2020, arXiv 2004.12832).

    Args:
        cells: ``(n, a, dim)``, of unit length for cosines.
        words: ``(m, b, dim)`` likewise.
        mask: ``(m, b)`` bool, True on real words; None where all are.

    Returns:
        ``(n, m)``.
    """
    return _by_blocks(cells, words, mask)[1]


def filip_scores(cells: Tensor, words: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Both scores of FILIP (Yao et al., ICLR 2022, arXiv 2111.07783, equations 3 to 5).

    Args:
        cells, words, mask: As for :func:`colbert_scores`.

    Returns:
        Image to text, the mean over cells of the nearest word's score, and text to image, the mean over words
        of the nearest cell's: ``(n, m)`` each.
    """
    by_cells, by_words = _by_blocks(cells, words, mask)
    counts = torch.full((len(words),), float(words.shape[1])) if mask is None else mask.sum(dim=1)
    return by_cells, by_words / counts.to(by_words)


def late_scores(kind: str, cells: Tensor, words: Tensor, mask: Tensor | None = None) -> Tensor:
    """One score a pair: ColBERT's, or the mean of FILIP's two.

    Raises:
        UsageError: No such kind.
    """
    if kind == "colbert":
        return colbert_scores(cells, words, mask)
    if kind == "filip":
        return torch.stack(filip_scores(cells, words, mask)).mean(dim=0)
    raise UsageError(f"There is no late interaction {kind!r}; {one_of(kind, INTERACTIONS)}")


def _by_blocks(cells: Tensor, words: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean over cells of the nearest word, sum over words of the nearest cell: ``(n, m)`` each."""
    length, count = words.shape[1], len(words)

    def block(rows: slice) -> Tensor:
        some = cells[rows]
        like = torch.einsum("iax,jbx->ijab", some, words)
        hidden = None if mask is None else ~mask[None, :, None, :]
        nearest_word = like if hidden is None else like.masked_fill(hidden, -torch.inf)
        nearest_cell = like.amax(dim=2)
        if mask is not None:
            nearest_cell = nearest_cell * mask[None]
        return torch.stack([nearest_word.amax(dim=3).mean(dim=2), nearest_cell.sum(dim=2)], dim=2)

    both = by_images(block, len(cells), count * length * cells.shape[1])
    return both[:, :, 0], both[:, :, 1]


def pooled_cells(cells: Tensor, side: int) -> Tensor:
    """Cells of a square grid averaged onto a coarser one, unit rows again.

    Args:
        cells: ``(n, h * h, dim)``, row by row.
        side: Of the new grid; a grid that is no finer stays.

    Raises:
        UsageError: The cells form no square grid.
    """
    before = round(cells.shape[1] ** 0.5)
    if before * before != cells.shape[1]:
        raise UsageError(f"{cells.shape[1]} cells form no square grid; leave them as they are (side 0).")
    if side >= before:
        return cells
    grid = cells.transpose(1, 2).unflatten(2, (before, before))
    return unit(functional.adaptive_avg_pool2d(grid, side).flatten(2).transpose(1, 2))


def one_bit(tokens: Tensor) -> Tensor:
    """Signs, scaled to length 1; the gradient is that of the tokens themselves (straight through).

    Args:
        tokens: ``(..., dim)``.
    """
    signs = torch.where(tokens >= 0, 1.0, -1.0).to(tokens) / tokens.shape[-1] ** 0.5
    return signs + (tokens - tokens.detach())


class PromptedPool(nn.Module):
    """The text prompts a mask, and the mask weighs the cells: RSRefSeg's global and local semantics as
    filters of the image's activations (Chen et al., 2025, arXiv 2501.06809; from the abstract), without the
    segmenter that refines them.

    A cell's weight is ``sigmoid(s (<cell, sentence> + max over words <cell, word>) + b)``; the score is the
    cosine of the weighted mean cell and the sentence. As ``|sum_a w_a c_a|^2`` is a quadratic form of the
    cells' Gram matrix, no vector of a pair is ever formed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sharpness, self.bias = nn.Parameter(torch.tensor(4.0)), nn.Parameter(torch.tensor(-1.0))

    def forward(self, cells: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Scores of all pairs.

        Args:
            cells: ``(n, a, dim)`` unit rows.
            sentence: ``(m, dim)`` unit rows.
            words: ``(m, b, dim)`` unit rows.
            mask: ``(m, b)`` bool.

        Returns:
            ``(n, m)``.
        """
        gram = cells @ cells.transpose(1, 2)

        def block(rows: slice) -> Tensor:
            whole = torch.einsum("iax,jx->ija", cells[rows], sentence)
            weights = self.weights(cells[rows], sentence, words, mask)
            along = (weights * whole).sum(dim=2)
            squared = (torch.einsum("ija,iab->ijb", weights, gram[rows]) * weights).sum(dim=2)
            return along / torch.sqrt(squared.clamp(min=0) + 1e-12)

        return by_images(block, len(cells), len(words) * words.shape[1] * cells.shape[1])

    def weights(self, cells: Tensor, sentence: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """The masks of all pairs, ``(n, m, a)`` from 0 to 1: where in an image a sentence is found."""
        like = torch.einsum("iax,jbx->ijab", cells, words)
        nearest = like.masked_fill(~mask[None, :, None, :], -torch.inf).amax(dim=3)
        whole = torch.einsum("iax,jx->ija", cells, sentence)
        return torch.sigmoid(self.sharpness * (whole + nearest) + self.bias)
