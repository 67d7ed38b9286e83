"""Encoders by name: one table of cards, and one way to load what a card describes.

This room runs encoders; it knows nothing of training, galleries or scenes. What runs an encoder is imported
by name when the encoder is loaded, not before, so that this floor knows no torch.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from landsift.encoders.cards import (
    CARD_NAME,
    backend_of,
    builtin_card,
    builtin_cards,
    builtin_names,
    read_card,
    verify_weights,
)
from landsift.encoders.shards import is_index
from landsift.errors import EncoderError, UsageError, need
from landsift.types import Encoder, EncoderCard, PairScorer

__all__ = [
    "DEFAULT_ENCODER",
    "card_of",
    "list_encoders",
    "load_encoder",
    "load_scorer",
    "scores_pairs",
    "verify_weights",
]

DEFAULT_ENCODER = "landsift-lite"

_BACKENDS: Mapping[str, tuple[str, str]] = {
    "onnx": ("landsift.encoders.exported", "open_exported"),
    "torch": ("landsift.models.encoder", "TorchEncoder"),
    "clip": ("landsift.models.clip.opening", "open_clip_encoder"),
}
"""What a card's ``backend`` means: module, and the class or function that takes the card."""
_OPTIONAL = {"torch": "torch", "clip": "torch"}
"""Back ends whose package an extra brings."""
_OPTIONS = {"onnx": ("runtime", "precision"), "torch": (), "clip": ("weights", "precision")}
"""What may be said of how each back end runs."""
_TAKES_NONE = {
    "onnx": "has its own files and takes no {}; leave it out.",
    "torch": "has its own files, is run by torch, and takes no {}; leave it out, or export it first.",
    "clip": "is run by torch and takes no {}; leave it out, or export it first and load what that wrote.",
}
_BEST = "best"
"""Where a training run keeps its best checkpoint."""
_HUB, _AT = "hf-hub:", "@"
_CONFIGURATIONS = ("open_clip_config.json", "config.json")
_WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


def list_encoders() -> list[EncoderCard]:
    """Cards of the encoders that :func:`load_encoder` knows by name, in order of name."""
    return list(builtin_cards().values())


def load_encoder(
    name_or_path: str | os.PathLike[str] = DEFAULT_ENCODER,
    *,
    threads: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    precision: str | None = None,
    runtime: str | None = None,
) -> Encoder:
    """Load an encoder by its exact name, or from where it lies.

    Args:
        name_or_path: A name of :func:`list_encoders`; or a folder with a ``card.toml`` and the files it
            lists: an exported encoder, or a checkpoint of a training run (which needs torch), where the
            folder of a run stands for its best checkpoint; or ``NAME@WEIGHTS``, which is ``weights`` said in
            one word; or a folder of weights with their ``config.json``, or ``hf-hub:OWNER/NAME`` of one on
            the hub.
        threads: How many images or texts are encoded side by side; the CPUs this process may use when None.
        weights: Of the CLIP family: a file, a folder or an ``hf-hub:`` name to take the weights from, in
            place of where the card says they are published.
        precision: Of the CLIP family, and of OpenVINO: ``float32`` (what None means) or ``bfloat16``.
        runtime: Of encoders that are ONNX graphs: ``onnxruntime`` or ``openvino``; when None, what the
            environment variable ``LANDSIFT_RUNTIME`` names, and else ``onnxruntime``.

    Returns:
        The encoder. Its towers are read when they are first used, or mapped from their file.

    Raises:
        EncoderError: No encoder of that name, no such folder, or files that are absent, cut short or of
            another architecture.
        MissingDependency: What runs or fetches it is not installed.
        UsageError: ``threads`` is below 1, or an option that this encoder does not have.
    """
    card = card_of(name_or_path)
    backend = backend_of(card)
    asked = {
        "weights": None if weights is None else os.fspath(weights),
        "precision": precision,
        "runtime": runtime,
    }
    options = {name: value for name, value in asked.items() if value is not None}
    odd = [name for name in options if name not in _OPTIONS[backend]]
    if odd:
        raise UsageError(f"{card.name} {_TAKES_NONE[backend].format(' and no '.join(odd))}")
    if backend in _OPTIONAL:
        need(_OPTIONAL[backend], extra=_OPTIONAL[backend])
    module, name = _BACKENDS[backend]
    made: Any = getattr(importlib.import_module(module), name)
    encoder: Encoder = made(card, threads=threads, **options)
    return encoder


