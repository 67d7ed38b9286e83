"""CIDEr-D of every caption against the captions of every image: graded relevance for nDCG.

Knows texts and which image they describe. The measure is that of the COCO caption tools, which score one
pair at a time; here all pairs are a few matrix products.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from landsift.captions import normalise_caption
from landsift.types import FloatArray, IntArray

__all__ = ["caption_relevance"]

_LONGEST_GRAM = 4
_LENGTH_SIGMA = 6.0
_COLUMNS = 4096


def caption_relevance(captions: Sequence[str], image_of: IntArray, n_images: int) -> FloatArray:
    """How well each caption would describe each image, by CIDEr-D with the image's captions as references.

    Vedantam, Zitnick, Parikh: CIDEr, CVPR 2015 (the D variant: clipped counts and a penalty on length).
    Captions are normalised first. An image's own captions are references too, as in caption ranking with
    graded relevance (Biten et al.: Is an Image Worth Five Sentences, WACV 2022).

    Args:
        captions: M texts.
        image_of: ``(M,)``.
        n_images: N; images without captions get relevance 0.

    Returns:
        ``(N, M)`` float32 in 0 to 1, a tenth of CIDEr-D.
    """
    numbers: dict[str, int] = {}
    rows = np.array(
        [numbers.setdefault(normalise_caption(text), len(numbers)) for text in captions], np.int64
    )
    grams = [_grams(text) for text in numbers]
    similarity = _similarities(grams, rows, image_of, n_images)
    references = np.zeros((n_images, len(grams)), np.float32)
    np.add.at(references, (image_of, rows), 1)
    references /= np.maximum(references.sum(1, keepdims=True), 1)
    relevance: FloatArray = (references @ similarity.T)[:, rows]
    return relevance


def _grams(text: str) -> list[Counter[tuple[str, ...]]]:
    """Counts of word sequences of 1 to 4 words."""
    words = text.split()
    sizes = range(1, _LONGEST_GRAM + 1)
    return [Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1)) for n in sizes]


def _similarities(
    grams: list[list[Counter[tuple[str, ...]]]], rows: IntArray, image_of: IntArray, n_images: int
) -> FloatArray:
    """``(texts, texts)`` CIDEr-D / 10 of a candidate (row) against one reference (column)."""
    lengths = np.array([sum(counts[1].values()) for counts in grams], np.float32)
    total = np.zeros((len(grams), len(grams)), np.float32)
    documents = max(1, len(np.unique(image_of)))
    for size in range(_LONGEST_GRAM):
        counts = [row[size] for row in grams]
        frequency = _document_frequency(counts, rows, image_of)
        idf = {gram: float(np.log(documents / times)) for gram, times in frequency.items()}
        norms = (
            np.array([sum((n * idf[g]) ** 2 for g, n in row.items()) for row in counts], np.float32) ** 0.5
        )
        part = np.zeros_like(total)
        for candidates, references in _columns(counts, idf):
            part += candidates @ references.T
        scale = np.where(norms > 0, norms, 1)
        total += part / scale[:, None] / scale
    penalty = np.exp(-((lengths[:, None] - lengths) ** 2) / (2 * _LENGTH_SIGMA**2))
    similarities: FloatArray = total / _LONGEST_GRAM * penalty
    return similarities


def _document_frequency(
    counts: list[Counter[tuple[str, ...]]], rows: IntArray, image_of: IntArray
) -> Counter[tuple[str, ...]]:
    """In how many images' captions each sequence occurs."""
    texts_of: dict[int, set[int]] = {}
    for row, image in zip(rows.tolist(), image_of.tolist(), strict=True):
        texts_of.setdefault(image, set()).add(row)
    return Counter(gram for texts in texts_of.values() for gram in {g for row in texts for g in counts[row]})


def _columns(
    counts: list[Counter[tuple[str, ...]]], idf: dict[tuple[str, ...], float]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Slices of two matrices whose product is the clipped dot product of all pairs.

    The smaller of two counts is the number of steps t that both reach, so a column stands for
    "sequence g at least t times": 1 in the candidate, count times squared idf in the reference.
    """
    cells: dict[tuple[tuple[str, ...], int], list[tuple[int, float]]] = {}
    for row, grams in enumerate(counts):
        for gram, times in grams.items():
            for step in range(times):
                cells.setdefault((gram, step), []).append((row, times * idf[gram] ** 2))
    columns = list(cells.values())
    for first in range(0, len(columns), _COLUMNS):
        part = columns[first : first + _COLUMNS]
        width = [len(column) for column in part]
        place = np.repeat(np.arange(len(part)), width)
        row_of = np.array([row for column in part for row, _ in column], np.int64)
        candidates = np.zeros((len(counts), len(part)), np.float32)
        references = np.zeros_like(candidates)
        candidates[row_of, place] = 1
        references[row_of, place] = [weight for column in part for _, weight in column]
        yield candidates, references
