"""What a caption file says of one image, before any image is looked for.

Knows no file formats and no data sets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["Record", "merged_by_file"]


@dataclass(frozen=True, slots=True)
class Record:
    """One image as a caption file lists it.

    Attributes:
        file: Image name relative to the folder of images, with ``/`` between parts.
        captions: Its captions in order, blank ones included.
        split: ``train``, ``val``, ``test``, or None where the file does not say.
        label: Class name, or None.
        keywords: Keywords, where the set has them.
    """

    file: str
    captions: tuple[str, ...]
    split: str | None = None
    label: str | None = None
    keywords: tuple[str, ...] = ()


def merged_by_file(records: Iterable[Record]) -> list[Record]:
    """Join the records of a one-caption-per-row file into one per image, in order of first appearance."""
    merged: dict[tuple[str, str | None], list[Record]] = {}
    for record in records:
        merged.setdefault((record.file, record.split), []).append(record)
    return [_joined(rows) for rows in merged.values()]


def _joined(rows: list[Record]) -> Record:
    if len(rows) == 1:
        return rows[0]
    captions = tuple(text for row in rows for text in row.captions)
    keywords = tuple(dict.fromkeys(word for row in rows for word in row.keywords))
    return replace(rows[0], captions=captions, keywords=keywords)
