"""Small stand-ins for tests: an encoder that sees only colour, and a writer of GeoTIFFs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

from landsift.types import EncoderCard, FloatArray, Pixels

COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "grey": (1, 1, 1)}


class ToyEncoder:
    """Images by mean colour and texture, texts by the colour words they hold; 16 numbers."""

    def __init__(self, name: str = "toy", salt: str = "") -> None:
        digest = hashlib.sha256(f"{name}{salt}".encode()).hexdigest()
        self.card = EncoderCard(name, 16, digest, 8, 8, "Apache-2.0", trained_on=("nothing",))
        self.images_seen = 0

    def encode_images(self, images: Sequence[Pixels]) -> FloatArray:
        self.images_seen += len(images)
        return np.array([self._row(image) for image in images], np.float32).reshape(-1, 16)

    @staticmethod
    def _row(image: Pixels) -> np.ndarray:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        pixels = image.reshape(-1, 3).astype(np.float64) / 255
        row = np.zeros(16)
        row[:3] = pixels.mean(axis=0)
        row[3:6] = pixels.std(axis=0) * 0.1
        row[6:] = 0.02 * np.resize(image.reshape(-1), 10) / 255
        return row / np.linalg.norm(row)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        rows = np.full((len(texts), 16), 1e-3)
        for row, text in zip(rows, texts, strict=True):
            for word, colour in COLOURS.items():
                row[:3] += np.array(colour) * (word in text.lower())
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def write_scene(
    path: Path,
    pixels: np.ndarray,
    *,
    west: float = 500_000,
    north: float = 4_600_000,
    step: float = 10.0,
    crs: str | None = "EPSG:32633",
    **options: object,
) -> Path:
    """Write ``(H, W, bands)`` pixels as a GeoTIFF."""
    height, width, count = pixels.shape
    place = {} if crs is None else {"crs": crs, "transform": from_origin(west, north, step, step)}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=count,
        dtype=pixels.dtype,
        **place,
        **options,
    ) as file:
        file.write(np.moveaxis(pixels, 2, 0))
    return path


def coloured(colour: str, seed: int, height: int = 200, width: int = 260) -> Pixels:
    """A scene of one colour with noise; a tenth is black and a tenth white, so that a stretch keeps it."""
    noise = np.random.default_rng(seed).integers(0, 40, (height, width, 3))
    pixels = np.array(COLOURS[colour]) * 180 + 20 + noise
    pixels[: height // 10] = 1
    pixels[-height // 10 :] = 255
    return pixels.astype(np.uint8)


def write_field(path: Path, height: int, width: int, red: tuple[slice, slice]) -> Path:
    """A blue scene with one red square, and a strip in the west where nothing was seen."""
    random = np.random.default_rng(0)
    pixels = random.integers(1, 60, (height, width, 3)).astype(np.uint8)
    pixels[..., 2] += 150
    pixels[red] = random.integers(1, 60, pixels[red].shape)
    pixels[red][..., 0] += 190
    pixels[:, :200] = 0
    return write_scene(path, pixels, nodata=0)
