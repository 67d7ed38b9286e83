"""The training set: one row a picture, its captions, its scene, and how often it is drawn.

Joins retrieval sets; knows no pixels, models or recipes' files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.captions import caption_groups, class_words, is_blank
from landsift.data import ImagePair
from landsift.errors import DatasetError
from landsift.types import IntArray, RetrievalSet

__all__ = ["Corpus", "carved", "corpus_of", "images_of"]


@dataclass(frozen=True, eq=False)
class Corpus:
    """N pictures and M captions to learn from.

    Attributes:
        images: N image sources.
        names: N names, ``set/file``.
        captions: M texts, none blank, those of one image after one another.
        start: ``(N + 1,)`` int64; image ``i`` has those from ``start[i]`` to ``start[i + 1]``.
        groups: ``(M,)`` int64, equal for captions of equal wording.
        labels: ``(N,)`` int64 scene class, -1 where unknown.
        class_names: In words, in label order.
        weights: ``(N,)`` float64: how often each is drawn in a pass.
        sets: Names of the sets it was joined from, ``name/split``.
    """

    images: tuple[Any, ...]
    names: tuple[str, ...]
    captions: tuple[str, ...]
    start: IntArray
    groups: IntArray
    labels: IntArray
    class_names: tuple[str, ...]
    weights: NDArray[np.float64]
    sets: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def captions_of(self, row: int) -> range:
        """Numbers of the captions of an image."""
        return range(int(self.start[row]), int(self.start[row + 1]))

    def rows(self, keep: IntArray) -> Corpus:
        """The corpus of some of its images, in the given order."""
        counts = np.diff(self.start)[keep]
        numbers = np.concatenate([np.arange(self.start[row], self.start[row + 1]) for row in keep] or [keep])
        return replace(
            self,
            images=tuple(self.images[row] for row in keep),
            names=tuple(self.names[row] for row in keep),
            captions=tuple(self.captions[number] for number in numbers),
            start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            groups=self.groups[numbers],
            labels=self.labels[keep],
            weights=self.weights[keep],
        )


def corpus_of(sets: Sequence[RetrievalSet], weights: Sequence[float], *, captioned: bool = True) -> Corpus:
    """Join sets: a picture file that several of them hold becomes one image with all its captions.

    Args:
        sets: At least one.
        weights: Of the images of each; a joined picture has the sum of its weights.
        captioned: Leave out images without a caption that says anything.

    Raises:
        DatasetError: Nothing is left.
    """
    rows: dict[object, int] = {}
    images: list[Any] = []
    names: list[str] = []
    texts: list[list[str]] = []
    classes: list[str | None] = []
    shares: list[float] = []
    for found, weight in zip(sets, weights, strict=True):
        here = []
        for number, image in enumerate(found.images):
            row = rows.setdefault(_identity(image), len(rows))
            if row == len(images):
                images.append(image)
                names.append(f"{found.name}/{found.image_names[number]}")
                texts.append([])
                classes.append(_class_of(found, number))
                shares.append(0.0)
            shares[row] += weight
            here.append(row)
        for text, number in zip(found.captions, found.image_of.tolist(), strict=True):
            if not is_blank(text):
                texts[here[number]].append(" ".join(text.split()))
    # What follows a blank in a set's name says what was left out of it.
    titles = [f"{found.name.partition(' ')[0]}/{found.split}" for found in sets]
    joined = _corpus(images, names, texts, classes, shares, titles)
    keep = np.flatnonzero((np.diff(joined.start) > 0) | (not captioned))
    if not len(keep):
        listed = ", ".join(joined.sets) or "no set"
        raise DatasetError(f"There is nothing to train on in {listed}; name a set with images and captions.")
    return joined if len(keep) == len(joined) else joined.rows(keep)


def _identity(image: Any) -> object:
    """What makes two sources the same picture: their file, or for arrays the array itself."""
    if isinstance(image, ImagePair):
        return _identity(image.before), _identity(image.after)
    if isinstance(image, str | os.PathLike):
        return str(Path(image).resolve())
    return id(image)


def _class_of(found: RetrievalSet, number: int) -> str | None:
    if found.labels is None or found.labels[number] < 0:
        return None
    return class_words(found.class_names[found.labels[number]])


def _corpus(
    images: list[Any],
    names: list[str],
    texts: list[list[str]],
    classes: list[str | None],
    shares: list[float],
    sets: list[str],
) -> Corpus:
    captions = [text for own in texts for text in own]
    known = sorted({name for name in classes if name is not None})
    number = {name: label for label, name in enumerate(known)}
    return Corpus(
        tuple(images),
        tuple(names),
        tuple(captions),
        np.concatenate([[0], np.cumsum([len(own) for own in texts])]).astype(np.int64),
        caption_groups(captions),
        np.array([-1 if name is None else number[name] for name in classes], np.int64),
        tuple(known),
        np.array(shares, np.float64),
        tuple(sets),
    )


def images_of(sets: Sequence[RetrievalSet]) -> Corpus:
    """The pictures of sets whose captions are to be ignored."""
    bare = [replace(found, captions=(), image_of=np.empty(0, np.int64)) for found in sets]
    return corpus_of(bare, [1.0] * len(bare), captioned=False)


def carved(corpus: Corpus, share: float, seed: int) -> tuple[Corpus, RetrievalSet]:
    """Set part of a corpus aside for validation, the same share of each scene class.

    Images that share a caption's wording are not kept together: the same choice is made however a set is
    trained on, by the names of its images alone.

    Args:
        corpus: Everything there is.
        share: Of the images of each class; of a class of one, none.
        seed: Of the choice.

    Returns:
        What remains to train on, and the part set aside.

    Raises:
        DatasetError: Too few images to set any aside.
    """
    rng = np.random.default_rng(seed)
    aside: list[int] = []
    for label in np.unique(corpus.labels):
        rows = np.flatnonzero(corpus.labels == label)
        rows = rows[np.argsort(np.array([corpus.names[row] for row in rows]))]
        aside += rng.permutation(rows)[: round(share * len(rows))].tolist()
    if not aside or len(aside) == len(corpus):
        raise DatasetError(
            f"A training set of {len(corpus)} is too small to set a share of {share} aside; name sets under "
            f"[validation], or set validation.share to 0."
        )
    chosen = np.sort(np.array(aside, np.int64))
    rest = np.setdiff1d(np.arange(len(corpus)), chosen)
    return corpus.rows(rest), _retrieval_set(corpus.rows(chosen))


def _retrieval_set(part: Corpus) -> RetrievalSet:
    return RetrievalSet(
        "set-aside",
        "val",
        part.images,
        part.names,
        part.captions,
        np.repeat(np.arange(len(part)), np.diff(part.start)).astype(np.int64),
        part.labels,
        part.class_names,
    )
