"""Tiles as STAC items in JSON, kept for whoever is shown the same tile next: all but the rank stays the same.

Knows the format's writer and what a search picked; no requests.
"""

from __future__ import annotations

from collections.abc import Sequence

from landsift.gallery.search import Picked, as_match
from landsift.serve import stac
from landsift.serve.recent import Recent

__all__ = ["ItemTexts"]

_KEPT_BYTES = 32_000_000  # some 18,000 tiles
_BESIDE_BYTES = 400  # the key and the objects around two texts


class ItemTexts:
    """Items of the tiles that were found lately, for any number of threads.

    Attributes:
        kept: The texts.
    """

    def __init__(self) -> None:
        self.kept = Recent(_KEPT_BYTES)

    def of(self, base: str, id_: str, picked: Picked, places: Sequence[int]) -> list[tuple[str, str]]:
        """What comes before the rank and what comes after it, of each tile.

        Args:
            base: Address of the server, ending in a slash.
            id_: The gallery's id.
            picked: What was found.
            places: Which of those, from 0.
        """
        at = picked.positions[places]
        # A row never comes to hold another tile, and a scene that changed is indexed into new rows.
        keys = [(base, id_, row) for row in picked.cache.row[at].tolist()]
        found = [self.kept.get(key) for key in keys]
        new = [place for place, halves in enumerate(found) if halves is None]
        if new:
            items = picked.cache.items(at[new])
            matches = [as_match(item, picked.ledger[item.scene]) for item in items]
            for place, halves in zip(new, stac.item_halves(base, id_, matches), strict=True):
                found[place] = halves
                self.kept.keep(keys[place], halves, len(halves[0]) + len(halves[1]) + _BESIDE_BYTES)
        return found
