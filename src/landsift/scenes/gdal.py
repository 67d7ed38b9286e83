"""How this package talks to GDAL: its settings, its silence, and its errors as sentences.

The one place that opens a dataset. Knows nothing of bands, stretches or tiles.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.env import set_gdal_config
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.session import DummySession

from landsift.errors import SceneError
from landsift.scenes.sources import is_local, is_network

__all__ = ["RasterFile", "keep_environment", "reading"]

# Enough that the blocks of a tile row stay decoded until the next row, of any scene read in strips; GDAL's
# own default is a share of the machine's memory, which is no bound at all on a large one.
_CACHE_BYTES = 128 * 1024 * 1024
# A user may have switched the search for sidecar files off for the sake of remote reads.
_LOCAL_OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "FALSE"}
_NETWORK_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "30",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    "VSI_CACHE": "TRUE",
}
_SNIFFED_BYTES = 512


@functools.cache
def _bound_the_cache() -> None:
    """Set the size of GDAL's block cache once per process, unless the user has."""
    if "GDAL_CACHEMAX" not in os.environ:
        set_gdal_config("GDAL_CACHEMAX", _CACHE_BYTES)


def keep_environment() -> None:
    """Give this thread a GDAL environment for as long as it lives.

    For threads that read many small scenes: an access outside any environment makes one, which looks for
    GDAL's data files on disk each time. Not for threads of others, whose own settings it would hide.
    """
    rasterio.Env(session=DummySession()).__enter__()


@contextmanager
def reading(href: str) -> Iterator[None]:
    """A GDAL environment for one access to ``href``; what fails inside becomes a :class:`SceneError`."""
    try:
        with _environment(href):
            yield
    except (RasterioError, CPLE_BaseError, OSError) as error:
        cause = str(error.__cause__ or error).rstrip(".")
        raise SceneError(
            f"{href} could not be read to the end ({cause}); it is damaged or incomplete: fetch it again."
        ) from error


@contextmanager
def _environment(href: str) -> Iterator[None]:
    # Without this stand-in, an Env looks for cloud credentials each time.
    session, options = (None, _NETWORK_OPTIONS) if is_network(href) else (DummySession(), _LOCAL_OPTIONS)
    with rasterio.Env(session=session, **options):
        _bound_the_cache()
        yield


class RasterFile:
    """One raster, opened, and its overviews, opened when they are needed.

    Attributes:
        href: Its path, URL or ``/vsi`` path.
        base: The dataset at full resolution.

    Raises:
        SceneError: There is no such file, or nothing in it that can be shown.
    """

    def __init__(self, href: str) -> None:
        self.href = href
        if is_local(href):
            _check_file(Path(href))
        self.base = _open(href)
        self._levels: dict[int | str, DatasetReader] = {}
        try:
            _check_dataset(href, self.base)
        except SceneError:
            self.close()
            raise

    def level(self, step: int) -> tuple[DatasetReader, int]:
        """The dataset to read cells of ``step`` (a power of two) native pixels from, and its own step.

        GDAL places a window on an overview by the ratio of their sizes, which is no whole number where the
        scene is odd; a dataset of the overview alone is addressed in its own pixels instead.
        """
        factors = self.base.overviews(1) if step > 1 else []
        usable = {f for f in factors if 1 < f <= step and f & (f - 1) == 0}
        for factor in sorted(usable, reverse=True):
            overview = self._level(factors.index(factor))
            if self._is_whole(overview, factor):
                return overview, factor
        # Overviews of other steps are hidden, or GDAL would read through them unasked.
        if any(factor <= step for factor in factors):
            plain = self._level("NONE")
            if plain.shape == self.base.shape:
                return plain, 1
        return self.base, 1

    def _level(self, which: int | str) -> DatasetReader:
        if which not in self._levels:
            self._levels[which] = _open(self.href, OVERVIEW_LEVEL=which)
        return self._levels[which]

    def _is_whole(self, overview: DatasetReader, factor: int) -> bool:
        """Whether an overview has all the cells and the masks of its base."""
        cells = (self.base.height // factor, self.base.width // factor)
        has_cells = overview.height >= cells[0] and overview.width >= cells[1]
        return has_cells and overview.mask_flag_enums == self.base.mask_flag_enums

    def close(self) -> None:
        """Close all that is open."""
        for dataset in (self.base, *self._levels.values()):
            dataset.close()


def _open(href: str, **options: str | int) -> DatasetReader:
    # A plain picture is no reason to warn: scenes without georeference are welcome.
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    try:
        with _environment(href):
            return rasterio.open(href, **options)
    except (RasterioError, CPLE_BaseError, OSError) as error:
        raise SceneError(_why_unreadable(href, error)) from error


def _check_file(path: Path) -> None:
    """Say what is wrong with a local file before GDAL says it less clearly."""
    if path.is_dir():
        raise SceneError(f"{path} is a folder; name the image files in it, or index the folder.")
    try:
        with path.open("rb") as file:
            head = file.read(_SNIFFED_BYTES)
    except FileNotFoundError as error:
        raise SceneError(f"There is no file {path}; check the path, or remove the scene.") from error
    except OSError as error:
        raise SceneError(f"{path} cannot be read ({error.strerror}); check its rights.") from error
    if not head:
        raise SceneError(f"{path} has zero bytes; fetch it again.")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if path.suffix.lower() != ".vrt" and text.startswith((b"<", b"{", b"[")):
        kind = "a web page" if b"<html" in text or b"<!doctype html" in text else "a text document"
        raise SceneError(
            f"{path} holds {kind} instead of an image, most likely an error message from the server it came"
            " from; fetch it again."
        )


def _why_unreadable(href: str, error: Exception) -> str:
    cause = str(error).rstrip(".")
    if "not recognized as being in a supported file format" in cause:
        return (
            f"{href} is in no image format that GDAL {rasterio.__gdal_version__} reads here; convert it to"
            " GeoTIFF, or fetch it again if it should be one."
        )
    return f"{href} cannot be opened ({cause}); it may be damaged or cut short: fetch it again."


def _check_dataset(href: str, dataset: DatasetReader) -> None:
    """Reject what opens but cannot be shown."""
    if dataset.count == 0:
        parts = ", ".join(dataset.subdatasets[:3])
        raise SceneError(
            f"{href} holds no bands of its own; name one of its parts instead"
            + (f", such as {parts}." if parts else ".")
        )
    if dataset.dtypes[0].startswith("complex"):
        raise SceneError(
            f"{href} holds complex samples (single-look radar); convert it to amplitude or decibels first."
        )
