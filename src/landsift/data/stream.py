"""Sets too large for memory, one sample at a time.

Knows three ways they come: tar shards, a table of captions beside image files or zips, and conversations.
Image bytes are read, not decoded, until asked for.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TextIO

from landsift.data.catalog import find_dataset
from landsift.data.dataset import Dataset
from landsift.data.layouts import conversation_record, row_record, separator_of
from landsift.data.records import Record
from landsift.data.shards import OnBad, Sample, read_tar
from landsift.errors import DatasetError, UsageError

__all__ = ["check_streams", "stream_dataset", "stream_files"]

_CHUNK = 2**20
_LONGEST_ENTRY = 64 * 2**20
_BETWEEN_ITEMS = re.compile(r"[\[,\s]*")


class _Reader(Protocol):
    def __call__(self, path: Path, images: _Images, on_bad: OnBad | None) -> Iterator[Sample]: ...


def stream_dataset(
    name: str,
    root: str | Path,
    split: str | None = None,
    *,
    files: str | None = None,
    part: tuple[int, int] = (0, 1),
    on_bad: OnBad | None = None,
) -> Iterator[Sample]:
    """Read a large set sample by sample, in the order of its files.

    Args:
        name: As in the table of sets, such as ``rs5m``.
        root: Its folder.
        split: Only files with this word in their names, such as ``train``; None for all.
        files: A glob relative to ``root``, to choose among subsets; the set's usual files by default.
        part: ``(i, n)``: every n-th file from the i-th, so that n workers share the set.
        on_bad: Told of each sample that cannot be used; None to stop at the first.

    Yields:
        Samples with at least one caption.

    Raises:
        UsageError: No such name, a set that ``load_dataset`` reads, or an impossible ``part``.
        DatasetError: No files, a file cut short or malformed, or a bad sample with ``on_bad`` None.
    """
    row, root = find_dataset(name), Path(root)
    paths, reader = stream_files(row, root, split, files)
    index, parts = part
    if not 0 <= index < parts:
        raise UsageError(f"part must be (i, n) with 0 <= i < n; got {part}.")
    return _read_all(paths[index::parts], _READERS[reader], _Images(root, row.images), on_bad)


def _read_all(paths: list[Path], read: _Reader, images: _Images, on_bad: OnBad | None) -> Iterator[Sample]:
    for path in paths:
        yield from read(path, images, on_bad)


def stream_files(
    row: Dataset, root: Path, split: str | None = None, files: str | None = None
) -> tuple[list[Path], str]:
    """The files a streamed set is read from, and the name of their reader.

    Raises:
        UsageError: The set is not a streamed one.
        DatasetError: There are none.
    """
    if not row.streamed:
        raise UsageError(f"{row.title} fits in memory; read it with load_dataset({row.name!r}, ...).")
    for form in row.stream:
        pattern = files or form.files
        if files and PurePosixPath(files).suffix != PurePosixPath(form.files).suffix:
            continue
        paths = sorted(path for path in root.glob(pattern) if split is None or split in _words(path))
        if paths:
            return paths, form.reader
    which = f" of the split {split!r}" if split else ""
    raise DatasetError(
        f"{root} holds no files{which} of {row.title}; it needs {row.layout} (from {row.page})."
    )


def _words(path: Path) -> list[str]:
    return path.name.lower().replace("-", "_").replace(".", "_").split("_")


def check_streams(row: Dataset, root: Path) -> Iterator[str]:
    """Sentences on the files of a streamed set: each is opened and its first sample read."""
    paths, reader = stream_files(row, root)
    images = _Images(root, row.images)
    for path in paths:
        try:
            next(_READERS[reader](path, images, None), None)
        except DatasetError as error:
            yield str(error)


class _Images:
    """Image files named by a table: as they lie in folders, or in zips named like the first folder."""

    def __init__(self, root: Path, folders: tuple[str, ...]) -> None:
        self._bases = [base for folder in (*folders, ".") if (base := root / folder).is_dir()]
        self._root = root
        self._zips: dict[str, zipfile.ZipFile | None] = {}

    def find(self, name: str, beside: Path) -> bytes | Path:
        """The path of an image, or its bytes if it is in a zip.

        Raises:
            DatasetError: It is in neither.
        """
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/"):
            raise DatasetError(f"{beside} names the image {name!r}, which leaves its folder; mend that row.")
        for base in (*self._bases, beside.parent):
            if (base / name).is_file():
                return base / name
        archive = self._zip(parts[0]) if len(parts) > 1 else None
        for member in (name, "/".join(parts[1:])):
            if archive and member in archive.NameToInfo:
                return archive.read(member)
        raise DatasetError(
            f"{beside.name} names {name}, which is not under {self._root}; download the images."
        )

    def _zip(self, folder: str) -> zipfile.ZipFile | None:
        if folder not in self._zips:
            path = self._root / f"{folder}.zip"
            try:
                self._zips[folder] = zipfile.ZipFile(path) if path.is_file() else None
            except zipfile.BadZipFile as error:
                raise DatasetError(f"{path} is cut short or no zip; download it again.") from error
        return self._zips[folder]


def _tars(path: Path, images: _Images, on_bad: OnBad | None) -> Iterator[Sample]:
    return read_tar(path, on_bad)


def _table(path: Path, images: _Images, on_bad: OnBad | None) -> Iterator[Sample]:
    """Rows of a CSV or TSV; the image is looked for when its row comes up."""
    with _open_text(path) as file:
        start = file.readline()
        file.seek(0)
        reader = csv.DictReader(file, delimiter=separator_of(start))
        try:
            for row in reader:
                yield from _found(row_record(row, path), images, path, on_bad)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DatasetError(
                f"{path} is damaged near line {reader.line_num} ({error}); download it again."
            ) from error


def _open_text(path: Path) -> TextIO:
    """Open as UTF-8, or as GB18030 if its beginning is not UTF-8."""
    with path.open("rb") as file:
        head = file.read(_CHUNK)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
        encoding = "utf-8-sig"
    except UnicodeDecodeError:
        encoding = "gb18030"
    return path.open(encoding=encoding, newline="")


def _conversations(path: Path, images: _Images, on_bad: OnBad | None) -> Iterator[Sample]:
    for entry in _json_items(path):
        if isinstance(entry, Mapping) and "image" in entry:
            yield from _found(conversation_record(entry, path), images, path, on_bad, uncaptioned_ok=True)


def _found(
    record: Record, images: _Images, path: Path, on_bad: OnBad | None, *, uncaptioned_ok: bool = False
) -> Iterator[Sample]:
    """Yield the sample of a record, or say why there is none."""
    captions = tuple(text.strip() for text in record.captions if text.strip())
    if not captions and uncaptioned_ok:
        return
    try:
        if not captions:
            raise DatasetError(f"{path.name} has no caption for {record.file}; delete its row.")
        yield Sample(record.file, images.find(record.file, path), captions)
    except DatasetError as error:
        if on_bad is None:
            raise
        on_bad(str(error))


def _json_items(path: Path) -> Iterator[Any]:
    """Yield the items of a JSON list without holding the list."""
    decoder, buffer, place = json.JSONDecoder(), "", 0
    with _open_text(path) as file:
        if file.read(_CHUNK).lstrip()[:1] != "[":
            raise DatasetError(f"{path} is not a JSON list; check which file it is.")
        file.seek(0)
        while chunk := file.read(_CHUNK):
            buffer, place = buffer[place:] + chunk, 0
            while True:
                place = _BETWEEN_ITEMS.match(buffer, place).end()  # type: ignore[union-attr]
                if buffer.startswith("]", place):
                    return
                try:
                    item, place = decoder.raw_decode(buffer, place)
                except json.JSONDecodeError:
                    break
                yield item
            if len(buffer) - place > _LONGEST_ENTRY:
                break
    raise DatasetError(f"{path} is cut short or malformed; download it again.")


_READERS: Mapping[str, _Reader] = {"tars": _tars, "table": _table, "conversations": _conversations}
