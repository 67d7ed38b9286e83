"""A trained matcher on disk: weights as safetensors, the rest as JSON and the method's own files.

A folder that holds these, and a card, is an encoder. Knows no training and no data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model

from landsift.errors import EncoderError, LandsiftError
from landsift.models.matcher import Matcher
from landsift.models.registry import MatcherSource, build_matcher

__all__ = ["MODEL_FILE", "WEIGHTS_FILE", "read_matcher", "write_matcher"]

WEIGHTS_FILE, MODEL_FILE = "model.safetensors", "model.json"
_FORMAT = 1


def write_matcher(
    folder: str | Path, matcher: Matcher, name: str, options: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Write a matcher so that :func:`read_matcher` makes the same one.

    Args:
        folder: Must exist.
        matcher: Its parameters and buffers are written, whatever device they are on.
        name: As it is looked up by.
        options: As it was built with.

    Returns:
        Size and SHA-256 of every file written, in order of name, for its card.
    """
    folder = Path(folder)
    files = matcher.files()
    for own, content in files.items():
        (folder / own).write_bytes(content)
    note = {"format": _FORMAT, "method": name, "options": dict(options), "files": sorted(files)}
    (folder / MODEL_FILE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    with _packed(matcher):
        save_model(matcher, str(folder / WEIGHTS_FILE))
    return {own: _entry(folder / own) for own in sorted({*files, MODEL_FILE, WEIGHTS_FILE})}


@contextmanager
def _packed(matcher: Matcher) -> Iterator[None]:
    """Within it, parameters lie in memory as the file format wants them."""
    loose = [tensor for tensor in (*matcher.parameters(), *matcher.buffers()) if not tensor.is_contiguous()]
    before = [tensor.data for tensor in loose]
    for tensor in loose:
        tensor.data = tensor.data.contiguous()
    try:
        yield
    finally:
        for tensor, data in zip(loose, before, strict=True):
            tensor.data = data


def read_matcher(folder: str | Path) -> Matcher:
    """Read what :func:`write_matcher` wrote.

    Returns:
        The matcher in ``eval`` mode, on the CPU.

    Raises:
        EncoderError: A file is absent or unreadable, or the weights are of another model.
    """
    folder = Path(folder)
    try:
        note = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
        if note["format"] != _FORMAT:
            raise EncoderError(f"{folder} was written by another release; train again, or use that release.")
        files = {name: (folder / Path(name).name).read_bytes() for name in note["files"]}
        state = torch.random.get_rng_state()
        matcher = build_matcher(note["method"], note["options"], MatcherSource(files=files))
        torch.random.set_rng_state(state)
        load_model(matcher, str(folder / WEIGHTS_FILE))
    except LandsiftError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise EncoderError(
            f"{folder} does not hold a readable checkpoint ({type(error).__name__}: {error}); "
            f"copy it again or train again."
        ) from error
    return matcher.eval()


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}
