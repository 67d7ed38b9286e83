"""The counts of a server that runs in several processes, added up by whichever of them is asked.

Knows files and nested numbers; nothing of what they count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

from landsift.errors import DiskFull
from landsift.files import write_whole

__all__ = ["NOW", "Tally", "added"]

NOW = "now"
"""The member of counts that tells how things are, and ends with its process; the others tell what was."""

_EVERY_S = 0.5


class Tally:
    """The counts of one process in a folder where others keep theirs.

    A process that takes the place of another takes its file too, and counts on from there.

    Args:
        path: The file of this process, its name a number; such files beside it are those of the others.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = {name: value for name, value in _read(path).items() if name != NOW}
        self._done = Event()

    def keep_writing(self, counts: Callable[[], Mapping[str, Any]]) -> None:
        """Write counts down from now on, twice a second where they changed, in a thread of its own.

        Args:
            counts: Gives the counts of this process: numbers in nested dictionaries.
        """
        self._thread = Thread(target=self._write_on, args=(counts,), name="landsift-counts", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write for the last time."""
        self._done.set()
        self._thread.join()

    def total(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        """The sum of these counts of this process, those it took over, and what the others wrote last."""
        total = added(self._before, counts)
        for path in self._path.parent.glob("[0-9]*.json"):
            if path != self._path:
                total = added(total, _read(path))
        return total

    def _write_on(self, counts: Callable[[], Mapping[str, Any]]) -> None:
        written, last = "", False
        while not last:
            last = self._done.wait(_EVERY_S)
            text = json.dumps(added(self._before, counts()))
            if text == written:
                continue
            # A full disk or a folder that is gone costs figures, not answers.
            with suppress(OSError, DiskFull):
                write_whole(self._path, partial(_put, text))
                written = text


def added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested dictionaries of numbers as one, where what is in both is their sum."""
    total = dict(one)
    for name, value in other.items():
        if name not in total:
            total[name] = value
        else:
            total[name] = added(total[name], value) if isinstance(value, Mapping) else total[name] + value
    return total


def _put(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
