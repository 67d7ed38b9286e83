"""A first look at a scene: enough valid samples, from everywhere in it, to set its stretch by.

Never reads a large file as a whole, and takes the same samples every time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from landsift.scenes.reader import BandReader
from landsift.scenes.stretch import Plane
from landsift.types import Window

__all__ = ["sample_scene"]

# As many samples per band as a percentile needs with plenty to spare.
_ENOUGH_PIXELS = 1024 * 1024
# Decimated reads decode everything underneath: fine up to here, or down to an overview of this size.
_SMALL_PIXELS = 4 * 1024 * 1024
_PATCH = 128
_GRIDS = (8, 32)
_FEW_VALID = 1024
_SWEEP = 1024


def sample_scene(reader: BandReader) -> list[NDArray[np.generic]] | None:
    """Valid samples of each shown band, each ``(n,)``; None if the scene has no valid pixel at all.

    Small scenes, and those with overviews, are read decimated as a whole. Of others a fixed grid of patches
    is read, then a denser one where too few valid pixels were met, and in the end (nearly empty scenes
    only) everything, piece by piece, until some are.
    """
    height, width = reader.height, reader.width
    if width * height / reader.coarsest**2 <= _SMALL_PIXELS:
        shrink = max(1.0, math.sqrt(width * height / _ENOUGH_PIXELS))
        size = (max(1, round(height / shrink)), max(1, round(width / shrink)))
        found = _collect(reader, [Window(0, 0, width, height)], size)
        if found[0].size or shrink == 1.0:
            return found if found[0].size else None
    else:
        for grid in _GRIDS:
            found = _collect(reader, list(_patches(width, height, grid)))
            if found[0].size >= _FEW_VALID:
                return found
    return _sweep(reader, width, height)


def _patches(width: int, height: int, grid: int) -> Iterator[Window]:
    """``grid`` x ``grid`` small windows, evenly spread, from top to bottom."""
    patch_width, patch_height = min(_PATCH, width), min(_PATCH, height)
    for row in np.unique(np.linspace(0, height - patch_height, grid).astype(int)):
        for col in np.unique(np.linspace(0, width - patch_width, grid).astype(int)):
            yield Window(int(col), int(row), patch_width, patch_height)


def _collect(
    reader: BandReader, windows: list[Window], size: tuple[int, int] | None = None
) -> list[NDArray[np.generic]]:
    """The valid samples of some windows, each band's joined."""
    pieces = []
    for window in windows:
        planes, valid = reader.sample(window, size or (window.height, window.width))
        pieces.append([_valid_samples(plane, valid) for plane in planes])
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def _valid_samples(plane: Plane, valid: NDArray[np.bool_] | None) -> NDArray[np.generic]:
    return plane.ravel() if valid is None else plane[valid]


def _sweep(reader: BandReader, width: int, height: int) -> list[NDArray[np.generic]] | None:
    """The first valid samples met on the way through the whole scene."""
    for row in range(0, height, _SWEEP):
        for col in range(0, width, _SWEEP):
            window = Window(col, row, min(_SWEEP, width - col), min(_SWEEP, height - row))
            found = _collect(reader, [window])
            if found[0].size:
                return found
    return None
