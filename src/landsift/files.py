"""Files that are whole or absent: atomic replacement, and append-only columns with a commit point.

Knows nothing of what the bytes mean.

A ``ColumnFolder`` is a folder of raw little-endian arrays of equal length, one file a column, and a
``columns.json`` that says how many rows are valid. The header is replaced atomically after the rows are on
disk, so a crash leaves at most a tail that the next append overwrites, and appending costs the new rows only.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from landsift.errors import DiskFull, GalleryDamaged

__all__ = ["ColumnFolder", "cache_folder", "replace_file", "write_whole"]

_HEADER = "columns.json"
_FORMAT = 1
ColumnSpec = Mapping[str, tuple[str, tuple[int, ...]]]
"""Column name -> (numpy dtype string, shape of one row)."""


def cache_folder(given: str | Path = "") -> Path:
    """Where computed things lie: the given folder, else LANDSIFT_CACHE, else ``~/.cache/landsift``."""
    chosen = given or os.environ.get("LANDSIFT_CACHE") or Path.home() / ".cache" / "landsift"
    return Path(chosen).expanduser()


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place in one step.

    The temporary name keeps the suffix, because writers choose the format by it.

    Raises:
        DiskFull: No space left; ``path`` is as it was before.
    """
    path = Path(path)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        write(partial)
        partial.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(f"There is no space left to write {path}; free some and run it again") from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def replace_file(path: str | Path, data: bytes) -> None:
    """Write ``data`` so that a reader, or a crash, sees the old bytes or the new, never a mixture."""

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    write_whole(path, write)


class ColumnFolder:
    """An opened folder of columns; the arrays are memory-mapped and nothing is read until it is used.

    Attributes:
        columns: Name -> array of shape ``(count, *row shape)``.
        count: Number of valid rows.
        note: Whatever the writer put into the header.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open a folder.

        Raises:
            GalleryDamaged: No readable header, or a column shorter than it says.
        """
        self.folder = Path(folder)
        self._header = _read_header(self.folder)
        self.count: int = self._header["count"]
        self.note: dict[str, Any] = self._header["note"]
        self.columns = {name: self._map(name) for name in self._header["columns"]}

    def _map(self, name: str) -> NDArray[Any]:
        dtype, row_shape = self._header["columns"][name]
        shape = (self.count, *row_shape)
        path = _column_path(self.folder, self._header, name)
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if size == 0:
            return np.empty(shape, dtype)
        if not path.is_file() or path.stat().st_size < size:
            raise GalleryDamaged(
                f"The file {path} is shorter than its header says; delete the folder {self.folder}, "
                "and it is rebuilt"
            )
        return np.memmap(path, dtype, "r", shape=shape)

    @classmethod
    def append(
        cls,
        folder: str | Path,
        spec: ColumnSpec,
        batches: Iterable[Mapping[str, NDArray[Any]]],
        note: dict[str, Any],
    ) -> None:
        """Add rows after those there and commit them with a new ``note``.

        Args:
            folder: Where.
            spec: The columns; must be those of the folder.
            batches: Mappings of column name to ``(n, *row shape)`` arrays, all of one length.
            note: Kept in the header.

        Raises:
            GalleryDamaged: Nothing is there to add to, or it has other columns.
        """
        folder = Path(folder)
        header = _read_header(folder)
        if header["columns"] != _plain(spec):
            raise GalleryDamaged(
                f"The columns in {folder} are not {sorted(spec)}; delete it, and it is rebuilt"
            )
        _commit_rows(folder, header, spec, batches, note)

    @classmethod
    def write(
        cls,
        folder: str | Path,
        spec: ColumnSpec,
        batches: Iterable[Mapping[str, NDArray[Any]]],
        note: dict[str, Any],
    ) -> None:
        """Replace all rows, under new file names: whoever has the old ones mapped keeps them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            generation = _read_header(folder)["generation"] + 1
        except GalleryDamaged:
            generation = 0
        header = {
            "format": _FORMAT,
            "generation": generation,
            "count": 0,
            "columns": _plain(spec),
            "note": {},
        }
        _commit_rows(folder, header, spec, batches, note)
        kept = {_column_path(folder, header, name) for name in spec} | {folder / _HEADER}
        for path in folder.iterdir():
            if path not in kept:
                with suppress(OSError):  # still mapped by a reader, on systems that mind
                    path.unlink()


def _commit_rows(
    folder: Path,
    header: dict[str, Any],
    spec: ColumnSpec,
    batches: Iterable[Mapping[str, NDArray[Any]]],
    note: dict[str, Any],
) -> None:
    count = header["count"]
    files = {name: _open_at(folder, header, name, count) for name in spec}
    try:
        for batch in batches:
            length = len(next(iter(batch.values())))
            for name, (dtype, row_shape) in spec.items():
                rows = np.ascontiguousarray(batch[name], dtype)
                if rows.shape != (length, *row_shape):
                    raise ValueError(
                        f"Column {name} must have shape {(length, *row_shape)}, got {rows.shape}"
                    )
                files[name].write(rows.data)
            count += length
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    finally:
        for file in files.values():
            file.close()
    replace_file(folder / _HEADER, json.dumps(header | {"count": count, "note": note}).encode())


def _open_at(folder: Path, header: dict[str, Any], name: str, count: int) -> BinaryIO:
    """A column file, cut to its valid rows and positioned behind them."""
    dtype, row_shape = header["columns"][name]
    size = count * int(np.prod(row_shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    path = _column_path(folder, header, name)
    file = path.open("r+b" if size else "wb")
    file.truncate(size)
    file.seek(size)
    return file


def _plain(spec: ColumnSpec) -> dict[str, list[Any]]:
    return {name: [dtype, list(row_shape)] for name, (dtype, row_shape) in spec.items()}


def _column_path(folder: Path, header: dict[str, Any], name: str) -> Path:
    return folder / f"{name}-{header['generation']}.bin"


def _read_header(folder: Path) -> dict[str, Any]:
    try:
        header = json.loads((folder / _HEADER).read_bytes())
        known = header["format"] == _FORMAT
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GalleryDamaged(
            f"There are no readable columns in {folder}; delete it, and it is rebuilt"
        ) from error
    if not known:
        raise GalleryDamaged(
            f"The columns in {folder} have a layout this release does not know; delete it, and it is rebuilt"
        )
    return header
