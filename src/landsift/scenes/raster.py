"""An opened scene: its profile, and its tiles as 8-bit pictures with their place on Earth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from landsift.errors import SceneError, UsageError
from landsift.scenes.canvas import Canvas
from landsift.scenes.finding import source_of
from landsift.scenes.gdal import RasterFile, reading
from landsift.scenes.georeference import Georeference
from landsift.scenes.opening import channels_of, georeference_of, open_files, take_profile
from landsift.scenes.profile import SceneProfile
from landsift.scenes.reader import BandReader, Channel
from landsift.scenes.sources import SceneSource
from landsift.scenes.spectra import BandChoice, SpectralReader
from landsift.scenes.tiling import ReadBlock, TilingOptions, plan, read_step
from landsift.types import Pixels, Tile, Window

__all__ = ["Scene", "open_scene"]

# A tile with less to see than this is not worth a vector.
_LEAST_VALID = 0.5


def open_scene(
    source: SceneSource | str | Path,
    *,
    bands: Sequence[int] | None = None,
    crs: str | None = None,
    profile: SceneProfile | None = None,
    spectra: BandChoice | None = None,
) -> Scene:
    """Open a raster and learn what it takes to cut tiles from it.

    Args:
        source: A path, URL or ``/vsi`` path, or what :func:`~landsift.scenes.find_sources` found.
        bands: The bands (counted from 1) to show as red, green and blue: three, one for grey, or two. None
            guesses; ``scene.profile.bands_why`` says how.
        crs: Coordinate system of scenes that have a georeference (such as a world file) but do not name
            theirs, as ``EPSG:n``, PROJ string or WKT.
        profile: What an earlier opening learnt: the tiles come out the same, and nothing is computed again.
            ``bands`` and ``crs`` are then taken from it.
        spectra: Says which bands its tiles bring beside their picture; none when None.

    Returns:
        The scene, to be used in a ``with`` statement. Not for more than one thread: let each open its own,
        with ``profile=``.

    Raises:
        SceneError: The file is missing, broken, of an unknown format or without any valid pixel, lacks a
            band, or is no longer the one the profile was made from.
        UsageError: ``bands`` or ``crs`` could never work.
    """
    source = source_of(source)
    files = open_files(source)
    try:
        with reading(source.files[0]):
            channels = channels_of(source, files)
            if profile is None:
                profile = take_profile(source, channels, bands, crs, spectra)
            else:
                _check_unchanged(source, profile, channels)
    except BaseException:
        _close(files)
        raise
    reader = BandReader.of(channels, profile.bands)
    spectral = None if profile.spectra is None else SpectralReader.of(channels, profile.spectra)
    return Scene(source, profile, files, reader, georeference_of(profile), spectral)


def _check_unchanged(source: SceneSource, profile: SceneProfile, channels: Sequence[Channel]) -> None:
    file, band = channels[min(profile.bands[0], len(channels)) - 1]
    then = (profile.width, profile.height, profile.count, profile.dtype)
    now = (file.base.width, file.base.height, len(channels), file.base.dtypes[band - 1])
    if then != now:
        raise SceneError(
            f"{source.href} has changed since it was indexed (from {then} to {now} columns, rows, bands and"
            " samples); index it again."
        )


def _close(files: Sequence[RasterFile]) -> None:
    for file in files:
        file.close()


@dataclass(frozen=True, eq=False)
class Scene:
    """A raster opened for reading; made by :func:`open_scene`.

    Attributes:
        source: Where it lies.
        profile: What is known of it.
    """

    source: SceneSource
    profile: SceneProfile
    _files: Sequence[RasterFile]
    _reader: BandReader
    _georeference: Georeference | None
    _spectral: SpectralReader | None = None

    def read(self, window: Window, size: tuple[int, int] | None = None) -> tuple[Pixels, float]:
        """Read one window as the tiles are read.

        Args:
            window: In native pixels; must lie within the scene.
            size: Height and width of the answer; None keeps native pixels.

        Returns:
            ``(h, w, 3)`` uint8, stretched, invalid pixels filled with the mean of the valid ones; and the
            share of valid pixels, 0 to 1.

        Raises:
            SceneError: The file is damaged there.
            UsageError: The window passes the scene's edge.
        """
        if window.col + window.width > self.profile.width or window.row + window.height > self.profile.height:
            raise UsageError(
                f"{window} passes the edge of {self.source.name}, which has {self.profile.width} x"
                f" {self.profile.height} pixels."
            )
        size = size or (window.height, window.width)
        return self._canvas(window, read_step(window.width, window.height, size)).cut(window, size)

    def corners(self, window: Window) -> NDArray[np.float64] | None:
        """Where a window lies: ``(4, 2)`` longitude, latitude, ordered and unwrapped as in a tile's corners.

        None without a CRS, and for windows that reach off the Earth.
        """
        return self._corners([window])[0]

    def read_block(self, block: ReadBlock) -> list[Tile | None]:
        """Read the tiles of one block of this scene's plan, in plan order, from one read of the file.

        Each is what :meth:`read` gives for its window, to the last bit. Tiles of which less than half is
        valid are None.

        Raises:
            SceneError: The file is damaged there.
        """
        windows = block.windows
        canvas = self._canvas(block.window, block.step)
        return [
            self._tile(block, window, corners, *canvas.cut(window, block.size))
            for window, corners in zip(windows, self._corners(windows), strict=True)
        ]

    def tiles(self, options: TilingOptions | None = None, start: int = 0) -> Iterator[Tile | None]:
        """The tiles in plan order, from window number ``start`` on; blocks are read as they are asked for.

        None stands for tiles of which less than half is valid.
        """
        for block in plan(self.profile, options or TilingOptions()).blocks:
            if block.stop > start:
                yield from self.read_block(block)[max(0, start - block.start) :]

    def close(self) -> None:
        """Close the files."""
        _close(self._files)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _canvas(self, window: Window, step: int) -> Canvas:
        return Canvas.read(self._reader, self.profile.stretch, window, step)

    def _tile(
        self,
        block: ReadBlock,
        window: Window,
        corners: NDArray[np.float64] | None,
        pixels: Pixels,
        valid: float,
    ) -> Tile | None:
        if valid < _LEAST_VALID:
            return None
        gsd = self.profile.gsd
        if gsd is not None:
            height, width = block.size
            gsd *= math.sqrt(window.width * window.height / (width * height))
        spectra = None if self._spectral is None else self._spectral.cut(window, block.size)
        return Tile(pixels, window, block.scale, corners, gsd, valid, spectra)

    def _corners(self, windows: Sequence[Window]) -> list[NDArray[np.float64] | None]:
        if self._georeference is None:
            return [None] * len(windows)
        rings = self._georeference.corners(windows)
        return [ring if np.isfinite(ring).all() else None for ring in rings]
