"""Opening galleries and serving them until somebody stops it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import uvicorn
from threadpoolctl import threadpool_limits

from landsift.errors import UsageError
from landsift.serve.app import create_app
from landsift.serve.archive import Archive
from landsift.serve.memory import share_pools
from landsift.serve.options import ServeOptions

__all__ = ["serve"]

_WAITING = 512
_GOODBYE_S = 5


def serve(
    galleries: Sequence[str | Path],
    options: ServeOptions,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serve galleries until the process is interrupted.

    Args:
        galleries: Their folders.
        options: How.
        on_start: Called with the address to open, before the first request is taken.

    Raises:
        UsageError: No gallery, or one twice, or the address is taken.
        GalleryError: One cannot be opened.
    """
    share_pools()
    with _listening(options) as listener:
        archive = Archive.open(galleries, writable=not options.read_only)
        if on_start is not None:
            found = replace(options, port=listener.getsockname()[1])
            on_start(found.address + (f"ui/?token={quote(options.token)}" if options.token else "ui/"))
        Thread(target=archive.warm_up, name="landsift-warm-up", daemon=True).start()
        config = uvicorn.Config(
            create_app(archive, options),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_WAITING,
            timeout_graceful_shutdown=_GOODBYE_S,
        )
        # Requests run side by side already; a product that waits for a second core adds to the queue.
        with threadpool_limits(1, "blas"):
            uvicorn.Server(config).run(sockets=[listener])


def _listening(options: ServeOptions) -> socket.socket:
    """A socket at the address, so that an address that is taken is told before anything else is done."""
    try:
        family = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0][0]
        # By name: asyncio switches off the delay of small packets only where the protocol is said to be TCP,
        # and head and body of an answer are two of them: the second would wait 40 ms for an acknowledgement.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise UsageError(f"{options.host!r} is no address here ({error.strerror}); correct --host") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
        listener.listen(_WAITING)  # who comes before the galleries are open waits
    except OSError as error:
        listener.close()
        raise UsageError(
            f"It cannot listen at {options.host}, port {options.port} ({error.strerror}); give another --port"
        ) from error
    return listener
