"""Where clouds and their shadows hide the ground, from brightness and whiteness alone.

In 8-bit scenes, cloud is what is bright in all three shown bands by their own values, and nearly without
colour. Wider samples have no such scale, so there cloud must also outshine the middle of its scene threefold:
a scene that is cloud for the most part is then not recognised by its look. Dark ground counts as shadow only
beside cloud in the same tile, since water is as dark; dark water there goes with the cloud. Snow, salt and
white roofs pass for cloud, thin haze does not: no thermal band, no sensor's own mask is asked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landsift.scenes import Scene, SceneProfile
from landsift.types import Pixels, Window

__all__ = ["HIDDEN", "hidden_shares", "unclipped"]

HIDDEN = 0.3
"""Share of a tile under cloud or shadow from which it is left out."""

_BRIGHT, _DARK = 200, 40  # of 255, in 8-bit scenes
_WHITE = 30  # largest difference between bands
_OUTSHINES = 3.0  # times the middle brightness of the scene, in others
_LEAST_BRIGHT = 90  # of 127, where the scene's own 98th percentile lies in the picture that is looked at
_CLOUD_BESIDE_SHADOW = 0.1
_LONGEST_SIDE = 2048
_LEAST_PIXELS = 12  # of a tile's side in the picture that is looked at
Stretch = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


def unclipped(profile: SceneProfile) -> Stretch:
    """A stretch with room above the scene's own: 8-bit samples as they are, others at half brightness."""
    if profile.dtype == "uint8":
        return ((0.0, 255.0), (0.0, 255.0), (0.0, 255.0))
    red, green, blue = ((low, low + 2 * (high - low)) for low, high in profile.stretch)
    return red, green, blue


def hidden_shares(scene: Scene, windows: NDArray[np.integer]) -> NDArray[np.float64]:
    """The share of each window that clouds and their shadows hide.

    The scene is read once, at no more than 2048 pixels a side unless its tiles would shrink to nothing.

    Args:
        scene: Opened with the stretch that :func:`unclipped` gives.
        windows: ``(n, 4)`` col, row, width, height in native pixels.

    Returns:
        ``(n,)`` 0 to 1.

    Raises:
        SceneError: The file is damaged.
    """
    width, height = scene.profile.width, scene.profile.height
    shrink = max(_LONGEST_SIDE / max(width, height), _LEAST_PIXELS / float(windows[:, 2:].min()))
    shrink = min(1.0, shrink)
    size = max(1, round(height * shrink)), max(1, round(width * shrink))
    picture, _ = scene.read(Window(0, 0, width, height), size)
    boxes = np.column_stack([windows[:, :2], windows[:, :2] + windows[:, 2:]])
    boxes = boxes * ([size[1] / width, size[0] / height] * 2)
    masks = _cloud_and_dark(picture, scene.profile.dtype == "uint8")
    cloud, dark = (_shares(mask, boxes) for mask in masks)
    return np.where(cloud >= _CLOUD_BESIDE_SHADOW, cloud + dark, cloud)


def _cloud_and_dark(picture: Pixels, eight_bit: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    low, high = picture.min(axis=2), picture.max(axis=2)
    bright = float(_BRIGHT) if eight_bit else max(_LEAST_BRIGHT, _OUTSHINES * float(np.median(high)))
    return (low >= bright) & (high - low <= _WHITE), high <= _DARK * bright / _BRIGHT


def _shares(mask: NDArray[np.bool_], boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean of a mask over boxes (left, top, right, bottom), by its summed-area table."""
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int64)
    table[1:, 1:] = mask.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    limits = np.array([mask.shape[1], mask.shape[0]] * 2)
    left, top, right, bottom = np.clip(np.round(boxes).astype(np.int64), 0, limits).T
    right, bottom = (
        np.maximum(right, left + 1).clip(max=limits[0]),
        np.maximum(bottom, top + 1).clip(max=limits[1]),
    )
    total = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    return total / np.maximum((right - left) * (bottom - top), 1)
