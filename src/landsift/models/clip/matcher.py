"""A CLIP-like model as a matcher: pixels and captions in, unit rows out; trained, saved and loaded like any
other.

Knows the model, its tokenizer and how it wants its pixels; where weights come from is told by
:mod:`landsift.models.clip.opening`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from landsift.errors import UsageError
from landsift.models.clip.model import ClipModel, build_empty
from landsift.models.clip.resnet import ClipResNet
from landsift.models.clip.shapes import ACTIVATIONS, ARCHITECTURES, Architecture, ImageShape, TextShape
from landsift.models.clip.tokens import Tokens, find_tokenizer
from landsift.models.features import Features, TextInput
from landsift.models.matcher import Matcher
from landsift.models.registry import MatcherSource, MatcherSpec, one_of
from landsift.models.starting import TOKENIZER_FILE

__all__ = ["CLIP_MEAN", "CLIP_STD", "SPEC", "ClipMatcher", "ClipOptions", "PixelFacts"]

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of OpenAI's training images, of values from 0 to 1."""
_SHAPE_FILE = "clip.json"
_HOTTEST = 100.0


@dataclass(frozen=True)
class PixelFacts:
    """How a model wants its pixels.

    Attributes:
        mean: Of each band, of values from 0 to 1.
        std: Likewise.
        fit: How an image becomes a square: of :data:`landsift.encoders.pixels.FITS`.
    """

    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    fit: str = "centre-crop"


class ClipMatcher(Matcher):
    """Both towers, the tokenizer, and the arithmetic between.

    Args:
        model: With weights, or about to get them.
        tokens: Its tokenizer.
        facts: How it wants its pixels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: ClipModel, tokens: Tokens, facts: PixelFacts) -> None:
        super().__init__()
        shape = model.architecture
        self.model, self.tokens, self.facts = model, tokens, facts
        self.dim, self.input_size = shape.dim, shape.image.size
        self.context_length, self.fit = shape.text.context, facts.fit
        for name in ("mean", "std"):
            values = torch.tensor(getattr(facts, name)).reshape(1, -1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def prepare(self, captions: Sequence[str]) -> TextInput:
        """Captions as token numbers; the extra ``cut`` tells which were too long."""
        return self.tokens.encode(captions)

    def image_features(self, pixels: Tensor) -> Features:
        """``(n, 3, H, W)`` RGB from 0 to 255 to unit rows."""
        return self.band_features(pixels / 255)

    def band_features(self, values: Tensor, wavelengths: Tensor | None = None) -> Features:
        """Bands, in the range that the mean and the deviation are of, to unit rows.

        Args:
            values: ``(n, bands, H, W)``.
            wavelengths: ``(bands,)`` in micrometres, for models that read them; red, green and blue when
                None.

        Raises:
            UsageError: Another number of bands than the model reads.
        """
        wanted, given = self.mean.shape[1], values.shape[1]
        if wanted not in (1, given):
            raise UsageError(
                f"This encoder reads {wanted} bands and was given {given}; "
                f"give it scenes with all their bands, by way of a gallery or encode_spectra."
            )
        scaled = ((values - self.mean) / self.std).to(self._dtype)
        return Features(self.model.encode_images(scaled, wavelengths))

    def text_features(self, text: TextInput) -> Features:
        """Prepared captions to unit rows."""
        return Features(self.model.encode_texts(text.tokens, text.mask))

    @property
    def scale(self) -> Tensor:
        """The model's own; at most 100 where it learns by a softmax (Radford et al., 2021)."""
        scale = self.model.log_scale.exp()
        return scale if self.model.offset is not None else scale.clamp(max=_HOTTEST)

    @property
    def bias(self) -> Tensor | None:
        """The model's own offset of the logits (SigLIP), or None."""
        return self.model.offset

    def depths(self) -> dict[str, int]:
        """Distance of every layer from the output."""
        image, text = self.model.architecture.image, self.model.architecture.text
        words = "tower.layers" if text.kind == "roberta" else "layers"
        found = _depths("model.image.layers", image.layers) | _depths(f"model.text.{words}", text.layers)
        stages = len(image.blocks)
        found |= {f"model.image.layer{number}.": stages + 1 - number for number in range(1, stages + 1)}
        found |= dict.fromkeys(("model.image.conv", "model.image.bn") if stages else (), stages + 1)
        inputs = ("model.image.patches", "model.image.positions", "model.image.class_token")
        found |= {} if stages else dict.fromkeys(inputs, image.layers + 1)
        readers = ("model.text.words", "model.text.positions", "model.text.tower.embeddings")
        return found | dict.fromkeys(readers, text.layers + 1)

    def files(self) -> Mapping[str, bytes]:
        """The tokenizer, the shape that weights fit into, and how pixels are wanted."""
        note = {
            "architecture": asdict(self.model.architecture),
            "activation": self.model.activate,
            "pixels": asdict(self.facts),
        }
        return {
            TOKENIZER_FILE: self.tokens.tokenizer.to_str().encode(),
            _SHAPE_FILE: (json.dumps(note, indent=1) + "\n").encode(),
        }

    @property
    def _dtype(self) -> torch.dtype:
        image = self.model.image
        return image.conv1.weight.dtype if isinstance(image, ClipResNet) else image.positions.dtype


