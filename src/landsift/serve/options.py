"""How a server is to behave, checked where it is made: nothing unsafe can be asked for by accident."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from landsift.errors import UsageError

__all__ = ["ServeOptions"]

_SHORTEST_TOKEN = 8
_MOST_PROCESSES = 256


@dataclass(frozen=True)
class ServeOptions:
    """What a server allows.

    Attributes:
        host: Address to listen at. Another than this machine's own needs a token.
        port: 0 takes any free one.
        token: What every request must carry; None asks for nothing.
        read_only: Refuse labels, saved searches and everything else that writes.
        processes: How many answer side by side, each with memory of its own; one makes use of little more
            than one core.
        most_upload_bytes: Of an image sent as a query.
        most_upload_pixels: Of an image sent as a query; checked before it is decoded.
        most_body_bytes: Of any other request.
        most_matches: What ``limit`` is cut to.
        deepest_match: How far paging goes in a merged ranking.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    read_only: bool = False
    processes: int = 1
    most_upload_bytes: int = 32_000_000
    most_upload_pixels: int = 50_000_000
    most_body_bytes: int = 4_000_000
    most_matches: int = 1_000
    deepest_match: int = 10_000

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"A port lies between 0 and 65535, got {self.port}; 8000 is usual")
        if not 1 <= self.processes <= _MOST_PROCESSES:
            raise UsageError(
                f"A server has 1 to {_MOST_PROCESSES} processes, got {self.processes}; one a core is plenty"
            )
        if self.token is not None and len(self.token) < _SHORTEST_TOKEN:
            raise UsageError(f"A token needs {_SHORTEST_TOKEN} characters or more; choose a longer one")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise UsageError("A token is made of plain letters, digits and signs; choose another")
        if not self.is_loopback and self.token is None:
            raise UsageError(
                f"Others could reach the server at {self.host} and read the galleries; give --token, or "
                "listen at 127.0.0.1"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def address(self) -> str:
        """Where a browser on this machine finds it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"
