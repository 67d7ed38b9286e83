"""Serving galleries until somebody stops it, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from landsift.serve.crew import lead
from landsift.serve.listening import listening
from landsift.serve.options import ServeOptions
from landsift.serve.process import answer_requests

__all__ = ["serve"]


def serve(
    galleries: Sequence[str | Path],
    options: ServeOptions,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serve galleries until the process is interrupted.

    Args:
        galleries: Their folders.
        options: How.
        on_start: Called with the address to open, before the first request is taken; of several processes,
            when all are ready.

    Raises:
        UsageError: No gallery, or one twice, or the address is taken.
        GalleryError: One cannot be opened.
        ServerStopped: One of several processes cannot go on.
    """

    def tell(port: int) -> None:
        if on_start is not None:
            address = replace(options, port=port).address
            on_start(address + (f"ui/?token={quote(options.token)}" if options.token else "ui/"))

    if options.processes > 1:
        lead(galleries, options, tell)
        return
    with listening(options) as listener:
        port = listener.getsockname()[1]
        answer_requests(galleries, options, listener, lambda: tell(port))
