"""Windows of a scene as vectors, each computed once: a second question about a scene costs no encoding.

Knows scenes, encoders and a folder to keep vectors in; nothing of words or maps.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from landsift.files import replace_file
from landsift.scenes import Scene, stat_signature
from landsift.types import Encoder, EncoderCard, FloatArray, Pixels, Window

__all__ = ["Looker", "PictureRows", "box_of"]

_BATCH = 32
_LEAST_VALID = 0.5  # as for tiles: a window with less to see has no vector
_LARGEST_SIDE = 256  # windows are read at this side at most, as SeLo resizes them
_SAVED_EVERY = 1024


def box_of(window: Window) -> tuple[int, int, int, int]:
    """Left, top, right, bottom."""
    return window.col, window.row, window.col + window.width, window.row + window.height


class PictureRows(Protocol):
    """The little that a looker needs of an encoder."""

    @property
    def card(self) -> EncoderCard:
        """Says how long a row is, and by its hash of the weights which rows are alike."""
        ...

    def encode_images(self, images: Sequence[Pixels]) -> FloatArray:
        """``n`` images to ``n`` rows."""
        ...


class Looker:
    """Encodes windows of one scene, and remembers.

    Args:
        scene: Opened.
        encoder: Any.
        cache: Folder to keep vectors in between runs; None keeps them only in memory. Scenes that are not
            files of this machine are never kept.
        rows: Makes other rows of windows than the encoder's vectors; None for these.
    """

    def __init__(
        self, scene: Scene, encoder: Encoder, cache: Path | None = None, rows: PictureRows | None = None
    ) -> None:
        self.scene, self.encoder, self.cache = scene, encoder, cache
        self._rows: PictureRows = rows or encoder
        self._vectors: dict[tuple[int, int, int, int], NDArray[np.float16]] = {}
        # What lies elsewhere may change unseen, so it is not kept.
        keep = cache is not None and stat_signature(scene.source) is not None
        self._file = cache / f"{_key(scene, self._rows.card)}.npz" if cache is not None and keep else None
        self.encoded = 0
        """Windows encoded so far, not taken from the cache."""
        if self._file is not None and self._file.is_file():
            self._read(self._file)

    def vectors(
        self, windows: Sequence[Window], progress: Callable[[int, int], None] | None = None
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """One row for each window.

        Args:
            windows: Any within the scene; equal ones are encoded once.
            progress: Called with how many windows that were not known are done, and how many there are.

        Returns:
            ``(n, dim)`` unit rows, zeros where there is too little to see, and ``(n,)`` whether there is
            enough.

        Raises:
            SceneError: The file is damaged.
        """
        boxes = [box_of(window) for window in windows]
        missing = {
            box: window for box, window in zip(boxes, windows, strict=True) if box not in self._vectors
        }
        self._encode(missing, progress)
        rows = np.stack([self._vectors[box] for box in boxes]).astype(np.float32)
        return rows, np.any(rows != 0, axis=1)

    def _encode(
        self,
        missing: dict[tuple[int, int, int, int], Window],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        # From the top of the scene down, so that the raster's own blocks are decoded once.
        todo = iter(sorted(missing.items(), key=lambda pair: (pair[0][1], pair[0][0])))
        done = 0
        while batch := list(islice(todo, _BATCH)):
            pictures = [self._read_window(window) for _, window in batch]
            enough = [picture for picture, valid in pictures if valid >= _LEAST_VALID]
            # Rounded as they are kept, so that the first answer is the second one.
            rows = self._rows.encode_images(enough).astype(np.float16) if enough else ()
            found = iter(rows)
            nothing = np.zeros(self._rows.card.dim, np.float16)
            for (box, _), (_, valid) in zip(batch, pictures, strict=True):
                self._vectors[box] = next(found) if valid >= _LEAST_VALID else nothing
            self.encoded += len(enough)
            done += len(batch)
            if progress:
                progress(done, len(missing))
            if done % _SAVED_EVERY == 0 or done == len(missing):
                self._write()

    def _read_window(self, window: Window) -> tuple[NDArray[np.uint8], float]:
        size = min(window.height, _LARGEST_SIDE), min(window.width, _LARGEST_SIDE)
        return self.scene.read(window, size)

    def _read(self, file: Path) -> None:
        try:
            with np.load(file) as kept:
                boxes, vectors = kept["boxes"], kept["vectors"]
        except (OSError, ValueError, KeyError, EOFError):
            return  # a cache: what cannot be read is computed again
        self._vectors = {tuple(box): row for box, row in zip(boxes.tolist(), vectors, strict=True)}

    def _write(self) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        out = io.BytesIO()
        np.savez(
            out,
            boxes=np.array(list(self._vectors), np.int64).reshape(-1, 4),
            vectors=np.array(list(self._vectors.values())),
        )
        replace_file(self._file, out.getvalue())


def _key(scene: Scene, card: EncoderCard) -> str:
    """Equal for the same bytes, shown the same way to the same encoder."""
    facts = [
        scene.source.to_json(),
        stat_signature(scene.source),
        scene.profile.to_json(),
        card.weights_sha256,
        _LARGEST_SIDE,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
