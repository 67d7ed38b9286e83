"""Counters and histograms in the text format that Prometheus reads; no package needed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from threading import Lock

__all__ = ["Metrics"]

_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What a server has done since it started."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: dict[tuple[str, str, int], int] = {}
        self._seconds: dict[str, list[float]] = {}
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
            key = (method, route, status)
            self._requests[key] = self._requests.get(key, 0) + 1
            row = self._seconds.setdefault(route, [0.0] * (len(_BOUNDS_S) + 2))
            row[bisect_left(_BOUNDS_S, seconds)] += 1
            row[-1] += seconds

    def text(self, gauges: dict[str, dict[str, float]], counters: dict[str, dict[str, float]]) -> str:
        """The page that Prometheus fetches.

        Args:
            gauges, counters: Name -> collection -> value, to be shown beside the requests; a value of the
                whole server has no collection: "".
        """
        with self._lock:
            lines = list(self._lines())
        for kind, families in (("gauge", gauges), ("counter", counters)):
            for name, values in families.items():
                lines.append(f"# TYPE landsift_{name} {kind}")
                for id_, value in values.items():
                    of = f'{{collection="{id_}"}}' if id_ else ""
                    lines.append(f"landsift_{name}{of} {value:.15g}")
        return "\n".join(lines) + "\n"

    def _lines(self) -> Iterator[str]:
        yield "# HELP landsift_requests_total Requests answered."
        yield "# TYPE landsift_requests_total counter"
        for (method, route, status), count in sorted(self._requests.items()):
            yield f'landsift_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}'
        yield "# HELP landsift_request_seconds Time to answer."
        yield "# TYPE landsift_request_seconds histogram"
        for route, row in sorted(self._seconds.items()):
            total = 0.0
            for bound, more in zip((*map(str, _BOUNDS_S), "+Inf"), row[:-1], strict=True):
                total += more
                yield f'landsift_request_seconds_bucket{{route="{route}",le="{bound}"}} {total:g}'
            yield f'landsift_request_seconds_sum{{route="{route}"}} {row[-1]:.6f}'
            yield f'landsift_request_seconds_count{{route="{route}"}} {total:g}'
        yield "# TYPE landsift_requests_in_flight gauge"
        yield f"landsift_requests_in_flight {self._in_flight}"
