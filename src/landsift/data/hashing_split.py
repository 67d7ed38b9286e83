"""The split of the remote-sensing hashing papers: half to train on, the rest 20 % queries and 80 % database.

Mikriukov et al., ICASSP 2022 (DUCH) and those after it: all images of a set, whatever its own splits, are
drawn at random once, and one of an image's captions is kept. Knows retrieval sets; no codes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from landsift.errors import DatasetError, UsageError
from landsift.types import IntArray, RetrievalSet

__all__ = ["HASHING_PARTS", "hashing_part", "one_caption_each"]

HASHING_PARTS = ("hashing-train", "hashing-query", "hashing-database")
"""Names of the parts, as a recipe's ``split`` gives them."""
_LEAST = 10  # images that a split makes sense of


def hashing_part(data: RetrievalSet, part: str, seed: int = 0) -> RetrievalSet:
    """One part of a whole set, with all captions of its images.

    Args:
        data: All splits together.
        part: Of ``HASHING_PARTS``.
        seed: Of the draw.

    Raises:
        UsageError: No such part.
        DatasetError: Too few images.
    """
    if part not in HASHING_PARTS:
        raise UsageError(f"There is no hashing part {part!r}; the parts are {', '.join(HASHING_PARTS)}.")
    count = len(data.images)
    if count < _LEAST:
        raise DatasetError(f"{data.name} has {count} images, too few to split; give {_LEAST} or more.")
    order = np.random.default_rng(seed).permutation(count)
    trained = count // 2
    queries = (count - trained) // 5
    bounds = (0, trained, trained + queries, count)
    number = HASHING_PARTS.index(part)
    rows = np.sort(order[bounds[number] : bounds[number + 1]]).astype(np.int64)
    return replace(data.chosen(rows), split=part)


def one_caption_each(data: RetrievalSet, seed: int = 0) -> RetrievalSet:
    """The set with one caption of each image, drawn at random; an image's own number and the seed decide.

    Raises:
        DatasetError: An image has no caption.
    """
    kept: IntArray = np.empty(len(data.images), np.int64)
    order = np.argsort(data.image_of, kind="stable")
    start = np.searchsorted(data.image_of[order], np.arange(len(data.images) + 1))
    if (np.diff(start) == 0).any():
        raise DatasetError(f"{data.name} has images without a caption, which cannot be hashed as pairs.")
    draws = np.random.default_rng([seed, 1]).random(len(data.images))
    for row in range(len(data.images)):
        kept[row] = order[start[row] + int(draws[row] * (start[row + 1] - start[row]))]
    captions = [data.captions[number] for number in kept.tolist()]
    return replace(data, captions=captions, image_of=np.arange(len(data.images), dtype=np.int64))
