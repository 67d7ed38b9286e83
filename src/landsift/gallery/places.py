"""Where and when the tiles of a gallery lie: footprints, dates, the same place in other scenes.

Works on the cache and the ledger; knows no encoder and no raster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate

from landsift.gallery.cache import Cache
from landsift.gallery.filtering import quads_meet_geometry, searchable
from landsift.gallery.naming import tile_ids
from landsift.gallery.store import SceneRow
from landsift.gallery.where import Where

__all__ = ["Footprints", "footprints", "same_place", "tile_at", "tiles_by_day"]

_SECONDS_A_DAY = 86_400


@dataclass(frozen=True, eq=False)
class Footprints:
    """The outlines of ``n`` tiles, as columns.

    Attributes:
        ids: Their ``n`` names.
        scenes: The scenes they are from, in the order of their keys.
        scene: ``(n,)`` int64 which of ``scenes``.
        corners: ``(n, 4, 2)`` float64 unwrapped longitude, latitude; NaN without coordinates.
        gsd: ``(n,)`` float64 metres; NaN without coordinates.
    """

    ids: list[str]
    scenes: list[SceneRow]
    scene: NDArray[np.int64]
    corners: NDArray[np.float64]
    gsd: NDArray[np.float64]


def footprints(cache: Cache, ledger: Mapping[int, SceneRow], where: Where) -> Footprints:
    """The footprints of all tiles that pass the filters, in row order."""
    mask = searchable(cache, ledger, where)
    at = np.arange(len(cache.row)) if mask is None else np.flatnonzero(mask)
    keys, scene = np.unique(cache.scene[at], return_inverse=True)
    scenes = [ledger[key] for key in keys.tolist()]
    ids = tile_ids([scenes[place].id for place in scene.tolist()], cache.scale[at], cache.window[at])
    return Footprints(ids, scenes, scene, np.asarray(cache.outlines.corners[at]), np.asarray(cache.gsd[at]))


def tiles_by_day(cache: Cache, ledger: Mapping[int, SceneRow]) -> dict[str, int]:
    """ISO day on which a scene was begun -> number of its tiles, in the order of time."""
    mask = searchable(cache, ledger, Where())
    scenes = cache.scene if mask is None else cache.scene[mask]
    keys, counts = np.unique(scenes, return_counts=True)
    days: dict[int, int] = {}
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        start = ledger[key].start
        if start is not None:
            day = int(start // _SECONDS_A_DAY)
            days[day] = days.get(day, 0) + count
    return {str(np.datetime64(day, "D")): days[day] for day in sorted(days)}


def same_place(cache: Cache, ledger: Mapping[int, SceneRow], position: int) -> list[int]:
    """The tile of each scene that shows the place of a tile best, by date; the tile itself among them.

    Of a scene whose tiles hold the middle of the place, the one whose outline shares most with the place's
    (intersection over union) is taken. Scenes without date come last.
    """
    corners = cache.outlines.corners[position]
    if np.isnan(corners).any():
        return [position]
    place = shapely.Polygon(corners)
    mask = searchable(cache, ledger, Where())
    near = np.flatnonzero(quads_meet_geometry(cache.outlines, place.centroid, mask))
    best: dict[int, tuple[float, int]] = {}
    for at in near.tolist():
        key = int(cache.scene[at])
        share = 2.0 if at == position else _alike(place, cache.outlines.corners[at])
        if key not in best or share > best[key][0]:
            best[key] = share, at

    def when(key: int) -> tuple[bool, float, int]:
        start = ledger[key].start
        return start is None, start or 0.0, key

    return [best[key][1] for key in sorted(best, key=when)]


def _alike(place: shapely.Polygon, corners: NDArray[np.float64]) -> float:
    """Intersection over union of an outline and another, wherever its longitudes are wrapped."""
    other = shapely.Polygon(corners)
    turn = 360.0 * round((place.centroid.x - other.centroid.x) / 360.0)
    if turn:
        other = translate(other, turn)
    return float(place.intersection(other).area / max(place.union(other).area, 1e-30))


def tile_at(cache: Cache, ledger: Mapping[int, SceneRow], point: tuple[float, float]) -> int | None:
    """The finest tile that holds a point, the one whose middle is nearest among equals; None if none does."""
    longitude, latitude = point
    if not (-360 <= longitude <= 360 and -90 <= latitude <= 90):
        return None
    mask = searchable(cache, ledger, Where())
    near = np.flatnonzero(quads_meet_geometry(cache.outlines, shapely.Point(point), mask))
    if not len(near):
        return None
    middles = cache.outlines.corners[near].mean(axis=1)
    across = (middles[:, 0] - longitude + 180.0) % 360.0 - 180.0
    distance = np.hypot(across * np.cos(np.radians(latitude)), middles[:, 1] - latitude)
    width = cache.gsd[near] * cache.scale[near]
    return int(near[np.lexsort((distance, width))[0]])
