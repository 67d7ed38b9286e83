"""What a raster says of itself, gathered into a profile: bands, look, place and date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import urlparse

from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import CRSError
from rasterio.io import DatasetReader
from rasterio.transform import from_gcps

from landsift.errors import SceneError, UsageError
from landsift.scenes.bands import MEAN_OF_TWO, check_bands, guess_bands
from landsift.scenes.dates import date_in_name, date_in_tag
from landsift.scenes.gdal import RasterFile
from landsift.scenes.georeference import Georeference
from landsift.scenes.profile import SceneProfile
from landsift.scenes.reader import BandReader, Channel, describe_bands
from landsift.scenes.sources import SceneSource
from landsift.scenes.spectra import BandChoice, survey_spectra
from landsift.scenes.stretch import IDENTITY, Stretch, find_stretch
from landsift.scenes.survey import sample_scene
from landsift.types import TimeSpan

__all__ = ["channels_of", "georeference_of", "open_files", "take_profile"]

_PICTURE_DRIVERS = {"PNG", "JPEG", "WEBP"}
_COLOURS = {ColorInterp.red, ColorInterp.green, ColorInterp.blue}
_Bands = tuple[int, int, int]
_Affine = tuple[float, float, float, float, float, float]


def open_files(source: SceneSource) -> list[RasterFile]:
    """Open each file of a source once.

    Raises:
        SceneError: One cannot be opened.
    """
    opened: list[RasterFile] = []
    try:
        opened.extend(RasterFile(href) for href in source.files)
    except SceneError:
        for file in opened:
            file.close()
        raise
    return opened


def channels_of(source: SceneSource, files: Sequence[RasterFile]) -> list[Channel]:
    """The bands of a scene in order: all those of its one file, or the three its STAC item lists.

    Raises:
        SceneError: The item's files differ in size, or lack the band it names.
    """
    if source.bands is None or len(files) == 1:
        return [(files[0], band) for band in range(1, files[0].base.count + 1)]
    if len({file.base.shape for file in files}) > 1:
        sizes = ", ".join(f"{file.base.width} x {file.base.height}" for file in files)
        raise SceneError(
            f"The red, green and blue files of {source.name} differ in size ({sizes} pixels);"
            " resample them to one."
        )
    by_href = {file.href: file for file in files}
    channels = [(by_href[href], band) for href, band in source.bands]
    for file, band in channels:
        _check_in_file(file.href, [band], file.base.count)
    return channels


def take_profile(
    source: SceneSource,
    channels: Sequence[Channel],
    bands: Sequence[int] | None,
    crs: str | None,
    spectra: BandChoice | None = None,
) -> SceneProfile:
    """Learn all there is to know of an opened scene.

    Raises:
        SceneError: It lacks a band, or has no valid pixel.
        UsageError: ``bands`` or ``crs`` could never work.
    """
    shown, why = _choose_bands(source, channels, bands)
    file, band = channels[shown[0] - 1][0].base, channels[shown[0] - 1][1]
    reader = BandReader.of(channels, shown)
    place = _locate(file, crs)
    outline = place.outline(file.width, file.height) if place else None
    date, date_from = _find_date(source, file)
    stretch = _find_stretch(source, channels, shown, reader)
    return SceneProfile(
        driver=file.driver,
        width=file.width,
        height=file.height,
        count=len(channels),
        dtype=file.dtypes[band - 1],
        block=file.block_shapes[band - 1],
        nodata=tuple(part.base.nodatavals[band - 1] for part, bands in reader.parts for band in bands),
        bands=shown,
        bands_why=why,
        stretch=stretch,
        crs=place.crs.to_string() if place else None,
        transform=place.transform if place else None,
        gsd=place.gsd(file.width, file.height) if place else None,
        corners=None if outline is None else tuple((lon, lat) for lon, lat in outline.tolist()),
        date=date.text if date else None,
        date_from=date_from,
        spectra=None if spectra is None else survey_spectra(channels, spectra, shown, stretch),
    )


def georeference_of(profile: SceneProfile) -> Georeference | None:
    """The georeference a profile remembers; None where its pixels have no place on Earth."""
    if profile.crs is None or profile.transform is None or profile.gsd is None:
        return None
    return Georeference(CRS.from_user_input(profile.crs), profile.transform)


def _choose_bands(
    source: SceneSource, channels: Sequence[Channel], bands: Sequence[int] | None
) -> tuple[_Bands, str]:
    if bands is not None:
        chosen = check_bands(bands)
        _check_in_file(source.href, chosen, len(channels))
        return chosen, "chosen by --bands"
    if source.bands is not None:
        red, green, blue = (band for _, band in source.bands) if len(source.files) == 1 else (1, 2, 3)
        _check_in_file(source.href, (red, green, blue), len(channels))
        return (red, green, blue), "named by the STAC item"
    return guess_bands(describe_bands(channels))


def _check_in_file(href: str, bands: Sequence[int], count: int) -> None:
    if max(bands) > count:
        raise SceneError(
            f"{href} has no band {max(bands)}; choose from 1 to {count}."
            if count > 1
            else f"{href} has no band {max(bands)}; it has one band only."
        )


def _find_stretch(
    source: SceneSource, channels: Sequence[Channel], shown: _Bands, reader: BandReader
) -> Stretch:
    keeps_its_look = reader.palette is not None or _is_picture(channels, shown)
    if keeps_its_look and reader.always_valid:
        return IDENTITY
    samples = sample_scene(reader)
    if samples is None:
        raise SceneError(
            f"{source.href} has no valid pixel (all of it is nodata, masked or not a number); leave it out,"
            " or correct its nodata value."
        )
    if keeps_its_look:
        return IDENTITY
    found = [find_stretch(band) for band in samples]
    if len(found) == 1:
        return found[0], found[0], found[0]
    return found[0], found[1], found[2] if MEAN_OF_TWO not in shown else IDENTITY[2]


def _is_picture(channels: Sequence[Channel], shown: _Bands) -> bool:
    """Whether this is a plain 8-bit photograph, in the colours that encoders were trained on.

    A stretch would wash out the ones that show one thing only, such as forest.
    """
    file = channels[0][0].base
    parts = [channels[band - 1] for band in shown if band != MEAN_OF_TWO]
    if any(part.base is not file or file.dtypes[band - 1] != "uint8" for part, band in parts):
        return False
    colours = {file.colorinterp[band - 1] for _, band in parts}
    has_picture_format = file.driver in _PICTURE_DRIVERS
    if colours == {ColorInterp.gray}:
        return has_picture_format
    return colours == _COLOURS and file.count <= 4 and (has_picture_format or file.crs is None)


def _locate(file: DatasetReader, crs: str | None) -> Georeference | None:
    """The georeference of a file, by its affine map or by its ground control points."""
    points, points_crs = file.gcps
    if file.transform.is_identity and points:
        affine, own_crs = from_gcps(points), points_crs
    else:
        affine, own_crs = file.transform, file.crs
    system = own_crs or (_parse_crs(crs) if crs is not None else None)
    if not system or affine.is_identity:
        return None
    transform: _Affine = tuple(float(value) for value in affine[:6])  # type: ignore[assignment]
    return Georeference(system, transform)


def _parse_crs(text: str) -> CRS:
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise UsageError(
            f"{text!r} is no coordinate system; give one such as EPSG:32633, a PROJ string or WKT."
        ) from error


def _find_date(source: SceneSource, file: DatasetReader) -> tuple[TimeSpan | None, str | None]:
    """The date and where it stands: STAC item, TIFF tag, file name."""
    if source.date is not None:
        return source.date, "STAC item"
    tag = date_in_tag(file.tags().get("TIFFTAG_DATETIME"))
    if tag is not None:
        return tag, "TIFFTAG_DATETIME"
    named = date_in_name(PurePosixPath(urlparse(source.files[0]).path.replace("\\", "/")).stem)
    return named, "file name" if named else None
