"""Tiles for encoders of pictures and of bands alike: what to read of scenes, and which door to encode by.

Knows cards, scenes and the two kinds of encoders; stores nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from landsift.encoders.spectral import choose_bands, spectral_need
from landsift.errors import EncoderError
from landsift.scenes import BandChoice
from landsift.types import Encoder, EncoderCard, FloatArray, SpectralEncoder, Tile

__all__ = ["band_choice", "encode_tiles"]


def band_choice(card: EncoderCard) -> BandChoice | None:
    """What chooses the bands of a scene for an encoder; None for encoders of pictures.

    Raises:
        EncoderError: The card asks for what is unknown.
    """
    need = spectral_need(card)
    if need is None:
        return None

    def choose(
        names: Sequence[str], wavelengths: Sequence[float | None], shown: Sequence[int]
    ) -> tuple[tuple[int, ...], tuple[float, ...]]:
        chosen = choose_bands(need, names, wavelengths, shown)
        return chosen.numbers, chosen.wavelengths

    return choose


def encode_tiles(encoder: Encoder, tiles: Sequence[Tile]) -> FloatArray:
    """One vector a tile, ``(n, dim)``: of its bands where the encoder reads bands, else of its picture.

    Raises:
        EncoderError: The card asks for bands that the encoder has no door for.
    """
    if spectral_need(encoder.card) is None:
        return encoder.encode_images([tile.pixels for tile in tiles])
    if not isinstance(encoder, SpectralEncoder):
        raise EncoderError(
            f"The card of {encoder.card.name} asks for bands, which it cannot encode; correct it."
        )
    spectra = [tile.spectra for tile in tiles if tile.spectra is not None]
    if len(spectra) < len(tiles):
        raise EncoderError(
            f"Some scenes were begun without the bands that {encoder.card.name} reads; index them into a new "
            f"gallery."
        )
    return encoder.encode_spectra(spectra)
