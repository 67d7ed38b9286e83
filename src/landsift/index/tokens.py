"""Many small vectors an image, and the images that a sentence's words fit best among a few: late interaction.

Cells are kept as half floats or as one bit a number, and scored where they lie; words stay in full precision.
It re-ranks what another index found: scoring all rows costs as many products as there are cells. Knows rows
and vectors; no ids and no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.errors import GalleryDamaged, UsageError
from landsift.files import ColumnFolder, ColumnSpec
from landsift.types import FloatArray, Hits

__all__ = ["TokenTable"]

_ROWS_AT_ONCE = 256
_NAME = "tokens"


class TokenTable:
    """Cells of images, in row order.

    Args:
        dim: Length of a cell's vector.
        cells: Of each image.
        bits: 16 for half floats, 1 for signs: 49 cells of 512 numbers take 50 kB or 3 kB.

    Raises:
        UsageError: Sizes that cannot be.
    """

    def __init__(self, dim: int, cells: int, bits: int = 16) -> None:
        if dim < 1 or cells < 1:
            raise UsageError(f"An image needs 1 cell or more of 1 number or more; got {cells} of {dim}")
        if bits not in (1, 16):
            raise UsageError(f"Cells are kept with 16 bits a number or with 1; got {bits}. Choose one")
        self.dim, self.cells, self.bits = dim, cells, bits
        self._parts: list[NDArray[Any]] = []

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    @property
    def row_bytes(self) -> int:
        """Bytes that one image takes."""
        return self.cells * (2 * self.dim if self.bits == 16 else -(-self.dim // 8))

    def add(self, cells: NDArray[np.floating]) -> None:
        """Append the cells of some images: ``(n, cells, dim)``.

        Raises:
            UsageError: Another shape, or a value that is not finite.
        """
        cells = np.asarray(cells)
        if cells.ndim != 3 or cells.shape[1:] != (self.cells, self.dim):
            raise UsageError(
                f"Images have {self.cells} cells of {self.dim} numbers here; got {cells.shape}. Encode alike"
            )
        if not np.isfinite(cells).all():
            raise UsageError("A cell holds a value that is no number; encode the image again")
        self._parts.append(np.packbits(cells >= 0, axis=2) if self.bits == 1 else cells.astype("<f2"))

    def cells_of(self, rows: NDArray[np.integer]) -> FloatArray:
        """The cells of some images as they are scored, ``(r, cells, dim)`` float32; signs have length 1.

        Raises:
            UsageError: No such row.
        """
        rows = np.asarray(rows, np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise UsageError(f"There are {len(self)} images, from row 0; got rows up to {rows.max()}")
        kept = np.empty((len(rows), *self._row_shape), self._kind)
        first = 0
        for part in self._parts:
            inside = (rows >= first) & (rows < first + len(part))
            kept[inside] = part[rows[inside] - first]
            first += len(part)
        if self.bits == 16:
            return kept.astype(np.float32)
        signs = np.unpackbits(kept, axis=2, count=self.dim).astype(np.float32)
        return (2 * signs - 1) / np.float32(np.sqrt(self.dim))

    def scores(self, words: NDArray[np.floating], rows: NDArray[np.integer]) -> FloatArray:
        """Sum over words of the nearest cell's score (Khattab and Zaharia, SIGIR 2020, arXiv 2004.12832).

        Args:
            words: ``(b, dim)`` of one sentence.
            rows: ``(r,)`` the images to score.

        Returns:
            ``(r,)`` float32; a row's score does not depend on the others.
        """
        words, rows = np.asarray(words, np.float32), np.asarray(rows, np.int64)
        if words.ndim != 2 or not len(words) or words.shape[1] != self.dim:
            raise UsageError(f"A sentence is one word or more of {self.dim} numbers; got {words.shape}")
        found = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = self.cells_of(rows[start : start + _ROWS_AT_ONCE])
            found[start : start + len(some)] = (some @ words.T).max(axis=1).sum(axis=1)
        return found

    def rerank(self, words: NDArray[np.floating], rows: NDArray[np.integer]) -> Hits:
        """Candidates in the order of their scores, equal ones by row.

        Args:
            words: ``(b, dim)`` of one sentence.
            rows: ``(r,)`` candidates, as a first search gave them.
        """
        candidates = np.asarray(rows, np.int64)
        scores = self.scores(words, candidates)
        order = np.lexsort((candidates, -scores))
        return Hits(candidates[order][None, :], scores[order][None, :])

    def save(self, folder: str | Path) -> None:
        """Write the table; readers see the old one or the new."""
        note = {"dim": self.dim, "cells": self.cells, "bits": self.bits}
        ColumnFolder.write(folder, self._spec, self._batches(), note)

    @classmethod
    def load(cls, folder: str | Path) -> TokenTable:
        """Open a table, memory-mapped.

        Raises:
            GalleryDamaged: There is none, or it is cut short.
        """
        opened = ColumnFolder(folder)
        try:
            table = cls(*(int(opened.note[name]) for name in ("dim", "cells", "bits")))
        except (KeyError, TypeError, ValueError) as error:
            raise GalleryDamaged(f"{folder} holds no cells of images; write them again") from error
        if opened.columns.keys() != {_NAME}:
            raise GalleryDamaged(f"{folder} holds no cells of images; write them again")
        table._parts = [opened.columns[_NAME]]
        return table

    @property
    def _kind(self) -> str:
        return "<f2" if self.bits == 16 else "|u1"

    @property
    def _row_shape(self) -> tuple[int, int]:
        return self.cells, self.dim if self.bits == 16 else -(-self.dim // 8)

    @property
    def _spec(self) -> ColumnSpec:
        return {_NAME: (self._kind, self._row_shape)}

    def _batches(self) -> Iterator[dict[str, NDArray[Any]]]:
        for part in self._parts:
            yield {_NAME: part}
