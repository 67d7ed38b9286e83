"""What a question on change answers: places in order, the two tiles of each, and the facts of how.

Knows how to become a table for the GIS writers and a document for machines; nothing of how it was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.formats import FeatureTable, write_table
from landsift.gallery.result import Match

__all__ = ["Change", "ChangeResult"]

_FIELDS: dict[str, type] = {
    "rank": int,
    "score": float,
    "query": str,
    "before_date": str,
    "after_date": str,
    "before_tile": str,
    "after_tile": str,
    "before_scene": str,
    "after_scene": str,
    "gsd": float,
    "shared": float,
    "vectors": str,
}


@dataclass(frozen=True, eq=False)
class Change:
    """One place, and how it looked on two dates.

    Attributes:
        rank: 1 for the best.
        score: Robust deviations from what is usual between these two scenes; see
            :mod:`landsift.changes.scoring`.
        before, after: The tile of either date that shows the place best.
        corners: ``(4, 2)`` longitude, latitude of the place.
        gsd: Ground sampling distance in metres at which the two were compared.
        shared: Intersection over union of the two tiles.
        vectors: ``stored`` where the two tiles line up, ``encoded`` where the place was cut out of the other
            date anew, ``averaged`` where the stored vectors around had to do.
    """

    rank: int
    score: float
    before: Match
    after: Match
    corners: NDArray[np.float64]
    gsd: float
    shared: float
    vectors: str

    def fields(self) -> dict[str, Any]:
        """Everything but the outline, flat, with the names that exported files use."""
        return {
            "rank": self.rank,
            "score": round(self.score, 4),
            "before_date": self.before.date,
            "after_date": self.after.date,
            "before_tile": self.before.tile,
            "after_tile": self.after.tile,
            "before_scene": self.before.scene,
            "after_scene": self.after.scene,
            "gsd": round(self.gsd, 4),
            "shared": round(self.shared, 4),
            "vectors": self.vectors,
        }


@dataclass(frozen=True, eq=False)
class ChangeResult(Sequence[Change]):
    """Places, the most changed or the best fitting first; a sequence.

    Attributes:
        changes: The places.
        query: What was asked, in words.
        was, became: What the sentence was understood to say was there before, and after; None for anything.
        places: How many places were compared.
        left_out: Reason -> number of places left out.
        seconds: Time it took.
        notes: Sentences on what was compared with what, and what could not be, for people.
    """

    changes: tuple[Change, ...]
    query: str
    was: str | None
    became: str | None
    places: int
    left_out: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.changes)

    def __getitem__(self, position: Any) -> Any:
        return self.changes[position]

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "query": self.query,
            "was": self.was,
            "became": self.became,
            "places": self.places,
            "left_out": self.left_out,
            "seconds": round(self.seconds, 6),
            "notes": list(self.notes),
            "changes": [
                change.fields() | {"corners": np.round(change.corners, 7).tolist()} for change in self
            ],
        }

    def save(self, path: str | Path) -> None:
        """Write the places as GeoJSON, GeoPackage, GeoParquet or CSV, by the suffix of ``path``."""
        rows = [change.fields() | {"query": self.query} for change in self]
        columns = {name: [row[name] for row in rows] for name in _FIELDS}
        corners = np.array([change.corners for change in self], np.float64).reshape(-1, 4, 2)
        write_table(path, [FeatureTable(corners, columns, _FIELDS)], layer="changes")
