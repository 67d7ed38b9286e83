"""One quick way on disk: learnt from a sample, filled a batch at a time, extended by the new rows alone.

Each shelf writes its rows first and then, in one step, the header that makes them count. Knows no gallery
and no recall; the note of the header is kept as it is given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from landsift.errors import GalleryDamaged
from landsift.files import ColumnFolder, replace_file
from landsift.index.cascade import Shortlister
from landsift.index.codes import Coder, Codes
from landsift.index.hamming import HammingIndex, code_columns
from landsift.types import FloatArray

__all__ = ["CodeShelf", "FileShelf", "Note", "Shelf"]

_HEADER = "lists.json"

Note = dict[str, Any]
Batches = Iterable[FloatArray]


class Shelf(Protocol):
    """A folder with one quick way."""

    def open(self) -> tuple[Shortlister, Note]:
        """What is there.

        Raises:
            GalleryDamaged: Nothing, or files that contradict each other.
        """
        ...

    def build(self, sample: FloatArray, texts: FloatArray, batches: Batches, note: Note) -> None:
        """Learn from a sample of the rows, and of texts that will be searched for; write all rows."""
        ...

    def append(self, batches: Batches, note: Note) -> None:
        """Write more rows, as what was learnt has it."""
        ...


class CodeShelf:
    """Sign codes: a column on disk, and the directions they were made with.

    Args:
        folder: Made when it is built.
        bits: Length of the codes.
    """

    def __init__(self, folder: Path, bits: int) -> None:
        self._folder = folder
        self._bits = bits

    def open(self) -> tuple[HammingIndex, Note]:
        """The codes, memory-mapped.

        Raises:
            GalleryDamaged: There are none of this length, or files contradict each other.
        """
        held = ColumnFolder(self._folder / "codes")
        coder = Coder.load(self._coder(str(held.note.get("coder"))))
        if coder.bits != self._bits:
            raise GalleryDamaged(f"The codes in {self._folder} have {coder.bits} bits; delete the folder")
        index = HammingIndex(coder)
        index.attach(held.columns["codes"])
        return index, held.note

    def build(self, sample: FloatArray, texts: FloatArray, batches: Batches, note: Note) -> None:
        """Learn the directions and write the codes of all rows."""
        means = texts.mean(axis=0, keepdims=True) if len(texts) else None
        coder = Coder.fit(sample, self._bits, query_means=means)
        self._folder.mkdir(parents=True, exist_ok=True)
        coder.save(self._coder(coder.identity))
        note = note | {"coder": coder.identity}
        ColumnFolder.write(self._folder / "codes", code_columns(coder.nbytes), _encoded(coder, batches), note)
        for path in self._folder.glob("coder-*.npz"):
            if path != self._coder(coder.identity):
                with suppress(OSError):
                    path.unlink()

    def append(self, batches: Batches, note: Note) -> None:
        """Write the codes of more rows."""
        coder = Coder.load(self._coder(note["coder"]))
        ColumnFolder.append(
            self._folder / "codes", code_columns(coder.nbytes), _encoded(coder, batches), note
        )

    def _coder(self, identity: str) -> Path:
        return self._folder / f"coder-{identity}.npz"


def _encoded(coder: Coder, batches: Batches) -> Iterable[dict[str, Codes]]:
    for rows in batches:
        yield {"codes": coder.encode(rows)}


class Written(Shortlister, Protocol):
    """An index that is written as one file."""

    def save(self, path: Path) -> None:
        """Write to ``path``, whole or not at all."""
        ...


class FileShelf:
    """Inverted lists or hash tables: one file, replaced whole, since its bytes are few beside the vectors'.

    Args:
        folder: Made when it is built.
        learn: Makes an empty index from a sample of the rows and texts that will be searched for.
        load: Reads one back; raises GalleryDamaged.
    """

    def __init__(
        self,
        folder: Path,
        learn: Callable[[FloatArray, FloatArray], Written],
        load: Callable[[Path], Written],
    ) -> None:
        self._folder = folder
        self._learn = learn
        self._load = load

    def open(self) -> tuple[Written, Note]:
        """The index, read whole.

        Raises:
            GalleryDamaged: There are none, or files contradict each other.
        """
        header = self._header()
        index = self._load(self._folder / header["file"])
        if len(index) != header["count"]:
            raise GalleryDamaged(f"The lists in {self._folder} contradict their header; delete it")
        return index, header["note"]

    def build(self, sample: FloatArray, texts: FloatArray, batches: Batches, note: Note) -> None:
        """Learn the lists and put all rows into them."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write(self._learn(sample, texts), batches, note)

    def append(self, batches: Batches, note: Note) -> None:
        """Put more rows into the lists; without any, only the note is changed."""
        header = self._header()
        rest = iter(batches)
        first = list(islice(rest, 1))
        if first:
            self._write(self.open()[0], chain(first, rest), note)
        else:
            self._commit(header | {"note": note})

    def _write(self, index: Written, batches: Batches, note: Note) -> None:
        for rows in batches:
            index.add(rows)
        name = f"lists-{uuid4().hex[:12]}.npz"
        index.save(self._folder / name)
        self._commit({"file": name, "count": len(index), "note": note})
        for path in self._folder.glob("lists-*.npz"):
            if path.name != name:
                with suppress(OSError):
                    path.unlink()

    def _commit(self, header: Note) -> None:
        replace_file(self._folder / _HEADER, json.dumps(header).encode())

    def _header(self) -> Note:
        try:
            header: Note = json.loads((self._folder / _HEADER).read_bytes())
        except (OSError, ValueError) as error:
            raise GalleryDamaged(f"There are no lists in {self._folder}; they are built anew") from error
        if not isinstance(header, dict) or not {"file", "count", "note"} <= header.keys():
            raise GalleryDamaged(f"The header of the lists in {self._folder} is damaged; delete the folder")
        return header
