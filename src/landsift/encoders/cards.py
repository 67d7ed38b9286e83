"""Encoder cards: reading them, finding the files they describe, and checking those against their hashes.

A card is a TOML file. The cards of the encoders that ship with the package lie in ``cards/`` and their files
in ``weights/<name>/``; any other folder with a ``card.toml`` beside its files is an encoder too. Knows
nothing of how an encoder runs.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from landsift.encoders.shards import is_index, shards_of
from landsift.errors import EncoderError
from landsift.types import EncoderCard

__all__ = [
    "CARD_NAME",
    "FILE_NAMES",
    "backend_of",
    "builtin_card",
    "builtin_cards",
    "builtin_names",
    "check_sizes",
    "combined_hash",
    "folder_of",
    "read_card",
    "sha256_of",
    "verify_weights",
    "weights_sha256",
]

CARD_NAME = "card.toml"
IMAGE_FILE, TEXT_FILE, TOKENIZER_FILE = "image.onnx", "text.onnx", "tokenizer.json"
FILE_NAMES = (IMAGE_FILE, TEXT_FILE, TOKENIZER_FILE)
"""What an exported encoder's folder holds beside its card."""
_NEEDED_FILES: Mapping[str, tuple[str, ...]] = {
    "onnx": FILE_NAMES,
    "torch": ("model.json", "model.safetensors"),
    "clip": (),
}
"""By back end, the files without which nothing runs. Weights of ``clip`` lie where its card's source says."""

_HERE = Path(__file__).parent
_NEEDED = {
    "name": str,
    "dim": int,
    "weights_sha256": str,
    "input_size": int,
    "context_length": int,
    "licence": str,
    "files": dict,
}
_OPTIONAL = ("licence_note", "description", "citation", "scores")
_UNKNOWN_BEFOREHAND: Mapping[str, Any] = {"weights_sha256": "", "files": {}}
"""What a card without weights of its own cannot say."""


@cache
def builtin_cards() -> dict[str, EncoderCard]:
    """The one table of encoders that are looked up by name: exact name to card, in order of name."""
    return {name: builtin_card(name) for name in builtin_names()}


@cache
def builtin_names() -> tuple[str, ...]:
    """The names of the table, in order: those of its files."""
    return tuple(sorted(path.stem for path in (_HERE / "cards").glob("*.toml")))


@cache
def builtin_card(name: str) -> EncoderCard:
    """One card of the table, without reading the others."""
    return read_card(_HERE / "cards" / f"{name}.toml", _HERE / "weights" / name)


def read_card(path: str | Path, folder: str | Path | None = None) -> EncoderCard:
    """Read one card.

    Args:
        path: The TOML file.
        folder: Where the encoder's files lie; beside the card when None.

    Returns:
        The card. ``extra`` holds ``folder`` (a string), ``files`` (name to ``bytes`` and ``sha256``) and
        whatever the file says beyond the fields of :class:`EncoderCard`.

    Raises:
        EncoderError: Unreadable, or a field is absent or of the wrong kind.
    """
    path = Path(path)
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"The encoder card {path} cannot be read ({error}); restore the file or export the encoder again."
        ) from error
    if fields.get("backend") == "clip":
        fields = {**_UNKNOWN_BEFOREHAND, **fields}
    _check_fields(path, fields)
    known = {key: fields[key] for key in (*_NEEDED, *_OPTIONAL) if key in fields and key != "files"}
    extra = {key: value for key, value in fields.items() if key not in known and key != "trained_on"}
    extra["folder"] = str(path.parent if folder is None else folder)
    return EncoderCard(trained_on=tuple(fields.get("trained_on", ())), extra=extra, **known)


