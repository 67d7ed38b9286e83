"""Pixels for a gallery: a stored tile read again from its source, and an image given as a query.

Both take the stretch from the ledger, so that what is seen and what is asked with look like what was indexed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from landsift.gallery.settings import IndexSettings
from landsift.gallery.store import ItemRow, SceneRow
from landsift.scenes import Scene, SceneProfile, SceneSource, open_scene
from landsift.types import Pixels, Window

__all__ = ["read_query_image", "read_tile"]

_QUERY_IMAGE_SIDE = 512  # an image given as a query is read no larger than this


def read_tile(item: ItemRow, scene: SceneRow, size: int | None = None) -> Pixels:
    """The pixels of a stored tile, ``size`` (by default the tile size) on its longer side.

    Raises:
        SceneError: The source cannot be read any more.
    """
    assert scene.profile is not None
    settings = IndexSettings.from_json(scene.settings)
    side = (size or settings.tile) / max(item.width, item.height)
    shape = (max(1, round(side * item.height)), max(1, round(side * item.width)))
    source, profile = SceneSource.from_json(scene.source), SceneProfile.from_json(scene.profile)
    with open_scene(source, crs=settings.crs, profile=profile) as opened:
        return opened.read(Window(item.col, item.line, item.width, item.height), shape)[0]


def read_query_image(path: Path, ledger: Iterable[SceneRow]) -> Pixels:
    """An image file as pixels; one that is, or was cut from, an indexed scene is stretched as that scene was.

    Raises:
        SceneError: It cannot be read.
    """
    with open_scene(path) as opened:
        own = opened.profile
        known = _indexed_twin(opened.source.href, own, ledger)
        if known is None:
            return _read_whole(opened)
    with open_scene(path, profile=replace(own, bands=known.bands, stretch=known.stretch)) as opened:
        return _read_whole(opened)


def _read_whole(scene: Scene) -> Pixels:
    width, height = scene.profile.width, scene.profile.height
    shrink = min(1.0, _QUERY_IMAGE_SIDE / max(width, height))
    shape = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    return scene.read(Window(0, 0, width, height), shape)[0]


def _indexed_twin(href: str, profile: SceneProfile, ledger: Iterable[SceneRow]) -> SceneProfile | None:
    """The profile of the scene that this image is, or that has the same kind of pixels around its middle."""
    for scene in ledger:
        if scene.profile is None:
            continue
        known = SceneProfile.from_json(scene.profile)
        same_kind = (known.dtype, known.count) == (profile.dtype, profile.count)
        if same_kind and (scene.href == href or _holds(known, profile)):
            return known
    return None


def _holds(outer: SceneProfile, inner: SceneProfile) -> bool:
    """Whether the middle of one scene lies in the rectangle around another."""
    if outer.corners is None or inner.corners is None:
        return False
    around, middle = np.asarray(outer.corners), np.asarray(inner.corners).mean(axis=0)
    turned = middle + np.array([[-360.0, 0.0], [0.0, 0.0], [360.0, 0.0]])
    inside = (turned >= around.min(axis=0)) & (turned <= around.max(axis=0))
    return bool(inside.all(axis=1).any())
