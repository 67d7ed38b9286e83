"""Part of a scene in memory, as 8-bit pixels, from which tiles are cut.

A canvas is made of cells: squares of ``step`` x ``step`` native pixels, counted from the scene's corner, so
that a tile comes out the same, to the last bit, whichever read it is cut from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landsift.scenes.reader import BandReader
from landsift.scenes.stretch import Stretch, fill_invalid, to_pixels
from landsift.types import Pixels, Window

__all__ = ["Canvas"]

# What one call to GDAL may bring, and what it may decode underneath when rows are stored as strips: well
# below the block cache, so that no strip is decoded twice within a call.
_READ_BYTES = 16_000_000
_DECODED_BYTES = 32_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """Pixels of some cells.

    Attributes:
        pixels: ``(h, w, 3)`` uint8, one pixel per cell.
        valid: ``(h, w)`` which of them are valid; None if all are.
        left: Column of cells that the first column is.
        top: Row of cells that the first row is.
        step: Side of a cell in native pixels.
        columns: How many columns of whole cells the scene has.
        rows: How many rows of whole cells the scene has.
    """

    pixels: Pixels
    valid: NDArray[np.bool_] | None
    left: int
    top: int
    step: int
    columns: int
    rows: int

    @classmethod
    def read(cls, reader: BandReader, stretch: Stretch, window: Window, step: int) -> Self:
        """Read the cells that a window touches. A cell cut off by the scene's edge is left out.

        Raises:
            SceneError: The file is damaged there.
        """
        columns, rows = reader.width // step, reader.height // step
        left, top = window.col // step, window.row // step
        right = min(math.ceil((window.col + window.width) / step), columns)
        bottom = min(math.ceil((window.row + window.height) / step), rows)
        pixels = np.empty((bottom - top, right - left, 3), np.uint8)
        valid: NDArray[np.bool_] | None = None
        at_once = _rows_at_once(reader, right - left, step)
        for first in range(top, bottom, at_once):
            last = min(first + at_once, bottom)
            planes, ok = reader.read(Window(left, first, right - left, last - first), step)
            here = np.s_[first - top : last - top]
            to_pixels(planes, stretch, out=pixels[here])
            if ok is not None:
                valid = np.ones(pixels.shape[:2], np.bool_) if valid is None else valid
                valid[here] = ok
        return cls(pixels, valid, left, top, step, columns, rows)

    def cut(self, window: Window, size: tuple[int, int]) -> tuple[Pixels, float]:
        """The pixels of a window at ``size`` (height, width), and the share of valid ones.

        Invalid pixels are filled with the mean of the valid ones. The answer shares no memory with the
        canvas, so that keeping it does not keep the canvas.
        """
        height, width = size
        if (window.height, window.width) == (height * self.step, width * self.step):
            # Whole cells make whole pixels. A window that starts inside a cell (the last of a row, moved
            # inwards) shows the cells from the nearest border on, at most half a pixel off.
            left = min(_nearest(window.col, self.step), self.columns - width)
            top = min(_nearest(window.row, self.step), self.rows - height)
            return self._crop(left, top, left + width, top + height)
        box = np.array((window.col, window.row, window.col + window.width, window.row + window.height))
        box = np.minimum(box / self.step, (self.columns, self.rows) * 2)
        left, top = (math.floor(edge) for edge in box[:2])
        pixels, share = self._crop(left, top, math.ceil(box[2]), math.ceil(box[3]))
        resized = Image.fromarray(pixels).resize(
            (width, height), Image.Resampling.BILINEAR, box=tuple(box - (left, top, left, top))
        )
        return np.array(resized), share

    def _crop(self, left: int, top: int, right: int, bottom: int) -> tuple[Pixels, float]:
        """A copy of some cells, invalid ones filled, and the share of valid ones."""
        part = np.s_[top - self.top : bottom - self.top, left - self.left : right - self.left]
        pixels = self.pixels[part].copy()
        return pixels, 1.0 if self.valid is None else fill_invalid(pixels, self.valid[part])


def _nearest(position: int, step: int) -> int:
    """The cell border nearest to a native pixel border."""
    return (2 * position + step) // (2 * step)


def _rows_at_once(reader: BandReader, width: int, step: int) -> int:
    """How many rows of cells to read in one call."""
    rows = _READ_BYTES // (width * reader.pixel_bytes)
    if reader.in_strips:
        rows = min(rows, _DECODED_BYTES // (reader.width * step * reader.pixel_bytes))
    return max(1, rows)
