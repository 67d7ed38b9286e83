"""A memory for what was made lately. Knows nothing of what it keeps."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

__all__ = ["Recent"]


class Recent:
    """Values made lately, by key, as many as fit into a number of bytes; for any number of threads.

    Attributes:
        asked, known: How many values were asked for, and how many of them were kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self.asked = self.known = 0
        self._most = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Any) -> Any:
        """The value of a key; None if it is not kept."""
        with self._lock:
            self.asked += 1
            if key not in self._kept:
                return None
            self.known += 1
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def keep(self, key: Any, value: Any, size: int) -> None:
        """Keep a value of ``size`` bytes, and let go of those not asked for the longest."""
        with self._lock:
            if key in self._kept or size > self._most:
                return
            self._kept[key] = value, size
            self._bytes += size
            while self._bytes > self._most:
                self._bytes -= self._kept.popitem(last=False)[1][1]
