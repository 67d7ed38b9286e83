"""Running a dual encoder of ONNX graphs: pixels and texts in, unit rows out.

Every image and every text is a run of its own, on one core, and several runs go side by side. On a CPU that
is as quick as batches, and it makes a row independent, to the last bit, of what else is in the call. Knows
no torch, no galleries and no names of encoders.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from landsift.encoders.cards import IMAGE_FILE, TEXT_FILE, TOKENIZER_FILE, check_sizes, folder_of
from landsift.encoders.cleaning import cleaned
from landsift.encoders.pixels import check_pixels, fit_square
from landsift.encoders.runtimes import Graph, chosen_runtime, open_graph
from landsift.errors import EncoderError, LandsiftWarning, UsageError
from landsift.threads import available_threads, check_threads
from landsift.types import EncoderCard, FloatArray, Pixels

__all__ = ["OnnxEncoder"]

_Item = TypeVar("_Item")
_UNKNOWN = "[UNK]"
_SHOWN = 60


class OnnxEncoder:
    """A dual encoder whose towers are ONNX graphs. Safe to use from several threads.

    Each tower is loaded when it is first needed: a text search never loads the image tower.

    Args:
        card: Read from disk, so that it knows its folder.
        threads: How many images or texts are encoded side by side; the CPUs this process may use when None.
        runtime: What runs the graphs: of :data:`landsift.encoders.runtimes.RUNTIMES`; what the environment
            names when None, which is ONNX Runtime unless it says otherwise.
        precision: As for :func:`landsift.encoders.runtimes.open_graph`.

    Raises:
        EncoderError: A file is absent or has another size than the card says.
        UsageError: ``threads`` is below 1, or there is no such runtime or precision.
        MissingDependency: The runtime is not installed.
    """

    def __init__(
        self,
        card: EncoderCard,
        *,
        threads: int | None = None,
        runtime: str | None = None,
        precision: str | None = None,
    ) -> None:
        check_threads(threads)
        check_sizes(card)
        self._card = card
        self._threads = threads or available_threads()
        self._runtime = chosen_runtime(runtime, precision)
        self._precision = precision
        self._image_graph = _Once(lambda: self._opened(IMAGE_FILE))
        self._text_graph = _Once(lambda: self._opened(TEXT_FILE))
        self._tokenizer = _Once(lambda: _tokenizer(folder_of(card) / TOKENIZER_FILE, card.context_length))

    @property
    def card(self) -> EncoderCard:
        """What this encoder is."""
        return self._card

    @property
    def threads(self) -> int:
        """How many images or texts are encoded side by side."""
        return self._threads

    @property
    def runtime(self) -> str:
        """What runs its graphs."""
        return self._runtime

    def encode_images(self, images: Sequence[Pixels]) -> FloatArray:
        """Encode ``n`` images of any sizes, each ``(H, W, 3)`` uint8, into ``(n, dim)`` float32 unit rows.

        Raises:
            UsageError: One of them is not such an array.
            EncoderError: The image tower cannot be loaded or run.
        """
        checked = [check_pixels(image, position) for position, image in enumerate(images)]
        return self._rows(self._encode_image, checked)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Encode ``m`` texts into ``(m, dim)`` float32 unit rows.

        Warns:
            LandsiftWarning: Once a call, that texts were cut to the context length, or that some hold no
                word the encoder knows.

        Raises:
            UsageError: A single string instead of several, or a text that is empty, blank or no string.
            EncoderError: The text tower or the tokenizer cannot be loaded or run.
        """
        _check_texts(texts)
        cleaning = self._card.extra.get("cleaning", "")
        texts = [cleaned(text, cleaning) for text in texts]
        different = list(dict.fromkeys(texts))
        encodings = self._tokenizer.get().encode_batch(different)
        _check_tokens(dict(zip(different, encodings, strict=True)), texts, self._card)
        rows = self._rows(self._encode_tokens, [np.array([encoding.ids], np.int64) for encoding in encodings])
        place = {text: row for row, text in enumerate(different)}
        return rows[[place[text] for text in texts]]

    def _encode_image(self, pixels: Pixels) -> NDArray[Any]:
        square = fit_square(pixels, self._card.input_size, self._card.extra.get("fit", "squash"))
        return self._image_graph.get().run("pixels", square[None])

    def _encode_tokens(self, tokens: NDArray[np.int64]) -> NDArray[Any]:
        return self._text_graph.get().run("tokens", tokens)

    def _opened(self, file: str) -> Graph:
        path = folder_of(self._card) / file
        return open_graph(path, self._runtime, threads=self._threads, precision=self._precision)

    def _rows(self, encode: Callable[[_Item], NDArray[Any]], items: Sequence[_Item]) -> FloatArray:
        """One row for each item, several side by side, in order: ``(n, dim)`` float32."""
        rows = np.empty((len(items), self._card.dim), np.float32)
        workers = min(self._threads, len(items))
        if workers < 2:
            results = map(encode, items)
            return _fill(rows, results, self._card)
        with ThreadPoolExecutor(workers, thread_name_prefix="landsift-encode") as pool:
            return _fill(rows, pool.map(encode, items), self._card)


class _Once:
    """A value made on first use, by one thread only."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = Lock()
        self._value: Any = None

    def get(self) -> Any:
        if self._value is None:
            with self._lock:
                if self._value is None:
                    self._value = self._make()
        return self._value


def _tokenizer(path: Path, context_length: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers package raises bare Exception
        raise EncoderError(
            f"{path} cannot be read as a tokenizer ({error}); install or export the encoder again."
        ) from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(context_length)
    return tokenizer


def _fill(rows: FloatArray, results: Any, card: EncoderCard) -> FloatArray:
    for number, result in enumerate(results):
        if result.shape != (1, card.dim):
            raise EncoderError(
                f"The graph of {card.name} gives vectors of shape {result.shape[1:]} where its card says "
                f"{card.dim} numbers; correct the card or export the encoder again."
            )
        rows[number] = result[0]
    return rows


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise UsageError("encode_texts takes several texts; put a single one into a list.")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(f"Text {position} is of type {type(text).__name__}; give a string.")
        if not text.strip():
            raise UsageError(f"Text {position} is empty; say in words what to look for.")


def _check_tokens(encodings: dict[str, Encoding], texts: Sequence[str], card: EncoderCard) -> None:
    """Refuse texts that tokenise to nothing; warn of cut and of unknown ones."""
    words = {text: _words(encoding) for text, encoding in encodings.items()}
    for position, text in enumerate(texts):
        if not words[text]:
            raise UsageError(f"Text {position} holds no visible character; say in words what to look for.")
    unknown = [text for text in texts if set(words[text]) == {_UNKNOWN}]
    if unknown:
        _warn(
            f"The encoder {card.name} knows no word of {len(unknown)} of {len(texts)} texts, such as "
            f"{unknown[0][:_SHOWN]!r}, so results for them mean nothing; use English words."
        )
    cut = sum(bool(encodings[text].overflowing) for text in texts)
    if cut:
        _warn(
            f"{cut} of {len(texts)} texts are longer than the {card.context_length} tokens that {card.name} "
            f"reads and were cut; put what matters first."
        )


def _words(encoding: Encoding) -> list[str]:
    """The tokens that stand for the text itself, without the markers around it."""
    marks = encoding.special_tokens_mask
    return [token for token, mark in zip(encoding.tokens, marks, strict=True) if not mark]


def _warn(message: str) -> None:
    warnings.warn(message, LandsiftWarning, stacklevel=4)
