"""Scores against costs: ``python -m benchmarks pareto [--set NAME] [--results DIR] [-o PNG]``.

Takes every method that has results in ``benchmarks/results/methods`` (means over seeds) and every encoder
measured by ``python -m benchmarks cost``, and draws mR against the bytes kept of an image and against the
milliseconds to encode one, with the line of those that no other beats in both. Measures nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.record import RESULTS
from landsift.plot import save_pareto_figure

__all__ = ["FIGURE", "points_of", "run"]

FIGURE = Path(__file__).parents[1] / "docs" / "img" / "pareto.png"


def run(arguments: Sequence[str] = ()) -> None:
    """Draw, or say that there is nothing to draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pareto", description=__doc__)
    parser.add_argument("--set", dest="dataset", default="ucm-captions", metavar="NAME")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("-o", dest="figure", type=Path, default=FIGURE, metavar="PNG")
    given = parser.parse_args(list(arguments))
    points = points_of(given.results, given.dataset)
    if len(points) < 2:
        print(
            f"  {given.results} holds results of {len(points)} methods on {given.dataset}, and a plot needs "
            "two: run python -m benchmarks.methods first."
        )
        return
    given.figure.parent.mkdir(parents=True, exist_ok=True)
    save_pareto_figure(given.figure, _panels(points, given.dataset))
    print(f"Wrote {given.figure}.")


def points_of(results: Path, dataset: str) -> list[dict[str, Any]]:
    """One row a method: ``name``, ``mR``, ``bytes`` and ``ms``, by name."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((results / "methods").glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.get("dataset") == dataset and "test" in found:
            rows.setdefault(found["method"], []).append(_of_method(found))
    for path in sorted((results / "cost").glob("*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))["report"]
        if report["dataset"]["name"] == dataset:
            rows.setdefault(report["model"]["name"], []).append(_of_cost(report["scores"]))
    return [
        {"name": name, **{key: fmean(row[key] for row in own) for key in ("mR", "bytes", "ms")}}
        for name, own in sorted(rows.items())
    ]


def _of_method(run: dict[str, Any]) -> dict[str, float]:
    return {"mR": run["test"]["mR"], "bytes": run["bytes_per_image"], "ms": run["image_ms"]}


def _of_cost(scores: dict[str, Any]) -> dict[str, float]:
    parts = scores["parts"]
    timed = parts["image"] if "p50_ms" in parts["image"] else parts["pair"]
    return {"mR": scores["mR"], "bytes": scores["bytes_per_image"], "ms": timed["p50_ms"]}


def _panels(points: Sequence[dict[str, Any]], dataset: str) -> list[dict[str, Any]]:
    costs = {"bytes": "bytes kept of an image", "ms": "milliseconds to encode an image, on the CPU"}
    return [
        {
            "title": f"{dataset}, test split: {len(points)} methods",
            "x": label,
            "y": "mR, percent",
            "points": [(row["name"], row[key], row["mR"]) for row in points],
        }
        for key, label in costs.items()
    ]


if __name__ == "__main__":
    run(sys.argv[1:])
