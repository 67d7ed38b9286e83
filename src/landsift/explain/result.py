"""What an explanation is: values and arrays, ready to be printed, drawn or written as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from landsift.explain.judging import AreaScores, MaskScores
from landsift.explain.tiles import WinningTile
from landsift.types import FloatArray, Pixels

__all__ = ["BitFacts", "Explanation", "WordChange"]


@dataclass(frozen=True, slots=True)
class WordChange:
    """A word, and what it adds to the score; below 0 where the score is better without."""

    word: str
    change: float


@dataclass(frozen=True, slots=True)
class BitFacts:
    """The codes of an image and a text beside each other.

    Attributes:
        bits: Of a code.
        differing: Places, from 0, of the bits that differ; their number is the Hamming distance.
    """

    bits: int
    differing: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why an image matches a text.

    Attributes:
        text: What was asked.
        against: Texts it was set against.
        encoder: Name of the model.
        method: How the map was made: ``attention``, ``grad-cam`` or ``occlusion``.
        score: Of the pixels explained; less the mean of those of ``against``.
        pixels: ``(H, W, 3)`` uint8: the image, or the tile of it that was explained.
        grid: ``(h, w)`` the map as it was made, on a grid over the pixels.
        heat: ``(H, W)`` from 0 to 1.
        words: What each word adds.
        areas: Deletion and insertion.
        mask: Heat inside the mask that was given; None without.
        tile: Which tile of a scene this is; None for a whole image.
        bits: Codes; None where the model makes none.
        encoded: How many images were encoded for it.
    """

    text: str
    against: tuple[str, ...]
    encoder: str
    method: str
    score: float
    pixels: Pixels
    grid: FloatArray
    heat: FloatArray
    words: tuple[WordChange, ...]
    areas: AreaScores
    mask: MaskScores | None = None
    tile: WinningTile | None = None
    bits: BitFacts | None = None
    encoded: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the map as rows of its grid."""
        return {
            "text": self.text,
            "against": list(self.against),
            "encoder": self.encoder,
            "method": self.method,
            "score": round(self.score, 6),
            "words": [{"word": one.word, "change": round(one.change, 6)} for one in self.words],
            "areas": {name: round(value, 6) for name, value in asdict(self.areas).items()},
            "mask": None if self.mask is None else asdict(self.mask),
            "tile": None if self.tile is None else self.tile.as_dict(),
            "bits": None if self.bits is None else asdict(self.bits),
            "encoded": self.encoded,
            "grid": np.round(self.grid.astype(float), 6).tolist(),
        }
