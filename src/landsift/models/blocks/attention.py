"""Attention blocks: multi-head, self and guided (B6), gated (B7), external. Knows lists of tokens only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "Attention",
    "ExternalAttention",
    "FeedForward",
    "GatedAttention",
    "GuidedAttention",
    "SelfAttention",
]


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al., 2017, arXiv 1706.03762). Keys have no bias: it would do nothing.

    Args:
        width: Of the tokens.
        heads: Divides ``width``.
        dropout: Share of attention weights hidden in training.
    """

    def __init__(self, width: int, heads: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, memory: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """``(n, a, width)`` queries to the same.

        Args:
            x: Queries.
            memory: ``(n, b, width)`` what is looked at; ``x`` itself when None.
            mask: ``(n, b)`` bool, True on real tokens of what is looked at.
        """
        memory = x if memory is None else memory
        query, key, value = self._split(self.query(x)), self._split(self.key(memory)), self.value(memory)
        y = functional.scaled_dot_product_attention(
            query,
            key,
            self._split(value),
            attn_mask=None if mask is None else mask[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out(y.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Two linear maps with a GELU between."""

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))


class SelfAttention(nn.Module):
    """Attention to itself and a feed-forward map, each normalised after the sum (B6, "SA")."""

    def __init__(self, width: int, heads: int = 8, hidden: int = 0, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.feed = FeedForward(width, hidden or 2 * width, dropout)
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """``(n, a, width)`` to the same; ``mask`` is True on real tokens."""
        x = self.first_norm(x + self.dropout(self.attention(x, mask=mask)))
        return self.second_norm(x + self.dropout(self.feed(x)))


class GuidedAttention(nn.Module):
    """Attention to itself, then to another list, then a feed-forward map (B6, "SGA")."""

    def __init__(self, width: int, heads: int = 8, hidden: int = 0, dropout: float = 0.1) -> None:
        super().__init__()
        self.own, self.other = Attention(width, heads, dropout), Attention(width, heads, dropout)
        self.feed = FeedForward(width, hidden or 2 * width, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, memory: Tensor, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        """``(n, a, width)`` guided by ``memory`` ``(n, b, width)``, to the same."""
        x = self.norms[0](x + self.dropout(self.own(x, mask=mask)))
        x = self.norms[1](x + self.dropout(self.other(x, memory, memory_mask)))
        return self.norms[2](x + self.dropout(self.feed(x)))


class GatedAttention(nn.Module):
    """Self-attention whose queries and keys are gated by each other (B7; SWAN, Pan et al., ICMR 2023).

    With ``G = Wq q * Wk k`` and ``M = sigmoid(Wg G)``, both are multiplied by their half of ``M``. Padding is
    masked here, and scores are divided, not floor-divided.
    """

    def __init__(self, width: int, heads: int = 2) -> None:
        super().__init__()
        self.heads, part = heads, width // heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.query_mix, self.key_mix = nn.Linear(part, part), nn.Linear(part, part)
        self.gate = nn.Linear(part, 2 * part)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(n, length, width)`` to the same; ``mask`` is True on real tokens."""
        query, key, value = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        gate = torch.sigmoid(self.gate(self.query_mix(query) * self.key_mix(key)))
        query_gate, key_gate = gate.chunk(2, dim=-1)
        y = functional.scaled_dot_product_attention(
            query * query_gate, key * key_gate, value, attn_mask=mask[:, None, None, :]
        )
        return y.transpose(1, 2).flatten(2)


class ExternalAttention(nn.Module):
    """Cells that look at a few learned memories (HVSA's key-entity attention; Guo et al., arXiv 2105.02358).

    Weights are a softmax over cells, then shares over the memories. Added to the map after a batch norm.
    """

    def __init__(self, channels: int, memories: int = 64) -> None:
        super().__init__()
        self.before, self.after = (
            nn.Conv2d(channels, channels, 1),
            nn.Conv2d(channels, channels, 1, bias=False),
        )
        self.keys = nn.Parameter(torch.randn(memories, channels) / memories**0.5)
        self.values = nn.Parameter(self.keys.detach().T.clone())
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w)`` to the same."""
        weights = torch.softmax(self.keys @ self.before(x).flatten(2), dim=2)
        weights = weights / (1e-9 + weights.sum(dim=1, keepdim=True))
        y = (self.values @ weights).view_as(x)
        return functional.relu(x + self.norm(self.after(y)))
