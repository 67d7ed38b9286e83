"""How well a heat map explains a score: what is left when hot pixels go, and how much lies in a mask.

Deletion and insertion: Petsiuk, Das and Saenko, "RISE", BMVC 2018; pointing game: Zhang et al., IJCV 2018;
energy in the mask: Wang et al., "Score-CAM", CVPRW 2020. A random order of the same image stands beside the
two areas, for they mean nothing alone. Knows arrays and a function from images to scores; no models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from landsift.errors import UsageError
from landsift.explain.occluding import GRID, Scores
from landsift.types import FloatArray, Pixels

__all__ = ["AreaScores", "MaskScores", "area_scores", "mask_scores"]

_STEPS = 16


@dataclass(frozen=True, slots=True)
class AreaScores:
    """Areas under the score, over the share of pixels changed from none to all.

    Attributes:
        deletion: The hottest pixels take the image's mean colour first; lower is better.
        insertion: The hottest pixels come first back into a blurred image; higher is better.
        random_deletion: The same, cells of the image in random order.
        random_insertion: Likewise.
    """

    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float

    @property
    def better_than_random(self) -> bool:
        """Whether both areas beat the random order."""
        return self.deletion < self.random_deletion and self.insertion > self.random_insertion


@dataclass(frozen=True, slots=True)
class MaskScores:
    """How much of the heat lies where it should.

    Attributes:
        energy: Share of the heat inside the mask, 0 to 1.
        pointing: Whether the hottest pixel lies inside.
        share: Of the image that is the mask: the energy of a map that says nothing.
    """

    energy: float
    pointing: bool
    share: float


def area_scores(scores: Scores, image: Pixels, heat: FloatArray, seed: int = 0) -> AreaScores:
    """Delete and insert pixels in the order of their heat, and in a random one.

    Args:
        scores: Of the question.
        image: ``(H, W, 3)`` uint8.
        heat: ``(H, W)``.
        seed: Of the random order.

    Raises:
        ValueError: The heat has another size than the image.
    """
    if heat.shape != image.shape[:2]:
        raise ValueError(f"heat {heat.shape} does not fit an image {image.shape}")
    colour = image.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    blank: Pixels = np.broadcast_to(colour, image.shape)
    blurred = _blurred(image)
    orders = _ranks(heat), _ranks(_random_heat(heat.shape, seed))
    first, last = (scores(list(pair)) for pair in ((image, blank), (blurred, image)))
    return AreaScores(
        *(
            _area(scores, rank, start, end, ends)
            for start, end, ends, rank in (
                (image, blank, first, orders[0]),
                (blurred, image, last, orders[0]),
                (image, blank, first, orders[1]),
                (blurred, image, last, orders[1]),
            )
        )
    )


def _area(scores: Scores, rank: NDArray[np.int64], start: Pixels, end: Pixels, ends: FloatArray) -> float:
    """Area under the score as pixels go from one image to another in the order of their rank."""
    limits = [step * rank.size // _STEPS for step in range(1, _STEPS)]
    between = scores([np.where((rank < limit)[..., None], end, start) for limit in limits])
    return float(np.trapezoid([ends[0], *between, ends[1]]) / _STEPS)


def _ranks(heat: FloatArray) -> NDArray[np.int64]:
    """Place of each pixel in the order from the hottest; equal ones in reading order."""
    order = np.argsort(-heat, axis=None, kind="stable")
    ranks = np.empty(heat.size, np.int64)
    ranks[order] = np.arange(heat.size)
    return ranks.reshape(heat.shape)


def _random_heat(shape: tuple[int, ...], seed: int) -> FloatArray:
    """Cells of the size of those that occlusion tells apart, in random order."""
    cells = np.random.default_rng(seed).permutation(GRID**2).reshape(GRID, GRID).astype(np.float32)
    rows, columns = (np.arange(size) * GRID // size for size in shape)
    return cells[np.ix_(rows, columns)]


def _blurred(image: Pixels) -> Pixels:
    radius = min(image.shape[:2]) / 12
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def mask_scores(heat: FloatArray, mask: NDArray[np.bool_]) -> MaskScores:
    """Compare a map with where the thing is.

    Args:
        heat: ``(H, W)``, 0 or more.
        mask: ``(H, W)``, True on the thing.

    Raises:
        UsageError: They differ in size, or the mask is empty.
    """
    if mask.shape != heat.shape:
        raise UsageError(
            f"The mask has {mask.shape[1]} x {mask.shape[0]} pixels and the image {heat.shape[1]} x "
            f"{heat.shape[0]}; give a mask of the same size"
        )
    if not mask.any():
        raise UsageError("The mask is empty; give one that is not 0 where the thing is")
    total = float(heat.sum(dtype=np.float64))
    energy = float(heat[mask].sum(dtype=np.float64)) / total if total else 0.0
    return MaskScores(energy, bool(mask.flat[int(heat.argmax())]), float(mask.mean()))
