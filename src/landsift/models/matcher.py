"""A matcher: a trainable method of image-text retrieval, as the rest of the package sees it.

It reads captions, turns pixels and captions into features, and scores features against each other. Training,
scoring and saving know methods by this one class, so that a method is one file. Knows nothing of files, data
sets, optimisers or losses other than a method's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from landsift.models.batch import Batch, Moment
from landsift.models.features import Features, TextInput

__all__ = ["LeveledMatcher", "Matcher", "SplitMatcher"]


class Matcher(nn.Module, ABC):
    """A trainable method.

    Whatever a method remembers from step to step lies in its buffers, so that checkpoints hold it; whatever
    it draws at random it draws from torch's generator, so that runs repeat.

    Attributes:
        dim: Length of ``Features.pooled``.
        input_size: Side in pixels of the squares its image tower is made for.
        context_length: Tokens its text tower reads.
        fit: How an image becomes such a square: of :data:`landsift.encoders.pixels.FITS`.
        exact_index: Whether ``similarity`` is the inner product of the pooled features, so that an index of
            these ranks as the method does. Otherwise it re-ranks what an index of the pooled features found.
        scores_batches: Whether training needs ``similarity`` of the whole batch. A method that scores each
            pair with a transformer sets False, gets an empty matrix in ``own_losses`` and picks its pairs.
        code_bits: Bits that the signs of ``Features.pooled`` are; 0 for vectors that are no codes.
        needs: What its own losses read of a batch beside images and captions: of ``view``, ``unpaired`` and
            ``prior``.
        critic: A module that is trained against the method by ``critic_losses``, with an optimiser of its
            own; None for all methods that are not adversarial.
    """

    dim: int
    input_size: int
    context_length: int
    fit: str = "squash"
    exact_index: bool = True
    scores_batches: bool = True
    code_bits: int = 0
    needs: frozenset[str] = frozenset()
    critic: nn.Module | None

    def __init__(self) -> None:
        super().__init__()
        # Not a class attribute: that would hide the module a method assigns.
        self.critic = None

    @abstractmethod
    def prepare(self, captions: Sequence[str]) -> TextInput:
        """Captions as the text tower reads them, with the method's own tokenizer or vocabulary.

        Args:
            captions: ``n`` texts; longer ones than ``context_length`` are cut.
        """

    @abstractmethod
    def image_features(self, pixels: Tensor) -> Features:
        """``(n, 3, H, W)`` RGB from 0 to 255, uint8 or float, to features."""

    @abstractmethod
    def text_features(self, text: TextInput) -> Features:
        """Prepared captions to features; a caption's must not depend on its padding or its neighbours."""

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Score every image against every caption: ``(I, T)``, higher is better.

        The inner product of the pooled features, unless a method says otherwise.
        """
        return image.pooled @ text.pooled.T

    @property
    def scale(self) -> Tensor | None:
        """The method's own trained factor from scores to logits; None to let the loss keep one."""
        return None

    @property
    def bias(self) -> Tensor | None:
        """The method's own trained offset of the logits (sigmoid losses); None to let the loss keep one."""
        return None

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        """Terms that belong to this method alone, by name, each a scalar that already has its weight.

        Args:
            batch: Of this step; ``batch.moment`` says how far training is.
            image: Features of ``I`` images, of all processes.
            text: Features of ``T`` captions, of all processes.
            similarity: ``(I, T)``; empty if ``scores_batches`` is False.
        """
        return {}

    def critic_losses(self, batch: Batch, image: Features, text: Features) -> dict[str, Tensor]:
        """What ``critic`` is trained to make small, on features that are cut off from the towers."""
        return {}

    def begin_epoch(self, moment: Moment) -> None:
        """Called before the first step of each pass: thresholds, codes or queues that change by pass."""

    def after_step(self, batch: Batch) -> None:
        """Called when the weights have moved: momentum encoders, queues."""

    def depths(self) -> Mapping[str, int]:
        """Distance from the output of parts of the model, for learning rates that decay with it.

        Returns:
            Prefix of parameter names to distance, 0 for what lies at the output. The longest prefix that
            fits counts; parameters that none fits are at 0.
        """
        return {}

    def files(self) -> Mapping[str, bytes]:
        """What a checkpoint must hold beside weights and options, by file name: a vocabulary, a tokenizer."""
        return {}


class SplitMatcher(Matcher):
    """A matcher whose image tower starts with a frozen part, which can be computed once for all epochs."""

    @abstractmethod
    def lower(self, pixels: Tensor) -> dict[str, Tensor]:
        """The frozen part: ``(n, 3, H, W)`` RGB from 0 to 255 to maps ``(n, ...)`` by name."""

    @abstractmethod
    def upper(self, maps: Mapping[str, Tensor]) -> Features:
        """The rest: maps to features."""

    def image_features(self, pixels: Tensor) -> Features:
        """Both parts, one after the other."""
        return self.upper(self.lower(pixels))


class LeveledMatcher(SplitMatcher):
    """A matcher whose towers show what they hold at several depths, so that heads on them can be searched."""

    @abstractmethod
    def image_levels(self, pixels: Tensor, highest: str | None = None) -> dict[str, Tensor]:
        """Maps of the image tower at several depths, from the lowest to the highest.

        Args:
            pixels: ``(n, 3, H, W)`` RGB from 0 to 255.
            highest: Go no further than this level; None for all.

        Returns:
            ``(n, channels, h, w)`` by name.
        """

    @abstractmethod
    def text_levels(self, text: TextInput) -> dict[str, Tensor]:
        """States of the text tower at several depths: ``(n, length, width)`` by name."""
