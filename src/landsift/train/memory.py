"""What the model made of each training image when it last saw it: hard negatives for the next pass.

Costs nothing, since the vectors come from the training steps themselves. Knows vectors only.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from landsift.train.sampling import nearest
from landsift.train.terms import Encoded
from landsift.types import IntArray

__all__ = ["Memory"]


class Memory:
    """Vectors of images and of one caption each.

    Args:
        count: Number of training images.
        dim: Length of the vectors.
    """

    def __init__(self, count: int, dim: int) -> None:
        self.image = np.zeros((count, dim), np.float16)
        self.text = np.zeros((count, dim), np.float16)

    def update(self, found: Encoded) -> None:
        """Keep the vectors of a step."""
        if found.text is None:
            return
        rows = found.batch.image_ids.cpu().numpy()
        self.image[rows] = _halves(found.image.pooled)
        self.text[rows[found.batch.image_row.cpu().numpy()]] = _halves(found.text.pooled)

    def neighbours(self, count: int) -> IntArray:
        """For each image, those it is most easily taken for: ``(N, count)``."""
        return nearest(self.image.astype(np.float32), self.text.astype(np.float32), count)

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"memory.image": torch.from_numpy(self.image), "memory.text": torch.from_numpy(self.text)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """From a checkpoint."""
        self.image[:] = state["memory.image"].numpy()
        self.text[:] = state["memory.text"].numpy()


def _halves(rows: Tensor) -> np.ndarray:
    return rows.detach().to(torch.float16).cpu().numpy()
