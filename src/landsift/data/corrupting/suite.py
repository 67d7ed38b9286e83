"""The suite: every corruption by name, what its five severities mean, and the two doors that apply one.

What is drawn depends on the name of the picture (or the text itself), the corruption and the seed, and not on
the severity: of one picture the five severities are the same clouds, growing. Black (0, 0, 0) is read as no
data and stays so, but for what moves pixels.

The levels of the four noises are those of Hendrycks and Dietterich, ICLR 2019 (ImageNet-C); the suite covers
the perturbations of REOBench (2025) and more of overhead imagery; the other levels are its own.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from landsift.captions import is_blank
from landsift.data.corrupting.atmosphere import cloud, haze, season, sun_angle
from landsift.data.corrupting.geometry import gsd, motion_blur, rotate, scale, translate
from landsift.data.corrupting.sensor import (
    data_gap,
    gaussian_noise,
    impulse_noise,
    jpeg,
    misregistration,
    missing_band,
    shot_noise,
    speckle_noise,
    striping,
)
from landsift.data.corrupting.words import TEXT_NOISES
from landsift.errors import UsageError
from landsift.types import FloatArray, Pixels

__all__ = [
    "CORRUPTIONS",
    "SEVERITIES",
    "Corruption",
    "check_severities",
    "corrupt",
    "corrupt_text",
    "corruption_names",
    "family_of",
    "find_corruptions",
]

SEVERITIES = (1, 2, 3, 4, 5)
"""From slight to severe; 0 leaves things as they are."""
_TEXT = "text"


@dataclass(frozen=True)
class Corruption:
    """One way of spoiling a picture.

    Attributes:
        apply: Picture in 0 to 1, level and source of chance to the spoilt picture.
        levels: Of the severities 1 to 5.
        family: What it belongs to: air, light, sensor, resolution or geometry.
        meaning: What happens, and what the level is.
        moves: Whether pixels move, so that no data moves with them.
    """

    apply: Callable[[FloatArray, Any, np.random.Generator], FloatArray]
    levels: tuple[Any, Any, Any, Any, Any]
    family: str
    meaning: str
    moves: bool = False


CORRUPTIONS: Mapping[str, Corruption] = {
    "haze": Corruption(haze, (0.9, 0.75, 0.6, 0.45, 0.3), "air", "share of the ground's light that arrives"),
    "cloud": Corruption(cloud, (0.05, 0.1, 0.2, 0.35, 0.5), "air", "share of the ground under cloud"),
    "sun-angle": Corruption(
        sun_angle,
        ((0.9, 1.1), (0.75, 1.3), (0.6, 1.5), (0.45, 1.75), (0.3, 2.0)),
        "light",
        "light that is left, and gamma of the shadows",
    ),
    "season": Corruption(
        season,
        ((5, 0.95), (12, 0.85), (20, 0.75), (30, 0.6), (40, 0.45)),
        "light",
        "degrees of hue that green turns, and saturation it keeps",
    ),
    "gaussian-noise": Corruption(
        gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38), "sensor", "standard deviation"
    ),
    "shot-noise": Corruption(shot_noise, (60, 25, 12, 5, 3), "sensor", "photons of a white pixel"),
    "impulse-noise": Corruption(
        impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27), "sensor", "share of samples black or white"
    ),
    "speckle-noise": Corruption(
        speckle_noise, (0.15, 0.2, 0.35, 0.45, 0.6), "sensor", "standard deviation, as a share of the light"
    ),
    "striping": Corruption(striping, (0.02, 0.05, 0.1, 0.15, 0.25), "sensor", "spread of the columns' gains"),
    "data-gap": Corruption(data_gap, (0.02, 0.05, 0.1, 0.2, 0.3), "sensor", "share of the picture lost"),
    "missing-band": Corruption(missing_band, (0.5, 1.0, 1.5, 2.0, 2.5), "sensor", "bands lost, of three"),
    "misregistration": Corruption(
        misregistration, (0.5, 1.0, 2.0, 4.0, 8.0), "sensor", "pixels that two bands lie off", moves=True
    ),
    "gsd": Corruption(
        gsd, (1.5, 2.0, 3.0, 4.0, 6.0), "resolution", "times as large a pixel on the ground", moves=True
    ),
    "motion-blur": Corruption(
        motion_blur, (3, 5, 9, 15, 25), "resolution", "pixels moved during an exposure", moves=True
    ),
    "jpeg": Corruption(jpeg, (50, 25, 15, 10, 7), "resolution", "quality", moves=True),
    "rotate": Corruption(rotate, (15, 30, 45, 90, 180), "geometry", "degrees", moves=True),
    "scale": Corruption(
        scale, (0.9, 0.8, 0.7, 0.6, 0.5), "geometry", "share of each side that is seen", moves=True
    ),
    "translate": Corruption(
        translate, (0.05, 0.1, 0.15, 0.2, 0.25), "geometry", "share of its size that it moves", moves=True
    ),
}
"""Ways of spoiling a picture, by name."""


def corruption_names() -> tuple[str, ...]:
    """All names of the suite: those of pictures, then those of texts."""
    return (*CORRUPTIONS, *TEXT_NOISES)


def family_of(name: str) -> str:
    """The family of a name of the suite; ``text`` for those of texts."""
    return CORRUPTIONS[name].family if name in CORRUPTIONS else _TEXT


def find_corruptions(names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Names, or families' names, as names of the suite in its own order; the whole suite for None.

    Raises:
        UsageError: There is none of that name, or no name at all; the message lists or spells the right one.
    """
    known = corruption_names()
    if names is None:
        return known
    wanted = {name.strip() for name in names if name.strip()}
    families = {family_of(name) for name in known}
    for name in sorted(wanted - families - set(known)):
        close = difflib.get_close_matches(name, [*known, *families], n=1)
        remedy = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}."
        raise UsageError(f"There is no corruption {name!r}; {remedy}")
    if not wanted:
        raise UsageError(f"No corruption is named; there are {', '.join(known)}.")
    return tuple(name for name in known if name in wanted or family_of(name) in wanted)


