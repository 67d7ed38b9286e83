"""Native samples of the shown bands, and which of them are valid, from one file or from three.

Knows palettes, alpha, masks and overviews. Knows nothing of stretches, tiles or places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from landsift.scenes.bands import MEAN_OF_TWO, BandInfo
from landsift.scenes.gdal import RasterFile, reading
from landsift.scenes.stretch import Plane
from landsift.scenes.validity import Validity, both, valid_by_value
from landsift.types import Window

__all__ = ["BandReader", "Channel", "describe_bands"]

_NANOMETRES_PER_MICROMETRE = 1000.0
# No sensor of colours lies above 100 micrometres, so larger numbers without unit are nanometres.
_LARGEST_MICROMETRES = 100.0


Channel: TypeAlias = tuple[RasterFile, int]
"""A file and one of its bands, counted from 1."""


@dataclass(frozen=True, slots=True, eq=False)
class BandReader:
    """Reads the shown bands of a scene.

    Attributes:
        parts: Each file with the numbers of its shown bands, in the order of red, green, blue; a band that
            is shown more than once is listed once.
        palette: ``(n, 4)`` red, green, blue, alpha of each sample, where samples are numbers of colours.
    """

    parts: tuple[tuple[RasterFile, tuple[int, ...]], ...]
    palette: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, channels: Sequence[Channel], bands: Sequence[int]) -> BandReader:
        """Show ``bands``, counted from 1, of a scene that is made of ``channels``."""
        shown = [channels[band - 1] for band in dict.fromkeys(bands) if band != MEAN_OF_TWO]
        by_file = groupby(shown, key=lambda channel: channel[0])
        parts = tuple((file, tuple(band for _, band in group)) for file, group in by_file)
        return cls(parts, _palette(shown[0][0].base, shown[0][1]))

    @property
    def always_valid(self) -> bool:
        """Whether no pixel can be invalid, so that there is nothing to look for."""
        if self.palette is not None and not self.palette[:, 3].all():
            return False
        return all(
            MaskFlags.all_valid in file.base.mask_flag_enums[band - 1]
            and np.dtype(file.base.dtypes[band - 1]).kind != "f"
            for file, bands in self.parts
            for band in bands
        )

    @property
    def width(self) -> int:
        """Columns of the scene."""
        return self.parts[0][0].base.width

    @property
    def height(self) -> int:
        """Rows of the scene."""
        return self.parts[0][0].base.height

    @property
    def in_strips(self) -> bool:
        """Whether the file decodes whole rows at a time."""
        file, bands = self.parts[0]
        return file.base.block_shapes[bands[0] - 1][1] >= self.width

    @property
    def pixel_bytes(self) -> int:
        """Bytes that the samples of one pixel take."""
        return sum(
            np.dtype(file.base.dtypes[band - 1]).itemsize for file, bands in self.parts for band in bands
        )

    @property
    def coarsest(self) -> int:
        """By how much the smallest overview is smaller than the scene; 1 without overviews."""
        file, bands = self.parts[0]
        return max(file.base.overviews(bands[0]), default=1)

    def read(self, cells: Window, step: int) -> tuple[list[Plane], Validity]:
        """Read cells of ``step`` x ``step`` native pixels, counted from the scene's corner.

        Args:
            cells: The wanted columns and rows of cells; they must lie within the scene.
            step: A power of two. Cells are the mean of their valid samples, through overviews where the
                file has them; of palettes, one of their colours.

        Returns:
            One ``(height, width)`` plane per shown band, and which cells are valid.

        Raises:
            SceneError: The file is damaged there.
        """
        averaging = Resampling.average if self.palette is None else Resampling.nearest
        taken = []
        for file, bands in self.parts:
            with reading(file.href):
                level, factor = file.level(step)
                rest = step // factor
                window = RasterioWindow(
                    cells.col * rest, cells.row * rest, cells.width * rest, cells.height * rest
                )
                resampling = averaging if rest > 1 else Resampling.nearest
                taken.append(_take(level, bands, window, (cells.height, cells.width), resampling))
        return self._join(taken)

    def sample(self, window: Window, size: tuple[int, int]) -> tuple[list[Plane], Validity]:
        """Pick ``size`` (height, width) samples out of a window of native pixels, evenly.

        Returns and raises what :meth:`read` does.
        """
        place = RasterioWindow(window.col, window.row, window.width, window.height)
        taken = []
        for file, bands in self.parts:
            with reading(file.href):
                taken.append(_take(file.base, bands, place, size, Resampling.nearest))
        return self._join(taken)

    def _join(self, taken: Sequence[_Taken]) -> tuple[list[Plane], Validity]:
        """One scene out of what its files gave."""
        planes = [plane for part in taken for plane in part.planes]
        valid = valid_by_value(planes, [value for part in taken for value in part.nodata])
        for part in taken:
            valid = both(valid, part.mask)
        return (planes, valid) if self.palette is None else _look_up(self.palette, planes[0], valid)


@dataclass(frozen=True, slots=True, eq=False)
class _Taken:
    """What one file gave: a plane per band, each band's nodata value, and what the file masks out."""

    planes: list[Plane]
    nodata: list[float | None]
    mask: Validity


