"""What ``landsift-lite`` is trained on and what it is scored on. Knows no models.

Training pairs come from train splits alone. The RSITMD captions used are those whose picture is in the
train split of RSICD. A training image that shows the same picture as any val or test image is dropped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landsift.captions import class_words, is_blank
from landsift.data import load_dataset
from landsift.types import RetrievalSet
from training.duplicates import hashes, matching

__all__ = [
    "TEST_SETS",
    "TRAIN_SETS",
    "VAL_SETS",
    "ZERO_SHOT_FOLDER",
    "ZERO_SHOT_SET",
    "Corpus",
    "gather_corpus",
    "load_sets",
]

TRAIN_SETS = ("ucm-captions", "rsicd-aid150", "rsitmd-derived", "nwpu-13")
VAL_SETS = TEST_SETS = ("ucm-captions", "rsicd-aid150")
ZERO_SHOT_SET, ZERO_SHOT_FOLDER = "eurosat-150", "eurosat_150"


@dataclass(frozen=True)
class Corpus:
    """Training pairs, one row per picture.

    Attributes:
        images: N files.
        captions: For each image its captions, none blank.
        labels: For each image the name of its class in words, or None.
        dropped: Files left out because an evaluation image shows the same picture.
    """

    images: tuple[Path, ...]
    captions: tuple[tuple[str, ...], ...]
    labels: tuple[str | None, ...]
    dropped: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


def load_sets(root: Path, names: Sequence[str], split: str) -> list[RetrievalSet]:
    """The named sets under ``root``, one split of each."""
    return [load_dataset(name, root, split) for name in names]


def gather_corpus(root: Path) -> Corpus:
    """Join the training sets by picture file and drop the duplicates of evaluation images.

    Args:
        root: The folder that holds all the sets.
    """
    corpus = joined(load_sets(root, TRAIN_SETS, "train"))
    measured_on = [*load_sets(root, VAL_SETS, "val"), *load_sets(root, TEST_SETS, "test")]
    measured_on += [load_dataset(ZERO_SHOT_SET, root / ZERO_SHOT_FOLDER, "all")]
    theirs = hashes([path for found in measured_on for path in found.images], turned=True)
    return without(corpus, matching(hashes(corpus.images, turned=False), theirs.reshape(-1, 64)))


def joined(sets: Sequence[RetrievalSet]) -> Corpus:
    """One row per picture file over all ``sets``, with the captions of every set that describes it."""
    captions: defaultdict[Path, list[str]] = defaultdict(list)
    labels: dict[Path, str | None] = {}
    for found in sets:
        files = [Path(path).resolve() for path in found.images]
        for number, path in enumerate(files):
            labels.setdefault(path, _label(found, number))
        for text, number in zip(found.captions, found.image_of, strict=True):
            if not is_blank(text):
                captions[files[number]].append(" ".join(text.split()))
    kept = [path for path in labels if captions[path]]
    return Corpus(
        tuple(kept), tuple(tuple(captions[path]) for path in kept), tuple(labels[path] for path in kept)
    )


def without(corpus: Corpus, drop: NDArray[np.bool_]) -> Corpus:
    """The corpus without the images where ``drop`` ``(N,)`` bool is True."""
    keep = np.flatnonzero(~drop)
    return Corpus(
        tuple(corpus.images[row] for row in keep),
        tuple(corpus.captions[row] for row in keep),
        tuple(corpus.labels[row] for row in keep),
        tuple(corpus.images[row] for row in np.flatnonzero(drop)),
    )


def _label(found: RetrievalSet, number: int) -> str | None:
    if found.labels is None or found.labels[number] < 0:
        return None
    return class_words(found.class_names[found.labels[number]])
