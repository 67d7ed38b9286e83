"""One transformer over the cells of an image and the words of a caption, run for each pair. Knows tokens
only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from landsift.models.blocks.attention import SelfAttention
from landsift.models.blocks.heads import by_images
from landsift.models.features import Features

__all__ = ["JointEncoder"]


class JointEncoder(nn.Module):
    """Judges pairs, as ViLT does (Kim et al., ICML 2021, arXiv 2102.03334).

    Args:
        dim: Of cells and words.
        layers: How many.
        refine: What cells pass before each layer; nothing where there are fewer than layers.
    """

    def __init__(self, dim: int, layers: int, refine: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.kinds = nn.Parameter(0.02 * torch.randn(2, dim))
        self.layers = nn.ModuleList(SelfAttention(dim, dropout=0.0) for _ in range(layers))
        self.refine = nn.ModuleList(refine)
        self.norm, self.judge = nn.LayerNorm(dim), nn.Linear(dim, 1)

    def forward(self, cells: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """``(n, a, dim)``, ``(n, b, dim)`` and ``(n, b)``, row by row, to ``(n,)`` logits."""
        count = words.shape[1]
        x = torch.cat([words + self.kinds[0], cells + self.kinds[1]], dim=1)
        real = torch.cat([mask, mask.new_ones(cells.shape[:2])], dim=1)
        for number, layer in enumerate(self.layers):
            if number < len(self.refine):
                x = torch.cat([x[:, :count], self.refine[number](x[:, count:])], dim=1)
            x = layer(x, real)
        return self.judge(self.norm(x[:, 0]))[:, 0]

    def rows(self, image: Features, text: Features) -> Tensor:
        """Logits of images and captions row by row: ``(n,)``."""
        assert image.tokens is not None and text.tokens is not None and text.mask is not None
        return self(image.tokens, text.tokens, text.mask)

    def pairs(self, image: Features, text: Features) -> Tensor:
        """Logits of every image with every caption: ``(n, m)``."""
        cells, words, mask = image.tokens, text.tokens, text.mask
        assert cells is not None and words is not None and mask is not None

        def block(rows: slice) -> Tensor:
            some, many = cells[rows], len(words)
            logits = self(
                some.repeat_interleave(many, dim=0),
                words.repeat(len(some), 1, 1),
                mask.repeat(len(some), 1),
            )
            return logits.view(len(some), many)

        tokens = cells.shape[1] + words.shape[1]
        return by_images(block, len(cells), 4 * len(words) * tokens * cells.shape[2])
