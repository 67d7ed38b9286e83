"""A search in words, for headings. Knows no gallery."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["in_words", "is_file"]


def in_words(texts: Sequence[str], like: Sequence[Any], unlike: Sequence[Any]) -> str:
    """What is looked for and what is not, of texts, tile ids, image files and arrays."""
    parts = [*texts, *(f"like {_named(item)}" for item in like), *(f"not {_named(item)}" for item in unlike)]
    return ", ".join(parts)


def is_file(item: Any) -> bool:
    """Whether something that is asked for is an image file rather than a text, a tile id or an array."""
    try:
        return not isinstance(item, np.ndarray) and Path(item).is_file()
    except (OSError, ValueError):  # a text too long, or with a zero byte, to be a path
        return False


def _named(item: Any) -> str:
    if isinstance(item, np.ndarray):
        return "an image"
    return Path(item).name if is_file(item) else str(item)
