"""Which training images show the same picture as an image that scores are measured on.

Two images match if their perceptual hashes (64-bit DCT hashes of the package imagehash) differ in at most
``THRESHOLD`` bits in any of the eight quarter turns and flips. Knows no captions and no models.

Why 8: on 300 val and test images, the same picture saved as JPEG of quality 30, halved, or doubled and saved
again stays within 8, 4 and 4 bits for 99 of 100 images; and of the pairs of a training image with a val or
test image of the caption sets, those within 6 bits (two) show the same place, while those at exactly 8 bits
(ten) show different ones. So 8 catches what re-encoding and resizing do, and costs a handful of innocent
images. It does not see a shifted or strongly cropped copy (a crop to 90 % of the side moves a hash by 12
bits in the median, which is where unrelated pairs begin to abound).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landsift.data import read_image

__all__ = ["THRESHOLD", "hashes", "matching"]

THRESHOLD = 8
_ROWS = 1024


def hashes(images: Sequence[Path], *, turned: bool) -> NDArray[np.bool_]:
    """Perceptual hashes: ``(n, 64)``, or ``(n, 8, 64)`` of all quarter turns and flips if ``turned``."""
    work = _turned_hashes if turned else _hash
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return np.array(list(pool.map(work, images, chunksize=64)))


def matching(
    ours: NDArray[np.bool_], theirs: NDArray[np.bool_], threshold: int = THRESHOLD
) -> NDArray[np.bool_]:
    """Which of ``ours`` ``(n, 64)`` lie within ``threshold`` bits of any row of ``theirs`` ``(m, 64)``."""
    right = theirs.astype(np.float32)
    found = np.zeros(len(ours), bool)
    for first in range(0, len(ours), _ROWS):
        left = ours[first : first + _ROWS].astype(np.float32)
        # Bits that differ: those set in one plus those set in the other, less those set in both, twice.
        distance = left.sum(1)[:, None] + right.sum(1)[None, :] - 2 * left @ right.T
        found[first : first + _ROWS] = (distance <= threshold).any(axis=1)
    return found


def _hash(path: Path) -> NDArray[np.bool_]:
    return imagehash.phash(Image.fromarray(read_image(path))).hash.ravel()


def _turned_hashes(path: Path) -> NDArray[np.bool_]:
    pixels = read_image(path)
    turns = [np.rot90(pixels, quarter) for quarter in range(4)]
    views = [*turns, *(view[:, ::-1] for view in turns)]
    return np.array([imagehash.phash(Image.fromarray(view)).hash.ravel() for view in views])
