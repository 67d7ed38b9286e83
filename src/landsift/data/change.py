"""Sets of two dates: pictures before and after, what people said changed, masks of where.

One value for all of them, :class:`ChangeSet`. Captions alone are enough to make one; a picture is opened when
somebody asks for its pixels. Knows files; no models and no scores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landsift.data.catalog import find_dataset
from landsift.data.change_layouts import LAYOUTS, PairRecord, Question, split_of
from landsift.data.dataset import Dataset, PairFiles, Size
from landsift.data.images import is_image_name
from landsift.errors import DatasetError, UsageError
from landsift.types import IntArray, RetrievalSet

__all__ = [
    "CHANGED_ONLY",
    "ChangePair",
    "ChangeSet",
    "ImagePair",
    "Question",
    "check_changes",
    "load_changes",
]

CHANGED_ONLY = "-changed"
"""Behind a split's name: only the pairs that changed, which is how text queries are told apart at all."""
_ALL = "all"
_LABELS = ("changed", "unchanged")


@dataclass(frozen=True, slots=True)
class ImagePair:
    """One place on two dates, as one image of a :class:`~landsift.types.RetrievalSet`.

    Attributes:
        before: First date, as :func:`landsift.data.read_image` takes it.
        after: Second date.
    """

    before: Any
    after: Any

    @property
    def swapped(self) -> ImagePair:
        """The same place with time running backwards."""
        return ImagePair(self.after, self.before)


