"""How long until something happens: importing, asking for help, the first search of a new process."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import save, timed
from benchmarks.search_million import NumberedQueries, build, places, unit_rows
from landsift import load_encoder

TILES = 10_000


def wall(*command: str) -> float:
    """Median wall seconds of a command in a fresh process."""
    seconds = timed(lambda: subprocess.run(command, capture_output=True, check=True), repeats=7, warm_up=1)
    return round(float(np.median(seconds)), 3)


def run() -> None:
    """Measure and save."""
    python = sys.executable
    script = str(Path(python).with_name("landsift"))
    bare = wall(python, "-c", "pass")
    code = "import time; t = time.perf_counter(); import landsift; print(time.perf_counter() - t)"
    imports = [
        float(subprocess.run([python, "-c", code], capture_output=True, check=True).stdout) for _ in range(7)
    ]
    figures: dict[str, Any] = {
        "bare_python_s": bare,
        "import_landsift_s": round(float(np.median(imports)), 4),
        "landsift_help_s": wall(script, "--help"),
    }
    folder = Path(tempfile.mkdtemp(prefix="landsift-bench-"))
    try:
        rows = unit_rows(TILES, 0)
        encoder = NumberedQueries(rows, load_encoder("landsift-lite").card)
        build(folder / "gallery", rows, places(TILES), encoder)
        figures["first_search_10000_tiles_s"] = wall(
            script, "search", str(folder / "gallery"), "a harbour with boats"
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    save("startup", figures)
