"""A trained change model from a folder: pairs of pictures in; vectors, captions and masks out.

Knows no training and no data sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from landsift.data import ImagePair, read_image
from landsift.encoders.pixels import fit_square
from landsift.errors import EncoderError, UsageError
from landsift.models.change.matcher import ChangeMatcher
from landsift.models.checkpoint import read_matcher
from landsift.models.features import Features
from landsift.types import FloatArray

__all__ = ["ChangeModel", "load_change_model"]

_AT_ONCE = 16
_TEXTS_AT_ONCE = 64


class ChangeModel:
    """A change model that answers.

    On a CPU every pair and text is a run of its own, so that an answer does not depend, to the last bit, on
    what else was asked.

    Args:
        matcher: In ``eval`` mode.
        name: What messages call it.
    """

    def __init__(self, matcher: ChangeMatcher, name: str) -> None:
        self.name = name
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._matcher = matcher.to(self._device).eval()

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._matcher.dim

    @property
    def detects(self) -> bool:
        """Whether it says where something changed."""
        return self._matcher.pairs.detects

    def encode_pairs(self, pairs: Sequence[Any]) -> FloatArray:
        """``n`` pairs to ``(n, dim)`` unit rows.

        Args:
            pairs: :class:`~landsift.data.ImagePair`, or ``(before, after)``, of what
                :func:`landsift.data.read_image` takes.
        """
        rows = [part.pooled.cpu().numpy() for part in self._features(pairs)]
        return np.concatenate(rows) if rows else np.empty((0, self.dim), np.float32)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """``m`` texts to ``(m, dim)`` unit rows; equal texts are encoded once.

        Raises:
            UsageError: A single string, or a text without words.
        """
        if isinstance(texts, str):
            raise UsageError("encode_texts takes several texts; put a single one into a list.")
        for place, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise UsageError(f"Text {place} is empty or no string; say in words what changed.")
        different = list(dict.fromkeys(texts))
        place_of = {text: row for row, text in enumerate(different)}
        at_once = 1 if self._device.type == "cpu" else _TEXTS_AT_ONCE
        rows = [np.empty((0, self.dim), np.float32)]
        with torch.inference_mode():
            for first in range(0, len(different), at_once):
                words = self._matcher.prepare(different[first : first + at_once]).to(self._device)
                rows.append(self._matcher.text_features(words).pooled.float().cpu().numpy())
        return np.concatenate(rows)[[place_of[text] for text in texts]]

    def captions(self, pairs: Sequence[Any], beams: int = 1) -> list[str]:
        """What changed in each pair, in words.

        Args:
            pairs: As for :meth:`encode_pairs`.
            beams: Beginnings kept at each step; 1 takes the likeliest word each time.
        """
        return [text for part in self._features(pairs) for text in self._matcher.captions(part, beams)]

    def masks(self, pairs: Sequence[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Where what changed: ``(n, *size)`` class numbers, 0 for no change.

        Raises:
            UsageError: The model makes no masks.
        """
        if not self.detects:
            raise UsageError(
                f"{self.name} says in words what changed, not where; use a model such as mci-net."
            )
        rows = [np.empty((0, *size), np.uint8)]
        for part in self._features(pairs):
            logits = functional.interpolate(part.extras["masks"], size=size, mode="bilinear")
            rows.append(logits.argmax(dim=1).to(torch.uint8).cpu().numpy())
        return np.concatenate(rows)

    def _features(self, pairs: Sequence[Any]) -> Iterator[Features]:
        at_once = 1 if self._device.type == "cpu" else _AT_ONCE
        for first in range(0, len(pairs), at_once):
            pixels = torch.stack([self._pixels(pair) for pair in pairs[first : first + at_once]])
            with torch.inference_mode():
                yield self._matcher.image_features(pixels.to(self._device)).float()

    def _pixels(self, pair: Any) -> Tensor:
        before, after = (pair.before, pair.after) if isinstance(pair, ImagePair) else pair
        size, fit = self._matcher.input_size, self._matcher.fit
        squares = [fit_square(read_image(picture), size, fit) for picture in (before, after)]
        return torch.from_numpy(np.concatenate(squares, axis=2)).permute(2, 0, 1)


def load_change_model(folder: str | Path) -> ChangeModel:
    """Read a trained change model.

    Args:
        folder: ``best/`` of a run.

    Raises:
        EncoderError: The folder cannot be read, or holds a method of single pictures.
    """
    matcher = read_matcher(folder)
    if not isinstance(matcher, ChangeMatcher):
        raise EncoderError(f"{folder} holds a method of single pictures; load it with load_encoder.")
    return ChangeModel(matcher, Path(folder).name)
