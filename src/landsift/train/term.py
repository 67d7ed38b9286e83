"""What a loss term is, and what it is given: the vocabulary of :mod:`landsift.train.terms`.

Knows features and batches; no single term.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from landsift.models.batch import Batch, Moment
from landsift.models.features import Features
from landsift.models.matcher import Matcher

__all__ = ["Encoded", "Sizes", "Term", "positive", "there"]


@dataclass(frozen=True, eq=False)
class Encoded:
    """One step's batch with the features of all processes.

    Attributes:
        batch: What was encoded.
        image: Of the images.
        text: Of the captions; None in image-only training.
        view: Of the second views; None unless a term asks for them.
        unpaired: Of the images without captions; None unless a term asks for them.
        similarity: ``(I, T)`` scores of the method; empty if the method does not score whole batches.
        scale: The method's own factor from scores to logits, or None.
        bias: The method's own offset of the logits, or None.
    """

    batch: Batch
    image: Features
    text: Features | None
    view: Features | None
    unpaired: Features | None
    similarity: Tensor
    scale: Tensor | None = None
    bias: Tensor | None = None


@dataclass(frozen=True)
class Sizes:
    """Lengths of the vectors that terms meet.

    Attributes:
        dim: Of the method's pooled features.
        teacher: Of the teacher's vectors; 0 without one.
    """

    dim: int
    teacher: int = 0


class Term(nn.Module, ABC):
    """A named loss term.

    Attributes:
        needs: What must be there beside the images: of ``text``, ``scores``, ``view``, ``unpaired``,
            ``prior``, ``teacher`` and ``ground``.
    """

    needs: frozenset[str] = frozenset({"text", "scores"})

    def __init__(self, options: Any, sizes: Sizes) -> None:
        super().__init__()
        self.options = options

    def attach(self, matcher: Matcher) -> None:
        """Look at what is trained, once, before training; most terms need not."""

    def begin_epoch(self, moment: Moment) -> None:
        """Called before the first step of each pass."""

    @abstractmethod
    def forward(self, found: Encoded) -> Tensor:
        """The value of the term: a scalar, without its weight."""


def positive(name: str, value: float) -> None:
    """Refuse an option that is not above 0.

    Raises:
        ValueError: It is not.
    """
    if not value > 0:
        raise ValueError(f"{name} must be above 0; got {value}")


def there(value: Any) -> Any:
    """What a term's needs promise."""
    if value is None:
        raise AssertionError("a term's needs are checked before training starts")
    return value
