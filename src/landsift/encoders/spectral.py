"""Which bands of a scene an encoder reads: by their names or by their wavelengths.

Pure choice on what a card asks for and a raster says of itself. Knows no rasters and no models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import EncoderError, SceneError, UsageError
from landsift.types import EncoderCard, Spectra

__all__ = [
    "SENTINEL_2",
    "ChosenBands",
    "SpectralNeed",
    "check_bands",
    "choose_bands",
    "refuse_pictures",
    "scaled_samples",
    "spectral_need",
]

SENTINEL_2: Mapping[str, float] = {
    "B01": 0.443,
    "B02": 0.49,
    "B03": 0.56,
    "B04": 0.665,
    "B05": 0.705,
    "B06": 0.74,
    "B07": 0.783,
    "B08": 0.842,
    "B8A": 0.865,
    "B09": 0.945,
    "B10": 1.375,
    "B11": 1.61,
    "B12": 2.19,
}
"""Centres of Sentinel-2's bands in micrometres, in the order of its products."""

SCALES = ("samples", "limits")
_WITHOUT = {13: (), 12: ("B10",), 10: ("B01", "B09", "B10")}
"""What scenes of so many nameless bands leave out of Sentinel-2's."""
_NAME = re.compile(r"\bB(?:and[ _]?)?0?(8A|\d{1,2})\b", re.IGNORECASE)
_NEAR_UM = 0.012
_RED_GREEN_BLUE = (0.665, 0.56, 0.49)


@dataclass(frozen=True)
class SpectralNeed:
    """What an encoder asks of a scene.

    Attributes:
        bands: Names of Sentinel-2 bands, in order; empty for any bands of known wavelength.
        scale: ``samples`` as they are, or ``limits``: from 0 to 1 between the scene's percentiles.
    """

    bands: tuple[str, ...]
    scale: str


@dataclass(frozen=True)
class ChosenBands:
    """Bands of one scene.

    Attributes:
        numbers: Counted from 1, in the encoder's order.
        wavelengths: Centre of each in micrometres; 0 where it is not known.
    """

    numbers: tuple[int, ...]
    wavelengths: tuple[float, ...]


def spectral_need(card: EncoderCard) -> SpectralNeed | None:
    """What a card asks for under ``[spectral]``; None for encoders of pictures.

    Raises:
        EncoderError: It names an unknown band or scale.
    """
    asked = card.extra.get("spectral")
    if asked is None:
        return None
    need = SpectralNeed(tuple(asked.get("bands", ())), asked.get("scale", "samples"))
    unknown = [band for band in need.bands if band not in SENTINEL_2]
    if unknown or need.scale not in SCALES:
        raise EncoderError(
            f"The card of {card.name} asks for {', '.join(unknown) or need.scale}; known are the bands "
            f"{', '.join(SENTINEL_2)} and the scales {' and '.join(SCALES)}."
        )
    return need


def choose_bands(
    need: SpectralNeed,
    names: Sequence[str],
    wavelengths: Sequence[float | None],
    shown: Sequence[int],
) -> ChosenBands:
    """Choose the bands of a scene.

    Args:
        need: What the encoder asks for.
        names: What the raster calls each band; empty where it does not say.
        wavelengths: Centre of each band in micrometres; None where it does not say.
        shown: Numbers, from 1, of the bands shown as red, green and blue: for encoders of any bands, where
            nothing is known of the others.

    Raises:
        SceneError: The scene lacks bands that the encoder cannot do without.
    """
    known = _sentinel_names(names, wavelengths)
    if need.bands:
        missing = [band for band in need.bands if band not in known]
        if missing:
            raise SceneError(
                f"This encoder reads the Sentinel-2 bands {', '.join(need.bands)}, and of the {len(names)} "
                f"bands of this scene none is known as {', '.join(missing)}; name the bands in the file, or "
                f"index with another encoder."
            )
        return ChosenBands(
            tuple(known[band] for band in need.bands), tuple(SENTINEL_2[band] for band in need.bands)
        )
    centres = {number: SENTINEL_2[band] for band, number in known.items()}
    centres |= {number: value for number, value in enumerate(wavelengths, 1) if value}
    if len(centres) < len(_RED_GREEN_BLUE):
        return ChosenBands(tuple(shown), _RED_GREEN_BLUE[: len(shown)])
    numbers = tuple(sorted(centres))
    return ChosenBands(numbers, tuple(centres[number] for number in numbers))


def refuse_pictures(need: SpectralNeed, encoder: str) -> None:
    """Say that an encoder of named bands takes no pictures.

    Raises:
        UsageError: Always.
    """
    raise UsageError(
        f"{encoder} reads the bands {', '.join(need.bands)}, which no picture has; ask in words, or by a "
        f"tile of a scene that holds them."
    )


def check_bands(spectra: Spectra, place: int, need: SpectralNeed, encoder: str) -> None:
    """Refuse a piece of a scene that has another number of bands than an encoder names.

    Raises:
        UsageError: It has.
    """
    if len(spectra.wavelengths) != len(need.bands):
        raise UsageError(
            f"Piece {place} has {len(spectra.wavelengths)} bands where {encoder} reads {len(need.bands)} "
            f"({', '.join(need.bands)}); give these."
        )


def scaled_samples(spectra: Spectra, scale: str) -> NDArray[np.float32]:
    """Samples in the range that an encoder's mean and deviation are of: ``(H, W, B)`` float32."""
    if scale == "samples":
        return spectra.samples
    low, high = spectra.limits[:, 0], spectra.limits[:, 1]
    span = np.where(high > low, high - low, 1)
    scaled: NDArray[np.float32] = np.clip((spectra.samples - low) / span, 0, 1).astype(np.float32)
    return scaled


def _sentinel_names(names: Sequence[str], wavelengths: Sequence[float | None]) -> dict[str, int]:
    """Sentinel-2 names of a scene's bands, to their numbers: by name, by wavelength, by their count."""
    found: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        match = _NAME.search(name)
        if match:
            band = match[1].upper()
            found.setdefault("B8A" if band == "8A" else f"B{int(band):02d}", number)
    if len(found) > 1:
        return {band: number for band, number in found.items() if band in SENTINEL_2}
    for number, centre in enumerate(wavelengths, 1):
        near = [band for band, own in SENTINEL_2.items() if centre and abs(own - centre) <= _NEAR_UM]
        if near:
            found.setdefault(near[0], number)
    if found or len(names) not in _WITHOUT:
        return found
    kept = [band for band in SENTINEL_2 if band not in _WITHOUT[len(names)]]
    return {band: number for number, band in enumerate(kept, 1)}
