"""A window cut out of a scene as it is: all bands, native samples, with its place on Earth."""

from __future__ import annotations

import numpy as np
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader, MemoryFile
from rasterio.windows import Window as RasterioWindow

from landsift.errors import SceneError, UsageError
from landsift.scenes.gdal import RasterFile, reading
from landsift.scenes.opening import channels_of, open_files
from landsift.scenes.profile import SceneProfile
from landsift.scenes.reader import Channel
from landsift.scenes.sources import SceneSource
from landsift.types import Window

__all__ = ["cut_window"]

_MOST_SAMPLES = 256_000_000


def cut_window(source: SceneSource, profile: SceneProfile, window: Window) -> bytes:
    """A window of a scene as a compressed GeoTIFF.

    Args:
        source: The scene.
        profile: What was learnt of it; its coordinate system is used where the file names none.
        window: In native pixels.

    Raises:
        SceneError: The scene cannot be read any more, or has become smaller than the window.
        UsageError: The window is too large to be cut in memory.
    """
    files = open_files(source)
    try:
        with reading(source.files[0]):
            return _cut(source, profile, window, channels_of(source, files))
    finally:
        for file in files:
            file.close()


def _cut(source: SceneSource, profile: SceneProfile, window: Window, channels: list[Channel]) -> bytes:
    first = channels[0][0].base
    if window.col + window.width > first.width or window.row + window.height > first.height:
        raise SceneError(f"{source.href} has become smaller since it was indexed; index it again.")
    if window.width * window.height * len(channels) > _MOST_SAMPLES:
        raise UsageError(
            f"A chip of {window.width} x {window.height} pixels in {len(channels)} bands is too large; "
            "cut it with a raster program"
        )
    place = RasterioWindow(window.col, window.row, window.width, window.height)
    types = {file.base.dtypes[band - 1] for file, band in channels}
    dtype = types.pop() if len(types) == 1 else np.result_type(*types).name
    samples = np.stack([file.base.read(band, window=place) for file, band in channels])
    where = {}
    if profile.transform is not None and profile.crs is not None:
        shift = Affine.translation(window.col, window.row)
        where = {"crs": profile.crs, "transform": Affine(*profile.transform) * shift}
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            width=window.width,
            height=window.height,
            count=len(channels),
            dtype=dtype,
            nodata=first.nodata,
            compress="deflate",
            **where,
        ) as chip:
            chip.write(samples.astype(dtype, copy=False))
            _describe(chip, channels)
            if _has_own_mask(channels[0][0]):
                chip.write_mask(first.dataset_mask(window=place))
        return bytes(memory.read())


def _has_own_mask(file: RasterFile) -> bool:
    flags = file.base.mask_flag_enums[0]
    return any(flag.name == "per_dataset" for flag in flags) and not any(f.name == "alpha" for f in flags)


def _describe(chip: DatasetReader, channels: list[Channel]) -> None:
    """Copy what the bands are called, how they are shown and what their samples mean."""
    chip.colorinterp = [file.base.colorinterp[band - 1] for file, band in channels]
    for number, (file, band) in enumerate(channels, 1):
        text = file.base.descriptions[band - 1]
        if text:
            chip.set_band_description(number, text)
        if file.base.colorinterp[band - 1] == ColorInterp.palette:
            chip.write_colormap(number, file.base.colormap(band))
    chip.scales = [file.base.scales[band - 1] for file, band in channels]
    chip.offsets = [file.base.offsets[band - 1] for file, band in channels]
    taken = channels[0][0].base.tags().get("TIFFTAG_DATETIME")
    if taken:
        chip.update_tags(TIFFTAG_DATETIME=taken)
