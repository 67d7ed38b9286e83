"""What is left of an encoder's retrieval on UCM-Captions when pictures and captions are spoilt.

``python -m benchmarks robustness [ENCODER...] [--set NAME] [--severities 1,3,5]`` runs the whole suite for
the built-in encoder, or for the encoders named (run folders of trained methods too), and writes
``benchmarks/results/robustness/NAME.json`` each, after every severity; stopped, it goes on where it was.
``docs/evaluation.md`` follows from these.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.record import RESULTS
from landsift.data import fingerprint, load_dataset
from landsift.data.corrupting import SEVERITIES, check_severities
from landsift.encoders import card_of, load_encoder, load_scorer, scores_pairs
from landsift.errors import UsageError
from landsift.evaluate import Report, evaluate_robustness, robustness_of_pairs
from landsift.evaluate.robustness import join_robustness
from landsift.files import replace_file
from landsift.types import RetrievalSet

__all__ = [
    "FOLDER",
    "add_report",
    "measure",
    "missing",
    "read_stored",
    "run",
    "save_report",
    "test_split",
]

FOLDER = RESULTS / "robustness"
DEFAULT = ("landsift-lite",)


def run(arguments: Sequence[str] = ()) -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks robustness", description=__doc__)
    parser.add_argument("encoders", nargs="*", metavar="ENCODER", help="landsift-lite when none is named")
    parser.add_argument("--set", dest="dataset", default="ucm-captions", metavar="NAME")
    parser.add_argument("--severities", default=",".join(map(str, SEVERITIES)), metavar="1,3,5")
    given = parser.parse_args(list(arguments))
    data = test_split(given.dataset)
    if data is None:
        print("  LANDSIFT_DATA is not set: robustness is not measured.")
        return
    levels = check_severities([int(level) for level in given.severities.split(",")])
    for name in given.encoders or DEFAULT:
        for level in missing(FOLDER, name, data, levels):
            report = add_report(FOLDER, measure(name, data, (level,)))
            lost = report.scores["all"]["drop"]
            print(f"{name}, severities {report.protocol['severities']}: {lost:.1f} % lost", flush=True)


def missing(folder: Path, name: str, data: RetrievalSet, levels: Sequence[int]) -> list[int]:
    """The severities that no stored run of this very encoder on this very set has."""
    card = card_of(name)
    stored = read_stored(folder / f"{card.name}.json")
    wanted = (card.weights_sha256, fingerprint(data))
    if stored is None or (stored.model["weights_sha256"], stored.dataset["sha256"]) != wanted:
        return list(levels)
    return [level for level in levels if level not in stored.scores["severities"]]


def test_split(name: str) -> RetrievalSet | None:
    """The test split of a set under LANDSIFT_DATA; None where that is not set."""
    root = os.environ.get("LANDSIFT_DATA")
    return load_dataset(name, Path(root) / name.replace("-", "_"), "test") if root else None


def measure(
    name: str, data: RetrievalSet, severities: Sequence[int] = SEVERITIES, command: str | None = None
) -> Report:
    """The report of one encoder, or of one method that judges pairs; ``command`` is told to have made it."""
    told = Path(name).name if Path(name).is_absolute() else name
    command = command or f"python -m benchmarks robustness {told}"
    tell = _lines()
    if scores_pairs(name):
        return robustness_of_pairs(
            load_scorer(name), data, severities=severities, progress=tell, command=command
        )
    return evaluate_robustness(
        load_encoder(name), data, severities=severities, progress=tell, command=command
    )


def add_report(folder: Path, report: Report) -> Report:
    """Join a report with what is stored of the same encoder, set and seed, and store both as one."""
    stored = read_stored(folder / f"{report.model['name']}.json")
    # What is stored may be of other weights or pictures: then it makes room.
    with suppress(UsageError):
        report = report if stored is None else join_robustness([stored, report])
    save_report(folder, report)
    return report


def save_report(folder: Path, report: Report) -> Path:
    """Write a report under its model's name, as a file that no list of retrieval reports takes in."""
    path = folder / f"{report.model['name']}.json"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"kind": report.task, "report": report.as_dict()}, indent=1)
    replace_file(path, f"{text}\n".encode())
    return path


def read_stored(path: Path) -> Report | None:
    """A report that :func:`save_report` wrote; None where there is none."""
    if not path.is_file():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))["report"]
    return Report(**{name: value for name, value in record.items() if name != "format"})


def _lines() -> Callable[[int, int], None]:
    """Progress as a line for every tenth."""
    said = [0]

    def tell(done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth > said[0]:
            said[0] = tenth
            print(f"  {done:,} of {total:,} encoded", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    run(sys.argv[1:])
