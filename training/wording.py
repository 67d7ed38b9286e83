"""The captions a training step sees: drawn, shortened, and mixed with the short phrases people type.

Knows strings and numpy only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landsift.captions import caption_groups

__all__ = ["Drawn", "Pairs", "WordingPlan", "class_phrases"]

_TEMPLATES = (
    "{}",
    "{}",
    "{}",
    "a satellite image of {}",
    "an aerial photo of {}",
    "aerial view of {}",
    "an image showing {}",
    "there is {} in the image",
    "find {}",
)


@dataclass(frozen=True)
class WordingPlan:
    """How captions are varied.

    Attributes:
        word_drop: Probability that a word of a caption is left out.
        phrase_share: Share of drawn captions that are replaced by a phrase for the image's class.
    """

    word_drop: float = 0.15
    phrase_share: float = 0.1


@dataclass(frozen=True)
class Drawn:
    """Captions of one step.

    Attributes:
        texts: M texts.
        images: ``(M,)`` int64 row of the image each was drawn for.
        groups: ``(M,)`` int64; equal for captions that were worded alike before words were dropped;
            negative for class phrases.
        labels: ``(M,)`` int64 class that a phrase names, -1 for ordinary captions.
    """

    texts: list[str]
    images: NDArray[np.int64]
    groups: NDArray[np.int64]
    labels: NDArray[np.int64]


class Pairs:
    """Captions and classes of N images, to draw from.

    Args:
        captions: For each image, at least one.
        labels: For each image, its class in words, or None.
        phrases: Class in words to the phrases people would type for it; classes that share their first
            phrase are one class.
        plan: How captions are varied.
    """

    def __init__(
        self,
        captions: Sequence[Sequence[str]],
        labels: Sequence[str | None],
        phrases: dict[str, list[str]],
        plan: WordingPlan,
    ) -> None:
        self._captions, self._plan = captions, plan
        self._first = np.cumsum([0, *map(len, captions)])
        self._groups = caption_groups([text for texts in captions for text in texts])
        names = sorted({options[0] for options in phrases.values()})
        self._phrases = {names.index(options[0]): options for options in phrases.values()}
        self.labels = np.array(
            [names.index(phrases[label][0]) if label in phrases else -1 for label in labels], np.int64
        )
        """``(N,)`` int64 class of each image, -1 where it has no phrases."""

    def __len__(self) -> int:
        return len(self._captions)

    def draw(self, rows: NDArray[np.int64], count: int, rng: np.random.Generator) -> Drawn:
        """Draw ``count`` captions for each image of ``rows``, different ones where it has enough."""
        texts: list[str] = []
        groups: list[int] = []
        labels: list[int] = []
        for row in rows:
            options = self._captions[row]
            for pick in rng.choice(len(options), size=count, replace=len(options) < count):
                label = int(self.labels[row])
                if label >= 0 and rng.random() < self._plan.phrase_share:
                    texts.append(self._phrase(label, rng))
                    groups.append(-1 - label)
                    labels.append(label)
                else:
                    texts.append(shortened(options[pick], self._plan.word_drop, rng))
                    groups.append(int(self._groups_of(row)[pick]))
                    labels.append(-1)
        return Drawn(texts, np.repeat(rows, count), np.array(groups, np.int64), np.array(labels, np.int64))

    def fits(self, rows: NDArray[np.int64], drawn: Drawn) -> NDArray[np.bool_]:
        """Which drawn captions are true of which images: ``(len(rows), M)`` bool.

        A caption fits the image it was drawn for, every image that has a caption of the same wording, and,
        if it is a class phrase, every image of that class.
        """
        own = rows[:, None] == drawn.images[None, :]
        wording = np.array([np.isin(drawn.groups, self._groups_of(row)) for row in rows])
        named = (self.labels[rows][:, None] == drawn.labels[None, :]) & (drawn.labels >= 0)
        return own | wording | named

    def _groups_of(self, row: int) -> NDArray[np.int64]:
        return self._groups[self._first[row] : self._first[row + 1]]

    def _phrase(self, label: int, rng: np.random.Generator) -> str:
        options = self._phrases[label]
        return _TEMPLATES[rng.integers(len(_TEMPLATES))].format(options[rng.integers(len(options))])


def shortened(text: str, drop: float, rng: np.random.Generator) -> str:
    """Leave out each word with probability ``drop``, but never all of them."""
    words = text.split()
    kept = [word for word, chance in zip(words, rng.random(len(words)), strict=True) if chance >= drop]
    return " ".join(kept or words)


def class_phrases() -> dict[str, list[str]]:
    """The phrases of ``class_phrases.toml``: class in words to what people type for it."""
    with Path(__file__).with_name("class_phrases.toml").open("rb") as file:
        phrases: dict[str, list[str]] = tomllib.load(file)["phrases"]
    return phrases
