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
from landsift.serve.tally import Tally

__all__ = ["Service", "base_of", "encoded", "packed", "squeeze"]

_KEPT_BYTES = 64_000_000
_WORTH_PACKING = 100_000


@dataclass(eq=False)
class Service:
    """The state of a server.

    Attributes:
        archive, options, metrics, searcher, workers: The parts.
        tally: Where the counts of other processes are, if this is one of several.
        kept: Answers that are costly to make and asked for again: pictures, footprints, collections.
    """

    archive: Archive
    options: ServeOptions
    tally: Tally | None = None
    metrics: Metrics = field(default_factory=Metrics)
    workers: Workers = field(default_factory=Workers)
    kept: Recent = field(default_factory=lambda: Recent(_KEPT_BYTES))

    def __post_init__(self) -> None:
        self.searcher = Searcher(self.archive, self.options)

    def counts(self) -> dict[str, Any]:
        """What this process has done since it started."""
        return self.metrics.counts() | {"more": _reuse(self)}

    def counts_of_all(self) -> dict[str, Any]:
        """What all processes of the server have done."""
        return self.counts() if self.tally is None else self.tally.total(self.counts())

    def start(self) -> None:
        """Begin what goes on beside the requests."""
        if self.tally is not None:
            self.tally.keep_writing(self.counts)

    def close(self) -> None:
        """Finish the threads, then close the galleries."""
        self.workers.close()
        if self.tally is not None:
            self.tally.close()
        self.archive.close()


def _reuse(service: Service) -> dict[str, dict[str, float]]:
    """How often what was known served again, and how many passes over the vectors there were."""
    archive, items = service.archive, service.searcher.items.kept
    rankings = {id_: gallery.rankings for id_, gallery in archive}
    return {
        "texts_asked": {"": archive.texts.asked},
        "texts_known": {"": archive.texts.known},
        "items_asked": {"": items.asked},
        "items_known": {"": items.known},
        "rankings_asked": {id_: one.asked for id_, one in rankings.items()},
        "rankings_known": {id_: one.known for id_, one in rankings.items()},
        "passes": {id_: one.scorer.scored for id_, one in rankings.items()},
    }


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
