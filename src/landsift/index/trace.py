"""How an answer was found: the path, why it was taken, and what each stage looked at and cost.

Knows no index.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Counter", "Stage", "Stopwatch", "Trace"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a search.

    Attributes:
        name: What was done; one that begins with ``exact`` read vectors.
        rows: How many rows, codes or candidates it looked at.
        milliseconds: Wall time.
    """

    name: str
    rows: int
    milliseconds: float


@dataclass(frozen=True)
class Trace:
    """How a search was answered.

    Attributes:
        path: ``exact``, ``hamming``, ``cascade`` or ``ann``.
        why: The planner's reason, one sentence.
        recall: Share of the exact answer that this path was measured to find in this gallery; 1 if exact.
        stages: The steps, in order.
    """

    path: str
    why: str
    recall: float
    stages: tuple[Stage, ...] = ()

    @property
    def rows(self) -> int:
        """Rows, codes and candidates looked at, over all stages."""
        return sum(stage.rows for stage in self.stages)

    def among(self, before: tuple[Stage, ...] = (), after: tuple[Stage, ...] = ()) -> Trace:
        """This trace with the stages that came before and after it."""
        return replace(self, stages=(*before, *self.stages, *after))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        stages = [
            {"name": stage.name, "rows": stage.rows, "ms": round(stage.milliseconds, 3)}
            for stage in self.stages
        ]
        return {"path": self.path, "why": self.why, "recall": round(self.recall, 4), "stages": stages}


@dataclass(eq=False)
class Counter:
    """How many rows a stage looked at, for stages that know it only afterwards."""

    rows: int


@dataclass(eq=False)
class Stopwatch:
    """Collects stages."""

    stages: list[Stage] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, rows: int = 0) -> Iterator[Counter]:
        """Time the block as a stage that looks at so many rows."""
        counter = Counter(rows)
        began = time.perf_counter()
        yield counter
        self.stages.append(Stage(name, counter.rows, 1000.0 * (time.perf_counter() - began)))
