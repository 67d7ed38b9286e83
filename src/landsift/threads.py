"""How many threads to start. Knows the process it runs in; nothing of what the threads do."""

from __future__ import annotations

import os

from landsift.errors import UsageError

__all__ = ["available_threads", "check_threads"]


def available_threads() -> int:
    """CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int | None) -> None:
    """Refuse an encoder's number of threads that is below 1.

    Raises:
        UsageError: It is; None, for all, is not.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"An encoder needs at least one thread, not {threads}; leave threads out for all.")
