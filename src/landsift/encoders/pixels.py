"""How an image of any size becomes the square an image tower sees; the same in training and in use.

Knows Pillow and numpy; no models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from landsift.errors import UsageError
from landsift.types import Pixels

__all__ = ["FITS", "check_pixels", "fit_square", "resize_square"]

FITS = ("squash", "centre-crop", "pad")
"""How an image that is no square becomes one: squeezed; cut to its middle after its shorter side was resized;
or set into the middle of a black square after its longer side was."""


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


def fit_square(pixels: Pixels, size: int, fit: str) -> Pixels:
    """Make a square of an image as an encoder's card asks.

    Args:
        pixels: ``(H, W, 3)`` uint8.
        size: Side of the result.
        fit: Of :data:`FITS`. ``centre-crop`` is what CLIP was trained with (Radford et al., 2021): bicubic,
            and the middle of what is left over. ``pad`` is what open_clip calls ``longest``.

    Returns:
        ``(size, size, 3)`` uint8.

    Raises:
        UsageError: There is no such way.
    """
    if fit not in FITS:
        raise UsageError(f"No image is made square by {fit!r}; choose one of {', '.join(FITS)}.")
    if fit == "squash" or pixels.shape[0] == pixels.shape[1]:
        return resize_square(pixels, size)
    return (_padded if fit == "pad" else _cropped)(pixels, size)


def _cropped(pixels: Pixels, size: int) -> Pixels:
    """The middle of an image whose shorter side was made ``size``."""
    height, width = pixels.shape[:2]
    short = min(height, width)
    tall, wide = size * height // short, size * width // short
    resized = Image.fromarray(pixels)
    if short != size:
        resized = resized.resize((wide, tall), Image.Resampling.BICUBIC)
    left, top = round((wide - size) / 2), round((tall - size) / 2)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def _padded(pixels: Pixels, size: int) -> Pixels:
    """An image whose longer side was made ``size``, in the middle of a black square."""
    height, width = pixels.shape[:2]
    ratio = max(height, width) / size
    tall, wide = max(1, round(height / ratio)), max(1, round(width / ratio))
    resized = Image.fromarray(pixels).resize((wide, tall), Image.Resampling.BICUBIC)
    square = np.zeros((size, size, 3), np.uint8)
    top, left = (size - tall) // 2, (size - wide) // 2
    square[top : top + tall, left : left + wide] = np.asarray(resized)
    return square


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
