"""What hashing methods share: frozen towers, one hash head a side, and the plumbing between.

A method names its heads and its losses. The vector that is kept is the relaxed code scaled to length 1, so
its signs are the bits, and an index of it ranks as the relaxed codes do. Knows frozen towers and heads; no
single method.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import EncoderError, UsageError
from landsift.models.batch import Batch
from landsift.models.blocks.frozen import FrozenPair, frozen_pair
from landsift.models.blocks.hashing import CodeMemory, build_hash_head
from landsift.models.blocks.heads import unit
from landsift.models.features import Features, TextInput
from landsift.models.matcher import SplitMatcher
from landsift.models.registry import MatcherSource, check_choices

__all__ = ["HashMatcher", "HashOptions", "LikelihoodOptions", "Pairs"]

_FILE = "hashing.json"


@dataclass(frozen=True)
class HashOptions:
    """Towers and codes of a method.

    Attributes:
        features: ``imagenet-minilm``, or any encoder by name or folder.
        bits: K.
        hidden: Width of the heads' middle layer.
        dropout: Share of a vector's numbers hidden in training where the method hides any.
    """

    features: str = "imagenet-minilm"
    bits: int = 64
    hidden: int = 512
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.bits < 1 or self.hidden < 8:
            raise ValueError(f"bits must be 1 or more and hidden 8 or more; got {self.bits}, {self.hidden}")


@dataclass(frozen=True)
class LikelihoodOptions(HashOptions):
    """Of methods that learn by the likelihood of pairs.

    Attributes:
        pairs: How it counts them, see :func:`landsift.models.objectives.hashing_pairs.nll_pairwise`:
            ``balanced`` or, as printed, ``mean``.
    """

    pairs: str = "balanced"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, {"pairs": ("balanced", "mean")})


@dataclass(frozen=True, eq=False)
class Pairs:
    """One step as rows of pairs: each caption with the image it was drawn for.

    Attributes:
        image: ``(T, K)`` relaxed codes of the images.
        text: ``(T, K)`` of the captions.
        rows: ``(T,)`` int64 training rows.
        labels: ``(T,)`` int64 classes, -1 where unknown.
    """

    image: Tensor
    text: Tensor
    rows: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def alike(self) -> Tensor:
        """``(T, T)`` bool: same class, or the same picture."""
        known = self.labels[:, None] >= 0
        same = (self.labels[:, None] == self.labels[None]) & known
        return same | (self.rows[:, None] == self.rows[None])


class HashMatcher(SplitMatcher):
    """A hash head for images and one for captions on frozen towers.

    Attributes:
        head: Name of the head, for methods with an ordinary one.
        needs_local: Whether it reads cells, levels and words.
        supervised: Whether it learns from scene classes.
        remembers: Whether it keeps the codes of the whole training set.
        towers: The frozen pair.
        images: Size of the training set.
        class_names: Scene classes of the training set.
    """

    head: ClassVar[str] = "two-layer"
    needs_local: ClassVar[bool] = False
    supervised: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    image_hash: nn.Module
    text_hash: nn.Module

    def __init__(self, options: Any, source: MatcherSource) -> None:
        super().__init__()
        self.options = options
        self.dim = self.code_bits = options.bits
        # In a tuple: frozen towers are no part of what is trained, saved or moved.
        self._towers = (frozen_pair(options.features),)
        self.input_size, self.context_length = self.towers.input_size, self.towers.context_length
        if self.needs_local and not self.towers.local:
            raise UsageError(
                f"This method looks at parts of images and single words, which {options.features} does not "
                f"show; set model.options.features to imagenet-minilm."
            )
        note = self._note(source)
        self.images, self.class_names = int(note["images"]), tuple(note["classes"])
        if self.supervised and len(self.class_names) < 2:
            raise UsageError("This method learns from scene classes; train it on a set that has two or more.")
        if self.remembers:
            self.memory = CodeMemory(self.images, options.bits)
        self.make_heads(self.towers.image_width, self.towers.text_width)

    def _note(self, source: MatcherSource) -> dict[str, Any]:
        """Sizes that the weights depend on: of the training set, or of the checkpoint that is read."""
        if _FILE not in source.files:
            return {"images": source.images, "classes": list(source.class_names)}
        note: dict[str, Any] = json.loads(source.files[_FILE])
        if note["towers"] != self.towers.sha256:
            raise EncoderError(
                f"The heads were trained on other weights of {self.options.features} than those here; "
                f"install the version they were trained on, or train again."
            )
        return note

    @property
    def towers(self) -> FrozenPair:
        """What lies under the heads."""
        return self._towers[0]

    def make_heads(self, image_width: int, text_width: int) -> None:
        """Make the modules; ``image_hash`` and ``text_hash`` where the method has ordinary heads."""
        options = self.options
        self.image_hash = build_hash_head(self.head, image_width, options.bits, options.hidden)
        self.text_hash = build_hash_head(self.head, text_width, options.bits, options.hidden)

    def prepare(self, captions: Sequence[str]) -> TextInput:
        """Captions as the frozen text tower reads them."""
        return self.towers.read(captions, words=self.needs_local)

    def lower(self, pixels: Tensor) -> dict[str, Tensor]:
        """The frozen image tower."""
        return self.towers.look(pixels)

    def upper(self, maps: Mapping[str, Tensor]) -> Features:
        """Image codes."""
        return self.image_codes({name: functional.layer_norm(x, x.shape[-1:]) for name, x in maps.items()})

    def text_features(self, text: TextInput) -> Features:
        """Text codes."""
        found = {name: functional.layer_norm(x, x.shape[-1:]) for name, x in text.extras.items()}
        return self.text_codes(found, text.mask)

    def image_codes(self, maps: Mapping[str, Tensor]) -> Features:
        """Vectors of images, each scaled to mean 0 and variance 1, to features with :meth:`coded`."""
        return self.coded(self.image_hash(maps["pooled"]), {"x": maps["pooled"]})

    def text_codes(self, parts: Mapping[str, Tensor], mask: Tensor) -> Features:
        """Vectors of captions to features; ``mask`` is True on real words."""
        return self.coded(self.text_hash(parts["sentence"]), {"x": parts["sentence"]})

    @staticmethod
    def coded(code: Tensor, extras: Mapping[str, Tensor]) -> Features:
        """Features of a relaxed code."""
        return Features(unit(code), extras={"code": code, **extras})

    def pairs(self, batch: Batch, image: Features, text: Features) -> Pairs:
        """A step as rows of pairs."""
        order = batch.image_row
        return Pairs(
            image.extras["code"][order], text.extras["code"], batch.image_ids[order], batch.labels[order]
        )

    def files(self) -> dict[str, bytes]:
        """Which towers the heads belong to, and the sizes the weights depend on."""
        note = {"towers": self.towers.sha256, "images": self.images, "classes": list(self.class_names)}
        return {_FILE: json.dumps(note, indent=1).encode()}

    def total(self, *parts: Tensor) -> Tensor:
        """Their sum."""
        return torch.stack(parts).sum()

    def critic_of(self, width: int) -> nn.Sequential:
        """A critic of codes, as DUCH has it: twice as wide, batch norm, ReLU, one number."""
        return nn.Sequential(
            nn.Linear(width, 2 * width), nn.BatchNorm1d(2 * width), nn.ReLU(), nn.Linear(2 * width, 1)
        )
