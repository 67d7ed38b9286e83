"""A long measurement in stages: each is kept as soon as it is done, and a run that was cut off goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from landsift.files import replace_file
from landsift.provenance import provenance

__all__ = ["Stages"]

Figures = TypeVar("Figures")


class Stages:
    """What was measured so far, in a file of its own until the whole is done.

    Args:
        path: The file. Stages that it holds are not measured again; it must be of this machine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def once(self, name: str, measure: Callable[[], Figures]) -> Figures:
        """What was kept under a name; otherwise it is measured, and kept.

        Figures must come out of JSON as they went in: no tuples, no arrays.
        """
        if name not in self._done:
            figures = measure()
            facts = provenance("")
            self._done[name] = {"figures": figures, "commit": facts["commit"], "date": facts["date"]}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, json.dumps(self._done).encode())
        kept: Figures = self._done[name]["figures"]
        return kept

    def origins(self) -> dict[str, dict[str, str]]:
        """Of each stage, the commit and the time: a run that went on may have more than one."""
        return {
            name: {"commit": stage["commit"], "date": stage["date"]} for name, stage in self._done.items()
        }

    def forget(self) -> None:
        """Drop the file: the whole is kept elsewhere, or is to be measured anew."""
        self._path.unlink(missing_ok=True)
        self._done = {}
