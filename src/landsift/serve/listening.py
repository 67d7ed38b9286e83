"""The socket at which a server answers, or several that share one port."""

from __future__ import annotations

import socket

from landsift.errors import UsageError
from landsift.serve.options import ServeOptions

__all__ = ["WAITING", "listening", "reserved"]

WAITING = 512
"""So many who have come may wait to be let in."""


def listening(options: ServeOptions, *, shared: bool = False) -> socket.socket:
    """A socket at the address, so that an address that is taken is told before anything else is done.

    Args:
        options: Host and port.
        shared: Other sockets may listen at the same port; the system deals those who come to all of them.

    Raises:
        UsageError: There is no such address, or it is taken.
    """
    listener = _bound(options, shared)
    listener.listen(WAITING)  # who comes before the galleries are open waits
    return listener


def reserved(options: ServeOptions) -> socket.socket:
    """A socket that takes a port for processes which are to share it, and lets nobody in itself.

    Raises:
        UsageError: The address is taken, or this system cannot share a port.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise UsageError("This system cannot share a port among processes; leave --processes out")
    # Whoever shares a port is let in beside another server of the same person; who asks for it alone is not.
    with _bound(options, shared=False) as alone:
        alone.listen(0)
        port = alone.getsockname()[1]
    return _bound(options, shared=True, port=port)


def _bound(options: ServeOptions, shared: bool, port: int | None = None) -> socket.socket:
    try:
        family = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0][0]
        # By name: asyncio switches off the delay of small packets only where the protocol is said to be TCP,
        # and head and body of an answer are two of them: the second would wait 40 ms for an acknowledgement.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise UsageError(f"{options.host!r} is no address here ({error.strerror}); correct --host") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((options.host, options.port if port is None else port))
    except OSError as error:
        bound.close()
        raise UsageError(
            f"It cannot listen at {options.host}, port {options.port} ({error.strerror}); give another --port"
        ) from error
    return bound
