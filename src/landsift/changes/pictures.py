"""The two pictures of a found place, on one outline, for people to judge by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from landsift.changes.result import Change
from landsift.changes.views import Views, pixel_map, widened
from landsift.errors import SceneError
from landsift.gallery import Gallery
from landsift.gallery.naming import TileName
from landsift.gallery.result import Match
from landsift.gallery.store import SceneRow
from landsift.types import Pixels

__all__ = ["MARGIN", "pictures_of"]

MARGIN = 0.4
"""How much is shown around a place, as a share of its side."""


def pictures_of(
    gallery: Gallery, changes: Sequence[Change], size: int, margin: float = MARGIN
) -> list[tuple[Pixels | None, Pixels | None]]:
    """Both dates of each place, ``(size, size, 3)``, with a margin; None where a scene cannot be read."""
    ledger = gallery.snapshot().shown
    with Views() as views:
        return [
            (
                _picture(views, ledger, change.before, widened(change.corners, margin), size),
                _picture(views, ledger, change.after, widened(change.corners, margin), size),
            )
            for change in changes
        ]


def _picture(
    views: Views, ledger: dict[str, SceneRow], match: Match, ring: NDArray[np.float64], size: int
) -> Pixels | None:
    name, corners, window = TileName.parse(match.tile), match.corners, match.window
    assert name is not None and corners is not None
    turn = 360.0 * np.round((corners[0, 0] - ring[0, 0]) / 360.0)
    place = np.array([[window.col, window.row, window.width, window.height]])
    try:
        return views.draw(
            ledger[name.scene], pixel_map(corners[None], place), ring + np.array([turn, 0.0]), (size, size)
        )[0]
    except SceneError:
        return None
