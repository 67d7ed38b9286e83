"""How scenes are cut into tiles, as the ledger keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from landsift.scenes import TilingOptions

__all__ = ["IndexSettings"]


@dataclass(frozen=True)
class IndexSettings:
    """How scenes are cut; kept in the ledger with each scene.

    Attributes:
        tile: Side of a tile in pixels.
        overlap: Share of a tile that its neighbour repeats, 0 to below 1.
        scales: Window sizes as multiples of the tile.
        gsd: Ground sampling distance of the tiles in metres; None keeps the scene's own.
        bands: 1-based red, green, blue bands; None guesses them.
        crs: Coordinate system of rasters that name none, such as ``EPSG:32633``.
        views: How often each tile is seen: 1, or 5, 10 or 17 with its crops.
    """

    tile: int = 256
    overlap: float = 0.25
    scales: tuple[float, ...] = (1.0,)
    gsd: float | None = None
    bands: tuple[int, ...] | None = None
    crs: str | None = None
    views: int = 1

    def tiling(self) -> TilingOptions:
        """The part that the tiling geometry needs; checks the values."""
        return TilingOptions(self.tile, self.overlap, self.scales, self.gsd, self.views)

    def to_json(self) -> str:
        """Canonical JSON: equal settings give equal text."""
        values = asdict(self)
        if self.views == 1:  # as ledgers say it that were written before there were views
            del values["views"]
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> IndexSettings:
        """The inverse of :meth:`to_json`."""
        return cls().changed(json.loads(text))

    def changed(self, values: Mapping[str, Any]) -> IndexSettings:
        """These settings with some replaced."""
        merged = asdict(self) | dict(values)
        merged["scales"] = tuple(float(scale) for scale in merged["scales"])
        merged["bands"] = None if merged["bands"] is None else tuple(int(band) for band in merged["bands"])
        return IndexSettings(**merged)
