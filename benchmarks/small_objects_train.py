"""The multi-scale image heads under one budget: trained alike on UCM-Captions, chosen on val, tested once.

``python -m benchmarks.small_objects_train [NAME...] [--set loop.epochs=3 ...]`` trains what has no result
yet, each block with the recipe ``small-objects``, the other heads with theirs; stopped, it goes on where it
was. The frozen part of the tower is computed once for all but the head that looks at squares.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.jobs import TrainingJob
from benchmarks.record import RESULTS
from benchmarks.small_objects import SEED, Arm, Seen, ranks_of, rounded, row_of
from benchmarks.small_objects_page import write_small_objects
from landsift.data import read_images
from landsift.encoders import load_scorer
from landsift.errors import LandsiftError
from landsift.files import replace_file
from landsift.models.blocks.multiscale import NECKS
from landsift.provenance import provenance
from landsift.train import Recipe, fit, read_recipe, recipe_hash
from landsift.train.sources import load_set

__all__ = ["HEADS", "Job", "main", "run_job"]

HEADS = {"s2": "small-objects-s2", "late": "small-objects-late", "prompted": "small-objects-prompted"}
"""What is trained beside the blocks: name -> recipe."""
BUDGET = ("model.options.width=64", "model.options.input_size=128", "data.views=1", "loop.epochs=6")


@dataclass(frozen=True)
class Job(TrainingJob):
    """One run of a block or of another head."""

    name: str
    seed: int
    changes: tuple[str, ...]
    results: Path
    runs: Path

    @property
    def recipe(self) -> Recipe:
        """Its recipe under the budget, in this run's folder."""
        block = () if self.name in HEADS else (f'model.options.block="{self.name}"',)
        return read_recipe(
            HEADS.get(self.name, "small-objects"), (*BUDGET, *block, *self.changes, *self.own_changes)
        )


def run_job(job: Job) -> dict[str, Any]:
    """Train, test and write the result.

    Raises:
        LandsiftError: Data or weights are absent, or training failed.
    """
    recipe, command = job.recipe, f"python -m benchmarks.small_objects_train {job.name}"
    found = fit(recipe, resume=True, command=command)
    row = recipe.validation.sets[0]
    data = load_set(type(row)(name=row.name, root=row.root, split="test"))
    scores = load_scorer(found.encoder).score(list(read_images(data.images)), list(data.captions))
    seen, arm = Seen(data, scores, {}, {}), Arm(job.name, lambda split: split.whole)
    ranks = ranks_of(arm, seen)
    result = {
        "name": job.name,
        "dataset": row.name,
        "seed": job.seed,
        "val_mR": found.score,
        "parameters": found.parameters,
        "seconds": round(found.history[-1]["seconds"], 1),
        "test": rounded(row_of(arm, seen, ranks, ranks, 0)),
        "recipe": {"hash": recipe_hash(recipe), "changes": list(job.changes)},
        "provenance": provenance(command, seed=job.seed),
    }
    job.results.mkdir(parents=True, exist_ok=True)
    replace_file(job.result, (json.dumps(result, indent=1) + "\n").encode())
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the jobs that have no result yet; a failing one is reported and the others go on."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_objects_train", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="blocks and heads; all when none is named")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--results", type=Path, default=RESULTS / "small_objects")
    parser.add_argument("--runs", type=Path, default=Path("runs/small-objects"))
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - {*NECKS, *HEADS}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join((*NECKS, *HEADS))}")
    failed = 0
    for name in given.names or (*NECKS, *HEADS):
        job = Job(name, SEED, tuple(given.changes), given.results, given.runs)
        if job.done():
            print(f"{job.title}: there already", flush=True)
            continue
        try:
            result = run_job(job)
        except LandsiftError as error:
            print(f"{job.title}: {error}", file=sys.stderr, flush=True)
            failed += 1
            continue
        print(f"{job.title}: test mR {result['test']['all']['strict_mR']:.2f}", flush=True)
    if given.results == RESULTS / "small_objects":
        print(f"Wrote {write_small_objects()}.")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
