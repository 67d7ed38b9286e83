"""The tile of a scene that matches best: what a gallery would answer with. Knows scenes; no models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from landsift.errors import SceneError
from landsift.explain.asking import Question
from landsift.scenes import Scene, TilingOptions, plan
from landsift.types import Pixels, Tile, Window

__all__ = ["WinningTile", "winning_tile"]

_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class WinningTile:
    """A tile, and how it stands among those of its scene.

    Attributes:
        window: In native pixels of the scene.
        tiles: How many were scored.
        score: Its own.
        median: Of all.
        centre: Longitude and latitude; None without a coordinate system.
        scene: Width and height of the scene, pixels.
    """

    window: Window
    tiles: int
    score: float
    median: float
    centre: tuple[float, float] | None
    scene: tuple[int, int]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        window = self.window
        return {
            "window": [window.col, window.row, window.width, window.height],
            "tiles": self.tiles,
            "score": round(self.score, 6),
            "median": round(self.median, 6),
            "centre": None if self.centre is None else [round(part, 6) for part in self.centre],
        }


def winning_tile(
    scene: Scene, question: Question, side: int, progress: Callable[[int, int], None] | None = None
) -> tuple[WinningTile, Pixels]:
    """Score the tiles of a scene.

    Args:
        scene: Opened.
        question: What is asked.
        side: Of a tile, pixels.
        progress: Called with how many tiles are scored, and how many there are.

    Raises:
        SceneError: The file is damaged, or no tile shows enough.
    """
    options = TilingOptions(tile=side)
    total, seen = len(plan(scene.profile, options)), 0
    scores: list[float] = []
    best = None
    for some in _groups(scene.tiles(options)):
        tiles = [tile for tile in some if tile is not None]
        seen += len(some)
        for tile, score in zip(tiles, question.scores([tile.pixels for tile in tiles]).tolist(), strict=True):
            if best is None or score > best[1]:
                best = tile, score
            scores.append(score)
        if progress:
            progress(seen, total)
    if best is None:
        raise SceneError(f"{scene.source.name} shows too little to be explained; check its nodata value")
    tile, score = best
    middle = None if tile.corners is None else tile.corners.mean(axis=0)
    centre = None if middle is None else (float(middle[0]), float(middle[1]))
    size = scene.profile.width, scene.profile.height
    return WinningTile(tile.window, len(scores), score, float(np.median(scores)), centre, size), tile.pixels


def _groups(tiles: Iterator[Tile | None]) -> Iterator[list[Tile | None]]:
    while group := list(islice(tiles, _AT_ONCE)):
        yield group
