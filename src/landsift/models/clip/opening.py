"""From a card, a file, a folder or a name on the hub to a model of the CLIP family that runs.

The card says what cannot be read from weights; where there is no card, a configuration beside the weights
must. Knows cards, sources and checkpoints; nothing of galleries and training.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from landsift.encoders.cards import builtin_card, builtin_names
from landsift.encoders.fetching import HUB, Source, fetch, hash_of, source_of, weights_in
from landsift.errors import EncoderError, UsageError
from landsift.models.clip.configurations import Configuration, read_configuration
from landsift.models.clip.matcher import ClipMatcher, PixelFacts
from landsift.models.clip.shapes import ACTIVATIONS, ARCHITECTURES, Architecture
from landsift.models.clip.sniffing import Checkpoint, sniff_checkpoint
from landsift.models.clip.spectra import SpectralClipEncoder
from landsift.models.clip.tokens import Tokens, find_tokenizer
from landsift.models.encoder import TorchEncoder
from landsift.types import EncoderCard

__all__ = ["PRECISIONS", "open_clip_encoder", "open_matcher"]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""What weights are run in."""
_SEVERAL = 3


@dataclass(frozen=True, eq=False)
class _Opened:
    """A model, and the card that describes it."""

    matcher: ClipMatcher
    card: EncoderCard


def open_clip_encoder(
    card: EncoderCard, *, threads: int | None = None, weights: str | None = None, precision: str = "float32"
) -> TorchEncoder | SpectralClipEncoder:
    """Load an encoder of the CLIP family.

    Args:
        card: Of the table, or a bare one that only tells where weights lie.
        threads: As for :class:`landsift.models.encoder.TorchEncoder`.
        weights: A file, a folder, or an ``hf-hub:`` name; the card's own source when None.
        precision: ``float32``, or ``bfloat16`` where the processor is quick at it.

    Raises:
        EncoderError: The weights cannot be fetched or read, or are of another architecture.
        MissingDependency: The hub is needed and ``huggingface_hub`` is not installed.
        UsageError: An unknown precision.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"There is no precision {precision!r}; choose {' or '.join(PRECISIONS)}.")
    opened = _open(card, weights)
    opened.matcher.model.to(PRECISIONS[precision])
    encoder = TorchEncoder(opened.card, threads=threads, matcher=opened.matcher)
    if "spectral" in opened.card.extra:
        return SpectralClipEncoder(encoder, opened.matcher, threads)
    return encoder


def open_matcher(location: str) -> ClipMatcher:
    """The model of an encoder of the family, to train on from.

    Args:
        location: A name, ``NAME@WEIGHTS``, a folder, or an ``hf-hub:`` name.

    Raises:
        EncoderError: As for :func:`open_clip_encoder`, or an encoder of another family.
    """
    from landsift.encoders import card_of

    card = card_of(location)
    if card.extra.get("backend") != "clip":
        raise EncoderError(f"{location} is no encoder of the CLIP family; start from one that is.")
    return _open(card, None).matcher


def _open(card: EncoderCard, weights: str | None) -> _Opened:
    known = "architecture" in card.extra
    path = _find(card, weights or card.extra.get("weights"))
    with ThreadPoolExecutor(1, thread_name_prefix="landsift-hash") as beside:
        hashed = beside.submit(hash_of, path)
        return _read(card, path, known, hashed.result)


def _read(card: EncoderCard, path: Path, known: bool, hashed: Callable[[], str]) -> _Opened:
    checkpoint = sniff_checkpoint(path)
    configuration = None if known else read_configuration(path.parent)
    if not known and configuration is None:
        raise EncoderError(_whose(path, checkpoint))
    shape = _expected(card) if known else _told(checkpoint.architecture, configuration)
    if known:
        # A vocabulary may have marks more or less than the table's; all else must agree.
        text = replace(shape.text, vocabulary=checkpoint.architecture.text.vocabulary)
        shape = replace(shape, text=text)
    activation, facts = (
        _facts(card) if configuration is None else (configuration.activation, configuration.pixels)
    )
    model = checkpoint.model(activation, shape)
    tokenizer = find_tokenizer(path.parent, shape.text, card.name)
    matcher = ClipMatcher(model, Tokens(tokenizer, shape.text.kind, shape.text.context), facts).eval()
    return _Opened(matcher, _completed(card, shape, checkpoint, hashed()))


def _find(card: EncoderCard, weights: str | None) -> Path:
    """The file of weights: what was asked for, or the card's own source."""
    source = source_of(card.extra.get("source", {}))
    if weights is None:
        return fetch(source, card.name)
    if weights.startswith(HUB):
        owner = weights.removeprefix(HUB)
        name, _, revision = owner.partition("@")
        files = source.files if name == source.hub else ()
        return fetch(Source(hub=name, files=files, revision=revision), card.name)
    path = Path(weights).expanduser()
    if path.is_dir():
        return weights_in(path, source.files)
    if not path.is_file():
        raise EncoderError(f"There is no file or folder {path} with weights of {card.name}; check the path.")
    return path


def _expected(card: EncoderCard) -> Architecture:
    name = card.extra["architecture"]
    if name not in ARCHITECTURES or card.extra.get("activation") not in ACTIVATIONS:
        raise EncoderError(
            f"The card of {card.name} names the architecture {name!r} with the activation "
            f"{card.extra.get('activation')!r}; this release knows {', '.join(ARCHITECTURES)} with "
            f"{', '.join(ACTIVATIONS)}."
        )
    return ARCHITECTURES[name]


def _told(shape: Architecture, configuration: Configuration | None) -> Architecture:
    """Heads as the configuration says, where it does."""
    if configuration is None:
        return shape
    image = replace(shape.image, heads=configuration.image_heads or shape.image.heads)
    text = replace(shape.text, heads=configuration.text_heads or shape.text.heads)
    return replace(shape, image=image, text=text)


def _facts(card: EncoderCard) -> tuple[str, PixelFacts]:
    extra = card.extra
    return extra["activation"], PixelFacts(tuple(extra["mean"]), tuple(extra["std"]), extra["fit"])


def _whose(path: Path, checkpoint: Checkpoint) -> str:
    """The sentence for weights that come without a word on their activation."""
    same = [
        name
        for name in builtin_names()
        if checkpoint.known_as and builtin_card(name).extra.get("architecture") == checkpoint.known_as
    ]
    some = f" such as {', '.join(f'{name}@{path.name}' for name in same[:_SEVERAL])}" if same else ""
    return (
        f"{path} looks like {checkpoint.describe()}, but weights do not tell the activation they were "
        f"trained "
        f"with; load it as NAME@FILE with the encoder it belongs to{some}, or give a folder with its "
        f"config.json."
    )


def _completed(card: EncoderCard, shape: Architecture, checkpoint: Checkpoint, sha256: str) -> EncoderCard:
    """The card with what only the weights tell."""
    path = checkpoint.path
    loaded: dict[str, Any] = {
        "backend": "clip",
        "weights_file": str(path),
        "layout": checkpoint.layout,
        "folder": str(path.parent),
    }
    _, snapshots, inside = str(path).rpartition("/snapshots/")
    if snapshots:
        loaded["resolved_revision"] = inside.partition("/")[0]
    return replace(
        card,
        dim=shape.dim,
        input_size=shape.image.size,
        context_length=shape.text.context,
        weights_sha256=sha256,
        extra=card.extra | loaded,
    )
