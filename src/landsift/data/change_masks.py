"""Change masks of one size, for training: a file of arrays that a recipe names under ``[data.extras]``.

Knows sets of two dates; no models.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landsift.data.change import ChangeSet
from landsift.errors import DatasetError, UsageError

__all__ = ["mask_of_side", "save_masks"]


def mask_of_side(mask: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A mask squeezed into a square; classes are taken as they are, never mixed."""
    resized = Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST)
    return np.asarray(resized)


def save_masks(found: ChangeSet, path: str | Path, side: int = 64) -> Path:
    """Write the masks of a set as ``names`` ``(N,)`` and ``values`` ``(N, side, side)`` uint8.

    A pair that did not change and has no mask gets an empty one.

    Args:
        found: The set.
        path: A ``.npz`` file.
        side: Of the masks.

    Raises:
        UsageError: A side below 1, or a file that is no ``.npz``.
        DatasetError: A pair that may have changed has no mask.
    """
    path = Path(path)
    if side < 1 or path.suffix != ".npz":
        raise UsageError(f"Masks go into an .npz file, with a side of 1 or more; got {path} and {side}.")
    values = np.zeros((len(found), side, side), np.uint8)
    for row, pair in enumerate(found.pairs):
        mask = found.mask(row)
        if mask is not None:
            values[row] = mask_of_side(mask, side)
        elif pair.changed is not False:
            raise DatasetError(
                f"{found.name} has no mask of {pair.name}; download the masks or leave it out."
            )
    np.savez_compressed(path, names=np.array([pair.name for pair in found.pairs]), values=values)
    return path
