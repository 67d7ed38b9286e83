"""What methods share: an image trunk, a text tower, their options, and the plumbing between.

A method adds what it makes of the trunk's maps and of the words, a score, and losses of its own. Knows
trunks and text towers; no single method.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from landsift.errors import UsageError
from landsift.models.blocks.trunk import LEVELS, TOWERS, build_trunk
from landsift.models.blocks.words import TEXT_TOWERS, TextChoice, TextStates, build_text_tower
from landsift.models.features import Features, TextInput
from landsift.models.matcher import SplitMatcher
from landsift.models.registry import MatcherSource, check_choices

__all__ = ["TowerMatcher", "TowerOptions", "text_choice"]


@dataclass(frozen=True)
class TowerOptions:
    """Towers of a method.

    Attributes:
        image: Image tower: ``lite0``, ``lite1``, ``lite2``, ``resnet18``, ``resnet50``, ``resnet101``,
            ``resnet-mini``, or one of CLIP's: ``clip-vit-b-32``, ``clip-vit-b-32-quickgelu`` and so on for
            ``b-16``, ``l-14``, ``l-14-336`` and ``h-14``.
        image_start: ``pretrained`` (installed ImageNet weights), ``random``, or a file of weights; of CLIP's
            towers an encoder's name, ``NAME@WEIGHTS``, a folder or an ``hf-hub:`` name.
        cut: Last level of the image tower that is frozen, and that a cache of maps covers: ``c2``, ``c3``,
            ``c4`` or ``none``.
        text: Text tower: ``gru``, ``bigru``, ``textcnn`` or ``minilm``.
        text_start: Of ``minilm``: ``pretrained``, ``random``, or a folder.
        words: Word vectors of the other text towers: ``random`` or ``glove``.
        word_width: Length of random word vectors.
        text_layers: Layers of a random ``minilm``.
        dim: Length of the method's vectors.
        dropout: Share of features hidden in training where the method hides any.
        input_size: Side in pixels of the squares the image tower sees.
        context_length: Tokens the text tower reads.
    """

    image: str = "lite0"
    image_start: str = "pretrained"
    cut: str = "c3"
    text: str = "bigru"
    text_start: str = "pretrained"
    words: str = "random"
    word_width: int = 300
    text_layers: int = 2
    dim: int = 512
    dropout: float = 0.1
    input_size: int = 224
    context_length: int = 48

    def __post_init__(self) -> None:
        check_choices(
            self,
            {
                "image": TOWERS,
                "cut": (*LEVELS[1:], "none"),
                "text": TEXT_TOWERS,
                "words": ("random", "glove"),
            },
        )
        if self.context_length < 3 or self.input_size < 32:
            raise ValueError("context_length must be 3 or more and input_size 32 or more")
        if self.dim % 8:
            raise ValueError(f"dim must be a multiple of 8, for attention heads; got {self.dim}")


class TowerMatcher(SplitMatcher):
    """A method on a trunk and a text tower.

    Attributes:
        levels: Maps of the trunk that the method reads.
        needs_words: Whether it needs the states of single words.
    """

    levels: ClassVar[tuple[str, ...]] = ("c4",)
    needs_words: ClassVar[bool] = False

    def __init__(self, options: Any, source: MatcherSource) -> None:
        super().__init__()
        self.options = options
        self.dim, self.input_size = options.dim, options.input_size
        self.context_length = options.context_length
        empty = bool(source.files)
        self.images = build_trunk(
            options.image,
            start=options.image_start,
            cut=options.cut,
            levels=self.levels,
            input_size=options.input_size,
            empty=empty,
        )
        self.texts = build_text_tower(text_choice(options), source)
        if self.needs_words and not self.texts.reads_words:
            raise UsageError(
                f"This method looks at single words, which {options.text} does not show; "
                f"set model.options.text to gru, bigru or minilm."
            )

    @abstractmethod
    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """The trunk's maps, by level, to features."""

    @abstractmethod
    def text_head(self, states: TextStates) -> Features:
        """Word states to features."""

    def prepare(self, captions: Sequence[str]) -> TextInput:
        """Captions as the text tower reads them."""
        return self.texts.prepare(captions)

    def lower(self, pixels: Tensor) -> dict[str, Tensor]:
        """The trunk up to the cut."""
        return self.images.lower(pixels)

    def upper(self, maps: Mapping[str, Tensor]) -> Features:
        """The rest of the trunk, and the method's own part."""
        return self.image_head(self.images.upper(maps))

    def text_features(self, text: TextInput) -> Features:
        """Text tower, and the method's own part."""
        return self.text_head(self.texts(text))

    def depths(self) -> dict[str, int]:
        """Pretrained towers lie below what the method adds; a text tower from scratch does not."""
        return {"images.trained": 1, "images.frozen": 2, "texts.tower": 1}

    def files(self) -> dict[str, bytes]:
        """Of the text tower."""
        return self.texts.files()


def text_choice(options: TowerOptions) -> TextChoice:
    """The text tower that the options ask for."""
    return TextChoice(
        options.text,
        options.text_start,
        options.words,
        options.dim,
        options.word_width,
        options.context_length,
        options.text_layers,
    )
