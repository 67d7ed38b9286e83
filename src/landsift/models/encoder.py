"""A trained matcher as an encoder, and as a scorer of pairs.

Loads a folder with ``card.toml``, ``model.json`` and ``model.safetensors``. Knows no training and no data.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from landsift.encoders.cards import check_sizes, folder_of
from landsift.encoders.pixels import check_pixels, fit_square
from landsift.errors import EncoderError, LandsiftWarning, UsageError
from landsift.models.checkpoint import read_matcher
from landsift.models.features import CUT, Features, joined, shortened
from landsift.models.matcher import Matcher
from landsift.threads import check_threads
from landsift.types import EncoderCard, FloatArray, Pixels

__all__ = ["TorchEncoder", "TorchScorer", "score_features", "threads_of_torch"]

_IMAGES_AT_ONCE = {"cpu": 8}  # fewer leave processors idle between layers, more leave their caches
_TEXTS_AT_ONCE = {"cpu": 32}
_ON_DEVICE = 64
_PAIRS_AT_ONCE = 2**16

_Item = TypeVar("_Item")


class _Loaded:
    """A matcher from a folder, and the two ways into it."""

    def __init__(
        self, card: EncoderCard, *, threads: int | None = None, matcher: Matcher | None = None
    ) -> None:
        check_threads(threads)
        if matcher is None:
            check_sizes(card)
            matcher = read_matcher(folder_of(card))
        self._card = card
        self._threads = threads
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._matcher: Matcher = matcher.to(self._device)
        if self._matcher.dim != card.dim or self._matcher.input_size != card.input_size:
            raise EncoderError(
                f"The card of {card.name} contradicts its weights; write the checkpoint again."
            )

    @property
    def card(self) -> EncoderCard:
        """What this encoder is."""
        return self._card

    @property
    def matcher(self) -> Matcher:
        """The model itself, on the device it runs on."""
        return self._matcher

    def _image_features(self, images: Sequence[Pixels]) -> Features:
        size = self._matcher.input_size
        fit = self._matcher.fit
        squares = [fit_square(check_pixels(image, place), size, fit) for place, image in enumerate(images)]
        parts = _parts(squares, _IMAGES_AT_ONCE.get(self._device.type, _ON_DEVICE))
        return joined([self._matcher.image_features(self._pixels(part)).float() for part in parts])

    def _pixels(self, squares: Sequence[Pixels]) -> Tensor:
        return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).to(self._device)

    def _text_features(self, texts: Sequence[str]) -> Features:
        _check_texts(texts)
        self._warn_of_cut(texts)
        # Texts of like length share a batch, so that little of it is padding.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        parts = _parts([texts[place] for place in order], _TEXTS_AT_ONCE.get(self._device.type, _ON_DEVICE))
        found = joined(
            [
                self._matcher.text_features(self._matcher.prepare(part).to(self._device)).float()
                for part in parts
            ]
        )
        return found.rows(torch.tensor(order).argsort().to(self._device))

    def _warn_of_cut(self, texts: Sequence[str]) -> None:
        if not texts:
            return
        prepared = self._matcher.prepare(texts)
        known = prepared.extras.get(CUT)
        counted = prepared.mask.sum(dim=1) >= self._card.context_length if known is None else known
        cut, length, name = int(counted.sum()), self._card.context_length, self._card.name
        if cut:
            what = (
                f"fill the {length} tokens that {name} reads and may be cut"
                if known is None
                else f"are longer than the {length} tokens that {name} reads and were cut"
            )
            warnings.warn(
                f"{cut} of {len(texts)} texts {what}; put what matters first.", LandsiftWarning, stacklevel=4
            )


class TorchEncoder(_Loaded):
    """A trained dual encoder, run by torch.

    Images and texts run in batches; a row agrees, to float32 rounding, with what it is alone.

    Args:
        card: Read from disk, so that it knows its folder.
        threads: Threads of torch while it encodes; torch's own setting when None.
        matcher: What the card describes; read from the card's folder when None.

    Raises:
        EncoderError: The folder cannot be read, or holds a method whose score is no inner product.
    """

    def __init__(
        self, card: EncoderCard, *, threads: int | None = None, matcher: Matcher | None = None
    ) -> None:
        super().__init__(card, threads=threads, matcher=matcher)
        if not self._matcher.exact_index:
            raise EncoderError(
                f"{card.name} scores each pair anew, so its vectors alone do not rank; "
                f"load it with landsift.models.encoder.TorchScorer to re-rank."
            )

    def encode_images(self, images: Sequence[Pixels]) -> FloatArray:
        """Encode ``n`` images of any sizes, each ``(H, W, 3)`` uint8, into ``(n, dim)`` rows."""
        return self._rows(self._image_features, images)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Encode ``m`` texts into ``(m, dim)`` rows; equal texts are encoded once."""
        if isinstance(texts, str):
            raise UsageError("encode_texts takes several texts; put a single one into a list.")
        different = list(dict.fromkeys(texts))
        place = {text: row for row, text in enumerate(different)}
        return self._rows(self._text_features, different)[[place[text] for text in texts]]

    def _rows(self, encode: Callable[[Any], Features], items: Sequence[Any]) -> FloatArray:
        if not len(items):
            return np.empty((0, self._card.dim), np.float32)
        with torch.inference_mode(), threads_of_torch(self._threads):
            rows: FloatArray = encode(items).pooled.cpu().numpy()
        return rows


class TorchScorer(_Loaded):
    """Any trained method as a scorer of pairs: to re-rank what an index found.

    Args:
        card: Read from disk, so that it knows its folder.
        threads: As for :class:`TorchEncoder`.
    """

    def score(self, images: Sequence[Pixels], texts: Sequence[str]) -> FloatArray:
        """Score every pair: ``(n, m)`` float32, higher is better."""
        with torch.inference_mode(), threads_of_torch(self._threads):
            image, text = self._image_features(images), self._text_features(texts)
            scores: FloatArray = score_features(self._matcher, image, text).cpu().numpy()
        return scores


@contextmanager
def threads_of_torch(count: int | None) -> Iterator[None]:
    """Torch's number of threads, changed for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def score_features(
    matcher: Matcher, image: Features, text: Features, pairs_at_once: int = _PAIRS_AT_ONCE
) -> Tensor:
    """``matcher.similarity`` in shards that keep memory bounded.

    Captions of like length share a shard, so that pairs cost real words and not padding.

    Args:
        matcher: Any.
        image: Of ``I`` images.
        text: Of ``T`` captions.
        pairs_at_once: Most pairs in a shard.

    Returns:
        ``(I, T)`` float32.
    """
    if matcher.exact_index:
        return matcher.similarity(image, text).float()
    side = max(1, int(pairs_at_once**0.5))
    order = torch.arange(len(text)) if text.mask is None else text.mask.sum(dim=1).argsort().cpu()
    shards = [shortened(text.rows(some.to(text.pooled.device))) for some in order.split(side)]
    rows = [
        torch.cat([matcher.similarity(some, other).float() for other in shards], dim=1)
        for some in image.chunks(side)
    ]
    return torch.cat(rows)[:, order.argsort().to(text.pooled.device)]


def _parts(items: Sequence[_Item], at_once: int) -> list[Sequence[_Item]]:
    return [items[first : first + at_once] for first in range(0, len(items), at_once)]


def _check_texts(texts: Sequence[str]) -> None:
    for place, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise UsageError(f"Text {place} is empty or no string; say in words what to look for.")
