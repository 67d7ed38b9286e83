"""Who may use the interpreter: a few threads at a time, the others wait in line. Knows threads and no more.

Python runs one thread at a time. Where dozens want to, handing it round costs more than what they do with it;
so they take turns at whole answers, and step aside while they wait for something else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, local

__all__ = ["Turns"]


class Turns:
    """A line of threads. ``with turns:`` waits for a turn; a thread that has one does not wait again.

    Args:
        at_once: How many may have a turn.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._line: deque[Lock] = deque()
        self._counting = Lock()
        self._mine = local()

    def __enter__(self) -> None:
        depth = getattr(self._mine, "depth", 0)
        if not depth:
            self._take(first=False)
        self._mine.depth = depth + 1

    def __exit__(self, *_: object) -> None:
        self._mine.depth -= 1
        if not self._mine.depth:
            self._give()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let others go on while this thread waits or works outside the interpreter; nothing without a turn.

        Who comes back is first in line, so that nobody waits for the whole line twice.
        """
        if not getattr(self._mine, "depth", 0):
            yield
            return
        self._give()
        try:
            yield
        finally:
            self._take(first=True)

    def _take(self, *, first: bool) -> None:
        with self._counting:
            if self._free:
                self._free -= 1
                return
            called = Lock()
            called.acquire()
            (self._line.appendleft if first else self._line.append)(called)
        called.acquire()

    def _give(self) -> None:
        with self._counting:
            if self._line:
                self._line.popleft().release()
            else:
                self._free += 1
