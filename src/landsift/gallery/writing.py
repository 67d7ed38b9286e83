"""The one writer's place of a gallery: taken before anything is written, given up when the process ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from landsift.errors import GalleryBusy, GalleryReadOnly

__all__ = ["READERS_TURN", "writers_place"]

READERS_TURN = 2.0
"""Seconds that a first look at a gallery may hold the writer's place to save the search cache."""


@contextmanager
def writers_place(
    folder: Path, writable: bool, on_wait: Callable[[str], None] | None, patience: float = READERS_TURN
) -> Iterator[None]:
    """Hold the one writer's place; a process that dies gives it up.

    Args:
        folder: Of the gallery.
        writable: Whether it can be written at all.
        on_wait: Told that another process writes; then this one waits as long as it takes.
        patience: Seconds after which that is so.

    Raises:
        GalleryReadOnly: It cannot be written.
        GalleryBusy: Another process writes, and ``on_wait`` is None.
    """
    if not writable:
        raise GalleryReadOnly(
            f"The gallery {folder} cannot be written; mend its permissions or copy it elsewhere"
        )
    lock = FileLock(folder / "writer.lock")
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        sentence = f"Another process is writing to the gallery {folder}"
        if on_wait is None:
            raise GalleryBusy(f"{sentence}; try again when it has finished") from None
        on_wait(f"{sentence}; waiting for it to finish.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
