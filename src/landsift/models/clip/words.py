"""Text towers of the CLIP family: token numbers in, one vector per text out.

CLIP's causal one (Radford et al., 2021), Long-CLIP's with a second table of positions (Zhang et al., 2024,
arXiv 2403.15378), SigLIP's (Zhai et al., 2023), and RoBERTa's on the BERT-style tower of the zoo (Conneau et
al., 2020, arXiv 1911.02116). Knows no tokenizers and no images.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from landsift.models.clip.layers import ResidualLayer, initialise
from landsift.models.clip.shapes import TextShape
from landsift.models.text import BertTower, TextConfig

__all__ = ["ClipTextTower", "RobertaTextTower"]

_KEPT_POSITIONS = 20
"""Long-CLIP leaves these first positions as CLIP had them and stretches the others."""


class ClipTextTower(nn.Module):
    """A pre-norm transformer: causal and summed up in the end mark, or padded and summed up in the last
    position.

    Args:
        shape: Sizes; its kind is ``clip``, ``long`` or ``siglip``.
        activate: Name of the activation.
        dim: Length of its vectors.
    """

    def __init__(self, shape: TextShape, activate: str, dim: int) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.words = nn.Embedding(shape.vocabulary, width)
        self.positions = nn.Parameter(torch.zeros(shape.context, width))
        self.stretched = nn.Parameter(torch.zeros(shape.context, width)) if shape.kind == "long" else None
        sizes = (width, shape.heads, shape.feed_forward, activate, shape.eps)
        self.layers = nn.ModuleList(ResidualLayer(*sizes) for _ in range(shape.layers))
        self.norm_after = nn.LayerNorm(width, eps=shape.eps)
        self.projection = nn.Linear(width, dim, bias=shape.kind == "siglip")

    @property
    def causal(self) -> bool:
        """Whether a token sees only those before it."""
        return self.shape.kind != "siglip"

    def initialise(self) -> None:
        """Random weights."""
        initialise(self)
        for table in (self.positions, self.stretched):
            if table is not None:
                nn.init.normal_(table, std=0.01)

    def states(self, tokens: Tensor) -> Tensor:
        """``(n, length)`` token numbers to normalised states ``(n, length, width)``."""
        x = self.words(tokens) + self._positions(tokens.shape[1])
        for layer in self.layers:
            x = layer(x, self.causal)
        return self.norm_after(x)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """``(n, length)`` token numbers to ``(n, dim)``; ``mask`` is True up to the end mark."""
        states = self.states(tokens)
        last = mask.sum(dim=1) - 1 if self.causal else torch.full_like(tokens[:, 0], tokens.shape[1] - 1)
        rows = torch.arange(len(states), device=states.device)
        return self.projection(states[rows, last])

    def _positions(self, length: int) -> Tensor:
        if self.stretched is None:
            return self.positions[:length]
        kept = min(length, _KEPT_POSITIONS)
        return torch.cat([self.positions[:kept], self.stretched[kept:length]])


class RobertaTextTower(nn.Module):
    """A RoBERTa whose mean over tokens is mapped by two linear layers.

    Args:
        shape: Sizes; its kind is ``roberta``.
        dim: Length of its vectors.
    """

    def __init__(self, shape: TextShape, dim: int) -> None:
        super().__init__()
        self.shape = shape
        config = TextConfig(
            shape.vocabulary,
            shape.width,
            shape.layers,
            shape.heads,
            shape.feed_forward,
            shape.context,
            shape.eps,
        )
        self.tower = BertTower(config)
        middle = (shape.width + dim) // 2
        self.projection = nn.Sequential(
            nn.Linear(shape.width, middle, bias=False), nn.GELU(), nn.Linear(middle, dim, bias=False)
        )

    def initialise(self) -> None:
        """Random weights."""
        initialise(self)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """``(n, length)`` token numbers to ``(n, dim)``; ``mask`` is True on real tokens."""
        return self.projection(self.tower(tokens, mask))
