"""What all routes share: the galleries, the threads, the limits, and how answers are written."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response

from landsift.serve.archive import Archive, Workers
from landsift.serve.metrics import Metrics
from landsift.serve.options import ServeOptions
from landsift.serve.recent import Recent
from landsift.serve.searching import Searcher

__all__ = ["Service", "base_of", "encoded", "packed", "squeeze"]

_KEPT_BYTES = 64_000_000
_WORTH_PACKING = 100_000


@dataclass(eq=False)
class Service:
    """The state of a server.

    Attributes:
        archive, options, metrics, searcher, workers: The parts.
        kept: Answers that are costly to make and asked for again: pictures, footprints, collections.
    """

    archive: Archive
    options: ServeOptions
    metrics: Metrics = field(default_factory=Metrics)
    workers: Workers = field(default_factory=Workers)
    kept: Recent = field(default_factory=lambda: Recent(_KEPT_BYTES))

    def __post_init__(self) -> None:
        self.searcher = Searcher(self.archive, self.options)

    def close(self) -> None:
        """Finish the threads, then close the galleries."""
        self.workers.close()
        self.archive.close()


def base_of(request: Request) -> str:
    """Address of the server as the client wrote it, ending in a slash."""
    return str(request.base_url)


def encoded(document: Any) -> bytes:
    """Plain values as JSON bytes; a number that is none of JSON's is a mistake of ours."""
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()


def packed(request: Request, body: bytes, squeezed: bytes | None, type_: str) -> Response:
    """An answer, compressed if there is a compressed form and the client takes it."""
    if squeezed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(
            squeezed, media_type=type_, headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        )
    return Response(body, media_type=type_)


def squeeze(body: bytes) -> bytes | None:
    """A large answer compressed, fast rather than small."""
    return gzip.compress(body, 1) if len(body) >= _WORTH_PACKING else None
