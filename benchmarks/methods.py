"""Every published method under one budget: trained by its recipe, chosen on val, tested once.

``python -m benchmarks.methods [NAME...] [--on SET] [--seeds 0 1 2] [--set loop.epochs=3 ...]`` trains what
has no result yet and writes ``benchmarks/results/methods/NAME-seedN.json`` each; stopped, it goes on where it
was. The runs lie under ``runs/methods``; ``landsift evaluate runs/methods/NAME-seedN ucm-captions`` gives the
same test scores. Runs on another set than UCM-Captions have its name in theirs. ``--page`` rewrites
``docs/methods.md`` alone; ``--costs`` measures the times of all runs that are there once more, on a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.jobs import TrainingJob
from benchmarks.record import RESULTS
from landsift.data import read_images
from landsift.encoders import load_encoder, load_scorer
from landsift.encoders.pixels import resize_square
from landsift.errors import LandsiftError
from landsift.evaluate import Report, evaluate, evaluate_pairs
from landsift.files import replace_file
from landsift.models.checkpoint import read_matcher
from landsift.models.encoder import score_features
from landsift.models.features import Features, joined
from landsift.models.matcher import Matcher
from landsift.models.registry import find_matcher, list_zoo
from landsift.provenance import provenance
from landsift.train import FitResult, Recipe, TrainingProgress, fit, recipe_hash
from landsift.train.sources import load_set
from landsift.types import RetrievalSet

__all__ = ["main", "run_method"]

FOLDER = RESULTS / "methods"
RERANKED = {"mtfn": "reciprocal", "galr": "multivariate", "cmpagl": "csls", "cfitr": "csls"}
"""Methods published with a re-ranker; all look at the other test queries, which the result says."""
SETS: dict[str, tuple[str, ...]] = {
    "ucm-captions": (),
    "rsicd-aid150": (
        'data.sets=[{name="rsicd-aid150", split="train"}]',
        'data.keep_out=["rsicd-aid150/val", "rsicd-aid150/test"]',
        "data.views=2",
        "loop.epochs=4",
        "validation.every=1",
        'output.licence_note="Imagery and captions for academic use."',
        'validation.sets=[{name="rsicd-aid150", split="val"}]',
    ),
}
"""What recipes are run on, and what that changes in them: RSICD and its maps are five times as large, so that
four passes over it are the steps of twenty over UCM."""
_TIMED = 64  # images and captions that times are taken on
_BYTES = 2  # of a number as galleries store it


@dataclass(frozen=True)
class Job(TrainingJob):
    """One run of a method.

    Attributes:
        dataset: A key of ``SETS``.
    """

    name: str
    dataset: str
    seed: int
    changes: tuple[str, ...]
    results: Path
    runs: Path

    family = "methods"

    @property
    def title(self) -> str:
        """Name of its files."""
        return f"{self.name}-{self.dataset}-seed{self.seed}" if SETS[self.dataset] else super().title

    @property
    def own_changes(self) -> tuple[str, ...]:
        """What this run sets beside ``changes``."""
        return (*SETS[self.dataset], *super().own_changes)


def run_method(job: Job, tell: Callable[[TrainingProgress], None] | None = None) -> dict[str, Any]:
    """Train a method, or go on with it, test it and write its result.

    Raises:
        LandsiftError: Data or weights are absent, or training failed.
    """
    recipe = job.recipe
    found = fit(recipe, resume=True, progress=tell, command=f"python -m benchmarks.methods {job.name}")
    row = recipe.validation.sets[0]
    data = load_set(type(row)(name=row.name, root=row.root, split="test"))
    matcher = read_matcher(found.encoder)
    report = _tested(job.name, matcher, found, data)
    result = {
        "method": job.name,
        "dataset": row.name,
        "seed": job.seed,
        "recipe": {"name": f"methods/{job.name}", "hash": recipe_hash(recipe), "changes": list(job.changes)},
        "val_mR": found.score,
        "best_epoch": found.epoch,
        "epochs": len(found.history),
        "steps": found.steps,
        "seconds": round(found.history[-1]["seconds"], 1),
        "test": _figures(report),
        "reranked": report.scores.get("reranked"),
        "exact_index": matcher.exact_index,
        "parameters": sum(p.numel() for p in matcher.parameters()),
        **_costs(matcher, data),
        "device": _device(recipe),
        "provenance": provenance(f"python -m benchmarks.methods {job.name}", seed=job.seed),
    }
    job.results.mkdir(parents=True, exist_ok=True)
    replace_file(job.result, (json.dumps(result, indent=1) + "\n").encode())
    return result


def measure_costs(jobs: Sequence[Job]) -> None:
    """Measure times and bytes of the runs that have a result anew, and write them into it."""
    torch.set_num_threads(1)
    for job in jobs:
        if not job.done():
            continue
        row = job.recipe.validation.sets[0]
        data = load_set(type(row)(name=row.name, root=row.root, split="test"))
        result = json.loads(job.result.read_text("utf-8"))
        result |= _costs(read_matcher(job.runs / job.title / "best"), data)
        result["costs_provenance"] = provenance("python -m benchmarks.methods --costs", seed=job.seed)
        replace_file(job.result, (json.dumps(result, indent=1) + "\n").encode())
        print(f"{job.title}: {result['image_ms']} ms an image, {result['text_ms']} ms a caption", flush=True)


def _tested(name: str, matcher: Matcher, found: FitResult, data: RetrievalSet) -> Report:
    """What ``landsift evaluate`` says of the best weights."""
    if matcher.exact_index:
        return evaluate(load_encoder(found.encoder), data, rerank=RERANKED.get(name))
    return evaluate_pairs(load_scorer(found.encoder), data, rerank=RERANKED.get(name))


def _figures(report: Report) -> dict[str, float]:
    strict, aware = report.scores["strict"], report.scores["duplicate_aware"]
    recalls = {name: round(value, 2) for name, value in strict.items() if "R@" in name or "mR" in name}
    return recalls | {"duplicate_aware_mR": round(aware["mR"], 2)}


@torch.inference_mode()
def _costs(matcher: Matcher, data: RetrievalSet) -> dict[str, float]:
    """Milliseconds to encode and to score on the CPU, and bytes to keep of an image."""
    squares = np.stack([resize_square(_opened(path), matcher.input_size) for path in data.images[:_TIMED]])
    pixels = torch.from_numpy(squares).permute(0, 3, 1, 2)
    began = time.perf_counter()
    image = joined([matcher.image_features(part) for part in pixels.split(1)])
    encoded = time.perf_counter()
    captions = list(dict.fromkeys(data.captions))[:_TIMED]
    text = joined([matcher.text_features(matcher.prepare([caption])) for caption in captions])
    read = time.perf_counter()
    score_features(matcher, image, text)
    scored = time.perf_counter()
    return {
        "image_ms": round(1000 * (encoded - began) / len(image), 2),
        "text_ms": round(1000 * (read - encoded) / len(text), 2),
        "score_ms_per_1000_pairs": round(1e6 * (scored - read) / len(image) / len(text), 4),
        "bytes_per_image": _BYTES * _numbers(matcher, image),
    }


def _opened(path: Any) -> np.ndarray:
    return next(iter(read_images([path])))


def _numbers(matcher: Matcher, image: Features) -> int:
    kept = [image.pooled] if matcher.exact_index else list(image.tensors().values())
    return sum(tensor[0].numel() for tensor in kept)


def _device(recipe: Recipe) -> str:
    if recipe.loop.device in ("", "cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {recipe.loop.threads or torch.get_num_threads()} threads"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the jobs that have no result yet; a failing one is reported and the others go on."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="methods; all when none is named")
    parser.add_argument("--on", choices=SETS, default="ucm-captions", help="train and test on this set")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--results", type=Path, default=FOLDER)
    parser.add_argument("--runs", type=Path, default=Path("runs/methods"))
    parser.add_argument("--page", action="store_true", help="only rewrite docs/methods.md")
    parser.add_argument("--costs", action="store_true", help="only measure the times of finished runs anew")
    given = parser.parse_args(arguments)
    for name in given.names:
        find_matcher(name)
    failed = 0
    jobs = [
        Job(name, given.on, seed, tuple(given.changes), given.results, given.runs)
        for seed in given.seeds
        for name in given.names or list_zoo()
    ]
    if given.costs:
        measure_costs(jobs)
    for job in [] if given.page or given.costs else jobs:
        failed += not _done(job)
    if given.page or given.results == FOLDER:
        from benchmarks.page import write_methods

        print(f"Wrote {write_methods()}.")
    return int(failed > 0)


def _done(job: Job) -> bool:
    if job.done():
        print(f"{job.title}: there already", flush=True)
        return True
    began = time.perf_counter()
    try:
        result = run_method(job)
    except LandsiftError as error:
        print(f"{job.title}: {error}", file=sys.stderr, flush=True)
        return False
    test = result["test"]["mR"]
    print(
        f"{job.title}: val {result['val_mR']:.2f}, test {test:.2f}, {time.perf_counter() - began:.0f} s",
        flush=True,
    )
    return True


if __name__ == "__main__":
    sys.exit(main())
