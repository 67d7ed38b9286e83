"""All the bands that an encoder asks for, over the ground of one tile, in the raster's own unit.

Pictures are cut from a canvas; bands are read tile by tile. Knows no encoders: which bands are wanted is
told by a function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landsift.scenes.reader import BandReader, Channel, describe_bands
from landsift.scenes.stretch import IDENTITY, Stretch, find_stretch
from landsift.scenes.survey import sample_scene
from landsift.scenes.tiling import read_step
from landsift.types import Spectra, Window

__all__ = ["BandChoice", "SpectralBand", "SpectralReader", "survey_spectra"]

BandChoice: TypeAlias = Callable[
    [Sequence[str], Sequence[float | None], Sequence[int]], tuple[tuple[int, ...], tuple[float, ...]]
]
"""Names and wavelengths of a scene's bands, and the numbers of those shown as red, green and blue, to the
numbers of the bands that are wanted, from 1, and their wavelengths in micrometres."""
SpectralBand: TypeAlias = tuple[int, float, float, float]
"""Number of a band, its wavelength, and the samples that 2 and 98 of 100 lie below."""


def survey_spectra(
    channels: Sequence[Channel], choose: BandChoice, shown: Sequence[int], stretch: Stretch
) -> tuple[SpectralBand, ...]:
    """Choose bands of an opened scene, and look at their range.

    Args:
        channels: The bands of the scene.
        choose: Says which are wanted.
        shown: Numbers of the bands shown as red, green and blue; 0 is the mean of two.
        stretch: Of the picture; plain photographs keep their range in all bands.

    Raises:
        SceneError: The scene lacks bands that are wanted, or is damaged.
    """
    said = describe_bands(channels)
    real = [number or shown[1] for number in shown]
    numbers, waves = choose([band.description for band in said], [band.wavelength for band in said], real)
    reader = BandReader.of(channels, numbers)
    if stretch == IDENTITY:
        limits = [IDENTITY[0]] * len(numbers)
    else:
        samples = sample_scene(reader) or []
        found = dict(zip(dict.fromkeys(numbers), map(find_stretch, samples), strict=False))
        limits = [found.get(number, IDENTITY[0]) for number in numbers]
    return tuple(
        (number, wave, low, high) for number, wave, (low, high) in zip(numbers, waves, limits, strict=True)
    )


@dataclass(frozen=True, slots=True, eq=False)
class SpectralReader:
    """Reads the wanted bands of a scene.

    Attributes:
        reader: Of each band once.
        places: Which plane of the reader each wanted band is.
        wavelengths: Of the wanted bands, in micrometres.
        limits: ``(B, 2)`` their range in the scene.
    """

    reader: BandReader
    places: tuple[int, ...]
    wavelengths: tuple[float, ...]
    limits: NDArray[np.float32]

    @classmethod
    def of(cls, channels: Sequence[Channel], bands: Sequence[SpectralBand]) -> Self:
        """A reader of the bands that :func:`survey_spectra` chose."""
        numbers = [int(band[0]) for band in bands]
        reader = BandReader.of(channels, numbers)
        once = list(dict.fromkeys(numbers))
        # A palette's one band comes out as three.
        places = range(3) if reader.palette is not None else [once.index(number) for number in numbers]
        limits = np.array([band[2:] for band in bands], np.float32)
        return cls(reader, tuple(places), tuple(float(band[1]) for band in bands), limits)

    def cut(self, window: Window, size: tuple[int, int]) -> Spectra:
        """The bands of a window at ``size`` (height, width): averaged where it is smaller, else bilinear.

        Raises:
            SceneError: The file is damaged there.
        """
        step = read_step(window.width, window.height, size)
        columns, rows = self.reader.width // step, self.reader.height // step
        box = np.array((window.col, window.row, window.col + window.width, window.row + window.height)) / step
        box = np.minimum(box, (columns, rows) * 2)
        left, top = (math.floor(edge) for edge in box[:2])
        right, bottom = (math.ceil(edge) for edge in box[2:])
        planes, valid = self.reader.read(Window(left, top, right - left, bottom - top), step)
        west, north, east, south = (float(edge) for edge in box - (left, top, left, top))
        inside = (west, north, east, south)
        cut = [_resized(_filled(planes[place], valid), inside, size) for place in self.places]
        return Spectra(np.stack(cut, axis=2), self.wavelengths, self.limits)


def _filled(plane: NDArray[np.generic], valid: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Samples as float32, invalid ones as the mean of the valid ones."""
    values = plane.astype(np.float32)
    good = np.isfinite(values) if valid is None else np.isfinite(values) & valid
    if not good.all():
        values[~good] = values[good].mean() if good.any() else 0.0
    return values


def _resized(
    values: NDArray[np.float32], box: tuple[float, float, float, float], size: tuple[int, int]
) -> NDArray[np.float32]:
    height, width = size
    if values.shape == size and box == (0.0, 0.0, float(width), float(height)):
        return values
    picture = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(picture, np.float32)
