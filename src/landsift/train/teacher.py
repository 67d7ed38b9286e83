"""What a teacher says of the training set, encoded once: its vectors of every image and caption.

Knows encoders by their protocol; no models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from landsift.data import read_images
from landsift.encoders import load_encoder
from landsift.files import write_whole
from landsift.train.corpus import Corpus
from landsift.train.pixels import Progress
from landsift.types import Encoder, FloatArray

__all__ = ["teacher_vectors"]

_AT_ONCE = 64


def teacher_vectors(
    names: Sequence[str], corpus: Corpus, folder: Path, progress: Progress | None = None
) -> tuple[FloatArray, FloatArray]:
    """Vectors of one teacher, or of several joined so that inner products are the mean of theirs.

    Args:
        names: Encoders by name or folder.
        corpus: What they encode, as it is.
        folder: Where vectors are kept.
        progress: Told how far encoding is.

    Returns:
        ``(N, D)`` of the images and ``(M, D)`` of the captions; D is the sum of the teachers' lengths.
    """
    found = [_vectors(load_encoder(name), corpus, folder, progress) for name in names]
    share = np.float32(1 / np.sqrt(len(found)))
    return (
        share * np.concatenate([images for images, _ in found], axis=1),
        share * np.concatenate([texts for _, texts in found], axis=1),
    )


def _vectors(
    encoder: Encoder, corpus: Corpus, folder: Path, progress: Progress | None
) -> tuple[FloatArray, FloatArray]:
    content = [encoder.card.weights_sha256, *corpus.names, *corpus.captions]
    key = hashlib.sha256("\0".join(content).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    path = folder / f"teacher-{key}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        images, texts = _encoded(encoder, corpus, progress)
        write_whole(path, lambda partial: np.savez(partial, images=images, texts=texts))
    with np.load(path) as kept:
        return kept["images"], kept["texts"]


def _encoded(encoder: Encoder, corpus: Corpus, progress: Progress | None) -> tuple[FloatArray, FloatArray]:
    stream, images = read_images(corpus.images), []
    while batch := list(islice(stream, _AT_ONCE)):
        images.append(encoder.encode_images(batch))
        if progress:
            progress(f"asking {encoder.card.name}", sum(map(len, images)), len(corpus))
    different = list(dict.fromkeys(corpus.captions))
    place = {text: row for row, text in enumerate(different)}
    texts = np.concatenate(
        [encoder.encode_texts(different[n : n + _AT_ONCE]) for n in range(0, len(different), _AT_ONCE)]
    )
    return np.concatenate(images), texts[[place[text] for text in corpus.captions]]
