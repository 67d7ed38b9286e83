"""Which bands of a raster to show as red, green and blue. Knows nothing of files or pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from landsift.errors import UsageError

__all__ = ["MEAN_OF_TWO", "BandInfo", "check_bands", "guess_bands"]

MEAN_OF_TWO = 0
"""Stands for a band number where a two-band raster shows the mean of its two bands."""

_Key = TypeVar("_Key", str, int)
_COLOURS = ("red", "green", "blue")
_INVISIBLE = re.compile(r"infra|\bv?nir|\bswir|\btir|edge|\bir\b")
_BAND_NAME = re.compile(r"(?:sr_|toa_)?(?:band[ _]?|b)0?(\d{1,2})\b")
# Names of the red, green and blue bands, by sensor: OLI and MSI first, the older Landsats where the
# file holds just their six reflective bands (TM and ETM+ have no OLI-like band 6 among them).
_OLI_OR_MSI = (4, 3, 2)
_TM = (3, 2, 1)
_TM_REFLECTIVE = {1, 2, 3, 4, 5, 7}
_CENTRES_UM = (0.66, 0.56, 0.48)
_TOLERANCE_UM = 0.05
_BY_COUNT = {4: (1, 2, 3), 6: (3, 2, 1), 7: (4, 3, 2)}
_MANY_BANDS = 10


@dataclass(frozen=True, slots=True)
class BandInfo:
    """What a raster says of one band.

    Attributes:
        colour: Colour interpretation in GDAL's lower-case words: ``red``, ``gray``, ``alpha``, ...
        description: Its name, or an empty string.
        wavelength: Centre in micrometres, or None.
    """

    colour: str
    description: str = ""
    wavelength: float | None = None


def guess_bands(bands: Sequence[BandInfo]) -> tuple[tuple[int, int, int], str]:
    """Choose the bands (counted from 1) to show as red, green and blue, and say by which rule.

    In this order: colour interpretation, band names, wavelengths, palette, then the number of bands: six
    are taken for Landsat TM, seven for Landsat 8, ten and more for Sentinel-2. Two bands get their mean,
    written as band 0, as the third.
    """
    named = {
        "colour interpretation": _by_colour(bands),
        "band names": _by_description(bands),
        "wavelengths": _by_wavelength(bands),
    }
    for why, found in named.items():
        if found is not None:
            return found, why
    if bands[0].colour == "palette":
        return (1, 1, 1), "colour palette"
    return _by_count([i for i, band in enumerate(bands, 1) if band.colour != "alpha"])


def check_bands(bands: Sequence[int]) -> tuple[int, int, int]:
    """Complete one, two or three band numbers to three.

    Raises:
        UsageError: Another number of bands, or one below 1.
    """
    numbers = tuple(int(band) for band in bands)
    if len(numbers) not in (1, 2, 3) or min(numbers) < 1:
        raise UsageError(
            f"Bands must be one, two or three numbers counted from 1, such as 3,2,1; got {list(bands)}."
        )
    if len(numbers) == 1:
        return numbers[0], numbers[0], numbers[0]
    return numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else MEAN_OF_TWO


def _by_colour(bands: Sequence[BandInfo]) -> tuple[int, int, int] | None:
    return _triple({band.colour: i for i, band in reversed(list(enumerate(bands, 1)))}, _COLOURS)


def _by_description(bands: Sequence[BandInfo]) -> tuple[int, int, int] | None:
    colours: dict[str, int] = {}
    numbers: dict[int, int] = {}
    for i, band in enumerate(bands, 1):
        text = band.description.lower().replace("_", " ")
        if not _INVISIBLE.search(text):
            for colour in _COLOURS:
                if re.search(rf"\b{colour}\b", text):
                    colours.setdefault(colour, i)
        name = _BAND_NAME.match(band.description.strip().lower())
        if name:
            numbers.setdefault(int(name[1]), i)
    order = _TM if set(numbers) == _TM_REFLECTIVE else _OLI_OR_MSI
    return _triple(colours, _COLOURS) or (_triple(numbers, order) if len(numbers) > 1 else None)


def _by_wavelength(bands: Sequence[BandInfo]) -> tuple[int, int, int] | None:
    found: list[int] = []
    for centre in _CENTRES_UM:
        near = [
            (abs(band.wavelength - centre), i)
            for i, band in enumerate(bands, 1)
            if band.wavelength is not None and abs(band.wavelength - centre) <= _TOLERANCE_UM
        ]
        if not near:
            return None
        found.append(min(near)[1])
    return found[0], found[1], found[2]


def _by_count(visible: Sequence[int]) -> tuple[tuple[int, int, int], str]:
    """``visible``: the numbers of the bands that are not alpha."""
    count = len(visible)
    if count <= 1:
        only = visible[0] if visible else 1
        return (only, only, only), "one band, shown grey"
    if count == 2:
        return (visible[0], visible[1], MEAN_OF_TWO), "two bands, and their mean as the third"
    order = _BY_COUNT.get(count, _OLI_OR_MSI if count >= _MANY_BANDS else (1, 2, 3))
    red, green, blue = (visible[i - 1] for i in order)
    return (red, green, blue), "guessed from the band count; give --bands to change it"


def _triple(places: Mapping[_Key, int], keys: Sequence[_Key]) -> tuple[int, int, int] | None:
    """The places of three keys, if all have one."""
    if not all(key in places for key in keys):
        return None
    red, green, blue = (places[key] for key in keys)
    return red, green, blue
