"""Where the pixels of a scene lie on Earth: corners in longitude and latitude, and their size in metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform as reproject

from landsift.types import Window

__all__ = ["Georeference"]

_WGS84 = CRS.from_epsg(4326)
# WGS84 ellipsoid: semi-major axis in metres and first eccentricity squared.
_SEMI_MAJOR_M = 6_378_137.0
_ECCENTRICITY_2 = 0.006_694_379_990_14
# Points per side when a ring is traced, so that no step passes half the globe and curved sides show.
_TILE_STEPS = 4
_SCENE_STEPS = 8


@dataclass(frozen=True, slots=True)
class Georeference:
    """A coordinate system and the affine map into it.

    Attributes:
        crs: The coordinate system of the raster.
        transform: ``(a, b, c, d, e, f)`` of ``x = a col + b row + c``, ``y = d col + e row + f``.
    """

    crs: CRS
    transform: tuple[float, float, float, float, float, float]

    def corners(self, windows: Sequence[Window]) -> NDArray[np.float64]:
        """Upper-left, upper-right, lower-right and lower-left corner of each of ``n`` windows.

        Returns:
            ``(n, 4, 2)`` longitude, latitude in degrees WGS84; longitudes are unwrapped around each ring,
            whose middle lies in -180..180. Rows of a window that has no place on Earth are NaN.
        """
        boxes = np.array([(w.col, w.row, w.width, w.height) for w in windows], np.float64).reshape(-1, 4)
        return self._rings(boxes, _TILE_STEPS)[:, ::_TILE_STEPS]

    def outline(self, width: int, height: int) -> NDArray[np.float64] | None:
        """The ring around ``width`` x ``height`` pixels, ``(32, 2)``, from the upper left clockwise.

        Longitudes are unwrapped. None where parts have no place on Earth.
        """
        ring = self._rings(np.array([[0, 0, width, height]], np.float64), _SCENE_STEPS)[0]
        return ring if np.isfinite(ring).all() else None

    def gsd(self, width: int, height: int) -> float | None:
        """Ground sampling distance in metres at the centre of ``width`` x ``height`` pixels.

        The geometric mean of the ground lengths of a step of one column and of one row; None where the
        centre has no place on Earth.
        """
        col, row = width / 2, height / 2
        cols = np.array([col - 0.5, col + 0.5, col, col])
        rows = np.array([row, row, row - 0.5, row + 0.5])
        points = self._lonlat(cols, rows)
        across, down = _ground_length(points[0], points[1]), _ground_length(points[2], points[3])
        gsd = float(np.sqrt(across * down))
        return gsd if np.isfinite(gsd) and gsd > 0 else None

    def _rings(self, boxes: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
        """``(n, 4)`` col, row, width, height to ``(n, 4 * steps, 2)`` unwrapped longitude, latitude."""
        path = _unit_ring(steps)
        cols = boxes[:, :1] + boxes[:, 2:3] * path[:, 0]
        rows = boxes[:, 1:2] + boxes[:, 3:4] * path[:, 1]
        rings = self._lonlat(cols.ravel(), rows.ravel()).reshape(len(boxes), 4 * steps, 2)
        lon = np.unwrap(rings[..., 0], period=360.0, axis=1)
        # Rasters in 0..360 degrees, and rings unwrapped from the far side, come back to the usual range.
        lon -= 360.0 * np.ceil((lon.mean(axis=1, keepdims=True) - 180.0) / 360.0)
        return np.stack((lon, np.clip(rings[..., 1], -90.0, 90.0)), axis=-1)

    def _lonlat(self, cols: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(n,)`` columns and rows (pixel edges are whole numbers) to ``(n, 2)`` degrees WGS84."""
        a, b, c, d, e, f = self.transform
        xs, ys = a * cols + b * rows + c, d * cols + e * rows + f
        if self.crs != _WGS84:
            xs, ys = _reproject(self.crs, xs, ys)
        points = np.stack((xs, ys), axis=-1)
        points[~np.isfinite(points).all(axis=1)] = np.nan
        return points


def _reproject(
    crs: CRS, xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``(n,)`` coordinates in ``crs`` to longitudes and latitudes, NaN for points off the Earth."""
    try:
        lon, lat = reproject(crs, _WGS84, xs.tolist(), ys.tolist())
        return np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    except (RasterioError, CPLE_BaseError):
        # One point off the Earth (the corner of a full-disc image) fails the whole call.
        if len(xs) == 1:
            return np.full(1, np.nan), np.full(1, np.nan)
    half = len(xs) // 2
    left, right = _reproject(crs, xs[:half], ys[:half]), _reproject(crs, xs[half:], ys[half:])
    return np.concatenate((left[0], right[0])), np.concatenate((left[1], right[1]))


def _unit_ring(steps: int) -> NDArray[np.float64]:
    """``(4 * steps, 2)`` points around the unit square, clockwise in pixel space from (0, 0)."""
    forth = np.arange(steps) / steps
    zero, one = np.zeros(steps), np.ones(steps)
    u = np.concatenate((forth, one, 1 - forth, zero))
    v = np.concatenate((zero, forth, one, 1 - forth))
    return np.stack((u, v), axis=-1)


def _ground_length(start: NDArray[np.float64], stop: NDArray[np.float64]) -> float:
    """Metres between two near points in degrees: the chord through the ellipsoid, sound at the poles too."""
    return float(np.linalg.norm(_geocentric(stop) - _geocentric(start)))


def _geocentric(point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitude, latitude in degrees on the ellipsoid to ``(3,)`` Earth-centred metres."""
    lon, lat = np.radians(point)
    radius = _SEMI_MAJOR_M / np.sqrt(1 - _ECCENTRICITY_2 * np.sin(lat) ** 2)
    return radius * np.array(
        [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), (1 - _ECCENTRICITY_2) * np.sin(lat)]
    )
