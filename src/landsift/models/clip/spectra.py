"""An encoder of scenes with many bands: what it reads of a picture it reads of spectra too.

Knows the matcher and the encoder around it; where bands come from is the gallery's business.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from landsift.encoders.spectral import check_bands, refuse_pictures, scaled_samples, spectral_need
from landsift.errors import EncoderError
from landsift.models.clip.matcher import ClipMatcher
from landsift.models.encoder import TorchEncoder, threads_of_torch
from landsift.types import EncoderCard, FloatArray, Pixels, Spectra

__all__ = ["SpectralClipEncoder"]


class SpectralClipEncoder:
    """A dual encoder whose image tower reads bands.

    Args:
        encoder: For words and pictures.
        matcher: The same model.
        threads: Threads of torch while it encodes; torch's own setting when None.

    Raises:
        EncoderError: The card does not say which bands.
    """

    def __init__(self, encoder: TorchEncoder, matcher: ClipMatcher, threads: int | None = None) -> None:
        need = spectral_need(encoder.card)
        if need is None:
            raise EncoderError(f"The card of {encoder.card.name} has no [spectral] table; add it.")
        self._encoder, self._matcher, self._need, self._threads = encoder, matcher, need, threads

    @property
    def card(self) -> EncoderCard:
        """What this encoder is."""
        return self._encoder.card

    def encode_images(self, images: Sequence[Pixels]) -> FloatArray:
        """Encode pictures, which have red, green and blue alone, where the model reads any bands.

        Raises:
            UsageError: The model reads bands that no picture has.
        """
        if self._need.bands and images:
            refuse_pictures(self._need, self.card.name)
        return self._encoder.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Encode ``m`` texts into ``(m, dim)`` rows."""
        return self._encoder.encode_texts(texts)

    def encode_spectra(self, spectra: Sequence[Spectra]) -> FloatArray:
        """Encode ``n`` pieces of scenes into ``(n, dim)`` unit rows, one after the other.

        Raises:
            UsageError: Another number of bands than the model reads.
        """
        rows = np.empty((len(spectra), self.card.dim), np.float32)
        with torch.inference_mode(), threads_of_torch(self._threads):
            for place, one in enumerate(spectra):
                rows[place] = self._row(one, place)
        return rows

    def _row(self, one: Spectra, place: int) -> FloatArray:
        if self._need.bands:
            check_bands(one, place, self._need, self.card.name)
        values = torch.from_numpy(np.ascontiguousarray(scaled_samples(one, self._need.scale)))
        square = self._square(values.permute(2, 0, 1)[None])
        device = self._matcher.mean.device
        wavelengths = torch.tensor(one.wavelengths, device=device)
        row: FloatArray = self._matcher.band_features(square.to(device), wavelengths).pooled[0].cpu().numpy()
        return row

    def _square(self, values: Tensor) -> Tensor:
        """``(1, bands, H, W)`` resized to the model's square: bicubic, with antialiasing."""
        size = self._matcher.input_size
        if values.shape[2:] == (size, size):
            return values
        return functional.interpolate(values, (size, size), mode="bicubic", antialias=True)
