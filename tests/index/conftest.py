"""Rows that lie in clusters, as pictures of one kind do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

DIM = 24


def clustered(count: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    """``(count, dim)`` float32 unit rows around forty middles and away from the origin."""
    random = np.random.default_rng(seed)
    middles = np.random.default_rng(99).standard_normal((40, dim)) + 0.7
    rows = middles[random.integers(0, 40, count)] + 0.6 * random.standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rows_of() -> Callable[..., np.ndarray]:
    return clustered
