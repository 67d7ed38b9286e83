"""One process of a server: galleries opened, and requests answered at a socket until somebody stops it."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread

import uvicorn
from threadpoolctl import threadpool_limits

from landsift.serve.app import create_app
from landsift.serve.archive import Archive
from landsift.serve.listening import WAITING
from landsift.serve.memory import share_pools
from landsift.serve.options import ServeOptions
from landsift.serve.tally import Tally

__all__ = ["GOODBYE_S", "answer_requests"]

GOODBYE_S = 5
"""So long may requests go on after the server was told to stop."""


def answer_requests(
    galleries: Sequence[str | Path],
    options: ServeOptions,
    listener: socket.socket,
    on_open: Callable[[], None],
    tally: Tally | None = None,
) -> None:
    """Answer until the process is interrupted.

    Args:
        galleries: Their folders.
        options: How.
        listener: Where.
        on_open: Called when the galleries are open, before the first request is taken.
        tally: Where the counts of other processes are, if this is one of several.

    Raises:
        UsageError: No gallery, or one twice.
        GalleryError: One cannot be opened.
    """
    share_pools()
    archive = Archive.open(galleries, writable=not options.read_only)
    on_open()
    Thread(target=_warm_up, args=(archive,), name="landsift-warm-up", daemon=True).start()
    config = uvicorn.Config(
        create_app(archive, options, tally),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=WAITING,
        timeout_graceful_shutdown=GOODBYE_S,
    )
    # Requests run side by side already; a product that waits for a second core adds to the queue.
    with threadpool_limits(1, "blas"):
        uvicorn.Server(config).run(sockets=[listener])


def _warm_up(archive: Archive) -> None:
    archive.warm_up()
    # What is loaded now stays as long as the server; looking through it for rubbish, again and again, would
    # hold up all requests each time.
    gc.collect()
    gc.freeze()
