"""The published methods as a table: what each is, what was printed for it, what it reached here.

Knows the registry, the published scores and the files that ``python -m benchmarks.methods`` writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from landsift.data.published import PublishedScore, published_scores
from landsift.models.registry import MethodCard, find_matcher, list_zoo

__all__ = ["PUBLISHED_ON", "MethodRow", "method_rows", "published_row", "read_runs"]

PUBLISHED_ON = ("ucm-captions", "rsicd", "rsitmd")
"""The sets whose published scores are shown."""


@dataclass(frozen=True)
class MethodRow:
    """One published method.

    Attributes:
        name: As recipes call it.
        card: What is known of it.
        citation: Whom it is from.
        published: Printed mR by set, where there is one.
        ours: Test mR reached here by set, the mean over seeds.
    """

    name: str
    card: MethodCard
    citation: str
    published: Mapping[str, float] = field(default_factory=dict)
    ours: Mapping[str, float] = field(default_factory=dict)


def method_rows(results: Path | None = None) -> list[MethodRow]:
    """All published methods, the oldest first.

    Args:
        results: Folder with the runs' files; None or absent for no scores of ours.
    """
    runs = read_runs(results) if results else []
    rows = []
    for name in list_zoo():
        spec = find_matcher(name)
        if spec.card is None:
            raise AssertionError(f"{name} has no card")
        rows.append(MethodRow(name, spec.card, spec.citation, _published(spec.card), _ours(name, runs)))
    return sorted(rows, key=lambda row: (row.card.year, row.name))


def published_row(card: MethodCard, dataset: str) -> PublishedScore | None:
    """What was printed for a method on a set: the row of its backbone, or the first of its name.

    Rows of another protocol, which merges equal captions, are passed over.
    """
    if not card.published:
        return None
    named = [
        row
        for row in published_scores(dataset)
        if row.method == card.published and "merged-captions" not in row.flags
    ]
    fitting = [row for row in named if row.backbone == card.backbone]
    return next(iter(fitting or named), None)


def _published(card: MethodCard) -> dict[str, float]:
    found = {}
    for dataset in PUBLISHED_ON:
        row = published_row(card, dataset)
        value = None if row is None else (row.mR if row.mR is not None else row.recomputed_mR)
        if value is not None:
            found[dataset] = value
    return found


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """What the runs in a folder reached; files that are no runs are passed over."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(run, dict) and {"method", "dataset", "seed", "test"} <= run.keys():
            found.append(run)
    return found


def _ours(name: str, runs: list[dict[str, Any]]) -> dict[str, float]:
    by_set: dict[str, list[float]] = {}
    for run in runs:
        if run["method"] == name:
            by_set.setdefault(run["dataset"], []).append(run["test"]["mR"])
    return {dataset: sum(values) / len(values) for dataset, values in by_set.items()}
