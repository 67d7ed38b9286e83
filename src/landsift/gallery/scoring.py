"""The score of every tile for a query, for any number of threads.

Read off the kernel of the exact search, so they are its scores to the last bit: what is known of all tiles
orders them, and no second search does. What bounds a pass is memory bandwidth, as it bounds the search. It
does without the interpreter, so threads score side by side, as many as there are cores. Knows no gallery.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import Semaphore

import numpy as np
from numpy.typing import NDArray

from landsift.index import scores_of_all
from landsift.threads import available_threads
from landsift.types import FloatArray

__all__ = ["Scorer"]


class Scorer:
    """Scores queries.

    Attributes:
        aside: Entered while a query waits and is scored, for whoever rations the interpreter.
        scored: How many queries were.
    """

    def __init__(self) -> None:
        self.aside: Callable[[], AbstractContextManager[None]] = nullcontext
        self.scored = 0
        self._cores = Semaphore(available_threads())

    def scores(self, pieces: Sequence[NDArray[np.float16]], query: FloatArray) -> NDArray[np.float32]:
        """The score of every row, ``(n,)`` float32, the rows of all pieces in order.

        Args:
            pieces: Blocks of ``(n_i, dim)`` finite rows.
            query: ``(dim,)``.
        """
        self.scored += 1  # a count of several threads at once may lose one: it is for people
        with self.aside(), self._cores:
            parts = [scores_of_all(np.asarray(piece), query) for piece in pieces]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.float32), *parts])
