"""All filters of a search as one exact mask over the rows of the cache.

Joins what :class:`~landsift.gallery.where.Where` asks with the columns of the cache and the ledger's scenes.
Knows no encoder and no raster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate

from landsift.gallery.cache import Cache
from landsift.gallery.conditions import Column, holds
from landsift.gallery.naming import TileName, tile_ids
from landsift.gallery.store import SceneRow
from landsift.gallery.where import Outlines, Where

__all__ = ["column_of", "left_out", "quads_meet_geometry", "searchable"]

_LAST_SECOND = 1.0  # spans end where the next begins; their last whole second lies this much earlier


def searchable(cache: Cache, ledger: Mapping[int, SceneRow], where: Where) -> NDArray[np.bool_] | None:
    """The rows to search; None means all.

    Left out are deleted tiles, and those of a scene's new version that is not finished yet.
    """
    shown = [scene for scene in ledger.values() if scene.supersedes is None]
    if not where and len(shown) == len(ledger):
        return None if cache.alive.all() else cache.alive
    mask = where.mask(cache.scene, cache.outlines, where.scenes(shown)) & cache.alive
    if where.rows is not None:
        mask &= (cache.row > where.rows[0]) & (cache.row <= where.rows[1])
    if where.ids is not None:
        mask &= _named(cache, ledger, where.ids)
    if where.intersects is not None:
        mask &= quads_meet_geometry(cache.outlines, where.intersects, mask)
    if where.condition is not None:
        mask &= holds(where.condition, lambda name: column_of(name, cache, ledger))
    return mask


def _named(cache: Cache, ledger: Mapping[int, SceneRow], ids: Sequence[str]) -> NDArray[np.bool_]:
    """The rows that have one of these names."""
    chosen = np.zeros(len(cache.row), bool)
    wanted: dict[tuple[str, str], list[int]] = {}
    for name in filter(None, map(TileName.parse, ids)):
        wanted.setdefault((name.scene, name.scale), []).append(_corner(name.col, name.line))
    keys = {scene.id: key for key, scene in ledger.items() if scene.supersedes is None}
    for (scene, scale), corners in wanted.items():
        at = np.flatnonzero(cache.scene == keys.get(scene, -1))
        same = [f"{value:g}" == scale for value in cache.scale[at].tolist()]
        at = at[np.array(same, bool)]
        window = cache.window[at].astype(np.int64)
        chosen[at[np.isin(_corner(window[:, 0], window[:, 1]), corners)]] = True
    return chosen


def _corner(col: Any, line: Any) -> Any:
    """Column and line as one number."""
    return col * 2**32 + line


def quads_meet_geometry(
    outlines: Outlines, geometry: shapely.Geometry, among: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Whether convex quadrilaterals touch a geometry, wherever the longitudes are wrapped.

    Args:
        outlines: ``n`` quadrilaterals; those of NaN never touch.
        geometry: Any shapely geometry in longitude and latitude.
        among: ``(n,)`` the only ones to look at; None looks at all.

    Returns:
        ``(n,)`` bool.
    """
    touching = np.zeros(len(outlines.west), bool)
    west, south, east, north = shapely.bounds(geometry)
    for turn in (-360.0, 0.0, 360.0):
        at = outlines.near(west + turn, south, east + turn, north)
        at = at[~touching[at] if among is None else among[at] & ~touching[at]]
        if len(at):
            turned = translate(geometry, turn) if turn else geometry
            shapely.prepare(turned)
            touching[at] = shapely.intersects(turned, shapely.polygons(outlines.corners[at]))
    return touching


def column_of(name: str, cache: Cache, ledger: Mapping[int, SceneRow]) -> Column:
    """The column of a property in :data:`~landsift.gallery.conditions.PROPERTIES`, over the cache's rows."""
    match name:
        case "gsd":
            return Column(cache.gsd, np.isfinite(cache.gsd))
        case "scale" | "valid":
            values = cache.scale if name == "scale" else cache.share
            return Column(values, np.ones(len(values), bool))
        case "id":
            ids = {key: scene.id for key, scene in ledger.items()}
            scenes = [ids.get(key, "") for key in cache.scene.tolist()]
            names = tile_ids(scenes, cache.scale, cache.window)
            return Column(np.array(names, object), np.array([scene != "" for scene in scenes], bool))
        case "scene":
            return _of_scenes(cache, ledger, {key: scene.name for key, scene in ledger.items()})
        case "end":
            return _of_scenes(cache, ledger, {key: _last(scene.stop) for key, scene in ledger.items()})
        case _:
            return _of_scenes(cache, ledger, {key: scene.start for key, scene in ledger.items()})


def _last(stop: float | None) -> float | None:
    return None if stop is None else stop - _LAST_SECOND


def _of_scenes(cache: Cache, ledger: Mapping[int, SceneRow], of: Mapping[int, str | float | None]) -> Column:
    """A column with one value a scene; the last one stands for scenes that are gone."""
    keys = np.array(sorted(ledger), np.int64)
    values: list[str | float | None] = [of[key] for key in keys.tolist()] + [None]
    place = np.searchsorted(keys, cache.scene)
    there = place < len(keys)
    there[there] = keys[place[there]] == cache.scene[there]
    known = np.array([value is not None for value in values], bool)
    texts = any(isinstance(value, str) for value in values)
    filled = [("" if texts else np.nan) if value is None else value for value in values]
    column = np.array(filled, object if texts else np.float64)
    return Column(column, known, np.where(there, place, len(keys)))


def left_out(where: Where, cache: Cache, ledger: Mapping[int, SceneRow]) -> tuple[str, ...]:
    """What a filter could not judge, in sentences."""
    notes = []
    if (where.box is not None or where.intersects is not None) and cache.placeless:
        area = "box" if where.box is not None else "polygon"
        notes.append(f"{cache.placeless} tiles without coordinates were left out by the {area}.")
    if where.after is not None or where.before is not None:
        dateless = sum(scene.start is None and scene.state != "failed" for scene in ledger.values())
        if dateless:
            notes.append(f"{dateless} scenes without a date were left out by the date filter.")
    return tuple(notes)
