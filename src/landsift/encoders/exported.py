"""Opening an exported folder: an encoder of pictures, or of scenes with many bands where its card says so.

Knows graphs and cards; where bands come from is the gallery's business, and torch is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landsift.encoders.cards import IMAGE_FILE, folder_of
from landsift.encoders.onnx import OnnxEncoder
from landsift.encoders.runtimes import Graph, open_graph
from landsift.encoders.spectral import (
    SpectralNeed,
    check_bands,
    refuse_pictures,
    scaled_samples,
    spectral_need,
)
from landsift.types import EncoderCard, FloatArray, Pixels, Spectra

__all__ = ["SpectralOnnxEncoder", "open_exported"]


def open_exported(
    card: EncoderCard, *, threads: int | None = None, runtime: str | None = None, precision: str | None = None
) -> OnnxEncoder | SpectralOnnxEncoder:
    """Open what an export wrote.

    Args:
        card: Read from disk, so that it knows its folder.
        threads: As for :class:`landsift.encoders.onnx.OnnxEncoder`, like the rest.
        runtime: What runs the graphs.
        precision: Of OpenVINO's arithmetic.

    Raises:
        EncoderError: A file is absent or has another size than the card says.
        UsageError: A value that could never work.
        MissingDependency: The runtime is not installed.
    """
    encoder = OnnxEncoder(card, threads=threads, runtime=runtime, precision=precision)
    need = spectral_need(card)
    return encoder if need is None else SpectralOnnxEncoder(encoder, need, precision)


class SpectralOnnxEncoder:
    """A dual encoder whose image graph takes ``bands``, ``(1, B, size, size)`` float32.

    Args:
        encoder: For words.
        need: Which bands, in which range.
        precision: As the encoder's.
    """

    def __init__(self, encoder: OnnxEncoder, need: SpectralNeed, precision: str | None = None) -> None:
        self._encoder, self._need, self._precision = encoder, need, precision

    @property
    def card(self) -> EncoderCard:
        """What this encoder is."""
        return self._encoder.card

    @property
    def threads(self) -> int:
        """How many texts are encoded side by side."""
        return self._encoder.threads

    def encode_images(self, images: Sequence[Pixels]) -> FloatArray:
        """Nothing for no pictures.

        Raises:
            UsageError: There are some: none has the bands.
        """
        if images:
            refuse_pictures(self._need, self.card.name)
        return np.empty((0, self.card.dim), np.float32)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Encode ``m`` texts into ``(m, dim)`` rows."""
        return self._encoder.encode_texts(texts)

    def encode_spectra(self, spectra: Sequence[Spectra]) -> FloatArray:
        """Encode ``n`` pieces of scenes into ``(n, dim)`` unit rows, one after the other.

        Raises:
            UsageError: Another number of bands than the graph takes.
        """
        rows = np.empty((len(spectra), self.card.dim), np.float32)
        for place, one in enumerate(spectra):
            check_bands(one, place, self._need, self.card.name)
            square = _square(scaled_samples(one, self._need.scale), self.card.input_size)
            rows[place] = self._graph.run("bands", square)[0]
        return rows

    @cached_property
    def _graph(self) -> Graph:
        path = folder_of(self.card) / IMAGE_FILE
        return open_graph(path, self._encoder.runtime, threads=self.threads, precision=self._precision)


def _square(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """``(H, W, B)`` resized to ``(1, B, size, size)``: bicubic, with antialiasing."""
    bands = values.transpose(2, 0, 1)
    if values.shape[:2] != (size, size):
        images = (Image.fromarray(np.ascontiguousarray(band)) for band in bands)
        bands = np.stack([np.asarray(one.resize((size, size), Image.Resampling.BICUBIC)) for one in images])
    return np.ascontiguousarray(bands[None], np.float32)
