"""Encoders by name: one table of cards, and one way to load what a card describes.

This room runs encoders; it knows nothing of training, galleries or scenes. What runs an encoder is imported
by name when the encoder is loaded, not before, so that this floor knows no torch.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from landsift.encoders.cards import CARD_NAME, backend_of, builtin_cards, read_card, verify_weights
from landsift.errors import EncoderError, need
from landsift.types import Encoder, EncoderCard, PairScorer

__all__ = [
    "DEFAULT_ENCODER",
    "list_encoders",
    "load_encoder",
    "load_scorer",
    "scores_pairs",
    "verify_weights",
]

DEFAULT_ENCODER = "landsift-lite"

_BACKENDS: Mapping[str, tuple[str, str]] = {
    "onnx": ("landsift.encoders.onnx", "OnnxEncoder"),
    "torch": ("landsift.models.encoder", "TorchEncoder"),
}
"""What a card's ``backend`` means: module and class."""
_OPTIONAL = {"torch": "torch"}
"""Back ends whose package an extra brings."""
_BEST = "best"
"""Where a training run keeps its best checkpoint."""


def list_encoders() -> list[EncoderCard]:
    """Cards of the encoders that :func:`load_encoder` knows by name, in order of name."""
    return list(builtin_cards().values())


def load_encoder(
    name_or_path: str | os.PathLike[str] = DEFAULT_ENCODER, *, threads: int | None = None
) -> Encoder:
    """Load an encoder by its exact name, or from a folder that holds its card and files.

    Args:
        name_or_path: A name of :func:`list_encoders`, or a folder with a ``card.toml`` and the files it
            lists: an exported encoder, or a checkpoint of a training run (which needs torch). The folder of
            a run stands for its best checkpoint.
        threads: How many images or texts are encoded side by side; the CPUs this process may use when None.

    Returns:
        The encoder. Its towers are read when they are first used.

    Raises:
        EncoderError: No encoder of that name, no such folder, or files that are absent or cut short.
        MissingDependency: What runs it is not installed.
        UsageError: ``threads`` is below 1.
    """
    card = _card(name_or_path)
    backend = backend_of(card)
    if backend in _OPTIONAL:
        need(backend, extra=_OPTIONAL[backend])
    module, name = _BACKENDS[backend]
    made: Any = getattr(importlib.import_module(module), name)
    encoder: Encoder = made(card, threads=threads)
    return encoder


def scores_pairs(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether it is a method that scores pairs, for :func:`load_scorer`, and not an encoder.

    Raises:
        EncoderError: No encoder of that name, or no such folder.
    """
    return not _card(name_or_path).extra.get("exact_index", True)


def load_scorer(name_or_path: str | os.PathLike[str], *, threads: int | None = None) -> PairScorer:
    """Load a trained method as a scorer of pairs, whether an index could rank by it or not.

    Args:
        name_or_path: A checkpoint of a training run, or the run's folder.
        threads: As for :func:`load_encoder`.

    Raises:
        EncoderError: No such folder, or nothing in it that torch runs.
        MissingDependency: Torch is not installed.
    """
    card = _card(name_or_path)
    if backend_of(card) != "torch":
        raise EncoderError(f"{card.name} is an encoder; load it with load_encoder and multiply its rows.")
    need("torch", extra=_OPTIONAL["torch"])
    made: Any = importlib.import_module("landsift.models.encoder").TorchScorer
    scorer: PairScorer = made(card, threads=threads)
    return scorer


def _card(name_or_path: str | os.PathLike[str]) -> EncoderCard:
    known = builtin_cards()
    if isinstance(name_or_path, str) and name_or_path in known:
        return known[name_or_path]
    folder = Path(name_or_path)
    if folder.is_dir():
        if not (folder / CARD_NAME).is_file() and (folder / _BEST / CARD_NAME).is_file():
            folder = folder / _BEST
        if not (folder / CARD_NAME).is_file():
            raise EncoderError(
                f"The folder {folder} holds no {CARD_NAME}, so it is no encoder; "
                f"give the folder that an export or a training run wrote."
            )
        return read_card(folder / CARD_NAME)
    raise EncoderError(_unknown(str(name_or_path), list(known)))


def _unknown(name: str, known: list[str]) -> str:
    """The sentence for a name that is neither in the table nor a folder."""
    close = difflib.get_close_matches(name.lower(), known, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"the encoders here are: {', '.join(known)}."
    return f"There is no encoder and no folder called {name!r}; {remedy}"
