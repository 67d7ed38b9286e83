"""A user's own data: images with a caption file, or one folder of images per class.

Knows no published set.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from landsift.captions import class_words
from landsift.data.folder import ImageFolder
from landsift.data.layouts import class_folders, rows
from landsift.data.load import refuse_uncaptioned, retrieval_set, some
from landsift.data.records import Record
from landsift.errors import DatasetError, LandsiftWarning, UsageError
from landsift.types import RetrievalSet

__all__ = ["load_captions", "load_classes"]


def load_captions(
    images: str | Path,
    captions: str | Path,
    split: str | None = None,
    *,
    name: str | None = None,
    keep_unlisted: bool = False,
) -> RetrievalSet:
    """Load a folder of images and a caption file.

    Args:
        images: The folder, with or without sub-folders.
        captions: CSV, TSV, JSON or JSONL with one or many captions per row and one or many rows per image;
            see :func:`landsift.data.layouts.rows` for the column names.
        split: Keep the rows whose ``split`` column says so; None for all rows.
        name: Of the set; the caption file's name by default.
        keep_unlisted: Keep images of the folder that the caption file does not name, as wrong answers
            without a caption. Otherwise they are left out, with a warning.

    Returns:
        Labels where the file has a class column.

    Raises:
        DatasetError: A caption for an image that is not there, an image listed without a caption, an
            unreadable caption file, or nothing in the split.
    """
    images, captions = Path(images), Path(captions)
    if not images.is_dir():
        raise DatasetError(f"{images} is not a folder; give the folder of the images.")
    listed = rows(captions)
    chosen = [record for record in listed if split is None or record.split == split]
    if not chosen:
        where = f"in the split {split!r}" if split else "in it"
        raise DatasetError(f"{captions} has no row {where}; check its split column and its contents.")
    refuse_uncaptioned(captions.name, [_without_empty(record) for record in chosen])
    if unlisted := _unlisted(images, listed):
        if keep_unlisted:
            chosen = [*chosen, *(Record(file, ()) for file in unlisted)]
        else:
            message = f"{captions.name} does not name {some(unlisted)} in {images}; they are left out."
            warnings.warn(message, LandsiftWarning, stacklevel=2)
    classes = sorted({record.label for record in listed if record.label})
    return retrieval_set(name or captions.stem, split or "all", chosen, images, classes)


def _without_empty(record: Record) -> Record:
    return replace(record, captions=tuple(text for text in record.captions if text.strip()))


def _unlisted(images: Path, listed: Sequence[Record]) -> list[str]:
    """Images of the folder that no record names."""
    folder = ImageFolder(images)
    named = {folder.find(record.file) for record in listed}
    return [file for file in folder if file not in named]


def load_classes(
    folder: str | Path, templates: Sequence[str] = (), *, name: str | None = None
) -> RetrievalSet:
    """Load a folder that holds one folder of images per class.

    Args:
        folder: Its folders' names are the class names.
        templates: Each makes one caption per image, ``{}`` standing for the class name in words, such as
            ``"a satellite photo of {}."``; none, no captions.
        name: Of the set; the folder's name by default.

    Returns:
        Labels in alphabetical order of the classes.

    Raises:
        UsageError: A template without ``{}``.
        DatasetError: No class folders with images in them.
    """
    folder = Path(folder)
    wrong = [template for template in templates if "{}" not in template]
    if wrong:
        raise UsageError(f"The template {wrong[0]!r} has no {{}} for the class name; add one.")
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give the folder that holds the class folders.")
    records = class_folders(folder)
    if not records:
        raise DatasetError(f"{folder} holds no folders with images; make one folder per class.")
    captioned = [_captioned(record, templates) for record in records]
    classes = sorted({record.label for record in records if record.label})
    return retrieval_set(name or folder.name, "all", captioned, folder, classes)


def _captioned(record: Record, templates: Sequence[str]) -> Record:
    words = class_words(record.label or "")
    return replace(record, captions=tuple(template.replace("{}", words) for template in templates))
