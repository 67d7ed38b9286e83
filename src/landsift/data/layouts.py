"""Parsers of caption files: a path in, records out. One function per layout the field uses.

Knows file formats, not which data set uses which, and never opens an image.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

from landsift.data.records import Record, merged_by_file
from landsift.errors import DatasetError

__all__ = [
    "Parser",
    "class_folders",
    "conversation_record",
    "conversations",
    "grouped",
    "karpathy",
    "precomp",
    "read_text",
    "row_record",
    "rows",
    "rsicd_derived",
    "textrs",
]

Parser: TypeAlias = Callable[[Path], list[Record]]

_ENCODINGS = ("utf-8-sig", "gb18030")
_FILE_KEYS = ("filename", "filepath", "file_name", "image", "img_name", "image_path", "img", "name", "path")
_TEXT_KEYS = ("title", "caption", "captions", "text", "text_output", "description", "sentence", "raw")
_LABEL_KEYS = ("label_name", "class", "class_name", "category", "scene")
_NUMBERED_TEXT = re.compile(rf"({'|'.join(_TEXT_KEYS)})_?\d+")
_SPLITS = {"restval": "train", "training": "train", "valid": "val", "validation": "val", "testing": "test"}
_TASK_PREFIX = re.compile(r"^\s*(<image>|<img>.*?</img>|\[[a-z_ -]+\]|\n)+\s*", re.IGNORECASE)
_CAPTION_WORDS = re.compile(r"\b(captions?|describ\w*|descriptions?|summari[sz]e|depict\w*)\b", re.IGNORECASE)


def read_text(path: Path) -> str:
    """Read a text file as UTF-8 (with or without mark) or, failing that, GB18030.

    Raises:
        DatasetError: The file is absent or in neither encoding.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); check the folder.") from error
    for encoding in _ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DatasetError(f"{path} is neither UTF-8 nor GB18030; convert it to UTF-8.")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DatasetError: Absent, undecodable or malformed; the message gives the line.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path} is not valid JSON (line {error.lineno}: {error.msg}); download it again."
        ) from error


def karpathy(path: Path) -> list[Record]:
    """``{"images": [{"filename", "split", "sentences": [{"raw"}], "class"?, "keywords"?}]}``."""
    return [_karpathy_record(entry, path) for entry in _list_under(read_json(path), "images", path)]


def rsicd_derived(path: Path) -> list[Record]:
    """Karpathy form with ``rsicd_split``, the split of the picture in RSICD, which becomes the split."""
    entries = _list_under(read_json(path), "images", path)
    return [_karpathy_record({**entry, "split": entry.get("rsicd_split")}, path) for entry in entries]


def _karpathy_record(entry: Any, path: Path) -> Record:
    try:
        sentences = [s if isinstance(s, str) else s["raw"] for s in entry["sentences"]]
        words = [*entry.get("keywords", ()), *_sentence_keywords(entry["sentences"])]
        return Record(
            _file_name(entry["filename"]),
            tuple(sentences),
            _split_name(entry.get("split")),
            entry.get("class"),
            tuple(dict.fromkeys(words)),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} has an image entry without filename or sentences: {_glimpse(entry)}; "
            "the layout is not Karpathy's."
        ) from error


def _sentence_keywords(sentences: Iterable[Any]) -> list[str]:
    return [word for s in sentences if isinstance(s, dict) for word in s.get("keywords", ())]


def grouped(path: Path) -> list[Record]:
    """``{class: [{"filename", "split", "raw", "raw_1", ...}]}``, as NWPU-Captions comes."""
    table = read_json(path)
    if not isinstance(table, dict) or not all(isinstance(entries, list) for entries in table.values()):
        raise DatasetError(f"{path} is not a JSON object of lists by class; check which file it is.")
    found = []
    for label, entries in table.items():
        for entry in entries:
            record = row_record(entry, path)
            found.append(Record(f"{label}/{record.file}", record.captions, record.split, label))
    return found


def precomp(path: Path) -> list[Record]:
    """``*_caps.txt`` beside ``*_filename.txt``: one caption a line, one name per caption or per image.

    Blank lines are captions, so that line numbers keep their meaning.
    """
    captions = _lines(path)
    names_path = path.with_name(path.name.replace("_caps", "_filename"))
    names = _lines(names_path)
    per_name, rest = divmod(len(captions), len(names)) if names else (0, 1)
    if rest or not per_name:
        raise DatasetError(
            f"{path} has {len(captions)} captions for {len(names)} names in {names_path.name}; "
            "download both files again."
        )
    starts = range(0, len(captions), per_name)
    return merged_by_file(
        Record(_file_name(name), tuple(captions[i : i + per_name]))
        for name, i in zip(names, starts, strict=True)
    )


