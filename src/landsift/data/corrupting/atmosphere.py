"""Air and light between the ground and the sensor: haze, clouds with their shadows, a low sun, the season.

Each function takes a picture ``(H, W, 3)`` float32 in 0 to 1, a level and a source of chance, and gives a new
picture of that shape, which may leave 0 to 1. Knows numpy and Pillow's colour model; no severities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landsift.types import FloatArray

__all__ = ["cloud", "haze", "season", "smooth_field", "sun_angle"]

_AIR = 0.9
_WHITE = 0.95
_EDGE = 0.5  # of the cloud field's standard deviation: how wide a cloud's rim is
_SHADE = 0.5
_THROW = 0.12  # of the picture's side: how far from a cloud its shadow falls
_GREEN, _AROUND_GREEN = 110.0, 60.0  # degrees of hue: what counts as vegetation, fading to both sides


def smooth_field(height: int, width: int, falloff: float, rng: np.random.Generator) -> FloatArray:
    """A random field whose amplitude falls with frequency as ``1 / f ** falloff``: mean 0, deviation 1.

    Args:
        height: Rows.
        width: Columns.
        falloff: 1 is rugged, 3 is a slow change over the picture.
        rng: Source of chance.

    Returns:
        ``(height, width)`` float32.
    """
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf  # no mean
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / frequency**falloff
    field = np.fft.irfft2(spectrum, s=(height, width))
    found: FloatArray = (field / max(float(field.std()), 1e-12)).astype(np.float32)
    return found


def haze(image: FloatArray, clear: float, rng: np.random.Generator) -> FloatArray:
    """``I t + A (1 - t)`` with the share of light ``t`` about ``clear``, uneven over the picture."""
    height, width = image.shape[:2]
    uneven = 0.05 * smooth_field(height, width, 2.0, rng)
    share = np.clip(clear + uneven * (1 - clear), 0.02, 1)[:, :, None]
    return image * share + _AIR * (1 - share)


def cloud(image: FloatArray, cover: float, rng: np.random.Generator) -> FloatArray:
    """Clouds over ``cover`` of the ground, and the shadow that each throws to one side."""
    height, width = image.shape[:2]
    field = smooth_field(height, width, 1.7, rng)
    way = rng.uniform(0, 2 * np.pi)
    side = _THROW * min(height, width)
    aside = (round(side * np.sin(way)), round(side * np.cos(way)))
    veil = _veil(field, cover)
    shadow = np.roll(veil, aside, axis=(0, 1))
    return image * (1 - _SHADE * shadow) * (1 - veil) + _WHITE * veil


def _veil(field: FloatArray, cover: float) -> FloatArray:
    """``(H, W, 1)`` opacity, 0 to 1: half or more over ``cover`` of the field's highest places."""
    level = np.quantile(field, 1 - cover)
    rise = np.clip((field - level) / _EDGE + 0.5, 0, 1)
    return (rise * rise * (3 - 2 * rise))[:, :, None]


def sun_angle(image: FloatArray, level: tuple[float, float], rng: np.random.Generator) -> FloatArray:
    """A lower sun: ``k I ** gamma``, less light altogether and least where it was dark already."""
    light, gamma = level
    return light * image**gamma


def season(image: FloatArray, level: tuple[float, float], rng: np.random.Generator) -> FloatArray:
    """Vegetation turns: green hues move towards yellow and brown, and pale; nothing else changes.

    The level is the turn in degrees of hue, and the share of its saturation that green keeps.
    """
    turn, kept = level
    pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    hsv = np.asarray(Image.fromarray(pixels).convert("HSV")).astype(np.float32)
    hue = hsv[:, :, 0] * (360 / 255)
    green = np.clip(1 - np.abs(hue - _GREEN) / _AROUND_GREEN, 0, 1)
    hsv[:, :, 0] = (hue - turn * green) * (255 / 360)
    hsv[:, :, 1] *= 1 - (1 - kept) * green
    turned = Image.fromarray(np.rint(hsv).astype(np.uint8), "HSV").convert("RGB")
    change: NDArray[np.bool_] = (green > 0)[:, :, None]
    return np.where(change, np.asarray(turned, np.float32) / 255, image)
