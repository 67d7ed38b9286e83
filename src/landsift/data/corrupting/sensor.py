"""What a sensor and its ground segment do wrong: noise, stripes, gaps, lost and shifted bands, hard coding.

Each function takes a picture ``(H, W, 3)`` float32 in 0 to 1, a level and a source of chance, and gives a new
picture of that shape, which may leave 0 to 1. Draws do not depend on the level, so that a higher level is the
same fault, stronger. Knows no severities.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from landsift.types import FloatArray

__all__ = [
    "data_gap",
    "gaussian_noise",
    "impulse_noise",
    "jpeg",
    "misregistration",
    "missing_band",
    "shot_noise",
    "speckle_noise",
    "striping",
]

_PERIOD = 0.22  # of the height: from one gap to the next
_SLANT = 0.14  # rows a gap climbs per column


def gaussian_noise(image: FloatArray, deviation: float, rng: np.random.Generator) -> FloatArray:
    """Noise of the same strength everywhere."""
    return image + deviation * rng.standard_normal(image.shape, np.float32)


def shot_noise(image: FloatArray, photons: float, rng: np.random.Generator) -> FloatArray:
    """Counting noise: a white pixel is ``photons`` photons on average."""
    found: FloatArray = (rng.poisson(np.clip(image, 0, 1) * photons) / photons).astype(np.float32)
    return found


def impulse_noise(image: FloatArray, share: float, rng: np.random.Generator) -> FloatArray:
    """A share of the samples is black or white."""
    chance = rng.random(image.shape, np.float32)
    white = rng.random(image.shape, np.float32) < 0.5
    return np.where(chance < share, white.astype(np.float32), image)


def speckle_noise(image: FloatArray, deviation: float, rng: np.random.Generator) -> FloatArray:
    """Noise in proportion to the light, as radar has it."""
    return image * (1 + deviation * rng.standard_normal(image.shape, np.float32))


def striping(image: FloatArray, spread: float, rng: np.random.Generator) -> FloatArray:
    """Every column has a detector of its own: gain about 1 by ``spread``, offset about 0 by half of it."""
    shape = (1, image.shape[1], image.shape[2])
    gain = 1 + spread * rng.standard_normal(shape, np.float32)
    return image * gain + 0.5 * spread * rng.standard_normal(shape, np.float32)


def data_gap(image: FloatArray, share: float, rng: np.random.Generator) -> FloatArray:
    """Slanted wedges without data, closed in the middle and widest at both sides, as of a stuck scan mirror.

    Landsat 7 lost about 22 % of each scene so, from May 2003 on.
    """
    height, width = image.shape[:2]
    period = max(8.0, _PERIOD * height)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    along = (rows + _SLANT * columns + rng.uniform(0, period)) % period
    aside = np.abs(columns - (width - 1) / 2) / max((width - 1) / 2, 1)
    lost = np.abs(along - period / 2) < share * period * aside
    return image * ~lost[:, :, None]


def missing_band(image: FloatArray, lost: float, rng: np.random.Generator) -> FloatArray:
    """``lost`` of three bands fade to their means: 1.5 is one band gone and half of another."""
    order = rng.permutation(image.shape[2])
    found = image.copy()
    for place, band in enumerate(order.tolist()):
        share = min(max(lost - place, 0.0), 1.0)
        found[:, :, band] += share * (image[:, :, band].mean() - image[:, :, band])
    return found


def misregistration(image: FloatArray, pixels: float, rng: np.random.Generator) -> FloatArray:
    """The first and last band lie ``pixels`` off the middle one, in opposite directions."""
    way = rng.uniform(0, 2 * np.pi)
    down, right = pixels * np.sin(way), pixels * np.cos(way)
    found = image.copy()
    found[:, :, 0] = _shifted(_shifted(image[:, :, 0], down).T, right).T
    found[:, :, -1] = _shifted(_shifted(image[:, :, -1], -down).T, -right).T
    return found


def _shifted(band: FloatArray, rows: float) -> FloatArray:
    """A band moved by a fraction of rows, linear in between; its edge is repeated."""
    places = np.clip(np.arange(len(band)) - rows, 0, len(band) - 1)
    before = np.floor(places).astype(np.int64)
    after = np.minimum(before + 1, len(band) - 1)
    share = (places - before).astype(np.float32)[:, None]
    return band[before] * (1 - share) + band[after] * share


def jpeg(image: FloatArray, quality: int, rng: np.random.Generator) -> FloatArray:
    """Once through a JPEG file of that quality."""
    pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as read:
        return np.asarray(read, np.float32) / np.float32(255)
