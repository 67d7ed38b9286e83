"""How close an exported encoder is to the one it was made from, on pictures and words.

Knows encoders by their protocol; no graphs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from landsift.data import read_images
from landsift.data.images import IMAGE_SUFFIXES
from landsift.errors import UsageError
from landsift.types import Encoder, FloatArray, Pixels

__all__ = ["PARITY_TEXTS", "Parity", "measure_parity", "pictures_in", "sample_pictures"]

PARITY_TEXTS = (
    "a road through the trees",
    "white clouds over the sea",
    "a city on the coast",
    "an airport with two runways and parked planes",
    "dense houses with a swimming pool each",
    "a river that winds through fields",
    "bare mountains",
    "storage tanks",
    "a bridge over water",
    "a football field beside a road",
    "ships in a harbour",
    "a forest",
)
_SIDE, _TOP = 256, 10
_SAMPLES = Path(__file__).parent.parent / "samples"


@dataclass(frozen=True)
class Parity:
    """Two encoders side by side.

    Attributes:
        images: Pictures compared.
        texts: Texts compared.
        image_difference: Largest difference of a number in a picture's vector.
        image_cosine: Least cosine of a picture's two vectors.
        text_difference: As ``image_difference``, for texts.
        text_cosine: As ``image_cosine``, for texts.
        top10: Share of each text's ten best pictures by the one that are among the ten best by the other; the
            mean over texts, of as many as there are if fewer than ten.
    """

    images: int
    texts: int
    image_difference: float
    image_cosine: float
    text_difference: float
    text_cosine: float
    top10: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """For people."""
        return [
            f"On {self.images} pictures: largest difference {self.image_difference:.2g}, "
            f"least cosine {self.image_cosine:.6f}.",
            f"On {self.texts} texts: largest difference {self.text_difference:.2g}, "
            f"least cosine {self.text_cosine:.6f}.",
            f"Of the ten best pictures for each text, {self.top10:.1%} are the same.",
        ]


def measure_parity(
    source: Encoder, exported: Encoder, images: Sequence[Pixels], texts: Sequence[str] = PARITY_TEXTS
) -> Parity:
    """Compare what two encoders make of the same pictures and words.

    Args:
        source: What was exported.
        exported: What came of it.
        images: ``n`` pictures, at least two.
        texts: At least one.

    Raises:
        UsageError: Too little to compare.
    """
    if len(images) < 2 or not texts:
        raise UsageError("Parity needs two pictures and a text at least; name a folder with more pictures.")
    seen = source.encode_images(images), exported.encode_images(images)
    read = source.encode_texts(texts), exported.encode_texts(texts)
    return Parity(
        len(images),
        len(texts),
        _difference(*seen),
        _cosine(*seen),
        _difference(*read),
        _cosine(*read),
        _shared(read[0] @ seen[0].T, read[1] @ seen[1].T),
    )


def _difference(one: FloatArray, other: FloatArray) -> float:
    return float(np.abs(one - other).max())


def _cosine(one: FloatArray, other: FloatArray) -> float:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / lengths).min())


def _shared(one: FloatArray, other: FloatArray) -> float:
    """Mean share of the best of each row that both have."""
    count = min(_TOP, one.shape[1])
    best = [np.argsort(-scores, axis=1, kind="stable")[:, :count] for scores in (one, other)]
    return float(np.mean([len(set(a) & set(b)) / count for a, b in zip(*best, strict=True)]))


def sample_pictures() -> list[Pixels]:
    """Tiles of the scenes that come with Landsift."""
    from landsift.scenes import TilingOptions, find_sources, open_scene

    found: list[Pixels] = []
    for source in find_sources([str(_SAMPLES)]):
        with open_scene(source) as scene:
            tiles = scene.tiles(TilingOptions(tile=128, overlap=0.0))
            found += [tile.pixels for tile in tiles if tile is not None]
    return found


def pictures_in(folder: str | Path, most: int = 100) -> list[Pixels]:
    """Pictures to compare on: those of a folder, large ones cut into squares.

    Args:
        folder: With images, in it or below it.
        most: Of squares.

    Raises:
        UsageError: It holds none.
    """
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise UsageError(f"{folder} holds no pictures; name a folder of images to compare on.")
    # Evenly over the folder, so that no first class or scene stands for all.
    chosen = paths[:: max(1, len(paths) // most)]
    squares = (square for image in read_images(chosen) for square in _squares(image))
    return list(islice(squares, most))


def _squares(image: Pixels) -> Iterator[Pixels]:
    height, width = image.shape[:2]
    if height < 2 * _SIDE or width < 2 * _SIDE:
        yield image
        return
    for top in range(0, height - _SIDE + 1, _SIDE):
        for left in range(0, width - _SIDE + 1, _SIDE):
            yield image[top : top + _SIDE, left : left + _SIDE]
