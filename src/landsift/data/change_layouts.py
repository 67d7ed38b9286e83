"""The annotation files of sets of two dates: Karpathy captions, questions with answers, bare folders.

Knows how the files are written; not where the pictures are, and opens none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from landsift.captions import is_blank, says_no_change
from landsift.data.layouts import read_json
from landsift.errors import DatasetError

__all__ = ["LAYOUTS", "PairRecord", "Question", "pair_captions", "pair_files", "pair_questions", "split_of"]

_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "tr": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "te": "test",
    "testing": "test",
    "test2": "test2",
}
_QUESTIONS = "_questions"


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a pair.

    Attributes:
        kind: Such as ``change_or_not`` or ``change_ratio``.
        text: The question.
        answer: As the set writes it, such as ``yes`` or ``10_to_20``.
    """

    kind: str
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class PairRecord:
    """One pair as the annotations list it, before any picture is looked for.

    Attributes:
        file: Name of both pictures, which lie in two folders.
        captions: What changed, in order.
        split: ``train``, ``val``, ``test``, ``test2``, or None where nothing says.
        changed: Whether anything did; None where nothing says.
        questions: With their answers.
    """

    file: str
    captions: tuple[str, ...] = ()
    split: str | None = None
    changed: bool | None = None
    questions: tuple[Question, ...] = ()


Layout: TypeAlias = Callable[[Sequence[Path]], list[PairRecord]]


def split_of(text: str) -> str | None:
    """The split that the words of a name or a path speak of, the last one counting; None if none does."""
    words = re.split(r"[^a-z0-9]+", text.lower())
    found = [_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS]
    return found[-1] if found else None


def pair_captions(files: Sequence[Path]) -> list[PairRecord]:
    """``{"images": [{"filename", "split" or "filepath", "sentences": [{"raw"}], "changeflag"?}]}``, one file
    for the set or one a split.

    Where no flag says so, a pair is unchanged if every one of its captions is one of the sentences for that.

    Raises:
        DatasetError: Another layout.
    """
    found = []
    for path in files:
        table = read_json(path)
        entries = table.get("images") if isinstance(table, Mapping) else table
        if not isinstance(entries, list):
            raise DatasetError(
                f"{path} holds no list 'images'; check that it is the caption file of this set."
            )
        found += [_captioned(entry, path) for entry in entries]
    return found


def _captioned(entry: Any, path: Path) -> PairRecord:
    try:
        captions = tuple(_sentence(sentence) for sentence in entry["sentences"])
        file = Path(str(entry["filename"]).replace("\\", "/")).name
        said = entry.get("split") or entry.get("filepath")
        flag = entry.get("changeflag")
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} has a pair without filename or sentences: {str(entry)[:80]}; check the layout."
        ) from error
    changed = bool(int(flag)) if flag is not None else _changed(captions)
    # Of a file a split, the file's own name says more than a path inside it.
    return PairRecord(file, captions, split_of(str(said or "")) or split_of(path.stem), changed)


def _sentence(sentence: Any) -> str:
    if isinstance(sentence, str):
        return sentence
    return str(sentence["raw"]) if "raw" in sentence else " ".join(sentence["tokens"])


def _changed(captions: Sequence[str]) -> bool | None:
    said = [text for text in captions if not is_blank(text)]
    return not all(map(says_no_change, said)) if said else None


def pair_questions(files: Sequence[Path]) -> list[PairRecord]:
    """CDVQA: ``Train_questions.json`` with ``Train_images.json`` and ``Train_answers.json`` beside it.

    A picture stands in several entries of the image file, one for each kind of question.

    Raises:
        DatasetError: One of the three files is absent, or they do not fit together.
    """
    found: dict[tuple[str, str | None], list[Question]] = {}
    for path in files:
        split = split_of(path.stem.removesuffix(_QUESTIONS))
        tables = {
            kind: read_json(path.with_name(path.name.replace("questions", kind)))
            for kind in ("images", "questions", "answers")
        }
        try:
            file_of = {row["id"]: str(row["file_name"]) for row in tables["images"]["images"]}
            answers = {row["id"]: str(row["answer"]) for row in tables["answers"]["answers"]}
            for row in tables["questions"]["questions"]:
                answer = answers[row["answers_ids"][0]]
                question = Question(str(row["type"]), str(row["question"]), answer)
                found.setdefault((file_of[row["img_id"]], split), []).append(question)
        except (KeyError, TypeError, IndexError) as error:
            raise DatasetError(
                f"{path} and its images and answers do not fit together ({type(error).__name__}: {error}); "
                f"download all three again."
            ) from error
    return [
        PairRecord(file, (), split, _changed_by(questions), tuple(questions))
        for (file, split), questions in found.items()
    ]


def _changed_by(questions: Sequence[Question]) -> bool | None:
    """Whether some answer to "has this changed?" is yes; None where nothing of the kind was asked."""
    asked = [question.answer for question in questions if question.kind == "change_or_not"]
    return any(answer == "yes" for answer in asked) if asked else None


def pair_files(files: Sequence[Path]) -> list[PairRecord]:
    """Bare pictures of the first date; the split is that of a folder above, or of the name."""
    above = [_SPLIT_WORDS.get(path.parent.parent.name.lower()) for path in files]
    return [
        PairRecord(path.name, split=split or split_of(path.stem))
        for path, split in zip(files, above, strict=True)
    ]


LAYOUTS: Mapping[str, Layout] = {
    "captions": pair_captions,
    "folders": pair_files,
    "questions": pair_questions,
}
"""Readers by the names that the table uses."""
