"""What a search needs, memory-mapped: vectors, places and scene of every tile, derived from the store.

A cache can always be deleted; it is rebuilt from the store when absent, foreign, of an older epoch or of an
older release, and extended by the missing rows when tiles were added since. Deleted tiles stay in it, masked,
until they are a quarter of all rows; then the next refresh rebuilds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.errors import DiskFull, GalleryDamaged
from landsift.files import ColumnFolder, ColumnSpec
from landsift.gallery.store import ItemRow, SceneRow, Store
from landsift.gallery.ways import open_ways
from landsift.gallery.where import Outlines
from landsift.index import FlatIndex, PlannedIndex
from landsift.types import FloatArray

__all__ = ["CACHE", "Cache", "Snapshot", "open_cache"]

CACHE = "cache"
_BATCH = 8192
_REBUILD_SHARE = 0.25
_Columns = dict[str, NDArray[Any]]


@dataclass(eq=False)
class Cache:
    """Columns over the ``n`` rows of a gallery, in row order.

    Attributes:
        index: The vectors.
        row: ``(n,)`` int64 row numbers of the store, ascending.
        scene: ``(n,)`` int32 scene keys.
        window: ``(n, 4)`` int32 col, row, width, height in native pixels of the scene.
        scale: ``(n,)`` float64 window size as a multiple of the tile size.
        gsd: ``(n,)`` float64 metres, NaN without coordinates.
        share: ``(n,)`` float64 share of valid pixels.
        outlines: Where each row lies.
        alive: ``(n,)`` bool; False for tiles deleted since they were cached.
        held: How far the columns go, and what they are made of.
        ways: The vectors again, with the quick ways to them.
    """

    index: FlatIndex
    row: NDArray[np.int64]
    scene: NDArray[np.int32]
    window: NDArray[np.int32]
    scale: NDArray[np.float64]
    gsd: NDArray[np.float64]
    share: NDArray[np.float64]
    outlines: Outlines
    alive: NDArray[np.bool_]
    held: _Held
    ways: PlannedIndex

    def items(self, positions: Iterable[int]) -> list[ItemRow]:
        """The tiles at these positions, without their vectors."""
        at = np.fromiter(positions, np.int64)
        columns = (self.scene, self.scale, self.window, self.gsd, self.share, self.row)
        taken = zip(*(column[at].tolist() for column in columns), self.outlines.corners[at], strict=True)
        return [
            ItemRow(
                scene,
                scale,
                col,
                line,
                width,
                height,
                None if gsd != gsd else gsd,
                share,
                None if corners[0, 0] != corners[0, 0] else corners.tobytes(),
                b"",
                row,
            )
            for scene, scale, (col, line, width, height), gsd, share, row, corners in taken
        ]

    @cached_property
    def placeless(self) -> int:
        """How many tiles have no coordinates, deleted ones not counted."""
        return int(np.count_nonzero(self.alive & np.isnan(self.outlines.west)))

    def halves(self, positions: NDArray[np.integer]) -> NDArray[np.float16]:
        """The stored vectors at these positions, ``(n, dim)``."""
        out = np.empty((len(positions), self.index.dim), "<f2")
        first = 0
        for piece in self.held.pieces:
            rows = piece["vectors"]
            inside = (positions >= first) & (positions < first + len(rows))
            out[inside] = rows[positions[inside] - first]
            first += len(rows)
        return out


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A gallery as of one commit.

    Attributes:
        version: Changes when another process commits.
        cache: Columns over the tiles.
        ledger: The scenes by key.
    """

    version: int
    cache: Cache
    ledger: dict[int, SceneRow]

    @cached_property
    def shown(self) -> dict[str, SceneRow]:
        """The scenes by id, less the versions that are to replace one of them and are not finished yet."""
        return {scene.id: scene for scene in self.ledger.values() if scene.supersedes is None}


@dataclass(frozen=True, eq=False)
class _Held:
    """The columns of the folder on disk and those added in memory, of one epoch, up to one row."""

    epoch: int
    last_row: int
    disk: _Columns | None
    memory: _Columns | None = None

    @classmethod
    def open(cls, store: Store, folder: Path, dim: int) -> _Held:
        """What the folder holds; nothing where it is not this gallery's, now."""
        epoch = int(store.meta("epoch"))
        try:
            opened = ColumnFolder(folder)
        except GalleryDamaged:
            return cls(epoch, 0, None)
        note = opened.note
        known = note.get("gallery") == store.meta("uuid") and note.get("epoch") == epoch
        if not known or opened.columns.keys() != _spec(dim).keys():
            return cls(epoch, 0, None)
        return cls(epoch, int(note["last_row"]), opened.columns)

    def extended(self, store: Store, dim: int) -> _Held:
        """These columns and what was stored since, in memory."""
        parts = list(_batches(store.items(after=self.last_row), dim))
        if not parts:
            return self
        parts = [self.memory, *parts] if self.memory is not None else parts
        memory = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return _Held(self.epoch, int(memory["row"][-1]), self.disk, memory)

    @property
    def pieces(self) -> list[_Columns]:
        return [piece for piece in (self.disk, self.memory) if piece is not None]


