"""Weights in several files, held together by an index: ``model.safetensors.index.json`` of Hugging Face.

Knows the index and file names; not what is in the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from landsift.errors import EncoderError

__all__ = ["INDEX_SUFFIX", "is_index", "shard_table", "shards_of"]

INDEX_SUFFIX = ".index.json"
"""What the name of an index ends with."""


def is_index(path: Path) -> bool:
    """Whether a file is an index, by its name."""
    return path.name.endswith(INDEX_SUFFIX)


def shard_table(path: Path) -> Mapping[str, str]:
    """Name of each tensor to the file, beside the index, that holds it.

    Raises:
        EncoderError: The index cannot be read, or names files that do not lie beside it.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        table = content["weight_map"]
        fine = all(isinstance(name, str) and _plain(file) for name, file in table.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EncoderError(f"The index {path} cannot be read ({error}); download it again.") from error
    if not table or not fine:
        raise EncoderError(
            f"The index {path} names no files beside it; give the index of weights in several files."
        )
    found: Mapping[str, str] = table
    return found


def shards_of(path: Path) -> list[Path]:
    """The files that an index names, in order of name.

    Raises:
        EncoderError: As for :func:`shard_table`.
    """
    return [path.parent / file for file in sorted(set(shard_table(path).values()))]


def _plain(file: Any) -> bool:
    """A file's name alone: an index from elsewhere opens nothing outside its folder."""
    return isinstance(file, str) and PurePosixPath(file).name == file and "\\" not in file
