"""Words, pictures and their opposites -> one unit query; a ranking -> one best tile per place.

Pure numpy; knows no gallery.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.types import FloatArray

__all__ = ["NEGATIVE_WEIGHT", "compose", "one_per_place"]

NEGATIVE_WEIGHT = 0.5
"""How strongly the mean of the negatives is subtracted; Rocchio's rule keeps it below the positives' 1."""

SAME_PLACE = 0.1
"""Tiles of one scene that share more than this part of the smaller one show one place."""
_FEW_RIVALS = 16


def compose(positives: FloatArray, negatives: FloatArray) -> FloatArray:
    """Rocchio's query: the mean of what is wanted minus half the mean of what is not.

    J. J. Rocchio, "Relevance feedback in information retrieval", in The SMART Retrieval System, 1971.

    Args:
        positives: ``(p, dim)`` unit rows; at least one.
        negatives: ``(n, dim)`` unit rows; may be none.

    Returns:
        ``(dim,)`` float32 of length 1.

    Raises:
        UsageError: Nothing is wanted, or what is wanted and not wanted cancel out.
    """
    if not len(positives):
        raise UsageError("There is nothing to search for; give a text, or --like with a tile id or an image")
    query = positives.mean(axis=0, dtype=np.float64)
    if len(negatives):
        query = query - NEGATIVE_WEIGHT * negatives.mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(query))
    if length < 1e-6:
        raise UsageError("What is wanted and what is not wanted cancel out; change one of them")
    return (query / length).astype(np.float32)


def one_per_place(
    scene: NDArray[np.integer], boxes: NDArray[np.integer], enough: int, *, lead: int = 0
) -> NDArray[np.int64]:
    """Positions, in a ranking, of the tiles that no better tile of the same scene overlaps.

    A greedy pass from the best down: a tile is kept unless a kept one of its scene covers more than a tenth
    of the smaller of the two. So the side neighbours of a hit disappear, and so does the double-size window
    around it; hits do not chain across a whole scene.

    Args:
        scene: ``(n,)`` scene of each tile, best first.
        boxes: ``(n, 4)`` left, top, right, bottom in native pixels of the scene.
        enough: Stop after this many.
        lead: The first so many are places already known: they suppress others and are not answers.
    """
    kept: list[int] = []
    kept_of: dict[int, list[int]] = {}
    corners = boxes.tolist()
    for position, of in enumerate(scene.tolist()):
        rivals = kept_of.setdefault(of, [])
        if position < lead or not rivals:
            overlaps = False
        elif len(rivals) <= _FEW_RIVALS:
            overlaps = any(_overlap(corners[position], corners[rival]) for rival in rivals)
        else:
            overlaps = _overlaps(boxes[position], boxes[rivals])
        if overlaps:
            continue
        rivals.append(position)
        if position >= lead:
            kept.append(position)
        if len(kept) == enough:
            break
    return np.array(kept, np.int64)


def _overlap(box: list[int], other: list[int]) -> bool:
    """What :func:`_overlaps` says of one other, sooner than arrays can be made of so little."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return False
    own, its = [(right - left) * (bottom - top) for left, top, right, bottom in (box, other)]
    return width * height > SAME_PLACE * min(own, its)


def _overlaps(box: NDArray[np.integer], others: NDArray[np.integer]) -> bool:
    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    shared = np.clip(width, 0, None) * np.clip(height, 0, None)
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    smaller = np.minimum((box[2] - box[0]) * (box[3] - box[1]), areas)
    return bool((shared > SAME_PLACE * smaller).any())
