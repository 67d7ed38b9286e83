"""A dual encoder: an image tower and a text tower, each with a linear projection into one space.

Radford et al., 2021 (arXiv 2103.00020) is the pattern. Knows nothing of files, data or losses.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.text import BertTower
from landsift.models.towers import EfficientNetLite, normalise_pixels

__all__ = ["DualEncoder"]

START_TEMPERATURE, COLDEST_TEMPERATURE = 0.05, 0.01


class DualEncoder(nn.Module):
    """Images and texts as unit rows of one space, compared by inner product.

    Args:
        image_tower: Gives ``(n, 1280)`` features.
        text_tower: Gives ``(m, width)`` features.
        dim: Length of the shared vectors.
        dropout: Share of image features hidden in training.
    """

    def __init__(
        self, image_tower: EfficientNetLite, text_tower: BertTower, dim: int = 384, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.image_tower, self.text_tower = image_tower, text_tower
        self.image_dropout = nn.Dropout(dropout)
        self.image_projection = nn.Linear(image_tower.width, dim)
        self.text_projection = nn.Linear(text_tower.config.width, dim)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(START_TEMPERATURE)))
        if text_tower.config.width == dim:
            # Text features are already good for comparing sentences; training starts from them as they are.
            nn.init.eye_(self.text_projection.weight)
            nn.init.zeros_(self.text_projection.bias)

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by before a softmax: one over the temperature, bounded."""
        return self.log_scale.clamp(max=-math.log(COLDEST_TEMPERATURE)).exp()

    def project_images(self, features: Tensor) -> Tensor:
        """``(n, 1280)`` tower features to ``(n, dim)`` unit rows."""
        return functional.normalize(self.image_projection(self.image_dropout(features)), dim=1)

    def project_texts(self, features: Tensor) -> Tensor:
        """``(m, width)`` tower features to ``(m, dim)`` unit rows."""
        return functional.normalize(self.text_projection(features), dim=1)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """``(n, 3, H, W)`` RGB from 0 to 255, any dtype, to ``(n, dim)`` unit rows."""
        return self.project_images(self.image_tower(normalise_pixels(pixels.float())))

    def encode_texts(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """``(m, length)`` token ids to ``(m, dim)`` unit rows; ``mask`` is True on real tokens."""
        return self.project_texts(self.text_tower(tokens, mask))
