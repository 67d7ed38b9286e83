"""Counters and histograms in the text format that Prometheus reads; no package needed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any

from landsift.serve.tally import NOW

__all__ = ["Metrics", "metrics_text"]

_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BUCKETS = (*map(str, _BOUNDS_S), "+Inf")


class Metrics:
    """What a server has done since it started."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: dict[str, int] = {}
        self._seconds: dict[str, dict[str, float]] = {}
        self._in_flight = 0

    def began(self) -> None:
        """A request came in."""
        with self._lock:
            self._in_flight += 1

    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """It was answered.

        Args:
            method: Such as ``GET``.
            route: The route's pattern, not the address: the number of series must not grow with use.
            status: Of the answer.
            seconds: From the first byte in to the last byte out.
        """
        with self._lock:
            self._in_flight -= 1
            key = f"{method} {status} {route}"
            self._requests[key] = self._requests.get(key, 0) + 1
            row = self._seconds.setdefault(route, dict.fromkeys((*_BUCKETS, "sum"), 0.0))
            row[_BUCKETS[bisect_left(_BOUNDS_S, seconds)]] += 1
            row["sum"] += seconds

    def counts(self) -> dict[str, Any]:
        """All counts as nested numbers, as :class:`~landsift.serve.tally.Tally` adds them up."""
        with self._lock:
            seconds = {route: dict(row) for route, row in self._seconds.items()}
            return {"requests": dict(self._requests), "seconds": seconds, NOW: {"in_flight": self._in_flight}}


def metrics_text(counts: Mapping[str, Any], gauges: Mapping[str, Mapping[str, float]]) -> str:
    """The page that Prometheus fetches.

    Args:
        counts: What :meth:`Metrics.counts` gives, and under ``more`` other counters: name -> collection ->
            value. A value of the whole server has no collection: "".
        gauges: Likewise, how things are now.
    """
    lines = list(_request_lines(counts))
    for kind, families in (("gauge", gauges), ("counter", counts["more"])):
        for name, values in families.items():
            lines.append(f"# TYPE landsift_{name} {kind}")
            for id_, value in values.items():
                of = f'{{collection="{id_}"}}' if id_ else ""
                lines.append(f"landsift_{name}{of} {value:.15g}")
    return "\n".join(lines) + "\n"


def _request_lines(counts: Mapping[str, Any]) -> Iterator[str]:
    yield "# HELP landsift_requests_total Requests answered."
    yield "# TYPE landsift_requests_total counter"
    for key, count in sorted(counts["requests"].items()):
        method, status, route = key.split(" ", 2)
        yield f'landsift_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}'
    yield "# HELP landsift_request_seconds Time to answer."
    yield "# TYPE landsift_request_seconds histogram"
    for route, row in sorted(counts["seconds"].items()):
        total = 0.0
        for bound in _BUCKETS:
            total += row[bound]
            yield f'landsift_request_seconds_bucket{{route="{route}",le="{bound}"}} {total:g}'
        yield f'landsift_request_seconds_sum{{route="{route}"}} {row["sum"]:.6f}'
        yield f'landsift_request_seconds_count{{route="{route}"}} {total:g}'
    yield "# TYPE landsift_requests_in_flight gauge"
    yield f"landsift_requests_in_flight {counts[NOW]['in_flight']}"
