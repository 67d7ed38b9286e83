"""Which items are right answers to which queries, kept small however many there are.

Knows image and caption numbers only: no text, no scores. Two readings of one data set are offered:
strict, where a caption belongs to its own image alone, and duplicate-aware, where equal captions share
their images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landsift.errors import UsageError
from landsift.types import IntArray

__all__ = ["Positives", "caption_positives"]


@dataclass(frozen=True, eq=False)
class Positives:
    """The right answers to each query, through keys that queries and items share.

    A query is right with every item of each of its keys. With the keys in between, ten thousand captions
    of ten thousand images that all read "a satellite image" cost twenty thousand numbers, not 10^8.

    Attributes:
        key_start: ``(queries + 1,)``; the keys of query ``q`` are those from ``key_start[q]`` up to, and
            without, ``key_start[q + 1]``.
        keys: Key numbers, distinct within a query.
        item_start: ``(keys + 1,)``; the same for the items of a key.
        items: Item numbers. Two keys of one query never share an item.
        n_items: How many items there are to rank.
    """

    key_start: IntArray
    keys: IntArray
    item_start: IntArray
    items: IntArray
    n_items: int

    @property
    def n_queries(self) -> int:
        """How many queries there are, those without a right answer included."""
        return len(self.key_start) - 1

    def of(self, query: int) -> IntArray:
        """Item numbers that answer ``query``; empty if none does."""
        keys = self.keys[self.key_start[query] : self.key_start[query + 1]]
        parts = [self.items[self.item_start[key] : self.item_start[key + 1]] for key in keys]
        return parts[0] if len(parts) == 1 else np.concatenate([*parts, self.items[:0]])

    def counts(self) -> IntArray:
        """``(queries,)`` number of right answers to each query."""
        total = np.concatenate([[0], np.cumsum(np.diff(self.item_start)[self.keys])])
        return total[self.key_start[1:]] - total[self.key_start[:-1]]


def caption_positives(
    image_of: IntArray, n_images: int, caption_groups: IntArray | None = None
) -> tuple[Positives, Positives]:
    """Right answers in both directions of a caption set.

    Args:
        image_of: ``(M,)`` image that each caption describes.
        n_images: N.
        caption_groups: ``(M,)`` numbers, equal for captions that count as the same text; every image of a
            group is then a right answer to every caption in it, and the other way round. None for the
            strict reading, in which a caption is right with its own image only.

    Returns:
        ``(image to text, text to image)``.

    Raises:
        UsageError: The arrays disagree in length or point outside the images.
    """
    image_of = np.asarray(image_of, np.int64)
    if len(image_of) and not (image_of.min() >= 0 and image_of.max() < n_images):
        raise UsageError(f"image_of points outside the {n_images} images; number the images from 0.")
    if caption_groups is None:
        groups, n_groups = image_of, n_images
    else:
        if len(caption_groups) != len(image_of):
            raise UsageError(
                f"{len(image_of)} captions need as many caption_groups; got {len(caption_groups)}."
            )
        unique, groups = np.unique(caption_groups, return_inverse=True)
        groups, n_groups = groups.reshape(-1).astype(np.int64), len(unique)
    pairs = np.unique(np.stack([image_of, groups], 1), axis=0).reshape(-1, 2)
    image_start, groups_of_image = _grouped(pairs[:, 0], pairs[:, 1], n_images)
    group_start, images_of_group = _grouped(pairs[:, 1], pairs[:, 0], n_groups)
    caption_start, captions_of_group = _grouped(groups, np.arange(len(groups)), n_groups)
    i2t = Positives(image_start, groups_of_image, caption_start, captions_of_group, len(image_of))
    one_each = np.arange(len(groups) + 1)
    return i2t, Positives(one_each, groups, group_start, images_of_group, n_images)


def _grouped(owners: IntArray, members: IntArray, n_owners: int) -> tuple[IntArray, IntArray]:
    """List ``members`` by owner: start of each owner's list, and the lists end to end."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=n_owners))]).astype(np.int64)
    return starts, members[np.argsort(owners, kind="stable")].astype(np.int64)
