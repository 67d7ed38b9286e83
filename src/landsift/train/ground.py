"""Learning to see from above what photographs taken beneath show: GRAFT's training, and its file of vectors.

A frozen encoder with a text tower of its own saw the photographs; an image tower that agrees with it can be
asked in the words of that text tower, though no caption was read. Knows vectors of photographs; no models.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from landsift.data import read_image
from landsift.errors import DatasetError, UsageError
from landsift.files import write_whole
from landsift.models import objectives
from landsift.train.term import Encoded, Term, positive
from landsift.types import Encoder, FloatArray

__all__ = ["GroundPhotos", "GroundPhotosOptions", "write_ground_photos"]

_AT_ONCE = 64
_COLUMNS = ("image", "photo")


@dataclass(frozen=True)
class GroundPhotosOptions:
    """Agree with photographs from the ground.

    Attributes:
        temperature: Of the softmax over the photographs of the batch.
        cells: Weight of the same loss for the cells in which photographs were taken; 0 for none. Only for
            methods that show cells as long as the photographs' vectors, and files that tell the places.
    """

    temperature: float = 0.07
    cells: float = 0.0

    def __post_init__(self) -> None:
        positive("temperature", self.temperature)
        if self.cells < 0:
            raise ValueError(f"cells must be 0 or more; got {self.cells}")


class GroundPhotos(Term):
    """Draw images to the photographs taken in them (GRAFT, Mall et al., ICLR 2024, arXiv 2312.06960)."""

    needs = frozenset({"ground"})

    def forward(self, found: Encoded) -> Tensor:
        """The image loss, and the weighted loss of the cells."""
        photos = found.batch.extras["ground"]
        photos = photos[:, None] if photos.ndim == 2 else photos
        there = photos.abs().sum(dim=2) > 0
        image, vectors = there.nonzero()[:, 0], photos[there].float()
        _check_width(found.image.pooled, vectors, "vectors")
        own = image == torch.arange(len(photos), device=image.device)[:, None]
        temperature = self.options.temperature
        value = objectives.ground_contrast(found.image.pooled, vectors, own, temperature=temperature)
        if not self.options.cells:
            return value
        cells = self._cells(found, image, there)
        _check_width(cells, vectors, "cells")
        own = torch.eye(len(cells), dtype=torch.bool, device=cells.device)
        return value + self.options.cells * objectives.ground_contrast(
            cells, vectors, own, temperature=temperature
        )

    def _cells(self, found: Encoded, image: Tensor, there: Tensor) -> Tensor:
        tokens, places = found.image.tokens, found.batch.extras.get("ground-places")
        if tokens is None or places is None:
            raise UsageError(
                "[loss.ground-photos] has cells above 0, but the method shows no cells, or data.extras names "
                "no ground-places; set cells to 0."
            )
        places = places[:, None] if places.ndim == 2 else places
        return objectives.cells_at(tokens, image, places[there].float())


def _check_width(rows: Tensor, photos: Tensor, what: str) -> None:
    if rows.shape[1] != photos.shape[1]:
        raise UsageError(
            f"The method's {what} have {rows.shape[1]} numbers, those of the photographs {photos.shape[1]}; "
            f"encode the photographs with the encoder whose text tower the method has."
        )


def write_ground_photos(listing: str | Path, encoder: Encoder, out: str | Path) -> int:
    """Encode photographs for ``data.extras`` of a recipe with ``[loss.ground-photos]``.

    Args:
        listing: CSV with the columns ``image`` (name of the picture from above in its set: its path below
            the set's folder), ``photo`` (a file, beside the listing) and, for the loss of the cells, ``x``
            and ``y``: where in the picture it was taken, from 0 to 1, from its left and from its top.
        encoder: Whose text tower the trained method is to answer to.
        out: The ``.npz`` to write; with places, another beside it whose name ends in ``-places.npz``.

    Returns:
        How many photographs were encoded.

    Raises:
        DatasetError: The listing or a photograph cannot be read, or a column is missing.
    """
    rows = _listed(Path(listing))
    counts = Counter(row["image"] for row in rows)
    place = {name: number for number, name in enumerate(counts)}
    vectors = _encoded([Path(listing).parent / row["photo"] for row in rows], encoder)
    values = np.zeros((len(counts), max(counts.values()), vectors.shape[1]), np.float32)
    places = np.full((*values.shape[:2], 2), 0.5, np.float32)
    taken: Counter[str] = Counter()
    for row, vector in zip(rows, vectors, strict=True):
        at = place[row["image"]], taken[row["image"]]
        taken[row["image"]] += 1
        values[at] = vector
        if row.get("x"):
            places[at] = _place_of(row)
    out = Path(out).with_suffix(".npz")
    _save(out, list(place), values)
    if rows[0].get("x"):
        _save(out.with_name(f"{out.stem}-places.npz"), list(place), places)
    return len(rows)


def _place_of(row: Mapping[str, str]) -> tuple[float, float]:
    try:
        across, down = float(row["x"]), float(row["y"])
    except (KeyError, ValueError, TypeError):
        across = down = -1.0
    if not (0 <= across <= 1 and 0 <= down <= 1):
        raise DatasetError(
            f"The photograph {row['photo']} has no place x,y from 0 to 1 in {row['image']}; mend its line."
        )
    return across, down


def _save(path: Path, names: Sequence[str], values: FloatArray) -> None:
    write_whole(path, lambda partial: np.savez(partial, names=np.array(names), values=values))


def _listed(listing: Path) -> list[dict[str, str]]:
    try:
        with listing.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{listing} cannot be read as CSV ({error}); check the file.") from error
    missing = [name for name in _COLUMNS if not rows or not all(row.get(name) for row in rows)]
    if missing:
        raise DatasetError(
            f"{listing} has no {missing[0]} in some line; write image,photo and, if known, x,y."
        )
    return rows


def _encoded(paths: Sequence[Path], encoder: Encoder) -> FloatArray:
    parts = [
        encoder.encode_images([read_image(path) for path in paths[first : first + _AT_ONCE]])
        for first in range(0, len(paths), _AT_ONCE)
    ]
    return np.concatenate(parts)
