"""Frozen towers under trained heads: pictures and captions to vectors that are computed once.

A pair of towers is known by name: EfficientNet-Lite0 as ImageNet left it beside MiniLM, which have never
seen a picture from above with its caption, or any encoder. Its weights are no part of what is trained on
top; a checkpoint names them by hash. Captions are remembered, so that later passes cost nothing.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from landsift.encoders import load_encoder
from landsift.errors import UsageError
from landsift.models.blocks.trunk import build_trunk, grid_tokens, mean_cell
from landsift.models.features import TextInput
from landsift.models.starting import TOKENIZER_FILE, bert_folder, image_weights, padded_tokens, read_tokenizer
from landsift.models.text import load_bert_folder

__all__ = ["PAIRS", "EncoderPair", "FrozenPair", "ImageNetMiniLm", "frozen_pair"]

_CELLS = 3  # side of the grid of local vectors
_REMEMBERED = 200_000  # captions


class FrozenPair(ABC):
    """Two towers that are not trained.

    Attributes:
        image_width: Of the pooled vector of an image.
        text_width: Of that of a caption.
        local: Whether it shows cells of images, lower levels and single words.
        input_size: Side in pixels of the squares it sees.
        context_length: Tokens it reads.
    """

    image_width: int
    text_width: int
    level_widths: Mapping[str, int] = {}
    local: bool = False
    input_size: int
    context_length: int

    def __init__(self) -> None:
        self._read: dict[str, dict[str, Tensor]] = {}

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Of all its weights."""

    @abstractmethod
    def look(self, pixels: Tensor) -> dict[str, Tensor]:
        """``(n, 3, H, W)`` RGB 0 to 255 to ``pooled`` ``(n, image_width)`` and, where it is local, ``cells``
        ``(n, 9, image_width)`` and the means ``c2`` and ``c3`` of lower levels."""

    @abstractmethod
    def read_one(self, caption: str) -> dict[str, Tensor]:
        """A caption to ``sentence`` ``(text_width,)`` and, where local, ``words`` ``(l, text_width)``."""

    def read(self, captions: Sequence[str], words: bool = False) -> TextInput:
        """Captions as heads read them; each is encoded alone and once, whatever its company.

        Returns:
            Vectors under ``extras``; ``mask`` is True on real words, or has one column without them.
        """
        found = [self._remembered(caption) for caption in captions]
        sentence = (
            torch.stack([one["sentence"] for one in found]) if found else torch.zeros(0, self.text_width)
        )
        if not words:
            mask = torch.ones(len(found), 1, dtype=torch.bool)
            return TextInput(mask.long(), mask, {"sentence": sentence})
        lengths = torch.tensor([len(one["words"]) for one in found])
        mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
        padded = torch.nn.utils.rnn.pad_sequence([one["words"] for one in found], batch_first=True)
        return TextInput(mask.long(), mask, {"sentence": sentence, "words": padded})

    def _remembered(self, caption: str) -> dict[str, Tensor]:
        if caption not in self._read:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            # Kept for training too, which cannot use what inference mode made.
            with torch.inference_mode(False), torch.no_grad():
                self._read[caption] = self.read_one(caption)
        return self._read[caption]


class ImageNetMiniLm(FrozenPair):
    """EfficientNet-Lite0 with the installed ImageNet weights, and the installed MiniLM-L6."""

    local = True
    context_length = 64
    input_size = 224

    def __init__(self) -> None:
        super().__init__()
        self._trunk = build_trunk(
            "lite0", start="pretrained", cut="none", levels=("c2", "c3", "c4"), input_size=self.input_size
        )
        self._trunk.eval().requires_grad_(False)
        self._tokenizer = read_tokenizer(bert_folder() / TOKENIZER_FILE)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.context_length)
        self._tower = load_bert_folder(bert_folder(), context_length=self.context_length)
        self._tower.eval().requires_grad_(False)
        self.image_width, self.text_width = self._trunk.channels["c4"], self._tower.config.width
        self.level_widths = {level: self._trunk.channels[level] for level in ("c2", "c3")}

    @property
    def sha256(self) -> str:
        """Of both weight files."""
        digest = hashlib.sha256()
        for path in (image_weights("lite0"), bert_folder() / "model.safetensors"):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def look(self, pixels: Tensor) -> dict[str, Tensor]:
        """Means of three levels, and the last one on a grid of three by three."""
        self._trunk.to(pixels.device)
        maps = self._trunk.upper(self._trunk.lower(pixels))
        found = {"pooled": mean_cell(maps["c4"]), "cells": grid_tokens(maps["c4"], _CELLS)}
        return found | {level: mean_cell(maps[level]) for level in ("c2", "c3")}

    def read_one(self, caption: str) -> dict[str, Tensor]:
        """States of its word pieces, and their mean scaled to length 1, as MiniLM was trained."""
        text = padded_tokens(self._tokenizer, [caption])
        words = self._tower.hidden_states(text.tokens, text.mask)[0]
        return {"words": words, "sentence": functional.normalize(words.mean(dim=0), dim=0)}


class EncoderPair(FrozenPair):
    """Any encoder by name or folder: the built-in one, a trained one, one of the CLIP family.

    Args:
        name: As ``landsift list encoders`` prints it, or a folder.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._encoder = load_encoder(name)
        card = self._encoder.card
        self.image_width = self.text_width = card.dim
        self.input_size, self.context_length = card.input_size, card.context_length

    @property
    def sha256(self) -> str:
        """As its card says."""
        return self._encoder.card.weights_sha256

    def look(self, pixels: Tensor) -> dict[str, Tensor]:
        """Its unit rows."""
        squares = pixels.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        rows = self._encoder.encode_images(list(np.ascontiguousarray(squares)))
        return {"pooled": torch.from_numpy(np.array(rows)).to(pixels.device)}

    def read_one(self, caption: str) -> dict[str, Tensor]:
        """Its unit row."""
        return {"sentence": torch.from_numpy(np.array(self._encoder.encode_texts([caption])[0]))}


PAIRS: dict[str, Callable[[], FrozenPair]] = {"imagenet-minilm": ImageNetMiniLm}
"""Pairs by name; any other name is that of an encoder."""


@lru_cache(maxsize=4)
def frozen_pair(name: str) -> FrozenPair:
    """A pair by name, one of each in a process, so that all heads share what it has read.

    Args:
        name: Of ``PAIRS``, or of an encoder, or its folder.

    Raises:
        UsageError: No name.
        EncoderError: There is no such encoder.
        MissingDependency: The package that brings the weights is not installed.
    """
    if not name:
        raise UsageError("features names no towers; set it to imagenet-minilm or to an encoder.")
    return PAIRS[name]() if name in PAIRS else EncoderPair(name)
