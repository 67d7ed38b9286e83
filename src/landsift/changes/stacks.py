"""The same ground in two scenes: which tiles of one lie over which of the other, and by how much.

Geometry of outlines in longitude and latitude; knows no pixels, no vectors and no words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from landsift.gallery.cache import Cache
from landsift.gallery.store import SceneRow

__all__ = ["Layer", "Stack", "stack"]

_LEAST_COVERED = 0.75
"""Share of a place that the other date must show."""
_SAME_GSD = 1.05


@dataclass(frozen=True, eq=False)
class Layer:
    """The tiles of one scene that are looked at.

    Attributes:
        scene: The scene.
        rows: ``(n,)`` their positions in the cache.
        rings: ``(n, 4, 2)`` float64 longitude, latitude of their corners, on one side of the antimeridian.
        windows: ``(n, 4)`` col, row, width, height in native pixels.
        gsd: ``(n,)`` metres.
    """

    scene: SceneRow
    rows: NDArray[np.int64]
    rings: NDArray[np.float64]
    windows: NDArray[np.int64]
    gsd: NDArray[np.float64]

    @classmethod
    def of(cls, cache: Cache, scene: SceneRow, mask: NDArray[np.bool_]) -> Layer:
        """The tiles of a scene that pass a mask and have coordinates."""
        rows = np.flatnonzero(mask & (cache.scene == scene.key) & np.isfinite(cache.outlines.west))
        rings = np.array(cache.outlines.corners[rows], np.float64)
        if len(rows):
            middles = rings[:, :, 0].mean(axis=1)
            rings[:, :, 0] += 360.0 * np.round((middles[0] - middles) / 360.0)[:, None]
        return cls(scene, rows, rings, np.asarray(cache.window[rows], np.int64), np.asarray(cache.gsd[rows]))

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def polygons(self) -> NDArray[np.object_]:
        """``(n,)`` their outlines."""
        return np.asarray(shapely.polygons(self.rings), object)

    @property
    def fineness(self) -> tuple[float, float]:
        """Resolution and size on the ground of its finest tiles, for choosing whose tiles are the places."""
        finest = float(self.gsd.min())
        side = float(np.sqrt(shapely.area(self.polygons[self.gsd == finest]).min()))
        return finest, side

    def turned_to(self, other: Layer) -> Layer:
        """The same tiles with longitudes as the other's, a full turn away if need be."""
        turn = 360.0 * round(float(other.rings[0, 0, 0] - self.rings[0, 0, 0]) / 360.0)
        if not turn:
            return self
        return Layer(self.scene, self.rows, self.rings + np.array([turn, 0.0]), self.windows, self.gsd)

    def may_meet(self, other: Layer) -> bool:
        """Whether the rectangles around the two touch."""
        low, high = self.rings.min(axis=(0, 1)), self.rings.max(axis=(0, 1))
        return bool(
            (low <= other.rings.max(axis=(0, 1))).all() and (high >= other.rings.min(axis=(0, 1))).all()
        )


@dataclass(frozen=True, eq=False)
class Stack:
    """Places that two scenes both show. A place is a tile of one, the *base*; the other is laid under it.

    Attributes:
        base, other: The two layers.
        base_is_after: Whether the base is the later side asked for.
        places: ``(p,)`` which tiles of the base are places.
        place, mate, shared: ``(m,)`` each overlap: number of the place, tile of the other, and the share of
            the place that lies under it.
        best: ``(p,)`` the tile of the other that fits each place best.
        likeness: ``(p,)`` intersection over union of the place and that tile.
        uncovered: Tiles of the base that the other touches but covers too little of.
    """

    base: Layer
    other: Layer
    base_is_after: bool
    places: NDArray[np.int64]
    place: NDArray[np.int64]
    mate: NDArray[np.int64]
    shared: NDArray[np.float64]
    best: NDArray[np.int64]
    likeness: NDArray[np.float64]
    uncovered: int

    def __len__(self) -> int:
        return len(self.places)

    @property
    def rings(self) -> NDArray[np.float64]:
        """``(p, 4, 2)`` corners of the places."""
        return self.base.rings[self.places]

    def mean_over_mates(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """A property of the other's tiles at the places: their mean, weighted by overlap.

        Args:
            values: ``(n,)`` or ``(n, d)``, one row for each tile of the other.

        Returns:
            ``(p,)`` or ``(p, d)``.
        """
        weights = self.shared.reshape(-1, *[1] * (values.ndim - 1))
        total = np.zeros((len(self), *values.shape[1:]))
        np.add.at(total, self.place, weights * values[self.mate])
        mass = np.bincount(self.place, self.shared, len(self))
        return total / mass.reshape(-1, *[1] * (values.ndim - 1))

    def among(self, kept: NDArray[np.bool_]) -> Stack:
        """Only some of the places."""
        number = np.cumsum(kept) - 1
        chosen = kept[self.place]
        return Stack(
            self.base,
            self.other,
            self.base_is_after,
            self.places[kept],
            number[self.place[chosen]],
            self.mate[chosen],
            self.shared[chosen],
            self.best[kept],
            self.likeness[kept],
            self.uncovered,
        )


def stack(before: Layer, after: Layer) -> Stack | None:
    """Lay one scene over the other.

    The tiles of the coarser scene are the places, so that what is finer is brought to what both can show; of
    two equally fine, the one with the smaller tiles; of equals, the later.

    Returns:
        The places that the other covers to three quarters or more, maybe none; None where the two scenes do
        not touch.
    """
    before = before.turned_to(after)
    if not before.may_meet(after):
        return None
    base_is_after = not _is_base(before.fineness, after.fineness)
    base, other = (after, before) if base_is_after else (before, after)
    place, mate = shapely.STRtree(other.polygons).query(base.polygons, predicate="intersects")
    shared = shapely.area(shapely.intersection(base.polygons[place], other.polygons[mate]))
    if not (shared > 0).any():
        return None
    place, mate, shared = place[shared > 0], mate[shared > 0], shared[shared > 0]
    areas, mate_areas = shapely.area(base.polygons), shapely.area(other.polygons)
    ground = shapely.union_all(other.polygons)
    shapely.prepare(ground)
    touched = np.unique(place)
    covered = shapely.area(shapely.intersection(base.polygons[touched], ground)) / areas[touched]
    places = touched[covered >= _LEAST_COVERED]
    chosen = np.isin(place, places)
    place, mate, shared = place[chosen], mate[chosen], shared[chosen]
    likeness = shared / (areas[place] + mate_areas[mate] - shared)
    best_first = np.lexsort((mate, -likeness, place))
    best = best_first[np.unique(place[best_first], return_index=True)[1]]
    return Stack(
        base,
        other,
        base_is_after,
        places,
        np.searchsorted(places, place),
        mate,
        shared / areas[place],
        mate[best],
        likeness[best],
        len(touched) - len(places),
    )


def _is_base(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the first layer's tiles are the places."""
    if not 1 / _SAME_GSD < one[0] / other[0] < _SAME_GSD:
        return one[0] > other[0]
    return one[1] < other[1] / _SAME_GSD
