"""The galleries that a server shows, by id, and the threads that work for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from landsift.errors import LandsiftError, UsageError
from landsift.gallery import Gallery
from landsift.serve.failures import NotFound
from landsift.serve.recent import Recent
from landsift.threads import available_threads
from landsift.types import FloatArray

__all__ = ["Archive", "Workers"]

_Answer = TypeVar("_Answer")
_TEXTS_KEPT_BYTES = 16_000_000
_TOGETHER = 64


class Archive:
    """The galleries of a server.

    Args:
        galleries: Opened ones, by id.

    Attributes:
        texts: The vectors of texts encoded lately.
    """

    def __init__(self, galleries: dict[str, Gallery]) -> None:
        self._galleries = galleries
        self.texts = Recent(_TEXTS_KEPT_BYTES)

    @classmethod
    def open(cls, folders: Sequence[str | Path], *, writable: bool) -> Archive:
        """Open galleries; each goes by the name of its folder.

        Raises:
            UsageError: None is named, or one twice.
            GalleryError: One cannot be opened.
        """
        if not folders:
            raise UsageError("There is nothing to serve; name at least one gallery")
        galleries: dict[str, Gallery] = {}
        seen: set[Path] = set()
        try:
            for folder in map(Path, folders):
                if folder.resolve() in seen:
                    raise UsageError(f"The gallery {folder} is named twice; name it once")
                seen.add(folder.resolve())
                galleries[_free_id(folder, galleries)] = Gallery.open(folder, writable=writable)
        except BaseException:
            for gallery in galleries.values():
                gallery.close()
            raise
        return cls(galleries)

    def __iter__(self) -> Iterator[tuple[str, Gallery]]:
        return iter(self._galleries.items())

    def get(self, id_: str) -> Gallery:
        """The gallery of an id.

        Raises:
            NotFound: There is none.
        """
        if id_ not in self._galleries:
            raise NotFound(f"There is no collection {id_[:80]!r}; there are {', '.join(self._galleries)}")
        return self._galleries[id_]

    def chosen(self, ids: Sequence[str] | None) -> dict[str, Gallery]:
        """The galleries of these ids; all for None.

        Raises:
            NotFound: There is none of one id.
        """
        return dict(self) if ids is None else {id_: self.get(id_) for id_ in dict.fromkeys(ids)}

    def encode_text(
        self,
        gallery: Gallery,
        text: str,
        aside: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> FloatArray:
        """The vector of a text, ``(dim,)``, encoded once for galleries of one encoder.

        Args:
            gallery, text: Whose, and what.
            aside: Entered while it is encoded.

        Raises:
            UsageError: The text is empty.
        """
        if not text.strip():
            raise UsageError("A text is empty; say what to look for, such as 'a harbour with moored boats'")
        key = gallery.card.weights_sha256, text
        row = self.texts.get(key)
        if row is None:
            with aside():
                row = np.array(gallery.encoder.encode_texts([text])[0], np.float32)
            self.texts.keep(key, row, row.nbytes + 4 * len(text))
        return row

    def warm_up(self) -> None:
        """Load what the first search would wait for; a gallery that cannot be searched says so when it is."""
        for _, gallery in self:
            with suppress(LandsiftError):
                self.encode_text(gallery, "a place")
                gallery.snapshot()

    def close(self) -> None:
        """Close all galleries."""
        for gallery in self._galleries.values():
            gallery.close()


def _free_id(folder: Path, taken: dict[str, Gallery]) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-.") or "gallery"
    number, id_ = 1, name
    while id_ in taken:
        number += 1
        id_ = f"{name}-{number}"
    return id_


class Workers:
    """Threads for the work behind requests: searches and pictures apart, so that neither waits for the other.

    Their number is fixed, and so is the memory they take. Searches have more threads than there are cores:
    most of them wait for their turn, or for their scores.
    """

    def __init__(self) -> None:
        self._searching = ThreadPoolExecutor(_TOGETHER, thread_name_prefix="landsift-serve")
        self._drawing = ThreadPoolExecutor(max(2, available_threads()), thread_name_prefix="landsift-draw")

    async def search(self, work: Callable[..., _Answer], *values: Any) -> _Answer:
        """Run something that needs memory and processor."""
        return await asyncio.get_running_loop().run_in_executor(self._searching, work, *values)

    async def draw(self, work: Callable[..., _Answer], *values: Any) -> _Answer:
        """Run something that reads images."""
        return await asyncio.get_running_loop().run_in_executor(self._drawing, work, *values)

    def close(self) -> None:
        """Let the threads finish what they do."""
        self._searching.shutdown(cancel_futures=True)
        self._drawing.shutdown(cancel_futures=True)
