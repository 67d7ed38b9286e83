"""Values that a recipe attaches to images, read from files and put into the order of a training set.

Knows ``.npz`` files; not what the values mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.data.load import some
from landsift.errors import DatasetError
from landsift.train.corpus import Corpus

__all__ = ["read_extras"]


def read_extras(files: Mapping[str, str], corpus: Corpus) -> dict[str, NDArray[Any]]:
    """Read arrays keyed by image name.

    Args:
        files: Name of the value to an ``.npz`` file with ``names`` ``(n,)`` and ``values`` ``(n, ...)``; the
            names are those of the set, or ``set/name``.
        corpus: Whose images they belong to.

    Returns:
        ``(N, ...)`` each, in the order of the corpus.

    Raises:
        DatasetError: A file is unreadable, or has no value for some image.
    """
    return {name: _aligned(Path(path), corpus) for name, path in files.items()}


def _aligned(path: Path, corpus: Corpus) -> NDArray[Any]:
    try:
        with np.load(path) as found:
            names, values = found["names"], found["values"]
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(
            f"{path} holds no arrays names and values ({error}); write it with numpy.savez."
        ) from error
    place = {str(name): row for row, name in enumerate(names)}
    rows = [place.get(name, place.get(name.partition("/")[2], -1)) for name in corpus.names]
    missing = [name for name, row in zip(corpus.names, rows, strict=True) if row < 0]
    if missing:
        raise DatasetError(f"{path} has no value for {some(missing)}; add them or leave the images out.")
    return np.asarray(values[rows])