@dataclass(frozen=True)
class ClipOptions:
    """A model of the family.

    Attributes:
        start: ``random``, or an encoder to start from: a name, ``NAME@WEIGHTS``, a folder, an ``hf-hub:``
            name.
        architecture: Of a random start: a name of :data:`landsift.models.clip.shapes.ARCHITECTURES`.
        activation: Of a random start: ``quickgelu``, ``gelu`` or ``gelu-tanh``.
        changes: Of a random start: sizes that differ, such as ``{image.layers = 2}``, to try things out.
    """

    start: str = "random"
    architecture: str = "vit-b-32"
    activation: str = "gelu"
    changes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f"there is no {self.architecture!r}; {one_of(self.architecture, [*ARCHITECTURES])}"
            )
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"there is no {self.activation!r}; {one_of(self.activation, ACTIVATIONS)}")


def _build(options: ClipOptions, source: MatcherSource) -> ClipMatcher:
    if source.files:
        return _rebuilt(source.files)
    if options.start != "random":
        from landsift.models.clip.opening import open_matcher

        return open_matcher(options.start)
    shape = _changed(ARCHITECTURES[options.architecture], options.changes)
    tokenizer = find_tokenizer(None, shape.text, options.architecture)
    facts = PixelFacts() if shape.image.channels == 3 else PixelFacts((0.5,), (0.5,), "squash")
    model = ClipModel(shape, options.activation).initialise()
    return ClipMatcher(model, Tokens(tokenizer, shape.text.kind, shape.text.context), facts)


def _changed(shape: Architecture, changes: Mapping[str, int]) -> Architecture:
    plain = asdict(shape)
    for name, value in changes.items():
        part, _, key = name.rpartition(".")
        place = plain[part] if part in ("image", "text") else plain
        if key not in place or not isinstance(place[key], int):
            raise UsageError(f"changes: there is no size {name!r}; write such as image.layers or dim.")
        place[key] = value
    return _architecture(plain)


def _architecture(plain: Mapping[str, Any]) -> Architecture:
    image = {**plain["image"], "blocks": tuple(plain["image"]["blocks"])}
    return Architecture(**{**plain, "image": ImageShape(**image), "text": TextShape(**plain["text"])})


def _rebuilt(files: Mapping[str, bytes]) -> ClipMatcher:
    """As :meth:`ClipMatcher.files` wrote it; weights are read into it afterwards."""
    note = json.loads(files[_SHAPE_FILE])
    shape = _architecture(note["architecture"])
    pixels = note["pixels"]
    facts = PixelFacts(tuple(pixels["mean"]), tuple(pixels["std"]), pixels["fit"])
    tokenizer = Tokenizer.from_str(files[TOKENIZER_FILE].decode())
    model = build_empty(shape, note["activation"]).to_empty(device="cpu")
    return ClipMatcher(model, Tokens(tokenizer, shape.text.kind, shape.text.context), facts)


def _depths(prefix: str, layers: int) -> dict[str, int]:
    return {f"{prefix}.{number}.": layers - number for number in range(layers)}


SPEC = MatcherSpec(ClipOptions, _build, "Radford et al.: CLIP. ICML 2021, arXiv 2103.00020, and its kin")
