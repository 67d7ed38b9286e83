"""A map of numbers on a scene's own grid: written strip by strip, and its regions as outlines on Earth.

Knows a scene by its profile; nothing of what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.features import shapes
from rasterio.warp import transform_geom
from rasterio.windows import Window as RasterioWindow

from landsift.errors import SceneError, UsageError
from landsift.files import write_whole
from landsift.scenes.profile import SceneProfile

__all__ = ["LEVELS", "NOTHING", "region_outlines", "write_heat"]

LEVELS = 254
"""Heat from 0 to 1 is kept as an integer up to this one."""
NOTHING = 255
"""What stands for "not known here"."""
_BLOCK = 256
_DECIMALS = 7


def write_heat(
    path: Path, profile: SceneProfile, strips: Iterable[tuple[int, NDArray[np.uint8]]], **tags: str
) -> None:
    """Write a Cloud-Optimized GeoTIFF of one band on the scene's grid, in the memory of a few strips.

    Samples are heat times :data:`LEVELS`, which the file's scale turns back; :data:`NOTHING` is nodata.

    Args:
        path: The file; it appears whole or not at all.
        profile: Of the scene.
        strips: First row and ``(rows, width)`` samples of each strip, downwards, without gaps.
        **tags: Kept in the file.

    Raises:
        UsageError: There is no such folder, or the name is not that of a TIFF.
        SceneError: It cannot be written.
        DiskFull: No space is left.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise UsageError(f"The heat map is a GeoTIFF, so {path.name} must end in .tif")
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} does not exist; make it first")
    place: dict[str, Any] = {}
    if profile.crs is not None and profile.transform is not None:
        place = {"crs": profile.crs, "transform": Affine(*profile.transform)}

    def fill(draft: Path) -> None:
        with rasterio.open(
            draft,
            "w",
            driver="GTiff",
            width=profile.width,
            height=profile.height,
            count=1,
            dtype="uint8",
            nodata=NOTHING,
            tiled=True,
            blockxsize=_BLOCK,
            blockysize=_BLOCK,
            compress="deflate",
            bigtiff="if_safer",
            **place,
        ) as file:
            for top, samples in strips:
                file.write(samples, 1, window=RasterioWindow(0, top, profile.width, len(samples)))
            file.scales, file.offsets = (1 / LEVELS,), (0.0,)
            file.set_band_description(1, "heat")
            file.update_tags(**tags)

    def optimise(whole: Path) -> None:
        draft = whole.with_name(f".draft-{whole.name}")
        try:
            fill(draft)
            rasterio.shutil.copy(
                draft,
                whole,
                driver="COG",
                compress="deflate",
                overview_resampling=Resampling.average.name,
                bigtiff="if_safer",
            )
        finally:
            draft.unlink(missing_ok=True)

    try:
        write_whole(path, optimise)
    except (RasterioError, CPLE_BaseError) as error:
        raise SceneError(
            f"{path} cannot be written ({str(error).rstrip('.')}); free some space or choose another folder"
        ) from error


def region_outlines(
    labels: NDArray[np.int32], profile: SceneProfile, step: int
) -> dict[int, shapely.Polygon | shapely.MultiPolygon]:
    """Outlines of numbered regions as longitude and latitude.

    Args:
        labels: ``(h, w)`` region of each cell, 0 for none.
        profile: Of the scene.
        step: Side of a cell in native pixels.

    Returns:
        Region number -> its outline in degrees WGS84.

    Raises:
        UsageError: The scene has no place on Earth.
    """
    if profile.crs is None or profile.transform is None:
        raise UsageError("The scene has no coordinate system, so regions have no place; name one with --crs")
    grid = Affine(*profile.transform) * Affine.scale(step)
    found: dict[int, list[shapely.Polygon]] = {}
    for ring, label in shapes(labels, mask=labels > 0, connectivity=8, transform=grid):
        placed = transform_geom(profile.crs, "OGC:CRS84", ring, precision=_DECIMALS)
        found.setdefault(int(label), []).append(shapely.geometry.shape(placed))
    return {label: shapely.orient_polygons(_one(parts), exterior_cw=False) for label, parts in found.items()}


def _one(parts: list[Any]) -> Any:
    polygons = [piece for part in parts for piece in shapely.get_parts(part)]
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
