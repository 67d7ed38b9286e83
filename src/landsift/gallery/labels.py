"""What people taught a gallery: for a topic, which tiles are wanted and which are not.

Knows the table of labels and their exchange as GeoJSON points; nothing of how a search uses them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from landsift.errors import UsageError
from landsift.gallery.store import Store

__all__ = ["Label", "LabelBook", "labels_from_geojson", "labels_to_geojson"]


@dataclass(frozen=True, slots=True)
class Label:
    """One judgement.

    Attributes:
        topic: What was looked for.
        tile: Name of the tile.
        wanted: Whether it shows that.
        longitude, latitude: The tile's middle; None without coordinates.
        made: Seconds since 1970 UTC.
    """

    topic: str
    tile: str
    wanted: bool
    longitude: float | None
    latitude: float | None
    made: float

    @classmethod
    def now(cls, topic: str, tile: str, wanted: bool, center: tuple[float, float] | None) -> Label:
        """A label made now for a tile with this middle."""
        longitude, latitude = center or (None, None)
        return cls(topic, tile, wanted, longitude, latitude, time.time())


class LabelBook:
    """The labels of a gallery; a tile has one for each topic, and the last one given counts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def topics(self) -> dict[str, tuple[int, int]]:
        """Topic -> how many tiles are wanted and not wanted."""
        query = "SELECT topic, sum(wanted), sum(1 - wanted) FROM label GROUP BY topic ORDER BY topic"
        return {topic: (int(good), int(bad)) for topic, good, bad in self._store.rows(query)}

    def of(self, topic: str) -> list[Label]:
        """The labels of a topic, in the order they were made."""
        query = (
            "SELECT topic, tile, wanted, longitude, latitude, made FROM label "
            "WHERE topic = ? ORDER BY made, tile"
        )
        return [
            Label(topic, tile, bool(wanted), longitude, latitude, made)
            for topic, tile, wanted, longitude, latitude, made in self._store.rows(query, (topic,))
        ]

    def put(self, labels: Iterable[Label]) -> int:
        """Store labels; returns how many.

        Raises:
            GalleryReadOnly, GalleryBusy, DiskFull: None was stored.
        """
        rows = [(x.topic, x.tile, int(x.wanted), x.longitude, x.latitude, x.made) for x in labels]
        with self._store.transaction():
            self._store.change("INSERT OR REPLACE INTO label VALUES (?, ?, ?, ?, ?, ?)", rows)
        return len(rows)

    def drop(self, topic: str, tile: str) -> bool:
        """Take a label back; whether there was one."""
        with self._store.transaction():
            return self._store.change("DELETE FROM label WHERE topic = ? AND tile = ?", [(topic, tile)]) > 0


def labels_to_geojson(labels: Iterable[Label]) -> dict[str, Any]:
    """Labels as GeoJSON points with the property ``label``: 1 wanted, 0 not."""
    features = [
        {
            "type": "Feature",
            "geometry": None
            if label.longitude is None or label.latitude is None
            else {"type": "Point", "coordinates": [round(label.longitude, 7), round(label.latitude, 7)]},
            "properties": {
                "label": int(label.wanted),
                "topic": label.topic,
                "tile": label.tile,
                "made": datetime.fromtimestamp(label.made, UTC).isoformat(timespec="seconds"),
            },
        }
        for label in labels
    ]
    return {"type": "FeatureCollection", "features": features}


def labels_from_geojson(
    document: Any,
    topic: str,
    find: Callable[[str | None, tuple[float, float] | None], tuple[str, tuple[float, float] | None] | None],
) -> tuple[list[Label], int]:
    """Read labels from GeoJSON points.

    Args:
        document: A FeatureCollection whose features have ``label`` 0 or 1.
        topic: Topic of all of them.
        find: Gives name and middle of the tile that a feature's tile name, or else its point, means; or None.

    Returns:
        The labels, and how many features mean no tile of the gallery.

    Raises:
        UsageError: The document is something else.
    """
    features = document.get("features") if isinstance(document, Mapping) else None
    if not isinstance(features, list):
        raise UsageError("Labels are read from a GeoJSON FeatureCollection; this is none")
    found, lost = [], 0
    for number, feature in enumerate(features):
        properties = feature.get("properties") if isinstance(feature, Mapping) else None
        label = properties.get("label") if isinstance(properties, Mapping) else None
        if isinstance(label, bool) or label not in (0, 1):
            raise UsageError(f"Feature {number} has no property label of 0 or 1; add it")
        assert isinstance(properties, Mapping)
        name = properties.get("tile")
        tile = find(name if isinstance(name, str) else None, _point(feature.get("geometry")))
        if tile is None:
            lost += 1
        else:
            found.append(Label.now(topic, tile[0], bool(label), tile[1]))
    return found, lost


def _point(geometry: Any) -> tuple[float, float] | None:
    if not isinstance(geometry, Mapping) or geometry.get("type") != "Point":
        return None
    place = geometry.get("coordinates")
    if not isinstance(place, list) or len(place) < 2:
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float) or not math.isfinite(v) for v in place[:2]):
        return None
    return float(place[0]), float(place[1])
