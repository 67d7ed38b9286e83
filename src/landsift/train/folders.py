"""Folders that are whole or absent: written beside their place, then put there; full disks told of.

Knows nothing of what is in them.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from landsift.errors import DiskFull

__all__ = ["full_disk_told", "recover", "replace_folder"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def replace_folder(path: Path, fill: Callable[[Path], object]) -> None:
    """Let ``fill`` write into a new folder, then put it in the place of ``path``.

    A crash leaves the old folder, or the new one, or the old one under another name that :func:`recover`
    puts back; never a mixture.

    Raises:
        DiskFull: No space left; ``path`` is as it was.
    """
    new, old = _beside(path, "new"), _beside(path, "old")
    shutil.rmtree(new, ignore_errors=True)
    try:
        with full_disk_told(
            f"to write {path}", "free some and go on with --resume: what was written before stays"
        ):
            new.mkdir(parents=True)
            fill(new)
            _to_disk(new)
    except Exception:
        shutil.rmtree(new, ignore_errors=True)
        raise
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def full_disk_told(what: str, remedy: str) -> Iterator[None]:
    """Say in one sentence that a disk is full, whoever found out.

    Args:
        what: The space was wanted for, such as ``to write FILE``.
        remedy: What to do about it.

    Raises:
        DiskFull: No space left.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        if not _is_full(error):
            raise
        raise DiskFull(f"There is no space left {what}; {remedy}") from error


def recover(path: Path) -> None:
    """Put back what a crash between two renames left under another name."""
    old = _beside(path, "old")
    if old.is_dir() and not path.exists():
        old.rename(path)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{kind}-{path.name}")


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    # The writer of safetensors reports the system's error as text only.
    return any(f"os error {number}" in str(error) or f"code: {number}" in str(error) for number in _FULL)


def _to_disk(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