def check_severities(severities: Sequence[float]) -> tuple[int, ...]:
    """The severities in order, each once.

    Raises:
        UsageError: None at all, or one that is not 1 to 5.
    """
    wrong = [severity for severity in severities if severity not in SEVERITIES]
    if wrong or not severities:
        said = f"got {wrong[0]:g}" if wrong else "got none"
        raise UsageError(f"Severities are whole numbers from 1 to 5, {said}; name some of these.")
    return tuple(sorted({int(severity) for severity in severities}))


def corrupt(pixels: Pixels, name: str, severity: int, *, key: str = "", seed: int = 0) -> Pixels:
    """Spoil a picture.

    Args:
        pixels: ``(H, W, 3)`` uint8; black (0, 0, 0) is no data.
        name: Of :data:`CORRUPTIONS`.
        severity: 0 (the picture itself) to 5.
        key: Name of the picture, which chance depends on.
        seed: Another seed spoils otherwise.

    Returns:
        ``(H, W, 3)`` uint8, a new array but for severity 0.

    Raises:
        UsageError: No such corruption or severity.
    """
    find_corruptions([name])
    if name not in CORRUPTIONS:
        raise UsageError(f"{name} spoils texts, not pictures; give it to corrupt_text.")
    if severity == 0:
        return pixels
    (level,) = check_severities([severity])
    row = CORRUPTIONS[name]
    found = row.apply(
        pixels.astype(np.float32) / np.float32(255), row.levels[level - 1], _chance(name, key, seed)
    )
    spoilt = np.rint(np.clip(found, 0, 1) * 255).astype(np.uint8)
    if not row.moves:
        spoilt[~pixels.any(axis=2)] = 0
    return spoilt


def corrupt_text(text: str, name: str, severity: int, *, seed: int = 0) -> str:
    """Spoil a text.

    Args:
        text: Anything; chance depends on it, so that equal captions are spoilt alike.
        name: Of :data:`~landsift.data.corrupting.words.TEXT_NOISES`.
        severity: 0 (the text itself) to 5.
        seed: Another seed spoils otherwise.

    Returns:
        The spoilt text; the text itself where nothing legible would be left.

    Raises:
        UsageError: No such noise or severity.
    """
    find_corruptions([name])
    if name not in TEXT_NOISES:
        raise UsageError(f"{name} spoils pictures, not texts; give it to corrupt.")
    if severity == 0:
        return text
    (level,) = check_severities([severity])
    noise = TEXT_NOISES[name]
    found = noise.apply(text, noise.levels[level - 1], _chance(name, text, seed))
    return text if is_blank(found) else found


def _chance(name: str, key: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}\0{name}\0{key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
