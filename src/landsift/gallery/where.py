"""Which tiles a search looks at: what can be asked, and the box, dates and scene as an exact mask.

Pure numpy over columns; knows no database and no index. A box is tested against the tile's true outline
(a convex quadrilateral), not its bounding rectangle, so a rotated tile that only nears the box is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.gallery.conditions import Condition
from landsift.gallery.store import SceneRow
from landsift.types import TimeSpan

__all__ = ["Outlines", "Where", "fits", "quads_meet_box"]

_BLOCK = 256  # tiles of one scene are stored together, so rows that follow each other lie close

_Sides = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Outlines:
    """Where ``n`` tiles lie: their corners, and the rectangle around them kept apart so it scans fast.

    Attributes:
        corners: ``(n, 4, 2)`` float64 unwrapped longitude, latitude; NaN without coordinates.
        west, south, east, north: ``(n,)`` float64 extremes of the corners.
    """

    corners: NDArray[np.float64]
    west: NDArray[np.float64]
    south: NDArray[np.float64]
    east: NDArray[np.float64]
    north: NDArray[np.float64]

    @classmethod
    def of(cls, corners: NDArray[np.float64]) -> Outlines:
        """Outlines of ``(n, 4, 2)`` corners."""
        low, high = corners.min(axis=1), corners.max(axis=1)
        return cls(corners, low[:, 0], low[:, 1], high[:, 0], high[:, 1])

    def near(self, west: float, south: float, east: float, north: float) -> NDArray[np.int64]:
        """Positions of the tiles whose rectangle touches this one, ascending; those of NaN never do.

        Whole blocks of rows are passed over by the rectangle around them, as in the zone maps of databases.
        """
        box = west, south, east, north
        blocks = np.flatnonzero(_touch(self._blocks, box))
        at = (blocks[:, None] * _BLOCK + np.arange(_BLOCK)).ravel()
        at = at[: np.searchsorted(at, len(self.west))]
        return at[_touch((self.west[at], self.south[at], self.east[at], self.north[at]), box)]

    @cached_property
    def _blocks(self) -> _Sides:
        """West, south, east and north of each block of rows, NaN where no row has coordinates."""
        starts = np.arange(0, len(self.west), _BLOCK)
        if not len(starts):
            return self.west, self.south, self.east, self.north
        low, high = np.fmin.reduceat, np.fmax.reduceat
        return (
            low(self.west, starts),
            low(self.south, starts),
            high(self.east, starts),
            high(self.north, starts),
        )


@dataclass(frozen=True)
class Where:
    """Filters; all that are given must hold. :meth:`mask` judges the box; the rest of the row filters are
    judged in :mod:`landsift.gallery.filtering`.

    Attributes:
        box: West, south, east, north in degrees WGS84. West greater than east means across the antimeridian.
        after: Acquired on or after this date.
        before: Acquired on or before this date.
        scene: Name, id or glob (``*``, ``?``, ``[...]``) of the scenes to search.
        intersects: A geometry in longitude and latitude that tiles must touch.
        ids: Names of the only tiles to search.
        condition: What must hold of a tile's properties.
        rows: Only tiles stored after the first and up to the second of these row numbers.

    A tile whose scene has no date never passes a date filter; one without coordinates never passes a box.
    A date known only to the year or month passes if any of it lies in the asked range.
    """

    box: tuple[float, float, float, float] | None = None
    after: TimeSpan | None = None
    before: TimeSpan | None = None
    scene: str | None = None
    intersects: shapely.Geometry | None = None
    ids: tuple[str, ...] | None = None
    condition: Condition | None = None
    rows: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.box is not None:
            _check_box(self.box)
        if self.intersects is not None:
            _check_geometry(self.intersects)
        if self.after and self.before and self.after.start >= self.before.end:
            raise UsageError(
                f"No date lies after {self.after.text} and before {self.before.text}; swap the two"
            )

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))

    def scenes(self, ledger: Sequence[SceneRow]) -> set[int]:
        """Keys of the scenes that may hold a match, judged by name and date."""
        every = self.scene is None and self.after is None and self.before is None
        return {scene.key for scene in ledger if scene.key is not None and (every or self._takes(scene))}

    def _takes(self, scene: SceneRow) -> bool:
        if self.scene is not None and not fits(scene, self.scene):
            return False
        if self.after is None and self.before is None:
            return True
        if scene.start is None or scene.stop is None:
            return False
        late_enough = self.after is None or scene.stop > self.after.start.timestamp()
        return late_enough and (self.before is None or scene.start < self.before.end.timestamp())

    def mask(self, scene: NDArray[np.int32], outlines: Outlines, keys: set[int]) -> NDArray[np.bool_]:
        """Rows to search.

        Args:
            scene: ``(n,)`` scene key of each row.
            outlines: Where each row lies.
            keys: Scenes allowed.
        """
        highest = int(scene.max(initial=0))
        allowed = np.zeros(highest + 1, bool)
        allowed[[key for key in keys if key <= highest]] = True
        chosen = np.ones(len(scene), bool) if allowed[1:].all() else allowed[scene]
        if self.box is not None and chosen.any():
            chosen &= quads_meet_box(outlines, self.box)
        return chosen


def fits(scene: SceneRow, pattern: str) -> bool:
    """Whether a name, an id or a glob means this scene."""
    texts = (scene.name, scene.name.rpartition("/")[2], scene.id)
    return any(text == pattern or fnmatchcase(text, pattern) for text in texts)


def quads_meet_box(outlines: Outlines, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Whether convex quadrilaterals touch a longitude-latitude box, wherever the longitudes are wrapped.

    Separating axes: two convex shapes are apart exactly if the box's sides or the quadrilateral's sides
    separate them. Outlines of NaN never touch.

    Args:
        outlines: ``n`` quadrilaterals.
        box: West, south, east, north; west greater than east crosses the antimeridian.

    Returns:
        ``(n,)`` bool.
    """
    west, south, east, north = box
    if west > east:
        east += 360.0
    touching = np.zeros(len(outlines.west), bool)
    for turn in (-360.0, 0.0, 360.0):
        turned = west + turn, south, east + turn, north
        near = outlines.near(*turned)
        within = (outlines.west[near] >= turned[0]) & (outlines.east[near] <= turned[2])
        touching[near[within]] = True
        edge = near[~within]
        if len(edge):
            touching[edge] |= _no_side_separates(outlines.corners[edge], turned)
    return touching


