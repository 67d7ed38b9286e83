"""Where a number came from: commit, time, machine, versions. Knows nothing of what was measured."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from landsift.threads import available_threads

__all__ = ["provenance"]

_PACKAGES = ("landsift", "numpy", "onnxruntime", "faiss-cpu", "rasterio", "torch")


def provenance(command: str, *, seed: int | None = None, packages: Sequence[str] = ()) -> dict[str, Any]:
    """Facts that a stored number needs to be trusted and repeated.

    Args:
        command: What a reader types to get it again.
        seed: Of whatever was random.
        packages: Distributions whose versions matter, besides the usual ones.
    """
    return {
        "command": command,
        "seed": seed,
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": _processor(),
            "cores": available_threads(),
            "system": platform.system(),
            "python": sys.version.split()[0],
        },
        "versions": {name: found for name in (*_PACKAGES, *packages) if (found := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the working folder, with ``+changes`` if it has uncommitted ones; None outside git.

    Pages and results do not count: a run writes them, and none depends on what is in them.
    """
    try:
        head = _git("rev-parse", "HEAD")
        return head + (
            "+changes" if _git("status", "--porcelain", "--untracked-files=no", *_THAT_RUNS) else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None


_THAT_RUNS = ("--", ":(top)", ":(top,exclude)docs", ":(top,exclude)benchmarks/results")


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
