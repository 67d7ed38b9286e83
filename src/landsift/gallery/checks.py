"""Whether a gallery is whole: the store, its vectors, its cache, its encoder and its sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from landsift.errors import LandsiftError
from landsift.gallery.cache import open_cache
from landsift.gallery.indexing import signature
from landsift.gallery.store import Store
from landsift.scenes import SceneSource

__all__ = ["complaints"]

_BATCH = 8192
_FLOAT16_UNIT = 2e-3  # how far rounding to float16 can move the length of a unit row


def complaints(store: Store, folder: Path, dim: int, encoder: Callable[[], object]) -> Iterator[str]:
    """Everything that is wrong, one sentence with a remedy each.

    Args:
        store, folder: The gallery.
        dim: Length of its vectors.
        encoder: Loads the gallery's encoder, or raises what is wrong with it.
    """
    yield from store.complaints()
    yield from _ledger(store, folder)
    yield from _vectors(store, dim)
    yield from _cache(store, folder, dim)
    yield from _encoder(encoder)


def _ledger(store: Store, folder: Path) -> Iterator[str]:
    again = f"run landsift index {folder} with it again"
    stored = store.counts_by_scene()
    for scene in store.scenes():
        assert scene.key is not None
        found = stored.get(scene.key, 0)
        if scene.state == "failed":
            yield f"Scene {scene.name} could not be read: {scene.error} Then index with --retry-failed."
            continue
        if found != scene.tiles:
            yield f"Scene {scene.name} should have {scene.tiles} tiles and has {found}; {again}."
        if scene.state == "partial":
            yield f"Scene {scene.name} is at window {scene.windows_done} of {scene.windows}; {again}."
        elif scene.windows_done != scene.windows:
            yield f"Scene {scene.name} lacks windows {scene.windows_done} to {scene.windows}; {again}."
        if scene.error:
            yield f"Scene {scene.name}: {scene.error}"
        elif scene.signature is not None and scene.state == "done":
            now = signature(SceneSource.from_json(scene.source))
            if now is None:
                yield f"The file of scene {scene.name} is gone ({scene.href}); bring it back, or remove it."
            elif now != scene.signature:
                yield f"The file of scene {scene.name} has changed since it was indexed; {again}."


def _vectors(store: Store, dim: int) -> Iterator[str]:
    bad = 0
    items = store.items()
    while part := list(islice(items, _BATCH)):
        whole = [item.vector for item in part if len(item.vector) == 2 * dim]
        bad += len(part) - len(whole)
        rows = np.frombuffer(b"".join(whole), "<f2").reshape(-1, dim).astype(np.float32)
        bad += int(np.count_nonzero(~(np.abs(np.linalg.norm(rows, axis=1) - 1) < _FLOAT16_UNIT)))
    if bad:
        yield f"{bad} tiles have no usable vector; remove their scenes and index them again."


def _cache(store: Store, folder: Path, dim: int) -> Iterator[str]:
    """The cache must hold, for every stored tile, the stored vector."""
    cache = open_cache(store, folder, dim, save=False)
    held, stored_tiles = int(cache.alive.sum()), store.count_items()
    if held != stored_tiles:
        yield f"The search cache holds {held} of {stored_tiles} tiles; delete {folder}/cache."
        return
    at, items = np.flatnonzero(cache.alive), store.items()
    for start in range(0, len(at), _BATCH):
        part = list(islice(items, _BATCH))
        stored = np.frombuffer(b"".join(item.vector for item in part), "<f2").reshape(-1, dim)
        cached = cache.index.vectors(at[start : start + _BATCH])
        rows = np.array([item.row for item in part])
        same_rows = np.array_equal(cache.row[at[start : start + _BATCH]], rows)
        if not (same_rows and np.array_equal(cached, stored)):
            yield f"The search cache contradicts the stored vectors; delete {folder}/cache to rebuild it."
            return


def _encoder(encoder: Callable[[], object]) -> Iterator[str]:
    try:
        encoder()
    except LandsiftError as error:
        yield f"The encoder that made this gallery cannot be used: {error}"
