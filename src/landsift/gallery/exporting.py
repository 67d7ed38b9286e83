"""The footprints of a gallery's tiles as tables for the GIS writers. Knows no file format."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from landsift.formats import FeatureTable
from landsift.gallery.cache import Snapshot
from landsift.gallery.filtering import searchable
from landsift.gallery.result import TILE_FIELDS
from landsift.gallery.search import as_match
from landsift.gallery.where import Where
from landsift.types import EncoderCard

__all__ = ["footprint_tables"]

_BATCH = 20_000


def footprint_tables(
    seen: Snapshot, where: Where | None, card: EncoderCard, *, vectors: bool
) -> Iterator[FeatureTable]:
    """The tiles that pass, in row order, a bounded number at a time; one empty table where none does.

    Args:
        seen: The moment.
        where: Filters; None takes all tiles.
        card: Of the encoder that made the vectors.
        vectors: Also the embeddings, and what made them.
    """
    cache, ledger = seen.cache, seen.ledger
    mask = searchable(cache, ledger, where or Where())
    wanted = np.arange(len(cache.row)) if mask is None else np.flatnonzero(mask)
    about = {"model": card.name, "dimensions": card.dim, "weights_sha256": card.weights_sha256}
    for start in range(0, max(1, len(wanted)), _BATCH):
        part = wanted[start : start + _BATCH]
        fields = [as_match(item, ledger[item.scene]).fields() for item in cache.items(part)]
        columns = {name: [field[name] for field in fields] for name in TILE_FIELDS}
        corners = np.asarray(cache.outlines.corners[part])
        embeddings = cache.index.vectors(part) if vectors else None
        yield FeatureTable(corners, columns, TILE_FIELDS, embeddings, about if vectors else {})
