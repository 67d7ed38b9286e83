"""The names of tiles, such as ``harbour-1a2b3c4d_s1_x0_y192``: scene, scale and upper-left pixel.

Knows how a name is put together and taken apart; nothing of what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.gallery.store import ItemRow, SceneRow

__all__ = ["TileName", "tile_id", "tile_ids"]


@dataclass(frozen=True, slots=True)
class TileName:
    """The parts of a tile's name.

    Attributes:
        scene: Id of its scene.
        scale: Window size as a multiple of the tile size, as written in the name.
        col, line: Upper-left corner in native pixels of the scene.
    """

    scene: str
    scale: str
    col: int
    line: int

    @classmethod
    def parse(cls, text: str) -> TileName | None:
        """Take a name apart; None if it is none."""
        scene, *place = text.rsplit("_", 3)
        if len(place) != 3 or [part[:1] for part in place] != ["s", "x", "y"]:
            return None
        try:
            scale = f"{float(place[0][1:]):g}"
            col, line = int(place[1][1:]), int(place[2][1:])
        except ValueError:
            return None
        return cls(scene, scale, col, line) if min(col, line) >= 0 and max(col, line) < 2**31 else None


def tile_id(item: ItemRow, scene: SceneRow) -> str:
    """The name of a tile."""
    return f"{scene.id}_s{item.scale:g}_x{item.col}_y{item.line}"


def tile_ids(scenes: Sequence[str], scales: NDArray[np.floating], windows: NDArray[np.integer]) -> list[str]:
    """The names of many tiles.

    Args:
        scenes: ``n`` ids of their scenes.
        scales: ``(n,)`` window sizes as multiples of the tile size.
        windows: ``(n, 4)`` col, row, width, height in native pixels of the scene.
    """
    columns = zip(scenes, scales.tolist(), windows[:, 0].tolist(), windows[:, 1].tolist(), strict=True)
    return [f"{scene}_s{scale:g}_x{col}_y{line}" for scene, scale, col, line in columns]
