"""An encoder by name or path -> a folder with graphs, tokenizer and card, which ``load_encoder`` takes.

Written beside its place and moved there when whole. Knows matchers and cards; no pictures.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landsift.encoders import card_of, load_encoder
from landsift.encoders.cards import (
    CARD_NAME,
    FILE_NAMES,
    IMAGE_FILE,
    TEXT_FILE,
    TOKENIZER_FILE,
    backend_of,
    combined_hash,
    folder_of,
    read_card,
    sha256_of,
)
from landsift.encoders.cleaning import cleaned
from landsift.encoders.spectral import scaled_samples, spectral_need
from landsift.errors import EncoderError, LandsiftWarning, UsageError, need
from landsift.export.graphs import (
    MatcherTexts,
    Padding,
    image_graph,
    matcher_bands_graph,
    matcher_image_graph,
    matcher_text_graph,
    text_graph,
)
from landsift.export.storage import Storage, integer_products, store_small, write_graph
from landsift.models.checkpoint import read_matcher
from landsift.models.clip.matcher import ClipMatcher
from landsift.models.dual_matcher import DualMatcher
from landsift.models.matcher import Matcher
from landsift.models.registry import build_matcher
from landsift.models.starting import read_tokenizer
from landsift.toml import toml_text
from landsift.types import Encoder, EncoderCard, FloatArray, Spectra, SpectralEncoder

if TYPE_CHECKING:
    import onnx

__all__ = ["Exported", "export_encoder"]

_SUFFIXES: Mapping[str, str] = {"float32": "", "float16": "-fp16", "int8": "-int8"}
_PROBES = ("a river", "Two planes, parked beside a long runway.", "a dense residential area with 12 houses")
"""Texts by which the exported form of a text tower is compared with the tower itself before it is written."""
_SHADES = ((0, 60), (60, 200), (200, 255))
_CLOSE = 1e-4
_LEAST_COSINES: Mapping[str, float] = {"float32": 0.9999, "float16": 0.999, "int8": 0.8}
"""Integers round coarsely where activations have outliers; ``--check`` tells by how much on real pictures."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        folder: For ``load_encoder``.
        card: Of the new encoder.
        source: Of the one it was made from.
        bytes: Of all its files together.
    """

    folder: Path
    card: EncoderCard
    source: EncoderCard
    bytes: int


def export_encoder(name_or_path: str | Path, folder: str | Path, storage: Storage = "float32") -> Exported:
    """Export an encoder.

    Args:
        name_or_path: As :func:`landsift.load_encoder` takes it: the folder of a training run, an encoder of
            the CLIP family, or an exported encoder, to store it anew.
        folder: To be made; must not hold anything.
        storage: ``float32``; ``float16`` stores half the bytes and computes in float32; ``int8`` stores about
            a quarter, and multiplies integers where a large matrix is met.

    Raises:
        UsageError: The folder is taken, or there is no such storage.
        EncoderError: There is no such encoder, its score is no inner product, or it does not fit the form of
            exported encoders.
        MissingDependency: What exports is not installed.
    """
    if storage not in _SUFFIXES:
        raise UsageError(f"There is no storage {storage!r}; choose one of {', '.join(_SUFFIXES)}.")
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is taken; name a folder that does not exist yet.")
    for package in ("onnx", "onnxscript"):
        need(package, extra="train")
    source = card_of(name_or_path)
    matcher = _matcher_of(source, str(name_or_path))
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        bands = _bands_of(source)
        _write_graphs(matcher, partial, storage, bands)
        _write_card(matcher, partial, source, storage)
        _check_whole(matcher, partial, storage, bands)
        partial.chmod(0o755)
        if folder.is_dir():
            folder.rmdir()
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    size = sum((folder / name).stat().st_size for name in (*FILE_NAMES, CARD_NAME))
    return Exported(folder, read_card(folder / CARD_NAME), source, size)


def _matcher_of(card: EncoderCard, name: str) -> Matcher:
    """The model behind a card, in float32 and ``eval`` mode.

    Raises:
        EncoderError: It cannot be read, or an index of its vectors does not rank as it does.
    """
    backend = backend_of(card)
    matcher: Matcher
    if backend == "torch":
        matcher = read_matcher(folder_of(card))
    elif backend == "onnx":
        matcher = build_matcher("dual", {"start": str(folder_of(card)), "input_size": card.input_size})
    else:
        from landsift.models.clip.opening import open_matcher

        matcher = open_matcher(name)
    if not matcher.exact_index:
        raise EncoderError(f"{card.name} scores each pair anew, so no folder of vectors ranks as it does.")
    return matcher.float().eval()


def _bands_of(card: EncoderCard) -> int:
    """How many bands its image graph takes; 0 for red, green and blue."""
    need_of = spectral_need(card)
    return 0 if need_of is None else len(need_of.bands)


def _write_graphs(matcher: Matcher, folder: Path, storage: Storage, bands: int) -> None:
    """Both graphs and the tokenizer, into a folder that is there."""
    content = matcher.files().get(TOKENIZER_FILE)
    if content is None:
        raise EncoderError("This method has no tokenizer that the core could run; use the checkpoint itself.")
    (folder / TOKENIZER_FILE).write_bytes(content)
    if isinstance(matcher, DualMatcher):
        image, text = image_graph(matcher.model, matcher.input_size), text_graph(matcher.model)
    elif bands and isinstance(matcher, ClipMatcher):
        image = matcher_bands_graph(matcher, bands)
        text = _text_graph_of(matcher, folder / TOKENIZER_FILE)
    else:
        image, text = matcher_image_graph(matcher), _text_graph_of(matcher, folder / TOKENIZER_FILE)
    for graph, name in ((image, IMAGE_FILE), (text, TEXT_FILE)):
        if storage == "int8":
            integer_products(graph)
        write_graph(store_small(graph, "mixed" if storage == "int8" else storage), folder / name)


def _text_graph_of(matcher: Matcher, tokenizer_file: Path) -> onnx.ModelProto:
    """The text side; where the exporter cannot follow texts of any length, the graph fills them up."""
    padding = _padding_of(matcher)
    _check_texts(matcher, tokenizer_file, padding)
    try:
        return matcher_text_graph(matcher, padding)
    except EncoderError:
        if padding is not None:
            raise
    filled = Padding(matcher.context_length, 0)
    _check_texts(matcher, tokenizer_file, filled)
    return matcher_text_graph(matcher, filled)


def _padding_of(matcher: Matcher) -> Padding | None:
    """What a matcher puts behind the tokens of a single short text."""
    given = matcher.prepare([_PROBES[0]])
    real = int(given.mask.sum())
    if given.tokens.shape[1] == real:
        return None
    return Padding(given.tokens.shape[1], int(given.tokens[0, real]))


def _check_texts(matcher: Matcher, tokenizer_file: Path, padding: Padding | None) -> None:
    """Refuse what a tokenizer and a graph of token numbers cannot do.

    Raises:
        EncoderError: The method changes captions before, or reads more than their tokens.
    """
    tokenizer = read_tokenizer(tokenizer_file)
    tokenizer.no_padding()
    tokenizer.enable_truncation(matcher.context_length)
    tower = MatcherTexts(matcher, padding)
    for text in _PROBES:
        read = cleaned(text, _cleaning_of(matcher))
        given, tokens = matcher.prepare([text]), torch.tensor([tokenizer.encode(read).ids])
        same = torch.equal(given.tokens[given.mask], tokens[0])
        with torch.inference_mode():
            near = same and torch.allclose(
                tower(tokens), matcher.text_features(given).pooled, rtol=0, atol=_CLOSE
            )
        if not near:
            what = "its towers read more of a text than its tokens" if same else "it changes texts by itself"
            raise EncoderError(
                f"This method cannot be exported, since {what}; use the checkpoint itself as the encoder."
            )


def _cleaning_of(matcher: Matcher) -> str:
    """How texts are cleaned before the tokenizer reads them."""
    return matcher.tokens.cleaning if isinstance(matcher, ClipMatcher) else ""


def _check_whole(matcher: Matcher, folder: Path, storage: Storage, bands: int) -> None:
    """Run what was written beside what it came from.

    An exporter that meets a branch may follow one side of it and say nothing.

    Raises:
        EncoderError: They differ by more than the rounding of weights explains.
    """
    encoder = load_encoder(folder)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore", LandsiftWarning)  # a small vocabulary may know no word of a probe
        read = torch.cat([matcher.text_features(matcher.prepare([text])).pooled for text in _PROBES])
        seen = _seen_bands(matcher, encoder, bands) if bands else _seen_pictures(matcher, encoder)
        pairs = (seen, (read, encoder.encode_texts(_PROBES)))
    for own, got in pairs:
        cosine = float(torch.nn.functional.cosine_similarity(own.float(), torch.from_numpy(got)).min())
        if not cosine > _LEAST_COSINES[storage]:
            raise EncoderError(
                f"The exported graphs give other vectors than the method (cosine {cosine:.3f}), so it cannot "
                f"be exported as {storage}; use the checkpoint itself as the encoder."
            )


def _seen_pictures(matcher: Matcher, encoder: Encoder) -> tuple[Tensor, FloatArray]:
    """What both make of noise of several shades."""
    rng, size = np.random.default_rng(0), matcher.input_size
    shades = [rng.integers(low, high, (size, size, 3), np.uint8) for low, high in _SHADES]
    tensors = [torch.from_numpy(pixels).permute(2, 0, 1)[None] for pixels in shades]
    own = torch.cat([matcher.image_features(tensor).pooled for tensor in tensors])
    return own, encoder.encode_images(shades)


def _seen_bands(matcher: Matcher, encoder: Encoder, count: int) -> tuple[Tensor, FloatArray]:
    """Likewise, of bands in the range that the model's mean and deviation are of."""
    assert isinstance(matcher, ClipMatcher) and isinstance(encoder, SpectralEncoder)
    need_of = spectral_need(encoder.card)
    assert need_of is not None
    size = matcher.input_size
    mean, spread = (values.reshape(1, 1, -1).numpy() for values in (matcher.mean, matcher.std))
    noise = np.random.default_rng(0).standard_normal((len(_SHADES), size, size, count), np.float32)
    limits = np.tile(np.array([[0, 1]], np.float32), (count, 1))
    samples = [(mean + spread * one).astype(np.float32) for one in noise]
    spectra = [Spectra(one, (0.0,) * count, limits) for one in samples]
    values = [torch.from_numpy(scaled_samples(one, need_of.scale)).permute(2, 0, 1)[None] for one in spectra]
    own = torch.cat([matcher.band_features(value).pooled for value in values])
    return own, encoder.encode_spectra(spectra)


def _write_card(matcher: Matcher, folder: Path, source: EncoderCard, storage: Storage) -> None:
    hashes = {name: sha256_of(folder / name) for name in FILE_NAMES}
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": value} for name, value in hashes.items()
    }
    fields: dict[str, Any] = {
        "name": source.name + _SUFFIXES[storage],
        "dim": matcher.dim,
        "input_size": matcher.input_size,
        "context_length": matcher.context_length,
        "fit": matcher.fit,
        "cleaning": _cleaning_of(matcher),
        "description": source.description,
        "licence": source.licence,
        "licence_note": source.licence_note,
        "citation": source.citation,
        "trained_on": list(source.trained_on),
        "exported": {
            "encoder": source.name,
            "weights_sha256": source.weights_sha256,
            "storage": storage,
            "torch": torch.__version__,
        },
        "weights_sha256": combined_hash(hashes),
        "files": files,
    }
    if _bands_of(source):
        fields["spectral"] = dict(source.extra["spectral"])
    (folder / CARD_NAME).write_text(toml_text(fields), encoding="utf-8")
