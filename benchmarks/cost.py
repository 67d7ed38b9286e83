"""What encoders cost, with the score that the cost buys: ``python -m benchmarks cost [ENCODER...]``.

Writes ``benchmarks/results/cost/NAME.json`` for the built-in encoder, or for the encoders named (run folders
of trained methods too). Times are of the machine, with whatever else it does; its load is written down.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.record import RESULTS
from benchmarks.robustness import save_report, test_split
from landsift.encoders import load_encoder, load_scorer, scores_pairs
from landsift.evaluate import Report, evaluate, evaluate_cost, evaluate_pairs
from landsift.types import RetrievalSet

__all__ = ["FOLDER", "measure", "run"]

FOLDER = RESULTS / "cost"
DEFAULT = ("landsift-lite",)


def run(arguments: Sequence[str] = ()) -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks cost", description=__doc__)
    parser.add_argument("encoders", nargs="*", metavar="ENCODER", help="landsift-lite when none is named")
    parser.add_argument("--set", dest="dataset", default="ucm-captions", metavar="NAME")
    given = parser.parse_args(list(arguments))
    data = test_split(given.dataset)
    if data is None:
        print("  LANDSIFT_DATA is not set: cost is not measured.")
        return
    for name in given.encoders or DEFAULT:
        print(f"Wrote {save_report(FOLDER, measure(name, data))}.", flush=True)


def measure(name: str, data: RetrievalSet) -> Report:
    """The costs of one encoder or scorer of pairs, and its mR on the set."""
    before = os.getloadavg()[0]
    command = f"python -m benchmarks cost {Path(name).name}"
    if scores_pairs(name):
        scorer = load_scorer(name)
        cost, found = evaluate_cost(scorer, data, source=name, command=command), evaluate_pairs(scorer, data)
    else:
        encoder = load_encoder(name)
        cost, found = evaluate_cost(encoder, data, source=name, command=command), evaluate(encoder, data)
    more = {"mR": found.scores["strict"]["mR"], "load_before": before, "load_after": os.getloadavg()[0]}
    return replace(cost, scores={**cost.scores, **more})


if __name__ == "__main__":
    run(sys.argv[1:])
