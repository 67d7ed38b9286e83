"""A question about images: a text, perhaps against others, and the model that scores it.

Knows encoders and scorers of pairs by their protocols; no towers and no files.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landsift.errors import UsageError
from landsift.types import Encoder, EncoderCard, FloatArray, PairScorer, Pixels

__all__ = ["Question"]

_BATCH = 32


class Question:
    """How well images match a text: its score, less the mean score of the texts it is set against.

    Args:
        model: An encoder, or a scorer of pairs.
        text: What is asked.
        against: Other texts; why this one and not those.

    Raises:
        UsageError: The text, or one of the others, is empty.
    """

    def __init__(self, model: Encoder | PairScorer, text: str, against: Sequence[str] = ()) -> None:
        if not all(one.strip() for one in (text, *against)):
            raise UsageError("There is no text to explain; say in words what the image is compared with")
        self.model, self.text, self.against = model, text, tuple(against)
        self.asked = 0
        """Images scored so far."""
        self._query: FloatArray | None = None

    @property
    def card(self) -> EncoderCard:
        """Of the model."""
        return self.model.card

    def scores(self, images: Sequence[Pixels]) -> FloatArray:
        """Scores of ``n`` images: ``(n,)`` float32."""
        parts = [self._some(images[first : first + _BATCH]) for first in range(0, len(images), _BATCH)]
        self.asked += len(images)
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def score(self, image: Pixels) -> float:
        """Score of one image."""
        return float(self.scores([image])[0])

    def text_scores(self, image: Pixels, texts: Sequence[str]) -> FloatArray:
        """Scores of an image against each of some texts, none of them against another: ``(m,)``."""
        if isinstance(self.model, Encoder):
            found: FloatArray = self.model.encode_texts(texts) @ self.model.encode_images([image])[0]
            return found
        return self.model.score([image], texts)[0]

    def _some(self, images: Sequence[Pixels]) -> FloatArray:
        if isinstance(self.model, Encoder):
            if self._query is None:
                self._query = _less_mean(self.model.encode_texts([self.text, *self.against]))
            rows: FloatArray = self.model.encode_images(images) @ self._query
            return rows
        return _less_mean(self.model.score(images, [self.text, *self.against]).T)


def _less_mean(rows: FloatArray) -> FloatArray:
    """The first row less the mean of the others."""
    return rows[0] if len(rows) == 1 else rows[0] - rows[1:].mean(axis=0)
