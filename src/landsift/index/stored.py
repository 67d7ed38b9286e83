"""The quick ways of a growing set of rows, on disk: built when asked for, extended by new rows, opened at
once.

All of it is derived from the vectors and can be deleted at any time. What is there counts only if its header
names the same source, so that a crash between the vectors and this leaves something to extend or to build
again, never something wrong. Knows no gallery.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.errors import GalleryDamaged, UsageError
from landsift.index.ann import AnnIndex
from landsift.index.cascade import Shortlister
from landsift.index.codes import DEFAULT_BITS, check_bits
from landsift.index.flat import FlatIndex
from landsift.index.multihash import MultiHashIndex
from landsift.index.planner import DEFAULT_FLOOR, PlannedIndex, Way, check_floor
from landsift.index.recall import Measured, Questions, held_out, measure_recall
from landsift.index.shelves import CodeShelf, FileShelf, Note, Shelf
from landsift.types import FloatArray

__all__ = ["KINDS", "IndexChoice", "StoredWays"]

KINDS = ("auto", "flat", "hamming", "cascade", "ann")
_AUTO_BYTES = 1_000_000_000  # vectors; reading fewer takes less than the time that anybody notices
_MANY = 10_000_000  # rows above which hash tables may spare the scan of all codes
_WAYS = ("cascade", "hamming", "ann", "multihash")
_SAMPLE = 32_768  # rows that directions are learnt from
_QUESTIONS = 64  # rows that recall is measured with
_OUTGROWN = 2.0  # times as many rows as the directions were learnt for
_REMEASURE = 1.25  # times as many rows as recall was measured over
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class IndexChoice:
    """What somebody wants of an index; kept with the rows.

    Attributes:
        kind: ``flat`` scans the vectors; ``hamming`` lets codes alone choose; ``cascade`` lets codes choose a
            shortlist that the vectors put in order; ``ann`` adds inverted lists for searches without filter;
            ``auto`` is flat up to a gigabyte of vectors and a cascade above. Where codes choose among more
            than ten million rows without filter, hash tables of them may spare the scan.
        floor: Least recall of a way; below it, the vectors are scanned.
        bits: Length of the codes.
    """

    kind: str = "auto"
    floor: float = DEFAULT_FLOOR
    bits: int = DEFAULT_BITS

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"There is no index {self.kind!r}; choose one of {', '.join(KINDS)}")
        check_floor(self.floor)
        check_bits(self.bits)

    def names(self, rows: int, dim: int) -> tuple[str, ...]:
        """The ways that this asks for, over so many rows."""
        if self.kind == "flat" or not rows or (self.kind == "auto" and rows * dim * 2 <= _AUTO_BYTES):
            return ()
        tables = ("multihash",) if rows > _MANY else ()
        return {
            "auto": ("cascade", *tables),
            "ann": ("ann", "cascade"),
        }.get(self.kind, (self.kind, *tables))


class StoredWays:
    """The quick ways to the rows of one source.

    Args:
        folder: Where they are kept.
        choice: What is wanted.
        source: What the rows are, as plain values; files that name another source do not count.
    """

    def __init__(self, folder: Path, choice: IndexChoice, source: Mapping[str, Any]) -> None:
        self._folder = folder
        self._choice = choice
        self._source = dict(source)

    def save(
        self,
        flat: FlatIndex,
        keys: NDArray[np.int64],
        alive: NDArray[np.bool_],
        texts: Callable[[], FloatArray],
        *,
        anew: bool = False,
    ) -> None:
        """Bring what is on disk up to date with the rows; what is not wanted any more is deleted.

        Args:
            flat: All rows.
            keys: ``(n,)`` what the rows are called; rows on disk count only if they have the same keys.
            alive: ``(n,)`` bool; False for rows that nobody may find.
            texts: Gives vectors of texts such as people will search for, ``(m, dim)``; called only to build.
            anew: Build also what is up to date.
        """
        wanted = self._choice.names(len(flat), flat.dim)
        for name in _WAYS:
            if name not in wanted and _shelf_name(name) not in map(_shelf_name, wanted):
                shutil.rmtree(self._folder / _shelf_name(name), ignore_errors=True)
        for shelf in {_shelf_name(name): self._shelf(name, len(flat)) for name in wanted}.values():
            self._save(shelf, flat, keys, alive, texts, anew)

    def _save(
        self,
        shelf: Shelf,
        flat: FlatIndex,
        keys: NDArray[np.int64],
        alive: NDArray[np.bool_],
        texts: Callable[[], FloatArray],
        anew: bool,
    ) -> None:
        held = None if anew else self._held(shelf, keys)
        count, stamp = len(flat), {"source": self._source, "keys": _stamp(keys)}
        if held is None or count >= _OUTGROWN * held[1]["learnt"]:
            note = stamp | {"learnt": count, "measured": 0, "records": []}
            shelf.build(_sample(flat, alive), texts(), _batches(flat, 0), note)
        elif len(held[0]) < count:
            shelf.append(_batches(flat, len(held[0])), held[1] | stamp)
        held = self._held(shelf, keys)
        if held is not None and count >= _REMEASURE * held[1]["measured"]:
            kinds = [held_out(flat, alive, _QUESTIONS), Questions.from_outside(texts())]
            records = measure_recall(flat, held[0], kinds, alive)
            measured = {"measured": count, "records": [record.to_dict() for record in records]}
            shelf.append((), held[1] | measured)

    def open(self, flat: FlatIndex, keys: NDArray[np.int64]) -> PlannedIndex:
        """The ways that are there, over all rows of ``flat``; rows that they lack are added in memory."""
        ways = {}
        for name in self._choice.names(len(flat), flat.dim):
            held = self._held(self._shelf(name, len(flat)), keys)
            if held is None:
                continue
            coarse, note = held
            for batch in _batches(flat, len(coarse)):
                coarse.add(batch)
            ways[name] = Way(coarse, _records(name, note, self._choice.kind))
        return PlannedIndex(flat, ways, self._choice.floor)

    def _shelf(self, name: str, rows: int) -> Shelf:
        folder, bits = self._folder / _shelf_name(name), self._choice.bits
        if name == "ann":
            return FileShelf(folder, lambda sample, _: AnnIndex.learn(sample, rows), AnnIndex.load)
        if name == "multihash":
            learn = partial(MultiHashIndex.learn, rows=rows, bits=bits)
            return FileShelf(folder, learn, partial(MultiHashIndex.load, bits=bits))
        return CodeShelf(folder, bits)

    def _held(self, shelf: Shelf, keys: NDArray[np.int64]) -> tuple[Shortlister, Note] | None:
        """What a shelf holds of the first of these rows; nothing where it is of others or damaged."""
        try:
            coarse, note = shelf.open()
        except GalleryDamaged:
            return None
        same = note.get("source") == self._source and note.get("keys") == _stamp(keys[: len(coarse)])
        return (coarse, note) if same and len(coarse) <= len(keys) else None


def _stamp(keys: NDArray[np.int64]) -> list[int]:
    """Tells rows from others of one source, whose keys ascend."""
    return [len(keys), int(keys[-1]) if len(keys) else 0, int(keys.sum())]


def _shelf_name(way: str) -> str:
    """The folder of a way; codes alone and the cascade share theirs."""
    return "hamming" if way == "cascade" else way


def _records(way: str, note: Note, kind: str) -> tuple[Measured, ...]:
    """What counts for a way: codes alone have no longer shortlists; lists and tables, which look at a part of
    the rows, are for searches without filter."""
    records = [Measured.from_dict(record) for record in note["records"]]
    if kind == "hamming":
        records = [record for record in records if record.size == record.k]
    return tuple(record for record in records if way not in ("ann", "multihash") or not record.filtered)


def _sample(flat: FlatIndex, alive: NDArray[np.bool_]) -> FloatArray:
    """Rows drawn at random, to learn from; a row that lies there dead serves where none is alive."""
    rows = np.flatnonzero(alive) if alive.any() else np.arange(len(flat))
    if len(rows) > _SAMPLE:
        rows = np.sort(np.random.default_rng(1).choice(rows, _SAMPLE, replace=False))
    return flat.vectors(rows)


def _batches(flat: FlatIndex, first: int) -> Iterator[FloatArray]:
    """Rows from ``first`` on, a bounded number at a time."""
    for start in range(first, len(flat), _ROWS_AT_ONCE):
        yield flat.vectors(np.arange(start, min(start + _ROWS_AT_ONCE, len(flat))))