def open_cache(
    store: Store,
    folder: Path,
    dim: int,
    *,
    save: bool,
    before: Cache | None = None,
    texts: Callable[[], FloatArray] | None = None,
    anew: bool = False,
) -> Cache:
    """Bring the cache up to date with the store and open it.

    Args:
        store: The truth.
        folder: The gallery's folder.
        dim: Length of the vectors.
        save: Write what was missing. Only the process that holds the gallery's writer lock may; others get
            the missing rows in memory.
        before: What this process had opened, so that rows it has in memory need not be read again.
        texts: With ``save``, also bring the quick ways up to date; these texts measure their recall.
        anew: Build also quick ways that are up to date.
    """
    if save:
        # Without room for the cache the truth is still safe in the store, and is read from there.
        with suppress(OSError, DiskFull):
            _save(store, folder / CACHE, dim)
    held = _Held.open(store, folder / CACHE, dim)
    if before is not None and before.held.epoch == held.epoch and before.held.last_row > held.last_row:
        held = before.held
    cache = _assemble(held.extended(store, dim), store.removed_rows(), dim)
    cache.ways = open_ways(
        store, folder / CACHE, cache.index, cache.row, cache.alive, save=texts if save else None, anew=anew
    )
    return cache


def _save(store: Store, folder: Path, dim: int) -> None:
    """Append the missing rows, or write everything anew where that is needed or cheaper."""
    held = _Held.open(store, folder, dim)
    columns, last_row = held.disk, held.last_row
    removed = len(store.removed_rows())
    cached = 0 if columns is None else len(columns["row"])
    if removed and removed >= _REBUILD_SHARE * max(cached, 1):
        with store.transaction():
            store.begin_epoch()
        columns, last_row = None, 0
    note = {"gallery": store.meta("uuid"), "epoch": store.meta("epoch"), "last_row": store.last_row()}
    if columns is None:
        ColumnFolder.write(folder, _spec(dim), _batches(store.items(), dim), note)
    elif note["last_row"] > last_row:
        ColumnFolder.append(folder, _spec(dim), _batches(store.items(after=last_row), dim), note)


def _spec(dim: int) -> ColumnSpec:
    return {
        "vectors": ("<f2", (dim,)),
        "row": ("<i8", ()),
        "scene": ("<i4", ()),
        "window": ("<i4", (4,)),
        "scale": ("<f8", ()),
        "gsd": ("<f8", ()),
        "share": ("<f8", ()),
        "corners": ("<f8", (4, 2)),
        "west": ("<f8", ()),
        "south": ("<f8", ()),
        "east": ("<f8", ()),
        "north": ("<f8", ()),
    }


def _batches(items: Iterable[ItemRow], dim: int) -> Iterator[_Columns]:
    """Store rows as column arrays, a batch at a time."""
    nowhere = np.full(8, np.nan).tobytes()
    stream = iter(items)
    while part := list(islice(stream, _BATCH)):
        vectors = np.frombuffer(b"".join(item.vector for item in part), "<f2")
        if vectors.size != len(part) * dim:
            raise GalleryDamaged(
                f"A stored vector is not of length {dim}; run: landsift verify, and index the scene again"
            )
        corners = np.frombuffer(b"".join(item.corners or nowhere for item in part), "<f8")
        outlines = Outlines.of(corners.reshape(len(part), 4, 2))
        yield {
            "vectors": vectors.reshape(len(part), dim),
            "row": np.array([item.row for item in part], np.int64),
            "scene": np.array([item.scene for item in part], np.int32),
            "window": np.array([(i.col, i.line, i.width, i.height) for i in part], np.int32),
            "scale": np.array([item.scale for item in part], np.float64),
            "gsd": np.array([np.nan if item.gsd is None else item.gsd for item in part], np.float64),
            "share": np.array([item.valid for item in part], np.float64),
            **vars(outlines),
        }


def _assemble(held: _Held, removed: list[int], dim: int) -> Cache:
    index = FlatIndex(dim)
    for piece in held.pieces:
        index.attach(piece["vectors"])
    columns = {
        name: _joined([piece[name] for piece in held.pieces], dtype, shape)
        for name, (dtype, shape) in _spec(dim).items()
        if name != "vectors"
    }
    alive = np.ones(len(columns["row"]), bool)
    if removed:
        at = np.searchsorted(columns["row"], removed)
        inside = at < len(alive)
        known = np.flatnonzero(inside)[columns["row"][at[inside]] == np.asarray(removed)[inside]]
        alive[at[known]] = False
    outlines = Outlines(**{name: columns.pop(name) for name in ("corners", "west", "south", "east", "north")})
    ways = PlannedIndex(index)
    return Cache(index=index, outlines=outlines, alive=alive, held=held, ways=ways, **columns)


def _joined(parts: list[NDArray[Any]], dtype: str, row_shape: tuple[int, ...]) -> NDArray[Any]:
    if len(parts) == 1:
        return np.asarray(parts[0])  # a memory map still, without the cost of its class at every use
    return np.concatenate(parts) if parts else np.empty((0, *row_shape), dtype)
