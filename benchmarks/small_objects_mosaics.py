"""Small objects in wide scenes: images of a set put together, four to a scene, searched whole or in crops.

A thing covers a quarter of the part of such a scene that it covers of its image, as in a tile of scale 2.
What is measured, and how it is chosen, is as in ``benchmarks.small_objects``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.small_objects import SEED, measure
from landsift.data import read_images
from landsift.encoders.pixels import resize_square
from landsift.types import Pixels, RetrievalSet

__all__ = ["mosaics", "run"]

SIDE = 2


def run() -> None:
    """Measure and save; without the data, say so."""
    measure("small_objects_mosaics", mosaics)


def mosaics(data: RetrievalSet, side: int = SIDE) -> RetrievalSet:
    """Scenes of ``side`` x ``side`` images put together at random, with the captions of all of them.

    Images left over at the end are not used.
    """
    order = np.random.default_rng(SEED).permutation(len(data.images))
    order = order[: len(order) // side**2 * side**2].reshape(-1, side, side)
    scene_of = np.full(len(data.images), -1, np.int64)
    scene_of[order.reshape(len(order), -1)] = np.arange(len(order))[:, None]
    kept = np.flatnonzero(scene_of[data.image_of] >= 0)
    return RetrievalSet(
        f"{data.name} mosaics of {side}",
        data.split,
        [_scene([[data.images[row] for row in line] for line in places.tolist()]) for places in order],
        [f"scene-{number}" for number in range(len(order))],
        [data.captions[row] for row in kept.tolist()],
        scene_of[data.image_of[kept]],
    )


def _scene(lines: list[list[Any]]) -> Pixels:
    """Images side by side, all squared to the first one's height."""
    rows = [list(read_images(line)) for line in lines]
    height = rows[0][0].shape[0]
    return np.concatenate(
        [np.concatenate([resize_square(image, height) for image in row], axis=1) for row in rows]
    )