def scores_pairs(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether it is a method that scores pairs, for :func:`load_scorer`, and not an encoder.

    Raises:
        EncoderError: No encoder of that name, or no such folder.
    """
    return not card_of(name_or_path).extra.get("exact_index", True)


def load_scorer(name_or_path: str | os.PathLike[str], *, threads: int | None = None) -> PairScorer:
    """Load a trained method as a scorer of pairs, whether an index could rank by it or not.

    Args:
        name_or_path: A checkpoint of a training run, or the run's folder.
        threads: As for :func:`load_encoder`.

    Raises:
        EncoderError: No such folder, or nothing in it that torch runs.
        MissingDependency: Torch is not installed.
    """
    card = card_of(name_or_path)
    if backend_of(card) != "torch":
        raise EncoderError(f"{card.name} is an encoder; load it with load_encoder and multiply its rows.")
    need("torch", extra=_OPTIONAL["torch"])
    made: Any = importlib.import_module("landsift.models.encoder").TorchScorer
    scorer: PairScorer = made(card, threads=threads)
    return scorer


def card_of(name_or_path: str | os.PathLike[str]) -> EncoderCard:
    """The card of what :func:`load_encoder` would load, without loading it.

    Raises:
        EncoderError: No encoder of that name, no such folder, or a card that cannot be read.
    """
    text = os.fspath(name_or_path)
    if isinstance(name_or_path, str) and text in builtin_names():
        return builtin_card(text)
    if text.startswith(_HUB):
        return _bare_card(text, text)
    name, at, weights = text.partition(_AT)
    if at and name in builtin_names() and not Path(text).exists():
        card = builtin_card(name)
        if backend_of(card) != "clip":
            raise EncoderError(f"{name} comes with its weights; load it by its name alone.")
        return dataclasses.replace(card, extra=card.extra | {"weights": weights})
    return _card_in(Path(text), text)


def _card_in(folder: Path, text: str) -> EncoderCard:
    """The card in a folder, or a bare one for weights whose configuration lies beside them."""
    if folder.is_file() and (folder.suffix in _WEIGHTS or is_index(folder)):
        return _bare_card(folder.stem, text)
    if not folder.is_dir():
        raise EncoderError(_unknown(text, list(builtin_names())))
    if not (folder / CARD_NAME).is_file() and (folder / _BEST / CARD_NAME).is_file():
        folder = folder / _BEST
    if (folder / CARD_NAME).is_file():
        return read_card(folder / CARD_NAME)
    if any((folder / name).is_file() for name in _CONFIGURATIONS):
        return _bare_card(folder.name, text)
    raise EncoderError(
        f"The folder {folder} holds no {CARD_NAME}, so it is no encoder; "
        f"give the folder that an export or a training run wrote."
    )


def _bare_card(name: str, weights: str) -> EncoderCard:
    """What is known of weights of the CLIP family before they are read: where they lie."""
    extra = {"backend": "clip", "weights": weights}
    return EncoderCard(
        name, 0, "", 0, 0, "unknown", "Its licence is not known here; see its page.", extra=extra
    )


def _unknown(name: str, known: list[str]) -> str:
    """The sentence for a name that is neither in the table nor a folder."""
    close = difflib.get_close_matches(name.lower(), known, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"the encoders here are: {', '.join(known)}."
    return f"There is no encoder and no folder called {name!r}; {remedy}"
