"""Timing, and the result files with where each number came from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from landsift.provenance import provenance

RESULTS = Path(__file__).parent / "results"

PEAK_MEMORY = """
def peak_mb():
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
"""
"""A function for child processes; unlike ``ru_maxrss`` it leaves out what the parent held before."""


def save(name: str, figures: dict[str, Any], *, seed: int | None = None) -> Path:
    """Write ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    record = {
        "name": name,
        "figures": figures,
        "provenance": provenance(f"python -m benchmarks {name}", seed=seed, packages=("lancedb",)),
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def origin(facts: Mapping[str, Any]) -> str:
    """Where figures came from, as a line under them: day, commit, machine, command."""
    machine = facts["machine"]
    where = f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}"
    commit = (facts["commit"] or "unknown")[:12]
    return f"*{facts['date'][:10]}, commit {commit}, {where}; `{facts['command']}`*"


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    values = 1000 * np.asarray(seconds)
    return {
        "p50_ms": round(float(np.median(values)), 2),
        "p95_ms": round(float(np.percentile(values, 95)), 2),
    }


def timed(call: Callable[[], object], repeats: int, warm_up: int = 2) -> list[float]:
    """Wall seconds of each repeat."""
    for _ in range(warm_up):
        call()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return seconds
