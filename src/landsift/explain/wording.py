"""What each word of a text adds to its score: the score with it, less the score without. Knows no models."""

from __future__ import annotations

import warnings

from landsift.errors import LandsiftWarning
from landsift.explain.asking import Question
from landsift.explain.result import WordChange
from landsift.types import Pixels

__all__ = ["word_changes"]


def word_changes(question: Question, image: Pixels) -> tuple[WordChange, ...]:
    """Leave out one word after the other.

    Args:
        question: Whose text it is; what it is set against plays no part.
        image: ``(H, W, 3)`` uint8.

    Returns:
        The words in their order; the only word of a text has the whole score.
    """
    words = question.text.split()
    without = [" ".join(words[:number] + words[number + 1 :]) for number in range(len(words))]
    asked = [text for text in without if text]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LandsiftWarning)  # what is left of a text may hold no known word
        whole, *rest = question.text_scores(image, [question.text, *asked]).tolist()
    if len(words) == 1:
        return (WordChange(words[0], whole),)
    return tuple(WordChange(word, whole - left) for word, left in zip(words, rest, strict=True))