def _touch(sides: _Sides, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Which of ``n`` rectangles touch another."""
    west, south, east, north = sides
    return (north >= box[1]) & (south <= box[3]) & (east >= box[0]) & (west <= box[2])


def _no_side_separates(
    corners: NDArray[np.float64], box: tuple[float, float, float, float]
) -> NDArray[np.bool_]:
    """The half of the test that looks along the quadrilaterals' own sides."""
    west, south, east, north = box
    points = np.array([[west, south], [east, south], [east, north], [west, north]])
    sides = np.roll(corners, -1, axis=1) - corners
    normals = np.stack([-sides[..., 1], sides[..., 0]], axis=-1)
    own = np.einsum("nsk,npk->nsp", normals, corners)
    other = np.einsum("nsk,pk->nsp", normals, points)
    apart = (own.max(axis=2) < other.min(axis=2)) | (own.min(axis=2) > other.max(axis=2))
    return ~apart.any(axis=1)


def _check_box(box: tuple[float, float, float, float]) -> None:
    west, south, east, north = box
    if not np.isfinite(box).all():
        raise UsageError(f"The box {box} holds a value that is not a number; give W,S,E,N in degrees")
    if south > north:
        raise UsageError(
            f"The box has its south ({south}) above its north ({north}); give W,S,E,N in degrees"
        )
    if south < -90 or north > 90:
        raise UsageError(
            f"Latitudes lie between -90 and 90, got {south} and {north}; give W,S,E,N in degrees"
        )
    if not (-360 <= west <= 360 and -360 <= east <= 360):
        raise UsageError(
            f"Longitudes lie between -180 and 180, got {west} and {east}; give W,S,E,N in degrees"
        )


def _check_geometry(geometry: shapely.Geometry) -> None:
    if shapely.is_empty(geometry) or not shapely.is_valid(geometry):
        why = "it is empty" if shapely.is_empty(geometry) else shapely.is_valid_reason(geometry)
        raise UsageError(f"The area to search cannot be used ({why}); draw it anew")
    west, south, east, north = shapely.bounds(geometry)
    if south < -90 or north > 90 or west < -360 or east > 360:
        raise UsageError("The area to search lies off the Earth; give longitude, latitude in degrees")
