"""What a scene's cells are worth for a question: few large crops, each a grid of vectors.

Where the image tower ends in a mean and linear layers, a crop's vector is the mean of its cells' (as in class
activation mapping, Zhou et al., CVPR 2016, with a text for the class), so a grid says where in the crop a
match comes from, at the price of one encode. Each cell is scored by its cosine, as windows are, and lies
where the tower's strides put it: on the middles of the receptive fields, which padding moves to the lower
right on paper, less is found. Crops overlap by half; a cell counts by how far it lies from its crop's
border, beyond which the tower saw nothing. Knows vectors and boxes; no maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from landsift.encoders.cells import CellEncoder, cells_of
from landsift.localize.fusing import Evidence
from landsift.localize.layouts import cell_boxes, overlapping_grid
from landsift.localize.looking import Looker
from landsift.types import EncoderCard, FloatArray, Pixels

__all__ = ["cell_scores", "cell_weights", "dense_evidence"]

_CROPS_AT_ONCE = 1024  # whose vectors are in memory together as 32-bit floats


class _CellRows:
    """All cells of an image as one long row, so that they are kept as vectors of windows are.

    Args:
        cells: Shows them.
    """

    def __init__(self, cells: CellEncoder) -> None:
        self._cells = cells
        size = cells.card.input_size
        grey = np.full((size, size, 3), 128, np.uint8)
        self.grid = cells.encode_cells([grey]).shape[1:]
        card = cells.card
        self.card: EncoderCard = replace(
            card, dim=int(np.prod(self.grid)), weights_sha256=f"{card.weights_sha256}-cells"
        )

    def encode_images(self, images: Sequence[Pixels]) -> FloatArray:
        """``n`` images to ``n`` rows of ``h * w * dim``."""
        return self._cells.encode_cells(images).reshape(len(images), -1)


def dense_evidence(
    looker: Looker,
    query: FloatArray,
    sides: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
) -> Evidence:
    """Score the cells of overlapping crops.

    Args:
        looker: Of the scene.
        query: ``(dim,)`` unit row.
        sides: Of the crops, pixels; all fit.
        progress: Called with how many crops are encoded, and how many there are.

    Raises:
        EncoderError: The encoder shows no cells.
        SceneError: The file is damaged.
    """
    rows_of = _CellRows(cells_of(looker.encoder))
    inner = Looker(looker.scene, looker.encoder, looker.cache, rows_of)
    width, height = looker.scene.profile.width, looker.scene.profile.height
    crops = [crop for side in sides for crop in overlapping_grid(width, height, side)]
    rows, columns, _ = rows_of.grid
    weight = cell_weights(rows, columns)
    boxes, scores, weights = [], [], []
    for first in range(0, len(crops), _CROPS_AT_ONCE):
        some = crops[first : first + _CROPS_AT_ONCE]
        vectors, seen = inner.vectors(some, _told(progress, first, len(crops)))
        for crop, row in zip((some[n] for n in np.flatnonzero(seen)), vectors[seen], strict=True):
            boxes.append(cell_boxes(crop, rows, columns))
            scores.append(cell_scores(row.reshape(rows * columns, -1), query))
            weights.append(weight)
    looker.encoded += inner.encoded
    return Evidence(
        width,
        height,
        np.concatenate(boxes or [np.empty((0, 4), np.int64)]),
        np.concatenate(scores or [np.empty(0, np.float32)]),
        weights=np.concatenate(weights or [np.empty(0, np.int64)]),
    )


def cell_scores(cells: FloatArray, query: FloatArray) -> FloatArray:
    """Cosines of an image's cells with a question.

    Args:
        cells: ``(n, dim)``.
        query: ``(dim,)`` unit row.

    Returns:
        ``(n,)``; 0 of a cell without direction.
    """
    lengths = np.linalg.norm(cells, axis=1)
    found: FloatArray = (cells @ query / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return found


def cell_weights(rows: int, columns: int) -> NDArray[np.int64]:
    """How much the cells of a crop count, ``(rows * columns,)``: 1 at its border, most in its middle."""
    down, across = (np.minimum(np.arange(count), np.arange(count)[::-1]) + 1 for count in (rows, columns))
    return np.outer(down, across).astype(np.int64).ravel()


def _told(
    progress: Callable[[int, int], None] | None, before: int, total: int
) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, _: progress(before + done, total)
