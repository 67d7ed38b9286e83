"""A closer look at the first matches: read again from the scene, cut into crops, encoded crop by crop.

A thing of a few pixels is lost in the one vector of a tile and stands out in that of a crop. The coarse
search leaves out, the fine one orders, as in the second semantic localization of Yuan et al. (SeLo v2). Knows
no files; what reads a tile is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from landsift.encoders.spectral import spectral_need
from landsift.errors import SceneError, UsageError
from landsift.gallery.result import Match, SearchResult
from landsift.index import Stopwatch
from landsift.scenes import VIEW_SHARES, crops_of
from landsift.types import Encoder, FloatArray, Pixels

__all__ = ["Refine", "Sight", "refined"]


@dataclass(frozen=True)
class Refine:
    """How closely to look at how many.

    Attributes:
        tiles: How many of the best tiles.
        zooms: Crops a side, each kind in turn: 2 cuts a tile into four that are seen about twice as large, 4
            into sixteen.

    Raises:
        UsageError: A value that could never work.
    """

    tiles: int
    zooms: tuple[float, ...] = (2,)

    def __post_init__(self) -> None:
        if self.tiles < 1:
            raise UsageError(f"At least 1 tile can be refined, got {self.tiles}; leave it out for none")
        if not self.zooms or not set(self.zooms) <= VIEW_SHARES.keys():
            known = ", ".join(map(str, VIEW_SHARES))
            got = ",".join(f"{zoom:g}" for zoom in self.zooms)
            raise UsageError(f"A closer look is at {known} crops a side, got {got}; take 2, or 2,4")
        object.__setattr__(self, "zooms", tuple(int(zoom) for zoom in self.zooms))

    def side(self, window: int, seen: int) -> int:
        """Pixels to read along a window, so that the smallest crop has what an encoder sees, if there are.

        Args:
            window: Native pixels along it.
            seen: Side of the squares that the encoder sees.
        """
        return min(window, math.ceil(seen / VIEW_SHARES[int(max(self.zooms))]))

    @property
    def crops(self) -> int:
        """Crops of a tile."""
        return sum(int(zoom) ** 2 for zoom in self.zooms)


@dataclass(frozen=True, eq=False)
class Sight:
    """What a closer look needs of a gallery.

    Attributes:
        query: ``(dim,)`` what tiles are compared with.
        encoder: Of the gallery.
        read: Pixels of a match, so many on the longer side.
        vector: ``(dim,)`` of a tile, by its id.
    """

    query: FloatArray
    encoder: Encoder
    read: Callable[[Match, int], Pixels]
    vector: Callable[[str], FloatArray]

    def gain(self, match: Match, asked: Refine) -> float:
        """How much nearer to the query the best crop of a tile is than the tile; at least 0."""
        side = asked.side(max(match.window.width, match.window.height), self.encoder.card.input_size)
        pixels = self.read(match, side)
        crops = [crop for zoom in asked.zooms for crop in crops_of(pixels, int(zoom))]
        nearest = float(np.max(self.encoder.encode_images(crops) @ self.query))
        return max(0.0, nearest - float(self.vector(match.tile) @ self.query))


def refined(
    result: SearchResult,
    asked: Refine,
    sight: Sight,
    k: int,
    min_score: float | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> SearchResult:
    """The first ``k`` matches once the best have been looked at closely.

    A tile whose best crop is nearer to the query than the tile itself gains the difference; none loses. Its
    percentile stays that of the tile. A tile whose source cannot be read any more keeps its score.

    Args:
        result: Matches; the first ``asked.tiles`` are looked at.
        asked: How closely.
        sight: What to look with.
        k: How many matches.
        min_score: Leave out matches that score less afterwards.
        tell: Called with how many tiles are done, of how many.

    Raises:
        UsageError: The encoder reads bands, of which a match gives none.
    """
    if spectral_need(sight.encoder.card) is not None:
        raise UsageError(
            f"{sight.encoder.card.name} reads bands, and a closer look gives pictures; leave it out"
        )
    watch, unread = Stopwatch(), 0
    first, rest = result.matches[: asked.tiles], result.matches[asked.tiles :]
    looked = []
    with watch.stage("crops of the best tiles", asked.crops * len(first)):
        for done, match in enumerate(first, 1):
            try:
                gain = sight.gain(match, asked)
            except SceneError:
                gain, unread = 0.0, unread + 1
            looked.append(replace(match, score=match.score + gain))
            if tell is not None:
                tell(done, len(first))
    ordered = [*sorted(looked, key=lambda match: -match.score), *rest]
    kept = [match for match in ordered if min_score is None or match.score >= min_score][:k]
    trace = None if result.trace is None else result.trace.among(after=tuple(watch.stages))
    return replace(
        result,
        matches=tuple(replace(match, rank=rank) for rank, match in enumerate(kept, 1)),
        notes=(*result.notes, *_notes(len(first) - unread, unread, asked)),
        trace=trace,
        seconds=result.seconds + watch.stages[0].milliseconds / 1000,
    )


def _notes(looked: int, unread: int, asked: Refine) -> list[str]:
    notes = [f"{looked} of the best tiles were looked at in {asked.crops} crops each."]
    if unread:
        notes.append(f"{unread} tiles could not be read again and keep their score; are their files gone?")
    return notes
