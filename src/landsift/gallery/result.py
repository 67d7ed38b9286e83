"""What a search answers: matches in order, and the facts of how they were found.

Knows how to become a table for the GIS writers; nothing of how the search was done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.index import Trace
from landsift.types import Window

__all__ = ["TILE_FIELDS", "Match", "SearchResult"]

TILE_FIELDS: dict[str, type] = {
    "tile": str,
    "scene": str,
    "source": str,
    "date": str,
    "gsd": float,
    "scale": float,
    "col": int,
    "row": int,
    "width": int,
    "height": int,
    "valid": float,
}
"""Columns that every exported tile has, with their types."""

_MATCH_FIELDS: dict[str, type] = {
    "rank": int,
    "score": float,
    "percentile": float,
    "query": str,
} | TILE_FIELDS


@dataclass(frozen=True, eq=False)
class Match:
    """One tile that a search found.

    Attributes:
        rank: 1 for the best.
        score: Inner product with the query, -1 to 1; higher is better.
        percentile: Share, in percent, of the searched tiles that do not score higher.
        tile: The tile's id, as ``--like`` takes it.
        scene: Name of its scene.
        source: Path or URL of its scene.
        date: Acquisition date as text, None if unknown.
        window: Native pixels of the scene.
        scale: Window size as a multiple of the tile size.
        gsd: Ground sampling distance in metres, None without coordinates.
        valid: Share of valid pixels.
        corners: ``(4, 2)`` unwrapped longitude, latitude (see ``Tile``), None without coordinates.
    """

    rank: int
    score: float
    percentile: float
    tile: str
    scene: str
    source: str
    date: str | None
    window: Window
    scale: float
    gsd: float | None
    valid: float
    corners: NDArray[np.float64] | None

    @property
    def center(self) -> tuple[float, float] | None:
        """Longitude (-180 to 180) and latitude of the tile's middle; None without coordinates."""
        if self.corners is None:
            return None
        longitude, latitude = self.corners.mean(axis=0)
        return float((longitude + 180.0) % 360.0 - 180.0), float(latitude)

    def fields(self) -> dict[str, Any]:
        """Everything but the outline, flat, with the names that exported files use."""
        return {
            "rank": self.rank,
            "score": round(self.score, 6),
            "percentile": round(self.percentile, 4),
            "tile": self.tile,
            "scene": self.scene,
            "source": self.source,
            "date": self.date,
            "gsd": None if self.gsd is None else round(self.gsd, 4),
            "scale": self.scale,
            "col": self.window.col,
            "row": self.window.row,
            "width": self.window.width,
            "height": self.window.height,
            "valid": round(self.valid, 4),
        }


@dataclass(frozen=True, eq=False)
class SearchResult(Sequence[Match]):
    """Matches, best first; a sequence.

    Attributes:
        matches: The matches.
        query: The query in words, for headings.
        searched: Tiles that passed the filters and were scored.
        total: Tiles in the gallery.
        seconds: Time from the encoded query to the answer.
        notes: Sentences on what was left out, for people.
        trace: The way that was taken, and its stages; None where there was none to take.
    """

    matches: tuple[Match, ...]
    query: str
    searched: int
    total: int
    seconds: float
    notes: tuple[str, ...] = ()
    trace: Trace | None = None

    def __len__(self) -> int:
        return len(self.matches)

    def __getitem__(self, position: Any) -> Any:
        return self.matches[position]

    def __iter__(self) -> Iterator[Match]:
        return iter(self.matches)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        matches = []
        for match in self.matches:
            ring = None if match.corners is None else np.round(match.corners, 7).tolist()
            matches.append(match.fields() | {"corners": ring})
        return {
            "query": self.query,
            "searched": self.searched,
            "total": self.total,
            "seconds": round(self.seconds, 6),
            "notes": list(self.notes),
            "matches": matches,
        }

    def save(self, path: str | Path) -> None:
        """Write the matches as GeoJSON, GeoPackage, GeoParquet or CSV, by the suffix of ``path``."""
        self.save_all(path, [self])

    @staticmethod
    def save_all(path: str | Path, results: Sequence[SearchResult]) -> None:
        """Write the matches of several searches into one file; the column ``query`` tells them apart."""
        from landsift.formats import FeatureTable, write_table

        rows = [match.fields() | {"query": result.query} for result in results for match in result]
        columns = {name: [row[name] for row in rows] for name in _MATCH_FIELDS}
        nowhere = np.full((4, 2), np.nan)
        outlines = [
            nowhere if match.corners is None else match.corners for result in results for match in result
        ]
        corners = np.array(outlines, np.float64).reshape(-1, 4, 2)
        write_table(path, [FeatureTable(corners, columns, _MATCH_FIELDS)], layer="matches")
