"""A data set whose pictures or captions are spoilt as they are read; nothing is written or kept.

Knows sets and the suite; no encoders.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, overload

from landsift.data.corrupting.suite import CORRUPTIONS, corrupt, corrupt_text, find_corruptions
from landsift.data.images import read_image, read_images
from landsift.types import Pixels, RetrievalSet

__all__ = ["SpoiltImages", "spoilt_set"]


class SpoiltImages(Sequence[Any]):
    """The pictures of a set, each spoilt when it is read.

    Args:
        images: Sources of the pictures.
        names: Their names, which chance depends on.
        corruption: Of :data:`~landsift.data.corrupting.CORRUPTIONS`.
        severity: 0 to 5.
        seed: Of what is drawn.
    """

    def __init__(
        self, images: Sequence[Any], names: Sequence[str], corruption: str, severity: int, seed: int
    ) -> None:
        self._images, self._names = images, names
        self._corruption, self._severity, self._seed = corruption, severity, seed

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, place: int) -> Pixels: ...
    @overload
    def __getitem__(self, place: slice) -> SpoiltImages: ...
    def __getitem__(self, place: int | slice) -> Pixels | SpoiltImages:
        """One spoilt picture, or some of them, still to be read."""
        if isinstance(place, slice):
            return SpoiltImages(
                self._images[place], self._names[place], self._corruption, self._severity, self._seed
            )
        return self._spoilt(read_image(self._images[place]), self._names[place])

    def __iter__(self) -> Iterator[Pixels]:
        for pixels, name in zip(read_images(self._images), self._names, strict=True):
            yield self._spoilt(pixels, name)

    def _spoilt(self, pixels: Pixels, name: str) -> Pixels:
        return corrupt(pixels, self._corruption, self._severity, key=name, seed=self._seed)


def spoilt_set(data: RetrievalSet, name: str, severity: int, *, seed: int = 0) -> RetrievalSet:
    """The set with its pictures or its captions spoilt, whichever the corruption is for.

    Args:
        data: Any; it is not changed.
        name: Of :func:`~landsift.data.corrupting.corruption_names`.
        severity: 0 (the set as it is) to 5.
        seed: Of what is drawn.

    Raises:
        UsageError: No such corruption or severity.
    """
    find_corruptions([name])
    if name in CORRUPTIONS:
        pictures = SpoiltImages(data.images, data.image_names, name, severity, seed)
        return dataclasses.replace(data, images=pictures)
    captions = [corrupt_text(text, name, severity, seed=seed) for text in data.captions]
    return dataclasses.replace(data, captions=captions)
