"""Coarser, blurred, turned, enlarged or shifted pictures: what another pass of the sensor would see.

Each function takes a picture ``(H, W, 3)`` float32 in 0 to 1, a level and a source of chance, and gives a new
picture of that shape, which may leave 0 to 1. What a turn or a shift brings into view is the picture
mirrored at its edge, so that no black corner gives the change away. Knows no severities.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageFilter

from landsift.types import FloatArray, Pixels

__all__ = ["gsd", "motion_blur", "rotate", "scale", "translate"]

_SPREAD = 0.42  # of a coarse pixel: the width of its point spread


def gsd(image: FloatArray, factor: float, rng: np.random.Generator) -> FloatArray:
    """Pixels of the ground ``factor`` times as large, enlarged to the old number again."""
    height, width = image.shape[:2]
    picture = _picture(image).filter(ImageFilter.GaussianBlur(_SPREAD * factor))
    coarse = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = picture.resize(coarse, Image.Resampling.BOX)
    return _floats(small.resize((width, height), Image.Resampling.BICUBIC))


def motion_blur(image: FloatArray, pixels: int, rng: np.random.Generator) -> FloatArray:
    """The platform moves ``pixels`` while a pixel is taken, along the rows or along the columns."""
    axis = int(rng.integers(2))
    before, after = (pixels - 1) // 2, pixels // 2
    pad = [(0, 0)] * 3
    pad[axis] = (before + 1, after)
    sums = np.cumsum(np.pad(image, pad, mode="edge"), axis=axis, dtype=np.float64)
    length = image.shape[axis]
    upper = sums.take(range(pixels, pixels + length), axis=axis)
    lower = sums.take(range(length), axis=axis)
    found: FloatArray = ((upper - lower) / pixels).astype(np.float32)
    return found


def rotate(image: FloatArray, degrees: float, rng: np.random.Generator) -> FloatArray:
    """Turned about the middle, one way or the other."""
    height, width = image.shape[:2]
    margin = math.ceil((math.hypot(height, width) - min(height, width)) / 2) + 2
    wide = Image.fromarray(_mirrored(_pixels(image), margin))
    angle = degrees if rng.random() < 0.5 else -degrees
    turned = wide.rotate(angle, Image.Resampling.BICUBIC)
    return _floats(turned.crop((margin, margin, margin + width, margin + height)))


def scale(image: FloatArray, kept: float, rng: np.random.Generator) -> FloatArray:
    """The middle ``kept`` of each side, enlarged to the whole."""
    height, width = image.shape[:2]
    left, upper = (1 - kept) / 2 * width, (1 - kept) / 2 * height
    box = (left, upper, width - left, height - upper)
    return _floats(_picture(image).resize((width, height), Image.Resampling.BICUBIC, box=box))


def translate(image: FloatArray, share: float, rng: np.random.Generator) -> FloatArray:
    """Moved by ``share`` of its size, to any side."""
    height, width = image.shape[:2]
    way = rng.uniform(0, 2 * np.pi)
    down, right = round(share * height * math.sin(way)), round(share * width * math.cos(way))
    margin = max(abs(down), abs(right))
    wide = _mirrored(image, margin)
    return wide[margin - down : margin - down + height, margin - right : margin - right + width]


def _mirrored(image: np.ndarray, margin: int) -> np.ndarray:
    return np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")


def _pixels(image: FloatArray) -> Pixels:
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _picture(image: FloatArray) -> Image.Image:
    return Image.fromarray(_pixels(image))


def _floats(picture: Image.Image) -> FloatArray:
    return np.asarray(picture, np.float32) / np.float32(255)
