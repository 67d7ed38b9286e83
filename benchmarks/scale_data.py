"""Vectors for the benchmark of scale: the real images of LANDSIFT_DATA through ``landsift-lite``, and
copies of them.

A copy is a real vector moved by a part of the difference of two others, so that copies spread as the data
do and not in all directions alike. Rows come in shards that a seed and a number alone decide, so that any
number of them is made in bounded memory, and made again.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from landsift.encoders import load_encoder

SHARD = 65_536
_MOVED = 0.25  # of the difference of two random rows: a copy's cosine with its original is about 0.95
_SETS = ("ucm_captions", "rsicd_aid150", "nwpu_13", "eurosat_150")
_CAPTIONS = ("ucm_captions", "rsicd_aid150")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif")
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Material:
    """What rows and queries are made of.

    Attributes:
        images: ``(m, dim)`` unit rows of real images.
        texts: ``(t, dim)`` unit rows of captions of test images.
        real: Whether they are real; without LANDSIFT_DATA they are clusters drawn at random, and figures
            say so.
    """

    images: np.ndarray
    texts: np.ndarray
    real: bool

    @property
    def dim(self) -> int:
        return self.images.shape[1]

    def shard(self, number: int, count: int = SHARD) -> np.ndarray:
        """Rows ``number * SHARD`` on, float16; the first shards hold the real rows themselves."""
        random = np.random.default_rng((7, number))
        first = number * SHARD
        base = np.arange(first, first + count)
        which = np.where(base < len(self.images), base, random.integers(0, len(self.images), count))
        pair = random.integers(0, len(self.images), (2, count))
        moved = self.images[which]
        copies = base >= len(self.images)
        moved[copies] += _MOVED * (self.images[pair[0, copies]] - self.images[pair[1, copies]])
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        return moved.astype(np.float16)

    def shards(self, rows: int) -> Iterator[np.ndarray]:
        for number in range(-(-rows // SHARD)):
            yield self.shard(number, min(SHARD, rows - number * SHARD))

    def questions(self, count: int) -> np.ndarray:
        """Half texts, half pictures that are no rows: real ones moved as a copy is."""
        random = np.random.default_rng(11)
        texts = self.texts[random.permutation(len(self.texts))[: count // 2]]
        one, two, three = random.integers(0, len(self.images), (3, count - len(texts)))
        pictures = self.images[one] + _MOVED * (self.images[two] - self.images[three])
        return np.concatenate([texts, pictures / np.linalg.norm(pictures, axis=1, keepdims=True)])


def material() -> Material:
    """The real vectors, encoded once and kept among the temporary files; drawn ones without images."""
    folder = os.environ.get("LANDSIFT_DATA")
    if not folder or not Path(folder).is_dir():
        return _drawn()
    encoder = load_encoder("landsift-lite")
    kept = Path(tempfile.gettempdir()) / f"landsift-scale-{encoder.card.weights_sha256[:12]}.npz"
    if not kept.exists():
        paths = sorted(path for name in _SETS for path in (Path(folder) / name).rglob("*"))
        paths = [path for path in paths if path.suffix.lower() in _SUFFIXES]
        images = [
            encoder.encode_images([_pixels(path) for path in paths[start : start + _BATCH]])
            for start in range(0, len(paths), _BATCH)
        ]
        texts = encoder.encode_texts(list(_captions(Path(folder))))
        np.savez(kept, images=np.concatenate(images), texts=texts)
    held = np.load(kept)
    return Material(held["images"], held["texts"], real=True)


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _captions(folder: Path) -> Iterator[str]:
    """One caption of each test image."""
    for name in _CAPTIONS:
        for path in sorted((folder / name).glob("dataset*.json")):
            for image in json.loads(path.read_text(encoding="utf-8"))["images"]:
                if image.get("split") == "test" and image["sentences"]:
                    yield image["sentences"][0]["raw"]


def _drawn(dim: int = 384) -> Material:
    random = np.random.default_rng(3)
    middles = random.standard_normal((200, dim)) + 0.5
    images = middles[random.integers(0, 200, 4000)] + 0.7 * random.standard_normal((4000, dim))
    texts = middles[random.integers(0, 200, 400)] + random.standard_normal((400, dim)) - 0.3
    made = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, texts)]
    return Material(made[0].astype(np.float32), made[1].astype(np.float32), real=False)