def describe_bands(channels: Sequence[Channel]) -> list[BandInfo]:
    """What the files say of each band."""
    return [
        BandInfo(
            file.base.colorinterp[band - 1].name,
            file.base.descriptions[band - 1] or "",
            _wavelength(file.base, band),
        )
        for file, band in channels
    ]


def _wavelength(dataset: DatasetReader, band: int) -> float | None:
    """Centre of a band in micrometres, from GDAL's imagery domain or from an ENVI header."""
    tags = dataset.tags(band)
    text = dataset.tags(band, ns="IMAGERY").get("CENTRAL_WAVELENGTH_UM") or tags.get("wavelength")
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    unit = tags.get("wavelength_units", "").lower()
    in_nanometres = unit.startswith("nano") or value > _LARGEST_MICROMETRES
    return value / _NANOMETRES_PER_MICROMETRE if in_nanometres else value


def _take(
    dataset: DatasetReader,
    bands: tuple[int, ...],
    window: RasterioWindow,
    size: tuple[int, int],
    resampling: Resampling,
) -> _Taken:
    """One call for the bands, alpha among them, and one more for a mask where there is one."""
    colours = dataset.colorinterp
    alpha = colours.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in colours else None
    indexes = [*bands, alpha] if alpha else list(bands)
    samples = dataset.read(indexes, out_shape=(len(indexes), *size), window=window, resampling=resampling)
    mask: Validity = None
    if alpha:
        mask = samples[-1] != 0
    elif MaskFlags.per_dataset in dataset.mask_flag_enums[bands[0] - 1]:
        mask = dataset.read_masks(bands[0], out_shape=size, window=window, resampling=resampling) != 0
    nodata = [dataset.nodatavals[band - 1] for band in bands]
    return _Taken(list(samples[: len(bands)]), nodata, mask)


def _palette(dataset: DatasetReader, band: int) -> NDArray[np.uint8] | None:
    """Red, green, blue, alpha for every possible sample; those without an entry are clear."""
    if dataset.colorinterp[band - 1] != ColorInterp.palette:
        return None
    entries = dataset.colormap(band)
    table = np.zeros((int(np.iinfo(dataset.dtypes[band - 1]).max) + 1, 4), np.uint8)
    table[list(entries)] = list(entries.values())
    return table


def _look_up(palette: NDArray[np.uint8], plane: Plane, valid: Validity) -> tuple[list[Plane], Validity]:
    """The red, green and blue of each sample; clear colours are invalid."""
    red, green, blue, alpha = (np.take(palette[:, i], plane) for i in range(4))
    return [red, green, blue], valid if alpha.all() else both(valid, alpha != 0)