def _check_fields(path: Path, fields: Mapping[str, Any]) -> None:
    for key, kind in _NEEDED.items():
        if not isinstance(fields.get(key), kind):
            raise EncoderError(
                f"The encoder card {path} has no {key} of type {kind.__name__}; "
                f"add it or export the encoder again."
            )
    backend = fields.get("backend", "onnx")
    if backend not in _NEEDED_FILES:
        raise EncoderError(
            f"The encoder card {path} names the back end {backend!r}; this release knows "
            f"{' and '.join(_NEEDED_FILES)}: install a newer one."
        )
    missing = [name for name in _NEEDED_FILES[backend] if name not in fields["files"]]
    if missing:
        raise EncoderError(
            f"The encoder card {path} lists no {' and no '.join(missing)} under [files]; "
            f"export the encoder again."
        )


def backend_of(card: EncoderCard) -> str:
    """What runs an encoder: ``onnx``, unless its card says otherwise."""
    return str(card.extra.get("backend", "onnx"))


def folder_of(card: EncoderCard) -> Path:
    """Where the files of a card that was read from disk lie."""
    return Path(card.extra["folder"])


def check_sizes(card: EncoderCard) -> None:
    """Compare the sizes of an encoder's files with its card: quick enough for every load.

    Raises:
        EncoderError: A file is absent or has another size.
    """
    for path, entry in _files(card).values():
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            raise EncoderError(f"The encoder {card.name} lacks its file {path}; {_remedy(card)}")
        if size != entry["bytes"]:
            raise EncoderError(
                f"The file {path} of the encoder {card.name} has {size} bytes where its card says "
                f"{entry['bytes']}: it is cut short or changed; {_remedy(card)}"
            )


def verify_weights(card: EncoderCard) -> None:
    """Hash every file of an encoder and compare with its card.

    Args:
        card: As :func:`landsift.encoders.load_encoder` and ``list_encoders`` give them.

    Raises:
        EncoderError: A file is absent or differs, or the card's combined hash is not that of its files.
    """
    if backend_of(card) == "clip":
        _verify_source(card)
        return
    check_sizes(card)
    for path, entry in _files(card).values():
        if sha256_of(path) != entry["sha256"]:
            raise EncoderError(
                f"The file {path} of the encoder {card.name} is not the one its card describes; "
                f"{_remedy(card)}"
            )
    if (
        combined_hash({name: entry["sha256"] for name, (_, entry) in _files(card).items()})
        != card.weights_sha256
    ):
        raise EncoderError(f"The card of {card.name} contradicts itself about its files; {_remedy(card)}")


def _verify_source(card: EncoderCard) -> None:
    """Hash what an encoder of the CLIP family was loaded from."""
    path = card.extra.get("weights_file")
    if path is None:
        raise EncoderError(
            f"The weights of {card.name} have not been loaded; load it, and verify the card of what was "
            f"loaded."
        )
    if weights_sha256(Path(path)) != card.weights_sha256:
        raise EncoderError(f"{path} is not the file that {card.name} was loaded from; download it again.")


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    # In one piece, mapped: it is hashed without the interpreter, and to have that back after each of many
    # pieces takes milliseconds where another thread is at work.
    with Path(path).open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return hashlib.sha256().hexdigest()  # nothing cannot be mapped
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return hashlib.sha256(mapped).hexdigest()


def weights_sha256(path: Path) -> str:
    """SHA-256 of a file of weights; of an index and the files it names, their combined hash."""
    if not is_index(path):
        return sha256_of(path)
    return combined_hash({file.name: sha256_of(file) for file in (path, *shards_of(path))})


def combined_hash(hashes: Mapping[str, str]) -> str:
    """One hash for an encoder: of the lines ``name sha256``, in order of name."""
    lines = "".join(f"{name} {hashes[name]}\n" for name in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def _files(card: EncoderCard) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Name to path and entry in the card, of every file of an encoder."""
    return {name: (folder_of(card) / name, entry) for name, entry in card.extra["files"].items()}


def _remedy(card: EncoderCard) -> str:
    """What to do about broken files: install again, or export again."""
    if folder_of(card).parent == _HERE / "weights":
        return "run: pip install --force-reinstall --no-deps landsift"
    return "copy the folder again or export the encoder again."
