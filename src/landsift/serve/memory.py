"""Keeping the memory of a server with many threads flat. Knows the C library; nothing of what is stored."""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["share_pools"]

_ARENA_MAX = -8  # glibc's name for the setting
_POOLS = 2


def share_pools() -> None:
    """Let all threads to come take memory from two pools instead of up to eight for every core.

    Each pool of glibc keeps what was once needed at its busiest; threads that take turns at large arrays
    would fill all of them, one after the other. Elsewhere there are no such pools, and nothing is done.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _POOLS)
