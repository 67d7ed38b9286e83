"""The scores of all tiles for many queries: those that come together share one pass over the vectors.

A few queries are read off faiss's kernel one after the other. From some seven on, a matrix product is
cheaper: it costs little more for sixteen queries than for two, since most of it turns float16 into float32.
The scores are those of the exact search up to float32 rounding, which may differ with the company a query
has; so they serve to count and to leave out, and the exact search orders what is left. Knows no gallery.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.index import scores_of_all
from landsift.types import FloatArray

__all__ = ["ROUNDING", "Scorer", "score_rows"]

ROUNDING = 1e-4
"""More than two sums of a unit vector's products can differ by, whatever the order of adding."""

# Alone, smaller blocks would be as quick. But after every step a thread asks for the interpreter again, and
# where many do, each time costs more than the step: a pass of few steps is done in a fraction of the time.
_ROWS_AT_ONCE = 16_384
_MOST_SCORES = 4_000_000  # of one pass, in memory
_LIFT = np.float32(2.0**112)
_SIGN_AND_VALUE = np.int32(-0x70000001)  # every bit but the three between a float16's exponent and its sign
_SHIFT = np.int32(13)
_FEW = 6
"""So many queries are sooner scored one after the other."""
_BREATH_S = 0.04
"""Seconds between two passes while queries crowd: those that come meanwhile share the next one's cost."""


def score_rows(
    pieces: Sequence[NDArray[np.float16]], queries: FloatArray, bits: NDArray[np.int32] | None = None
) -> NDArray[np.float32]:
    """Inner products of all rows with all queries.

    Args:
        pieces: Blocks of ``(n_i, dim)`` finite rows.
        queries: ``(q, dim)``.
        bits: What :func:`_room` gave for these pieces, or for larger ones; None takes new memory.

    Returns:
        ``(n, q)`` float32, the rows of all pieces in order.
    """
    if len(queries) > _FEW or not len(pieces):
        return _multiplied(pieces, queries, _room(pieces, queries.shape[1]) if bits is None else bits)
    scores = np.empty((len(queries), sum(map(len, pieces))), np.float32)
    for row, query in zip(scores, queries, strict=True):
        np.concatenate([scores_of_all(np.asarray(piece), query) for piece in pieces], out=row)
    return scores.T


def _multiplied(
    pieces: Sequence[NDArray[np.float16]], queries: FloatArray, bits: NDArray[np.int32]
) -> NDArray[np.float32]:
    """The same as one matrix product a block.

    Shifted into place, the bits of a float16 are those of a float32 2^112 times too small; the queries are
    made as much larger. That is several times faster than numpy's own conversion.
    """
    lifted = np.ascontiguousarray((queries * _LIFT).T)
    # A row a query, so that each one's scores lie together; a block is turned while it is near the processor.
    scores = np.empty((len(queries), sum(map(len, pieces))), np.float32)
    products = np.empty((len(bits), len(queries)), np.float32)
    first = 0
    for piece in pieces:
        words = np.asarray(piece).view("<i2")
        for start in range(0, len(piece), len(bits)):
            part = words[start : start + len(bits)]
            block, found = bits[: len(part)], products[: len(part)]
            np.left_shift(part, _SHIFT, out=block)
            block &= _SIGN_AND_VALUE
            np.matmul(block.view(np.float32), lifted, out=found)
            scores[:, first : first + len(part)] = found.T
            first += len(part)
    return scores.T


def _room(pieces: Sequence[NDArray[np.float16]], dim: int) -> NDArray[np.int32]:
    """Memory for the block at work."""
    return np.empty((max(1, min(_ROWS_AT_ONCE, max(map(len, pieces), default=0))), dim), np.int32)


class _Ticket:
    """One query that waits: until it has its scores, or until it is its turn to make those of all."""

    def __init__(self, pieces: Sequence[NDArray[np.float16]], query: FloatArray) -> None:
        self.pieces = pieces
        self.query = query
        self.scores: NDArray[np.float32] | None = None
        self.error: BaseException | None = None
        self.called = Lock()
        self.called.acquire()


class Scorer:
    """Scores queries of any number of threads, together where they come together, in the order they came.

    Attributes:
        aside: Entered while scores are waited for or made, for whoever rations the interpreter.
        passes, scored: How many passes there were, and how many queries they scored.
    """

    def __init__(self) -> None:
        self.aside: Callable[[], AbstractContextManager[None]] = nullcontext
        self._counting = Lock()
        self._waiting: list[_Ticket] = []
        self._busy = False
        self._crowded_until = 0.0
        self._bits = np.empty((0, 0), np.int32)  # kept, since new memory costs as much as a step
        self.passes = self.scored = 0

    def scores(self, pieces: Sequence[NDArray[np.float16]], query: FloatArray) -> NDArray[np.float32]:
        """The score of every row, ``(n,)``.

        Args:
            pieces: Blocks of float16 rows; queries share a pass if they come with the very same ones.
            query: ``(dim,)``.
        """
        ticket = _Ticket(pieces, query)
        with self.aside():
            self._wait(ticket)
        if ticket.error is not None:
            raise ticket.error
        assert ticket.scores is not None
        return ticket.scores

    def _wait(self, ticket: _Ticket) -> None:
        """Until somebody's pass has scored it, which may be its own."""
        with self._counting:
            self._waiting.append(ticket)
            leads, self._busy = not self._busy, True
        if not leads:
            ticket.called.acquire()
        if ticket.scores is None and ticket.error is None:
            try:
                self._pass(ticket)
            finally:
                self._hand_on()

    def _hand_on(self) -> None:
        """Let the one who has waited longest make the next pass."""
        with self._counting:
            if self._waiting:
                self._waiting[0].called.release()
            else:
                self._busy = False

    def _pass(self, own: _Ticket) -> None:
        """Score one query and those that wait with it."""
        time.sleep(max(0.0, self._crowded_until - time.monotonic()))
        rows = sum(map(len, own.pieces))
        most = max(1, _MOST_SCORES // max(1, rows))
        with self._counting:
            others = [ticket for ticket in self._waiting if ticket is not own and _same(ticket, own)]
            together = [own, *others[: most - 1]]
            self._waiting = [ticket for ticket in self._waiting if ticket not in together]
            self.passes += 1
            self.scored += len(together)
        try:
            bits = _room(own.pieces, len(own.query))
            if bits.shape == self._bits.shape:
                bits = self._bits
            self._bits = bits
            scores = score_rows(own.pieces, np.stack([ticket.query for ticket in together]), bits)
            for ticket, column in zip(together, scores.T, strict=True):
                ticket.scores = column.copy()  # alone: a view would keep the scores of all in memory
        except BaseException as error:
            for ticket in together:
                ticket.error = error
        self._crowded_until = time.monotonic() + _BREATH_S if len(together) > _FEW else 0.0
        for ticket in together[1:]:
            ticket.called.release()


def _same(one: _Ticket, other: _Ticket) -> bool:
    pair: Any = zip(one.pieces, other.pieces, strict=False)
    return len(one.pieces) == len(other.pieces) and all(mine is theirs for mine, theirs in pair)
