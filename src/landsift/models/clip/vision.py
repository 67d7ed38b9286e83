"""Vision transformers: patches in, one vector per image out.

CLIP's (Dosovitskiy et al., 2020, arXiv 2010.11929; Radford et al., 2021) with a class token and a projection,
and SigLIP's (Zhai et al., 2023) with attention pooling. Knows no text and no files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.clip.layers import AttentionPool, ResidualLayer, initialise
from landsift.models.clip.shapes import ImageShape
from landsift.models.clip.wavelengths import WavelengthPatches

__all__ = ["VisionTower"]


class VisionTower(nn.Module):
    """A vision transformer.

    Args:
        shape: Sizes.
        activate: Name of the activation.
        dim: Length of its vectors.

    Attributes:
        shape: As given.
    """

    def __init__(self, shape: ImageShape, activate: str, dim: int) -> None:
        super().__init__()
        self.shape = shape
        width, mapped = shape.width, shape.pool == "map"
        self.patches: nn.Module = (
            nn.Conv2d(shape.channels, width, shape.patch, shape.patch, bias=mapped)
            if shape.channels
            else WavelengthPatches(shape.patch, width)
        )
        tokens = shape.grid**2 + (not mapped)
        self.positions = nn.Parameter(torch.zeros(tokens, width))
        self.class_token = None if mapped else nn.Parameter(torch.zeros(width))
        self.norm_before: nn.Module = nn.Identity() if mapped else nn.LayerNorm(width, eps=shape.eps)
        sizes = (width, shape.heads, shape.feed_forward, activate, shape.eps)
        self.layers = nn.ModuleList(ResidualLayer(*sizes) for _ in range(shape.layers))
        self.norm_after: nn.Module = nn.LayerNorm(width, eps=shape.eps)
        self.pool = AttentionPool(*sizes) if mapped else None
        self.projection: nn.Module = nn.Identity() if mapped else nn.Linear(width, dim, bias=False)

    def initialise(self) -> None:
        """Random weights."""
        initialise(self)
        nn.init.normal_(self.positions, std=self.shape.width**-0.5)
        if self.class_token is not None:
            nn.init.normal_(self.class_token, std=self.shape.width**-0.5)

    def embedded(self, pixels: Tensor, wavelengths: Tensor | None = None) -> Tensor:
        """Standardised ``(n, bands, H, W)`` pixels to the ``(n, length, width)`` that the first layer
        reads."""
        if isinstance(self.patches, WavelengthPatches):
            x = self.patches(pixels, wavelengths)
        else:
            x = self.patches(pixels)
        grid = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        if self.class_token is not None:
            x = torch.cat([self.class_token.expand(len(x), 1, -1), x], dim=1)
        return self.norm_before(x + self._positions(grid))

    def tokens(self, pixels: Tensor, wavelengths: Tensor | None = None) -> Tensor:
        """The ``(n, length, width)`` states after the last layer, the class token first where there is
        one."""
        x = self.embedded(pixels, wavelengths)
        for layer in self.layers:
            x = layer(x)
        return x

    def pooled(self, tokens: Tensor) -> Tensor:
        """States of :meth:`tokens` to ``(n, dim)``, not normalised."""
        if self.pool is not None:
            return self.pool(self.norm_after(tokens))
        return self.projection(self.norm_after(tokens[:, 0]))

    def forward(self, pixels: Tensor, wavelengths: Tensor | None = None) -> Tensor:
        """Standardised ``(n, bands, H, W)`` pixels to ``(n, dim)``; ``wavelengths`` ``(bands,)`` in
        micrometres."""
        return self.pooled(self.tokens(pixels, wavelengths))

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """The trained positions; bent by bicubic interpolation where the image has another size."""
        own = self.shape.grid
        if grid == (own, own):
            return self.positions
        extra = len(self.positions) - own**2
        square = self.positions[extra:].T.reshape(1, -1, own, own)
        bent = functional.interpolate(square, grid, mode="bicubic", antialias=True, align_corners=False)
        return torch.cat([self.positions[:extra], bent.flatten(2)[0].T])
