"""The best recall any model could reach on a caption set, given that equal captions get equal vectors.

Knows captions as group numbers only. UCM's captions repeat so often that a perfect model stops at
38 % strict text-to-image R@1; a score means little without this number beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from landsift.metrics.ranks import Ranks
from landsift.types import IntArray

__all__ = ["Ceiling", "retrieval_ceiling"]


@dataclass(frozen=True)
class Ceiling:
    """Highest reachable strict R@K in percent, by K, in both directions, and the mean of all."""

    i2t: Mapping[int, float]
    t2i: Mapping[int, float]

    @property
    def mR(self) -> float:
        """Mean of all the ceilings, percent."""
        return float(np.mean([*self.i2t.values(), *self.t2i.values()]))


def retrieval_ceiling(
    image_of: IntArray, n_images: int, caption_groups: IntArray, ks: tuple[int, ...] = (1, 5, 10)
) -> Ceiling:
    """Ceiling of the strict protocol for a perfect but deterministic text encoder.

    Text to image: all captions with one text get one ranking, so at best K of the images that carry the
    text are found, those that carry it most often first. Image to text: an image ranks one of its own
    texts first, and the copies of that text that belong to other images tie with its own.

    Args:
        image_of: ``(M,)`` image of each caption.
        n_images: N.
        caption_groups: ``(M,)`` equal numbers for equal texts.
        ks: Cut-offs.
    """
    pairs, counts = np.unique(np.stack([caption_groups, image_of], 1), axis=0, return_counts=True)
    texts, images = pairs.reshape(-1, 2).T
    return Ceiling(
        {k: 100 * _image_to_text(texts, images, counts, n_images, k) for k in ks},
        {k: 100 * _text_to_image(texts, counts, k) for k in ks},
    )


def _text_to_image(texts: IntArray, counts: IntArray, k: int) -> float:
    """Share of captions whose image is among the ``k`` that carry the same text most often."""
    order = np.lexsort((-counts, texts))
    place = np.arange(len(texts)) - np.searchsorted(texts[order], texts[order])
    return float(counts[order][place < k].sum() / counts.sum()) if len(counts) else float("nan")


def _image_to_text(texts: IntArray, images: IntArray, counts: IntArray, n_images: int, k: int) -> float:
    """Mean over images of the best chance that one own text, ranked first, gives within ``k``."""
    copies = np.bincount(texts, counts)[texts].astype(np.int64)
    chance = Ranks(images, np.zeros_like(images), copies, counts, n_images).hits(k)
    best = np.zeros(n_images)
    np.maximum.at(best, images, chance)
    captioned = np.bincount(images, minlength=n_images) > 0
    return float(best[captioned].mean()) if captioned.any() else float("nan")
