"""The vector of each place on both dates, over the same ground.

Where tiles line up, the stored vectors are taken. Elsewhere the other date's picture of the place is drawn
and encoded; where that cannot be done (the file is gone, or the encoder reads bands that a picture lacks),
the stored vectors around are averaged by overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.changes.stacks import Stack
from landsift.changes.views import Views, pixel_map
from landsift.encoders.spectral import spectral_need
from landsift.errors import SceneError
from landsift.gallery.cache import Cache
from landsift.gallery.settings import IndexSettings
from landsift.types import Encoder, FloatArray, Pixels

__all__ = ["ALIGNED", "Aligned", "align"]

ALIGNED = 0.8
"""Intersection over union from which two tiles count as the same place."""
WAYS = ("stored", "encoded", "averaged")
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Aligned:
    """Places with a vector on either date.

    Attributes:
        stack: The ``p`` places.
        before, after: ``(p, dim)`` unit rows.
        way: ``(p,)`` how the vector of the tile that is no place came about, as a number of :data:`WAYS`.
    """

    stack: Stack
    before: FloatArray
    after: FloatArray
    way: NDArray[np.int64]


def align(
    stack: Stack, cache: Cache, encoder: Callable[[], Encoder], views: Views, tell: Callable[[int], None]
) -> Aligned:
    """Vectors for both dates of every place.

    Args:
        stack: The places.
        cache: The gallery's columns.
        encoder: Gives the encoder that made the gallery; called only if something must be encoded.
        views: Opens scenes.
        tell: Called with how many more places are done.
    """
    own = cache.index.vectors(stack.base.rows[stack.places])
    other = cache.index.vectors(stack.other.rows[stack.best])
    way = np.where(stack.likeness >= ALIGNED, 0, 1)
    tell(int((way == 0).sum()))
    odd = np.flatnonzero(way == 1)
    if len(odd):
        other, way = _laid_over(stack, cache, encoder(), views, odd, other.copy(), way, tell)
    before, after = (other, own) if stack.base_is_after else (own, other)
    return Aligned(stack, before, after, way)


def _laid_over(
    stack: Stack,
    cache: Cache,
    encoder: Encoder,
    views: Views,
    odd: NDArray[np.int64],
    other: FloatArray,
    way: NDArray[np.int64],
    tell: Callable[[int], None],
) -> tuple[FloatArray, NDArray[np.int64]]:
    for start in range(0, len(odd), _BATCH):
        part = odd[start : start + _BATCH]
        pictures = None if spectral_need(encoder.card) is not None else _pictures(stack, views, part)
        if pictures is not None:
            other[part] = encoder.encode_images(pictures)
        else:
            way[part] = 2
        tell(len(part))
    averaged = np.flatnonzero(way == 2)
    if len(averaged):
        mean = stack.mean_over_mates(cache.index.vectors(stack.other.rows))[averaged]
        other[averaged] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return other, way


def _pictures(stack: Stack, views: Views, places: Sequence[int] | NDArray[np.int64]) -> list[Pixels] | None:
    """The other date's pictures of some places, as large as the base's tiles; None if it cannot be read."""
    tile = IndexSettings.from_json(stack.base.scene.settings).tile
    order = np.argsort(stack.place, kind="stable")
    starts = np.searchsorted(stack.place[order], np.arange(len(stack) + 1))
    pictures = []
    for place in places:
        mates = stack.mate[order[starts[place] : starts[place + 1]]]
        width, height = stack.base.windows[stack.places[place], 2:]
        side = tile / max(width, height)
        size = max(1, round(height * side)), max(1, round(width * side))
        try:
            to_pixel = pixel_map(stack.other.rings[mates], stack.other.windows[mates])
            picture, _ = views.draw(stack.other.scene, to_pixel, stack.rings[place], size)
        except SceneError:
            return None
        pictures.append(picture)
    return pictures
