"""What is wrong with a copy of a data set, in sentences.

Opens every image once; knows no models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from landsift.captions import is_blank
from landsift.data.catalog import find_dataset
from landsift.data.change import check_changes
from landsift.data.folder import ImageFolder
from landsift.data.images import read_image
from landsift.data.load import FoundDataset, locate_dataset, some
from landsift.data.stream import check_streams
from landsift.errors import DatasetError
from landsift.threads import available_threads

__all__ = ["check_dataset"]


def check_dataset(name: str, root: str | Path) -> list[str]:
    """List everything that is missing from or wrong with a copy of a published set.

    Args:
        name: As in the table of sets.
        root: Its folder.

    Returns:
        Sentences; none if the copy is complete and every image can be read.

    Raises:
        UsageError: No such name.
    """
    row, root = find_dataset(name), Path(root)
    try:
        if row.streamed:
            return list(check_streams(row, root))
        if row.pairs is not None:
            return list(check_changes(row, root))
        found = locate_dataset(name, root)
    except DatasetError as error:
        return [str(error)]
    return [*_caption_sentences(found), *_image_sentences(found)]


def _caption_sentences(found: FoundDataset) -> Iterator[str]:
    expected = [split for split in found.form.sizes if split not in found.splits]
    for split in expected:
        yield f"The split {split!r} is missing: no image is listed in it."
    for split in found.splits:
        if complaint := found.size_complaint(split):
            yield f"{complaint}."
    for path in found.caption_files.values():
        if path.is_file() and not _is_utf8(path):
            yield f"{path.name} is in GB18030, not UTF-8; it was read all the same."
    yield from _text_sentences(found)


def _is_utf8(path: Path) -> bool:
    try:
        path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _text_sentences(found: FoundDataset) -> Iterator[str]:
    texts = [(record.file, text) for record in found.records for text in record.captions]
    blank = [file for file, text in texts if is_blank(text)]
    if blank:
        yield f"{len(blank)} captions hold no word: {some(list(dict.fromkeys(blank)))}."
    damaged = [file for file, text in texts if "\N{REPLACEMENT CHARACTER}" in text or "\0" in text]
    if damaged:
        yield f"{len(damaged)} captions hold characters lost in an encoding: {some(damaged)}."
    bare = [record.file for record in found.records if not record.captions]
    if bare and texts:
        yield f"No caption for {some(bare)}."
    times = Counter(record.file for record in found.records)
    if twice := [file for file, count in times.items() if count > 1]:
        yield f"Listed more than once: {some(twice)}."


def _image_sentences(found: FoundDataset) -> Iterator[str]:
    if found.image_root is None:
        yield f"There is no folder of images; put them into {found.row.images[0]} beside the captions."
        return
    folder = ImageFolder(found.image_root)
    missing: list[str] = []
    there: list[str] = []
    for record in found.records:
        try:
            path = folder.find(record.file)
        except DatasetError as error:
            yield str(error)
            continue
        (missing if path is None else there).append(record.file if path is None else path)
    if missing:
        yield f"Missing from {found.image_root}: {some(missing)}."
    if unreadable := _unreadable(found.image_root, there):
        yield f"Unreadable in {found.image_root}: {some(unreadable)}."
    if extra := sorted(set(folder) - set(there)):
        yield f"In {found.image_root} but in no caption file: {some(extra)}."


def _unreadable(root: Path, names: Sequence[str]) -> list[str]:
    def opens(name: str) -> bool:
        try:
            read_image(root / name)
        except DatasetError:
            return False
        return True

    with ThreadPoolExecutor(available_threads()) as pool:
        return [name for name, good in zip(names, pool.map(opens, names), strict=True) if not good]
