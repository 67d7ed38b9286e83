"""Transformer layers as the CLIP family has them: normalised before attention and before the feed-forward
part.

Radford et al., 2021 (arXiv 2103.00020); attention pooling: Zhai et al., 2023 (arXiv 2303.15343). Knows
neither images nor text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["AttentionPool", "ResidualLayer", "activation", "initialise"]

_SHARPNESS = 1.702


def quick_gelu(x: Tensor) -> Tensor:
    """``x sigmoid(1.702 x)``, by way of SiLU, which is one kernel."""
    return functional.silu(_SHARPNESS * x) * (1 / _SHARPNESS)


def _tanh_gelu(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")


_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "quickgelu": quick_gelu,
    "gelu": functional.gelu,
    "gelu-tanh": _tanh_gelu,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function of a name of :data:`landsift.models.clip.shapes.ACTIVATIONS`."""
    return _ACTIVATIONS[name]


class ResidualLayer(nn.Module):
    """Self-attention, then a feed-forward part, each added to its input.

    Args:
        width: Length of a token's vector.
        heads: Attention heads; divides ``width``.
        hidden: Width of the feed-forward part.
        activate: Name of its activation.
        eps: Added to the variance in layer norms.
    """

    def __init__(self, width: int, heads: int, hidden: int, activate: str, eps: float) -> None:
        super().__init__()
        self.heads, self.activate = heads, activation(activate)
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        """``(n, length, width)`` to the same; ``causal`` lets a token see only those before it."""
        x = x + self.attended(self._attend(self.norm1(x), causal))
        return x + self.narrow(self.activate(self.widen(self.norm2(x))))

    def _attend(self, x: Tensor, causal: bool) -> Tensor:
        n, length, width = x.shape
        parts = self.query_key_value(x).view(n, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        y = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        return y.transpose(1, 2).reshape(n, length, width)


class AttentionPool(nn.Module):
    """One trained question to all tokens, and a feed-forward part on the answer (SigLIP)."""

    def __init__(self, width: int, heads: int, hidden: int, activate: str, eps: float) -> None:
        super().__init__()
        self.heads, self.activate = heads, activation(activate)
        self.probe = nn.Parameter(torch.zeros(1, 1, width))
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.attended = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, length, width)`` to ``(n, width)``."""
        n, length, width = x.shape
        query = self.query(self.probe).view(1, 1, self.heads, -1).transpose(1, 2).expand(n, -1, -1, -1)
        parts = self.key_value(x).view(n, length, 2, self.heads, width // self.heads)
        key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        y = functional.scaled_dot_product_attention(query, key, value).reshape(n, width)
        y = self.attended(y)
        return y + self.narrow(self.activate(self.widen(self.norm(y))))


@torch.no_grad()
def initialise(module: nn.Module) -> None:
    """Random weights to train from: small normal matrices, shrunk where layers add up (Radford et al.,
    2021)."""
    layers = [part for part in module.modules() if isinstance(part, ResidualLayer)]
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=part.in_features**-0.5)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=0.02)
        elif isinstance(part, AttentionPool):
            nn.init.normal_(part.probe, std=part.probe.shape[-1] ** -0.5)
    for layer in layers:
        for last in (layer.attended, layer.narrow):
            last.weight.mul_((2 * len(layers)) ** -0.5)
