"""Pixels for a gallery: a stored tile read again from its source, and an image given as a query.

Both take the stretch from the ledger, so that what is seen and what is asked with look like what was indexed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from landsift.errors import SceneError
from landsift.gallery.settings import IndexSettings
from landsift.gallery.store import ItemRow, SceneRow
from landsift.scenes import (
    Scene,
    SceneProfile,
    SceneSource,
    check_size,
    cut_window,
    draw_square,
    image_suffix,
    open_scene,
)
from landsift.types import Pixels, Window

__all__ = ["cut_tile", "draw_map_tile", "read_query_image", "read_tile", "read_upload"]

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


def cut_tile(item: ItemRow, scene: SceneRow) -> bytes:
    """A stored tile cut out of its source with all bands and native samples, as a GeoTIFF.

    Raises:
        SceneError: The source cannot be read any more.
    """
    assert scene.profile is not None
    source, profile = SceneSource.from_json(scene.source), SceneProfile.from_json(scene.profile)
    return cut_window(source, profile, Window(item.col, item.line, item.width, item.height))


def draw_map_tile(scene: SceneRow, zoom: int, x: int, y: int) -> bytes:
    """A square of the web map (256 pixels a side) that shows a scene as it was indexed, as PNG.

    Raises:
        SceneError: The source cannot be read any more.
        UsageError: There is no such square.
    """
    if scene.profile is None:
        raise SceneError(f"The scene {scene.name} could not be read; index it again")
    source, profile = SceneSource.from_json(scene.source), SceneProfile.from_json(scene.profile)
    return draw_square(source, profile, zoom, x, y)


def read_upload(data: bytes, ledger: Iterable[SceneRow], most_pixels: int) -> Pixels:
    """An image that somebody sent: PNG, JPEG, WebP or TIFF; georeferenced ones are stretched like a scene.

    Its bytes decide what it is, so nothing that names other files (a VRT, say) is ever opened.

    Raises:
        UsageError: Another format, or more pixels than allowed.
        SceneError: It is damaged.
    """
    with TemporaryDirectory(prefix="landsift-upload-") as folder:
        path = Path(folder) / f"image{image_suffix(data)}"
        path.write_bytes(data)
        check_size(path, most_pixels)
        try:
            return read_query_image(path, ledger)
        except SceneError as error:  # its message names a file that the sender never saw
            raise SceneError("The image cannot be read to its end; save it anew and send that") from error


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
