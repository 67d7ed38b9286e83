"""From a data set's folder to a :class:`~landsift.types.RetrievalSet`, verified on the way.

Nothing is dropped: an image that is missing, a count that is off, a name listed twice is an error that
says so. Opens no image; :func:`landsift.data.check_dataset` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from landsift.data.catalog import find_dataset
from landsift.data.dataset import CaptionFiles, Dataset, Size
from landsift.data.folder import ImageFolder
from landsift.data.records import Record
from landsift.errors import DatasetError, UsageError
from landsift.types import RetrievalSet

__all__ = ["FoundDataset", "load_dataset", "locate_dataset", "refuse_uncaptioned", "retrieval_set", "some"]

_ALL = "all"


@dataclass(frozen=True)
class FoundDataset:
    """A data set found on disk.

    Attributes:
        row: What it is.
        form: Which of its layouts lies there.
        caption_files: The files that were read, by split (``all`` for one file that holds every split).
        image_root: Folder of its images; None if there is none.
        records: Every image the caption files list, all splits.
    """

    row: Dataset
    form: CaptionFiles
    caption_files: dict[str, Path]
    image_root: Path | None
    records: list[Record]

    @property
    def splits(self) -> list[str]:
        """Names of the splits that have an image."""
        return sorted({record.split or _ALL for record in self.records})

    def of_split(self, split: str) -> list[Record]:
        """The records of one split, or all of them.

        Raises:
            DatasetError: No image is in it.
        """
        chosen = self.records if split == _ALL else [r for r in self.records if r.split == split]
        if not chosen:
            there = ", ".join(dict.fromkeys([*self.splits, _ALL])) if self.records else "none"
            raise DatasetError(
                f"{self.row.name} has no image in the split {split!r}; its splits are: {there}."
            )
        return chosen

    def expected(self, split: str) -> Size | None:
        """What the table says the split must hold, if it says."""
        sizes = self.form.sizes
        if split != _ALL or _ALL in sizes:
            return sizes.get(split)
        return Size(
            sum(size.images for size in sizes.values()), sum(size.captions for size in sizes.values())
        )

    def size_complaint(self, split: str) -> str | None:
        """A clause on how the split's counts differ from the table's, or None if they agree."""
        records, expected = self.of_split(split), self.expected(split)
        there = Size(len(records), sum(len(record.captions) for record in records))
        if expected is None or there == expected:
            return None
        return (
            f"{self.row.name} {split} should have {expected.images} images and {expected.captions} captions, "
            f"but {there.images} and {there.captions} are listed"
        )


def load_dataset(name: str, root: str | Path, split: str = "test", *, partial: bool = False) -> RetrievalSet:
    """Load one split of a published set.

    Args:
        name: As ``landsift list datasets`` prints it, such as ``rsicd``.
        root: Its folder, laid out as the table says, or a folder that holds that folder.
        split: ``train``, ``val``, ``test`` or ``all``.
        partial: Accept a copy whose counts differ from the published ones. The name of the result then
            says how much of the set it is.

    Returns:
        Images as paths, captions as the set has them. Labels where the set implies classes, numbered alike
        in all its splits, -1 where the class of an image is unknown.

    Raises:
        UsageError: No such name, or a set that can only be streamed.
        DatasetError: Not there, incomplete or malformed; the message says what is missing.
    """
    found = locate_dataset(name, root)
    records, image_root = found.of_split(split), found.image_root
    if image_root is None:
        raise DatasetError(
            f"{root} holds the captions of {found.row.title} but not its images; "
            f"put them into {found.row.images[0]} beside the captions."
        )
    complaint, name = found.size_complaint(split), found.row.name
    if complaint and not partial:
        raise DatasetError(f"{complaint}; download the rest, or load it with partial=True.")
    expected = found.expected(split)
    if complaint and expected:
        name = f"{name} (partial, {len(records)} of {expected.images} images)"
    if any(record.captions for record in records):
        refuse_uncaptioned(name, records)
    records = [replace(record, label=found.row.label(record)) for record in records]
    classes = {found.row.label(record) for record in found.records} - {None}
    return retrieval_set(name, split, records, image_root, sorted(map(str, classes)))


def locate_dataset(name: str, root: str | Path) -> FoundDataset:
    """Find a set's files under ``root`` and parse its captions; the images may be absent.

    Raises:
        UsageError: No such name, or a set that can only be streamed.
        DatasetError: No caption file, or a malformed one.
    """
    row, root = find_dataset(name), Path(root)
    if row.streamed:
        raise UsageError(f"{row.title} is too large to load; read it with stream_dataset({row.name!r}, ...).")
    if row.pairs is not None:
        raise UsageError(
            f"{row.title} shows each place on two dates; read it with load_changes({row.name!r}, ...)."
        )
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder; give the folder that holds {row.layout}.")
    found = [_open(row, form, base, root) for base in _bases(root) for form in row.captions]
    there = [candidate for candidate in found if candidate is not None]
    if not there:
        raise DatasetError(f"{root} does not hold {row.title}; it needs {row.layout} (from {row.page}).")
    return min(there, key=_shortfall)


def _bases(root: Path) -> list[Path]:
    return [root, *sorted(child for child in root.iterdir() if child.is_dir())]


def _open(row: Dataset, form: CaptionFiles, base: Path, root: Path) -> FoundDataset | None:
    files = _files_of(form, base)
    if not files:
        return None
    places = [place / folder for place in (base, root) for folder in row.images]
    images = next((place for place in places if place.is_dir()), None)
    records = [
        record if split == _ALL else replace(record, split=split)
        for split, path in files.items()
        for record in form.parse(path)
    ]
    return FoundDataset(row, form, files, images, records)


def _files_of(form: CaptionFiles, base: Path) -> dict[str, Path]:
    """The caption files of one form that exist under ``base``, by split."""
    if "{split}" in form.file:
        paths = {split: base / form.file.format(split=split) for split in form.sizes}
        return {split: path for split, path in paths.items() if path.is_file()}
    path = base / form.file
    return {_ALL: path} if path.exists() else {}


def _shortfall(found: FoundDataset) -> tuple[bool, bool, int]:
    """How badly a candidate fits the table: nothing listed, no images, number of splits that are off."""
    off = sum(found.size_complaint(split) is not None for split in found.splits)
    return not found.records, found.image_root is None, off


def refuse_uncaptioned(name: str, records: Sequence[Record]) -> None:
    """Make sure that every listed image has a caption, if only a blank one.

    Raises:
        DatasetError: Some have none.
    """
    bare = [record.file for record in records if not record.captions]
    if bare:
        raise DatasetError(f"{name} has no caption for {some(bare)}; caption them or take them off the list.")


def retrieval_set(
    name: str, split: str, records: Sequence[Record], image_root: Path, classes: Sequence[str]
) -> RetrievalSet:
    """Join records to the images they name.

    Args:
        name: Of the set.
        split: Of the set.
        records: Its images with captions and, where known, labels.
        image_root: Where the images are.
        classes: Class names in label order; may be empty.

    Raises:
        DatasetError: No records; an image listed twice, missing, ambiguous or empty.
    """
    if not records:
        raise DatasetError(f"{name} {split} has no images; check the caption file.")
    number = {found: index for index, found in enumerate(classes)}
    labels = np.array([number.get(record.label or "", -1) for record in records], np.int64)
    image_of = np.repeat(np.arange(len(records)), [len(record.captions) for record in records])
    return RetrievalSet(
        name,
        split,
        _image_paths(name, records, image_root),
        [record.file for record in records],
        [text for record in records for text in record.captions],
        image_of.astype(np.int64),
        labels if classes else None,
        tuple(classes),
        [record.keywords for record in records] if any(record.keywords for record in records) else None,
    )


def _image_paths(name: str, records: Sequence[Record], image_root: Path) -> list[Path]:
    twice = [file for file, times in Counter(record.file for record in records).items() if times > 1]
    if twice:
        raise DatasetError(f"{name} lists {some(twice)} more than once; mend the caption file.")
    folder = ImageFolder(image_root)
    found = [folder.find(record.file) for record in records]
    missing = [record.file for record, path in zip(records, found, strict=True) if path is None]
    if missing:
        raise DatasetError(f"{name} lacks {some(missing)} in {image_root}; download the images again.")
    empty = [path for path in found if path is not None and path in folder.empty_files]
    if empty:
        raise DatasetError(f"{name} has empty files in {image_root}: {some(empty)}; download them again.")
    return [image_root / path for path in found if path is not None]


def some(names: Sequence[str]) -> str:
    """``3 images (a, b, c)``, cut after five names."""
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} image{'' if len(names) == 1 else 's'} ({shown})"
