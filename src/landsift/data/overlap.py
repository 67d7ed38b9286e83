"""What two sets share: captions word for word or nearly, and pictures by perceptual hash.

File names prove nothing here (RSICD and RSITMD number their files anew), so only texts and pixels count.
Knows sets and images; not training or scoring.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landsift.captions import is_blank, near_captions, normalise_caption
from landsift.data.images import read_images
from landsift.errors import UsageError, need
from landsift.types import RetrievalSet

__all__ = ["Overlap", "SamePicture", "SharedCaptions", "find_overlap", "picture_hashes", "similar_hashes"]

_ROWS = 256


@dataclass(frozen=True, slots=True)
class SharedCaptions:
    """An image of each set, and how many distinct captions they have in common word for word."""

    evaluated: str
    trained: str
    captions: int


@dataclass(frozen=True, slots=True)
class SamePicture:
    """An image of each set whose perceptual hashes differ in ``distance`` of 64 bits."""

    evaluated: str
    trained: str
    distance: int


@dataclass(frozen=True)
class Overlap:
    """What a set to be scored on has in common with one that was trained on.

    Attributes:
        evaluated: ``name/split`` of the first.
        trained: Of the second.
        captions: Captions of the first.
        exact_captions: Those whose normalised text the second has too.
        near_captions: Those with a caption in the second at or above the similarity; exact ones included.
        shared: Pairs of images with common captions, most first.
        pictures: Pairs of images that look alike, closest first; None if pictures were not compared.
    """

    evaluated: str
    trained: str
    captions: int
    exact_captions: int
    near_captions: int
    shared: tuple[SharedCaptions, ...]
    pictures: tuple[SamePicture, ...] | None

    def images_sharing(self, captions: int) -> int:
        """How many images of the first set share at least that many captions with one image of the second."""
        return len({pair.evaluated for pair in self.shared if pair.captions >= captions})


def find_overlap(
    evaluated: RetrievalSet,
    trained: RetrievalSet,
    *,
    similarity: float = 0.8,
    distance: int | None = 6,
    workers: int | None = None,
) -> Overlap:
    """Compare two sets.

    Args:
        evaluated: The set, or split, to be scored on.
        trained: The set, or split, to train on.
        similarity: Least Jaccard similarity of nearly equal captions.
        distance: Most differing bits of 64 between perceptual hashes of the same picture; None to compare
            captions only. Within 10,000 pictures of RSICD, pairs up to 6 bits are the same place, and chance
            pairs begin at 8.
        workers: Threads that read images.

    Raises:
        MissingDependency: ImageHash is not installed and pictures are to be compared.
        DatasetError: An image cannot be read.
    """
    texts = {normalise_caption(text) for text in trained.captions if not is_blank(text)}
    near = near_captions(evaluated.captions, trained.captions, similarity)
    pictures = None
    if distance is not None:
        first, second = (picture_hashes(data.images, workers=workers) for data in (evaluated, trained))
        pictures = tuple(
            SamePicture(evaluated.image_names[a], trained.image_names[b], bits)
            for a, b, bits in sorted(similar_hashes(first, second, distance), key=lambda match: match[2])
        )
    return Overlap(
        f"{evaluated.name}/{evaluated.split}",
        f"{trained.name}/{trained.split}",
        len(evaluated.captions),
        sum(normalise_caption(text) in texts for text in evaluated.captions),
        len({query for query, _, _ in near}),
        tuple(_shared_captions(evaluated, trained)),
        pictures,
    )


def _shared_captions(evaluated: RetrievalSet, trained: RetrievalSet) -> list[SharedCaptions]:
    carriers = _images_by_text(trained)
    shared: defaultdict[tuple[int, int], int] = defaultdict(int)
    for text, images in _images_by_text(evaluated).items():
        for image in images:
            for other in carriers.get(text, ()):
                shared[image, other] += 1
    ordered = sorted(shared.items(), key=lambda pair: (-pair[1], pair[0]))
    names, other_names = evaluated.image_names, trained.image_names
    return [SharedCaptions(names[a], other_names[b], count) for (a, b), count in ordered]


def _images_by_text(data: RetrievalSet) -> dict[str, set[int]]:
    found: defaultdict[str, set[int]] = defaultdict(set)
    for text, image in zip(data.captions, data.image_of.tolist(), strict=True):
        if not is_blank(text):
            found[normalise_caption(text)].add(image)
    return found


def picture_hashes(images: Iterable[Any], *, workers: int | None = None) -> NDArray[np.uint64]:
    """64-bit perceptual hash (DCT, ImageHash's ``phash``) of each image.

    Args:
        images: As for :func:`landsift.data.read_image`.
        workers: Threads that read them.

    Returns:
        ``(n,)`` uint64.

    Raises:
        MissingDependency: ImageHash is not installed.
        DatasetError: An image cannot be read.
    """
    imagehash = need("imagehash", extra="datasets")
    bits = [imagehash.phash(Image.fromarray(pixels)).hash for pixels in read_images(images, workers)]
    packed = np.packbits(np.array(bits, bool).reshape(len(bits), 64), axis=1)
    hashes: NDArray[np.uint64] = packed.view(">u8").reshape(-1).astype(np.uint64)
    return hashes


def similar_hashes(
    first: NDArray[np.uint64], second: NDArray[np.uint64], distance: int
) -> list[tuple[int, int, int]]:
    """All pairs of hashes that differ in at most ``distance`` bits: ``(row, row, bits)``.

    Raises:
        UsageError: ``distance`` out of 0 to 64.
    """
    if not 0 <= distance <= 64:
        raise UsageError(f"The distance of two hashes is 0 to 64 bits; got {distance}.")
    found: list[tuple[int, int, int]] = []
    for start in range(0, len(first), _ROWS):
        bits = _differing_bits(first[start : start + _ROWS, None] ^ second)
        for row, column in np.argwhere(bits <= distance):
            found.append((start + int(row), int(column), int(bits[row, column])))
    return found


def _differing_bits(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Set bits of each word, by adding neighbouring bits, pairs, nibbles."""
    words = words - ((words >> np.uint64(1)) & np.uint64(0x5555555555555555))
    pairs = np.uint64(0x3333333333333333)
    words = (words & pairs) + ((words >> np.uint64(2)) & pairs)
    words = (words + (words >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((words * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.uint8)
