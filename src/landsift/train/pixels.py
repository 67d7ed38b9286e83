"""Pictures decoded once: squares of one size in a memory-mapped file, shared by all runs.

Each row is checked against its source: by size and time of the file, and by SHA-256 where those changed. A
build that was stopped goes on where it was. Knows the data room; no models.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from landsift.data import ImagePair, read_image
from landsift.data.load import some
from landsift.encoders.pixels import fit_square
from landsift.errors import DatasetError, GalleryDamaged, UsageError
from landsift.files import ColumnFolder
from landsift.threads import available_threads
from landsift.train.folders import full_disk_told
from landsift.types import IntArray, Pixels

__all__ = ["OTHER_DISK", "PixelStore", "Progress", "stored"]

Progress = Callable[[str, int, int], None]
"""Told what is being prepared, how many are done and how many there are."""

OTHER_DISK = "free some, or set data.cache to a folder on another disk"
"""What to do when the disk with computed things is full."""

_AT_ONCE = 256
_COLUMN = "pixels"


@dataclass(frozen=True)
class _Seen:
    """A source as it was when its row was written."""

    row: int
    size: int
    modified: int
    sha256: str


@dataclass(frozen=True)
class _Square:
    """A decoded source, or the sentence on why it could not be."""

    key: str
    size: int
    modified: int
    sha256: str
    pixels: Pixels | None
    complaint: str = ""


class PixelStore:
    """Squares of one size on disk.

    Args:
        folder: Where stores are kept; made if absent.
        size: Side of the squares in pixels.
        fit: How an image becomes one: of :data:`landsift.encoders.pixels.FITS`. Squares that were made in
            other ways lie in other stores.
    """

    def __init__(self, folder: str | Path, size: int, fit: str = "squash") -> None:
        self.size, self.fit = size, fit
        self._folder = Path(folder) / (f"pixels-{size}" if fit == "squash" else f"pixels-{size}-{fit}")
        self._seen: dict[str, _Seen] = {}
        self._columns: ColumnFolder | None = None

    def rows(self, images: Sequence[Any], names: Sequence[str], progress: Progress | None = None) -> IntArray:
        """Row numbers of images, decoding those that are not there yet or have changed.

        Args:
            images: As for :func:`landsift.data.read_image`.
            names: What messages call them.
            progress: Told how far decoding is.

        Raises:
            DatasetError: Some cannot be read; the message names them, and the others are kept.
            DiskFull: No space left.
        """
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder.with_suffix(".lock")):
            self._open()
            found = [self._fresh(image) for image in images]
            wanted = [place for place, row in enumerate(found) if row is None]
            if wanted:
                self._add([images[place] for place in wanted], [names[place] for place in wanted], progress)
                for place in wanted:
                    found[place] = self._seen[_key(images[place])].row
        return np.array(found, np.int64)

    def read(self, rows: IntArray) -> Pixels:
        """``(n, size, size, 3)`` uint8 of the given rows, in order."""
        if self._columns is None or not len(rows):
            return np.empty((0, self.size, self.size, 3), np.uint8)
        # Reading forwards is kinder to the disk; the rows are put into the asked order afterwards.
        order = np.argsort(rows, kind="stable")
        out = np.empty((len(rows), self.size, self.size, 3), np.uint8)
        out[order] = self._columns.columns[_COLUMN][rows[order]]
        return out

    def signature(self, rows: IntArray) -> str:
        """A hash over which pictures lie in the given rows, in order."""
        contents = {seen.row: f"{key} {seen.sha256}" for key, seen in self._seen.items()}
        return hashlib.sha256("\n".join(contents[int(row)] for row in rows).encode()).hexdigest()

    def _open(self) -> None:
        try:
            self._columns = ColumnFolder(self._folder)
        except GalleryDamaged:
            self._columns, self._seen = None, {}
            return
        self._seen = {key: _Seen(*values) for key, values in self._columns.note["sources"].items()}

    def _fresh(self, image: Any) -> int | None:
        """The row of an image that is there and has not changed."""
        seen = self._seen.get(_key(image))
        if seen is None or not isinstance(image, str | os.PathLike):
            return None if seen is None else seen.row
        try:
            found = Path(image).stat()
        except OSError:
            return None
        if (found.st_size, found.st_mtime_ns) == (seen.size, seen.modified):
            return seen.row
        return seen.row if _sha256(Path(image)) == seen.sha256 else None

    def _add(self, images: Sequence[Any], names: Sequence[str], progress: Progress | None) -> None:
        complaints: list[tuple[str, str]] = []
        done = 0
        for squares in _in_blocks(images, self.size, self.fit):
            good = [square for square in squares if square.pixels is not None]
            complaints += [
                (names[done + place], square.complaint)
                for place, square in enumerate(squares)
                if square.pixels is None
            ]
            if good:
                self._append(good)
            done += len(squares)
            if progress:
                progress("decoding images", done, len(images))
        if complaints:
            listed = some([name for name, _ in complaints])
            raise DatasetError(
                f"{listed} of the training data cannot be read, the first because: "
                f"{_reason(complaints[0][1])}; replace the files or leave them out of the set"
            )

    def _append(self, squares: Sequence[_Square]) -> None:
        count = 0 if self._columns is None else self._columns.count
        for place, square in enumerate(squares):
            self._seen[square.key] = _Seen(count + place, square.size, square.modified, square.sha256)
        note = {"sources": {key: [s.row, s.size, s.modified, s.sha256] for key, s in self._seen.items()}}
        spec = {_COLUMN: ("|u1", (self.size, self.size, 3))}
        batch = {_COLUMN: np.stack([square.pixels for square in squares if square.pixels is not None])}
        write = ColumnFolder.write if self._columns is None else ColumnFolder.append
        with full_disk_told(f"for decoded images in {self._folder}", OTHER_DISK):
            write(self._folder, spec, [batch], note)
        self._columns = ColumnFolder(self._folder)


def stored(
    store: PixelStore, images: Sequence[Any], names: Sequence[str], progress: Progress | None = None
) -> IntArray:
    """Row numbers of images that may be pairs of dates.

    Args:
        store: Where the squares are.
        images: As for :meth:`PixelStore.rows`, or :class:`~landsift.data.ImagePair` all.
        names: What messages call them.
        progress: Told how far decoding is.

    Returns:
        ``(N,)``; of pairs ``(N, 2)``, the earlier date first.

    Raises:
        UsageError: Some are pairs and some are not.
        DatasetError: Some cannot be read.
    """
    pairs = [image for image in images if isinstance(image, ImagePair)]
    if not pairs:
        return store.rows(images, names, progress)
    if len(pairs) != len(images):
        raise UsageError("Pairs of dates and single pictures cannot train together; give one kind of sets.")
    flat = [picture for pair in pairs for picture in (pair.before, pair.after)]
    titles = [f"{name} ({when})" for name in names for when in ("before", "after")]
    return store.rows(flat, titles, progress).reshape(-1, 2)


def _reason(complaint: str) -> str:
    """What a sentence says before its remedy."""
    return (complaint.rpartition("; ")[0] or complaint).rstrip(".")


def _key(image: Any) -> str:
    """The name of a source in the store: its path, or for pixels and bytes their hash."""
    if isinstance(image, str | os.PathLike):
        return str(Path(image).resolve())
    if isinstance(image, bytes):
        return f"sha256:{hashlib.sha256(image).hexdigest()}"
    array = np.ascontiguousarray(image)
    return f"sha256:{hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _in_blocks(images: Sequence[Any], size: int, fit: str) -> Iterator[list[_Square]]:
    """Decode in threads, a block at a time, the next block while the last is written."""
    workers = available_threads()
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Any] = deque()
        for first in range(0, len(images), _AT_ONCE):
            ahead.append(
                [pool.submit(_square, image, size, fit) for image in images[first : first + _AT_ONCE]]
            )
            if len(ahead) > 1:
                yield [future.result() for future in ahead.popleft()]
        while ahead:
            yield [future.result() for future in ahead.popleft()]


def _square(image: Any, size: int, fit: str) -> _Square:
    try:
        pixels = fit_square(read_image(image), size, fit)
        if isinstance(image, str | os.PathLike):
            path = Path(image)
            found = path.stat()
            return _Square(_key(path), found.st_size, found.st_mtime_ns, _sha256(path), pixels)
        return _Square(_key(image), 0, 0, "", pixels)
    except (DatasetError, OSError) as error:
        return _Square(_key(image), 0, 0, "", None, str(error))
