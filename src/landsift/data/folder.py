"""A folder of images and the names it answers to.

Caption files name images in many ways: with or without folders, under another suffix, or under none. Knows
names only; opens no image.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from landsift.data.images import is_image_name
from landsift.errors import DatasetError

__all__ = ["ImageFolder"]


class ImageFolder:
    """All images under a folder, found by relative path, by file name, or by name without suffix."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._paths: dict[str, Path] = {}
        self._names: dict[str, list[str]] = {}
        self._stems: dict[str, list[str]] = {}
        self.empty_files: set[str] = set()
        for relative, size in _walk(root):
            self._add(relative)
            if size == 0:
                self.empty_files.add(relative)

    def _add(self, relative: str) -> None:
        path = PurePosixPath(relative)
        self._paths[relative] = self.root / relative
        self._names.setdefault(path.name, []).append(relative)
        self._stems.setdefault(path.stem, []).append(relative)

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def find(self, name: str) -> str | None:
        """The relative path of the image that ``name`` means, or None if there is none.

        Raises:
            DatasetError: Several images answer to it.
        """
        if name in self._paths:
            return name
        path = PurePosixPath(name)
        found = self._names.get(path.name) or self._stems.get(path.stem) or self._stems.get(path.name) or []
        if len(found) > 1:
            raise DatasetError(
                f"{name} could be {found[0]} or {found[1]} in {self.root}; "
                "name the folder too in the caption file."
            )
        return found[0] if found else None


def _walk(root: Path) -> Iterator[tuple[str, int]]:
    """Yield every image's path relative to ``root``, with ``/``, and its size in bytes."""
    pending = deque([("", str(root))])
    while pending:
        prefix, folder = pending.popleft()
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir():
                    pending.append((f"{prefix}{entry.name}/", entry.path))
                elif is_image_name(Path(entry.name)):
                    yield prefix + entry.name, entry.stat().st_size