def _lines(path: Path) -> list[str]:
    text = read_text(path)
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def rows(path: Path) -> list[Record]:
    """CSV or TSV with a header, JSON lists of objects, or JSONL; one or many captions per row.

    Any usual column name is taken: ``filename``, ``filepath``, ``image``, ``img_name`` ... for the image;
    ``title``, ``caption``, ``captions``, ``text``, ``raw``, ``raw_1`` ... for captions; ``split``; ``class``
    or ``label_name`` for the class; ``keywords``.
    """
    return merged_by_file(row_record(row, path) for row in _read_rows(path))


def _read_rows(path: Path) -> Iterable[Any]:
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return _json_lines(path)
    if suffix == ".json":
        table = read_json(path)
        return table if isinstance(table, list) else _list_under(table, "annotations", path)
    text = read_text(path)
    return csv.DictReader(io.StringIO(text, newline=""), delimiter=separator_of(text))


def separator_of(text: str) -> str:
    """The separator of a table: tab, semicolon or comma, whichever its first line holds most."""
    header = text.partition("\n")[0]
    return max("\t;,", key=header.count)


def _json_lines(path: Path) -> list[Any]:
    found = []
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise DatasetError(
                    f"{path} line {number} is not valid JSON ({error.msg}); mend it."
                ) from error
    return found


def row_record(row: Any, path: Path) -> Record:
    """Read one row of any table-like layout; ``path`` is for the error message only.

    Raises:
        DatasetError: No column names an image or a caption.
    """
    if not isinstance(row, Mapping):
        raise DatasetError(f"{path} holds {_glimpse(row)} where an object was expected; check the layout.")
    row = {str(key).strip().lower(): value for key, value in row.items() if key is not None}
    file = next((row[key] for key in _FILE_KEYS if row.get(key)), None)
    texts = [row[key] for key in row if key in _TEXT_KEYS or _NUMBERED_TEXT.fullmatch(key)]
    if file is None or not texts:
        raise DatasetError(
            f"{path} has a row without an image or a caption column: {_glimpse(dict(row))}; "
            f"name the columns filename and title."
        )
    keywords = row.get("keywords") or ()
    return Record(
        _file_name(file),
        tuple(text for value in texts for text in _texts(value)),
        _split_name(row.get("split")),
        next((str(row[key]) for key in _LABEL_KEYS if row.get(key)), None),
        tuple(keywords.split(",")) if isinstance(keywords, str) else tuple(keywords),
    )


def _texts(value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(text) for text in value]
    return [] if value is None else [str(value)]


def textrs(path: Path) -> list[Record]:
    """``{"TextRS": [{"image", "annotation": {"caption": [...]}}]}``; names have no suffix."""
    found = []
    for entry in _list_under(read_json(path), "TextRS", path):
        try:
            found.append(Record(_file_name(entry["image"]), tuple(entry["annotation"]["caption"])))
        except (KeyError, TypeError) as error:
            raise DatasetError(
                f"{path} has an entry without image or captions: {_glimpse(entry)}; download it again."
            ) from error
    return found


def conversations(path: Path) -> list[Record]:
    """``[{"image", "conversations": [{"from", "value"}]}]``: the answers to requests for a caption."""
    found = (conversation_record(entry, path) for entry in _list_under(read_json(path), None, path))
    return merged_by_file(record for record in found if record.captions)


def conversation_record(entry: Any, path: Path) -> Record:
    """Read one conversation; its captions are the answers whose question asked for one, prefixes stripped.

    Raises:
        DatasetError: The entry has no image or no turns.
    """
    try:
        turns = [(str(turn["from"]), str(turn["value"])) for turn in entry["conversations"]]
        file = _file_name(entry["image"])
    except (KeyError, TypeError) as error:
        raise DatasetError(
            f"{path} has an entry without image or conversations: {_glimpse(entry)}; check the layout."
        ) from error
    answers = [
        _TASK_PREFIX.sub("", answer).strip()
        for (_, question), (who, answer) in pairwise(turns)
        if who in {"gpt", "assistant"} and _CAPTION_WORDS.search(question)
    ]
    return Record(file, tuple(answers))


def class_folders(path: Path) -> list[Record]:
    """A folder with one folder of images per class; no captions."""
    from landsift.data.images import is_image_name

    folders = sorted(child for child in path.iterdir() if child.is_dir())
    return [
        Record(f"{folder.name}/{file.name}", (), label=folder.name)
        for folder in folders
        for file in sorted(folder.iterdir())
        if is_image_name(file)
    ]


def _list_under(table: Any, key: str | None, path: Path) -> list[Any]:
    found = table.get(key) if key and isinstance(table, dict) else table
    if not isinstance(found, list):
        where = f"no list {key!r}" if key else "no list"
        raise DatasetError(f"{path} holds {where} at its top; check that it is the caption file of this set.")
    return found


def _file_name(value: Any) -> str:
    return str(value).strip().replace("\\", "/").removeprefix("./")


def _split_name(value: Any) -> str | None:
    if not value:
        return None
    name = str(value).strip().lower()
    return _SPLITS.get(name, name)


def _glimpse(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
