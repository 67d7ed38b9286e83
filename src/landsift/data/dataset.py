"""What a row of the data set table says, and the rules that give an image its class.

Knows no particular set's counts; the rows are in ``catalog.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from landsift.data.layouts import Parser
from landsift.data.records import Record

__all__ = ["LABEL_RULES", "CaptionFiles", "Dataset", "LabelRule", "PairFiles", "Size", "StreamFiles"]

LabelRule: TypeAlias = Callable[[Record], str | None]
"""From a record to its class name, or None where the class is unknown."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many images and captions a split must have."""

    images: int
    captions: int


@dataclass(frozen=True)
class CaptionFiles:
    """One form in which a set's captions come on disk.

    Attributes:
        file: Relative to the root; ``{split}`` stands for the name of a split, one file each.
        parse: Reads it.
        sizes: What each split must hold in this form.
    """

    file: str
    parse: Parser
    sizes: Mapping[str, Size]


@dataclass(frozen=True)
class StreamFiles:
    """One form in which a set too large for memory comes on disk.

    Attributes:
        files: A glob relative to the root.
        reader: ``tars``, ``table`` or ``conversations``; see :mod:`landsift.data.stream`.
    """

    files: str
    reader: str


@dataclass(frozen=True)
class PairFiles:
    """Where a set of two dates keeps its files; folders are relative to the root, ``{split}`` is its split.

    Attributes:
        layout: How the annotations are written: a key of :data:`landsift.data.change_layouts.LAYOUTS`.
        before: Accepted folders of the first date's pictures.
        after: Of the second date's, in the same order.
        captions: Accepted globs of annotation files, the first that finds any is read.
        mask: Accepted folders of change masks; empty for sets without any.
        classes: Grey value in a mask to the class of change it stands for; empty for masks of two values.
        semantics: Folders of land-cover maps of both dates, which differ where something changed.
        sizes: What each split must hold; ``all`` for the whole.
    """

    layout: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    captions: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    classes: Mapping[str, str] = field(default_factory=dict)
    semantics: tuple[str, ...] = ()
    sizes: Mapping[str, Size] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """A row of the table: everything Landsift knows of a published set.

    Attributes:
        name: Exact name.
        title: As its authors call it.
        size: In words, for people.
        licence: Terms, for people.
        citation: Who to cite.
        page: Official page to download it from.
        layout: What must lie in the root folder, for people.
        images: Accepted folders of images, relative to the root; the first that exists is used.
        label: Class rule.
        captions: Accepted caption files, the first that exists is read. Empty for streamed sets.
        stream: Accepted files of a streamed set, the first glob that finds any is read.
        pairs: Where a set of two dates keeps its files; None for sets of single pictures.
        aliases: Other names it is found by.
        shares: Names of sets that hold some of the same pictures.
        note: What a user must know.
    """

    name: str
    title: str
    size: str
    licence: str
    citation: str
    page: str
    layout: str
    images: tuple[str, ...]
    label: LabelRule
    captions: tuple[CaptionFiles, ...] = ()
    stream: tuple[StreamFiles, ...] = ()
    pairs: PairFiles | None = None
    aliases: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    note: str = ""

    @property
    def streamed(self) -> bool:
        """Whether it is read with ``stream_dataset`` instead of ``load_dataset``."""
        return bool(self.stream)


_UCM_CLASSES = (
    *("agricultural", "airplane", "baseballdiamond", "beach", "buildings", "chaparral", "denseresidential"),
    *("forest", "freeway", "golfcourse", "harbor", "intersection", "mediumresidential", "mobilehomepark"),
    *("overpass", "parkinglot", "river", "runway", "sparseresidential", "storagetanks", "tenniscourt"),
)


def _none(record: Record) -> str | None:
    """For sets without classes."""
    return None


def _given(record: Record) -> str | None:
    """The class that the caption file or the folder names."""
    return record.label


def _prefix(record: Record) -> str | None:
    """The letters before ``_7.jpg``; None for names that are numbers only, as 921 in RSICD are."""
    if record.label:
        return record.label
    match = re.match(r"([A-Za-z][A-Za-z_-]*?)_?\d+\.\w+$", record.file.rpartition("/")[2])
    return match[1].lower() if match else None


def _ucm_number(record: Record) -> str | None:
    """UCM files are numbered from 1 in class order, a hundred each."""
    stem = record.file.rpartition("/")[2].partition(".")[0]
    if stem.isdigit() and 1 <= int(stem) <= 2100:
        return _UCM_CLASSES[(int(stem) - 1) // 100]
    return _prefix(record)


LABEL_RULES: Mapping[str, LabelRule] = {
    "none": _none,
    "given": _given,
    "prefix": _prefix,
    "ucm-number": _ucm_number,
}
"""Class rules by the names that the table uses."""
