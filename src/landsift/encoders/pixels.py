"""How an image of any size becomes the square an image tower sees; the same in training and in use.

Knows Pillow and numpy; no models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from landsift.errors import UsageError
from landsift.types import Pixels

__all__ = ["check_pixels", "resize_square"]


def resize_square(pixels: Pixels, size: int) -> Pixels:
    """Squash an image to a square: bicubic, with antialiasing where it shrinks.

    Squashing keeps the whole ground in view; cropping would lose what lies at the border of a tile.

    Args:
        pixels: ``(H, W, 3)`` uint8.
        size: Side of the result.

    Returns:
        ``(size, size, 3)`` uint8.
    """
    if pixels.shape[:2] == (size, size):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))


def check_pixels(image: Any, position: int) -> Pixels:
    """The image as contiguous pixels, or say what is wrong with the one at ``position`` of the call.

    Raises:
        UsageError: Not an array, not uint8, not ``(H, W, 3)``, or without pixels.
    """
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise UsageError(
            f"Image {position} is {array.dtype} of shape {array.shape}; "
            f"give uint8 RGB of shape (height, width, 3)."
        )
    return np.ascontiguousarray(array)