@dataclass(frozen=True, slots=True)
class ChangePair:
    """One place on two dates, and what is known of it.

    Attributes:
        name: Of its pictures.
        split: ``train``, ``val``, ``test``, ``test2`` or empty.
        captions: What changed, in words; may be empty.
        changed: Whether anything did; None where nothing says.
        before: First date's picture; None where it is not on this disk.
        after: Second date's.
        mask: Picture of where it changed; None without.
        semantics: Land-cover maps of both dates, which differ where it changed; None without.
        questions: With their answers.
    """

    name: str
    split: str = ""
    captions: tuple[str, ...] = ()
    changed: bool | None = None
    before: Path | None = None
    after: Path | None = None
    mask: Path | None = None
    semantics: tuple[Path, Path] | None = None
    questions: tuple[Question, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether both pictures are there."""
        return self.before is not None and self.after is not None


@dataclass(frozen=True, eq=False)
class ChangeSet:
    """Places on two dates.

    Attributes:
        name: Such as ``levir-cc``.
        split: Such as ``test``.
        pairs: The places.
        classes: Grey value in a mask to the class of change it stands for; empty where any value is change.
    """

    name: str
    split: str
    pairs: tuple[ChangePair, ...]
    classes: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def changed(self) -> NDArray[np.bool_]:
        """``(N,)``: whether each pair changed; unknown counts as changed."""
        return np.array([pair.changed is not False for pair in self.pairs], bool)

    @property
    def captions(self) -> list[str]:
        """All captions, pair by pair."""
        return [text for pair in self.pairs for text in pair.captions]

    @property
    def pair_of(self) -> IntArray:
        """``(M,)`` int64: the pair that each caption is of."""
        counts = [len(pair.captions) for pair in self.pairs]
        return np.repeat(np.arange(len(self.pairs)), counts).astype(np.int64)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes of change from number 1 on; number 0 of a mask is no change."""
        return tuple(dict.fromkeys(self.classes.values())) or ("change",)

    def chosen(self, rows: Sequence[int] | IntArray) -> ChangeSet:
        """The set of some of its pairs, in the given order."""
        return replace(self, pairs=tuple(self.pairs[int(row)] for row in rows))

    def only_changed(self) -> ChangeSet:
        """The pairs that changed, under a split of their own name."""
        return replace(self.chosen(np.flatnonzero(self.changed)), split=f"{self.split}{CHANGED_ONLY}")

    def images(self) -> list[ImagePair]:
        """Both pictures of every pair.

        Raises:
            DatasetError: Some are not on this disk.
        """
        missing = [pair.name for pair in self.pairs if not pair.whole]
        if missing:
            raise DatasetError(
                f"{self.name} {self.split} lacks pictures of {_some(missing)}; download them, "
                f"or load the set with partial=True to keep the pairs that are there."
            )
        return [ImagePair(pair.before, pair.after) for pair in self.pairs]

    def mask(self, row: int) -> NDArray[np.uint8] | None:
        """Where a pair changed: ``(H, W)`` uint8, 0 for no change, else a number of ``class_names``.

        Returns:
            None where nothing says.

        Raises:
            DatasetError: A mask cannot be read.
        """
        pair = self.pairs[row]
        if pair.mask is not None:
            return self._classified(_grey(pair.mask))
        if pair.semantics is None:
            return None
        first, second = map(_colours, pair.semantics)
        if first.shape != second.shape:
            raise DatasetError(
                f"The land-cover maps of {pair.name} are of two sizes, {first.shape[:2]} and "
                f"{second.shape[:2]}; download them again."
            )
        return (first != second).any(axis=2).astype(np.uint8)

    def _classified(self, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if not self.classes:
            return (grey > 127).astype(np.uint8)
        found = np.zeros_like(grey)
        for value, name in self.classes.items():
            found[grey == value] = self.class_names.index(name) + 1
        return found

    def retrieval_set(self) -> RetrievalSet:
        """The set as training and scoring take it: pairs as images, ``changed`` or ``unchanged`` as class.

        Raises:
            DatasetError: Some pictures are not on this disk, or a name is listed twice.
        """
        known = [pair.changed for pair in self.pairs]
        labels = np.array([-1 if value is None else int(not value) for value in known], np.int64)
        return RetrievalSet(
            self.name,
            self.split,
            self.images(),
            [pair.name for pair in self.pairs],
            self.captions,
            self.pair_of,
            labels if (labels >= 0).any() else None,
            _LABELS if (labels >= 0).any() else (),
        )


def load_changes(
    name: str, root: str | Path, split: str = "test", *, partial: bool = False, captions_only: bool = False
) -> ChangeSet:
    """Load one split of a set of two dates.

    Args:
        name: A row of the table with ``pairs``, such as ``levir-cc``.
        root: Its folder, or a folder that holds that folder.
        split: ``train``, ``val``, ``test``, what else the set has, or ``all``; with ``-changed`` behind it,
            only the pairs that changed.
        partial: Leave out pairs whose pictures are absent. The name then says how many are left.
        captions_only: Ask for no pictures at all; those on the disk are named all the same.

    Raises:
        UsageError: No such name, or a set of single pictures.
        DatasetError: Not there, incomplete or malformed; the message says what is missing.
    """
    row, wanted = find_dataset(name), split.removesuffix(CHANGED_ONLY)
    if row.pairs is None:
        raise UsageError(f"{row.title} holds single pictures; read it with load_dataset({row.name!r}, ...).")
    base, records = _located(row, row.pairs, Path(root))
    chosen = _of_split(row, records, wanted)
    finder = _Finder(base, row.pairs)
    pairs = [finder.pair(record) for record in chosen]
    found = ChangeSet(row.name, wanted, tuple(pairs), {int(k): v for k, v in row.pairs.classes.items()})
    if partial:
        found = _partial(found, row, base)
    elif not captions_only:
        found = _complete(found, row, base)
    return found.only_changed() if split.endswith(CHANGED_ONLY) else found


def _complete(found: ChangeSet, row: Dataset, base: Path) -> ChangeSet:
    missing = [pair.name for pair in found.pairs if not pair.whole]
    if missing:
        raise DatasetError(
            f"{base} lacks pictures of {_some(missing)} of {row.title}; download them from {row.page}, or "
            f"load it with partial=True for the {len(found) - len(missing)} pairs that are there, or with "
            f"captions_only=True for the words alone."
        )
    return found


def _partial(found: ChangeSet, row: Dataset, base: Path) -> ChangeSet:
    rows = [number for number, pair in enumerate(found.pairs) if pair.whole]
    if not rows:
        raise DatasetError(
            f"{base} holds no pair of {row.title} {found.split} with both pictures; download them from "
            f"{row.page}."
        )
    if len(rows) == len(found):
        return found
    title = f"{found.name} (partial, {len(rows)} of {len(found)} pairs)"
    return replace(found.chosen(rows), name=title)


def check_changes(row: Dataset, root: str | Path) -> Iterator[str]:
    """Sentences on what a copy of a set of two dates lacks; none if it is complete.

    Yields:
        On splits whose counts differ from the table's, pairs listed twice, and pictures that are absent.

    Raises:
        DatasetError: No annotations, or malformed ones.
    """
    if row.pairs is None:
        raise UsageError(f"{row.title} holds single pictures; check it with check_dataset.")
    base, records = _located(row, row.pairs, Path(root))
    finder = _Finder(base, row.pairs)
    for split, size in row.pairs.sizes.items():
        there = [record for record in records if split in (_ALL, record.split)]
        counts = Size(len(there), sum(len(record.captions) for record in there))
        if counts != size:
            yield (
                f"{row.name} {split} should have {size.images} pairs and {size.captions} captions, "
                f"but {counts.images} and {counts.captions} are listed."
            )
    twice = [
        key[1]
        for key, times in Counter((record.split, record.file) for record in records).items()
        if times > 1
    ]
    if twice:
        yield f"{row.name} lists {_some(twice)} more than once."
    missing = [record.file for record in records if not finder.pair(record).whole]
    if missing:
        yield f"{base} lacks pictures of {_some(missing)}; download them from {row.page}."


def _located(row: Dataset, form: PairFiles, root: Path) -> tuple[Path, list[PairRecord]]:
    """The folder that holds a set's annotations, and what they list."""
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder; give the folder that holds {row.layout}.")
    for base in (root, *sorted(child for child in root.iterdir() if child.is_dir())):
        files = _annotations(form, base)
        if files:
            return base, LAYOUTS[form.layout](files)
    raise DatasetError(f"{root} does not hold {row.title}; it needs {row.layout} (from {row.page}).")


def _annotations(form: PairFiles, base: Path) -> list[Path]:
    for pattern in form.captions:
        if files := sorted(path for path in base.glob(pattern) if path.is_file()):
            return files
    if form.captions:
        return []
    for template in form.before:
        pattern = template.replace("{split}", "*")
        if files := sorted(path for path in base.glob(f"{pattern}/*") if is_image_name(path)):
            return files
    return []


def _of_split(row: Dataset, records: list[PairRecord], split: str) -> list[PairRecord]:
    chosen = records if split == _ALL else [record for record in records if record.split == split]
    if not chosen:
        there = sorted({record.split or _ALL for record in records} | {_ALL})
        raise DatasetError(
            f"{row.name} has no pair in the split {split!r}; its splits are: {', '.join(there)}."
        )
    return chosen


class _Finder:
    """Finds a record's files; a folder is listed once.

    Args:
        base: Folder of the set.
        form: Where it keeps what.
    """

    def __init__(self, base: Path, form: PairFiles) -> None:
        self._base, self._form = base, form
        self._listed: dict[Path, dict[str, Path]] = {}

    def pair(self, record: PairRecord) -> ChangePair:
        """The record with the files that are there."""
        form = self._form
        first, second = form.semantics[::2], form.semantics[1::2]
        maps = self._find(first, record), self._find(second, record)
        return ChangePair(
            record.file,
            record.split or "",
            record.captions,
            record.changed,
            self._find(form.before, record),
            self._find(form.after, record),
            self._find(form.mask, record),
            None if maps[0] is None or maps[1] is None else (maps[0], maps[1]),
            record.questions,
        )

    def _find(self, templates: Sequence[str], record: PairRecord) -> Path | None:
        # The second test of CDVQA asks about the pictures of the first.
        split = "test" if record.split == "test2" else record.split or split_of(record.file) or "train"
        for template in templates:
            names = self._names(self._base / template.format(split=split))
            path = names.get(record.file) or names.get(Path(record.file).stem)
            if path is not None:
                return path
        return None

    def _names(self, folder: Path) -> dict[str, Path]:
        """Files of a folder by name, and by name without suffix: masks are often of another format."""
        if folder not in self._listed:
            files = (
                sorted(path for path in folder.iterdir() if is_image_name(path)) if folder.is_dir() else []
            )
            self._listed[folder] = {path.stem: path for path in files} | {path.name: path for path in files}
        return self._listed[folder]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} pair{'' if len(names) == 1 else 's'} ({shown})"


def _grey(path: Path) -> NDArray[np.uint8]:
    """A mask as it was written: ``(H, W)`` uint8, the first channel of a coloured one."""
    values = _opened(path)
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    return np.asarray(values if values.ndim == 2 else values[:, :, 0], np.uint8)


def _colours(path: Path) -> NDArray[np.uint8]:
    values = _opened(path)
    return np.asarray(values if values.ndim == 3 else values[:, :, None], np.uint8)


def _opened(path: Path) -> NDArray[Any]:
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as a mask ({error}); download it again.") from error
