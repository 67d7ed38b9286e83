"""Our runs beside the published rows of one data set, best first, each with the protocol behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from landsift.data import PublishedScore, find_dataset, published_scores
from landsift.data.published import PUBLISHED_FLAGS
from landsift.errors import DatasetError
from landsift.evaluate.report import RECALLS, Report, read_report

__all__ = ["FLAG_MEANINGS", "LeaderboardRow", "leaderboard", "leaderboard_markdown", "read_reports"]

FLAG_MEANINGS = PUBLISHED_FLAGS | {
    "not a test": "trained on the very split that is scored",
    "overlapping-data": "trained on a set that shares pictures with this one",
}
"""What the flags of a row mean."""


@dataclass(frozen=True)
class LeaderboardRow:
    """One line.

    Attributes:
        method: Name.
        backbone: Of the image tower; empty for ours.
        recalls: The six, percent; fewer or none where they were not printed.
        mR: As printed, or as measured for ours.
        recomputed_mR: Mean of the printed recalls, None where they are incomplete.
        flags: What sets the protocol apart.
        source: Where it is printed, or the command that measured it.
        ours: Measured by this project.
        note: What else to know.
    """

    method: str
    backbone: str
    recalls: tuple[float, ...]
    mR: float | None
    recomputed_mR: float | None
    flags: tuple[str, ...]
    source: str
    ours: bool
    note: str = ""


def leaderboard(dataset: str, reports: Iterable[Report] = (), *, split: str = "test") -> list[LeaderboardRow]:
    """Published rows of a set and our reports on it, by mR.

    Args:
        dataset: Name of the set.
        reports: Ours; those on other sets, splits or tasks are passed over.
        split: Which split of ours.

    Raises:
        UsageError: No such set.
    """
    name = find_dataset(dataset).name
    rows = [_published(score) for score in published_scores(name)]
    rows += [_ours(report) for report in reports if _is_on(report, name, split)]
    return sorted(rows, key=lambda row: -(row.mR if row.mR is not None else row.recomputed_mR or -1.0))


def _is_on(report: Report, name: str, split: str) -> bool:
    return (report.task, report.dataset["name"], report.dataset["split"]) == ("retrieval", name, split)


def _published(score: PublishedScore) -> LeaderboardRow:
    return LeaderboardRow(
        score.method,
        score.backbone,
        (*score.i2t, *score.t2i) if len(score.i2t) == len(score.t2i) == 3 else (),
        score.mR,
        score.recomputed_mR,
        score.flags,
        score.source,
        False,
        score.note,
    )


def _ours(report: Report) -> LeaderboardRow:
    strict = report.scores["strict"]
    flags: tuple[str, ...] = ("not a test",) if any("not a test" in line for line in report.leakage) else ()
    if any("shares pictures" in line for line in report.leakage):
        flags += ("overlapping-data",)
    return LeaderboardRow(
        report.model["name"],
        "",
        tuple(strict[name] for name in RECALLS),
        strict["mR"],
        strict["mR"],
        flags,
        report.provenance.get("command", ""),
        True,
    )


def read_reports(folders: Sequence[str | Path]) -> list[Report]:
    """All reports in some folders; other JSON files there are passed over."""
    found = []
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.json")):
            try:
                found.append(read_report(path))
            except DatasetError:
                continue
    return found


def leaderboard_markdown(dataset: str, rows: Sequence[LeaderboardRow]) -> str:
    """The board as a Markdown page section; ours in bold, flags explained below."""
    title = find_dataset(dataset).title
    lines = [
        f"## {title}",
        "",
        "| method | backbone | i2t R@1 | R@5 | R@10 | t2i R@1 | R@5 | R@10 | mR printed | mR recomputed "
        "| protocol | source |",
        "|" + "---|" * 12,
    ]
    for row in rows:
        recalls = [f"{value:.2f}" for value in row.recalls] or [""] * 6
        name = f"**{row.method}** (ours)" if row.ours else row.method
        printed = "" if row.mR is None else f"{row.mR:.2f}"
        again = "" if row.recomputed_mR is None else f"{row.recomputed_mR:.2f}"
        source = f"`{row.source}`" if row.ours else row.source
        remarks = ", ".join(row.flags) + (f" ({row.note})" if row.note else "")
        lines.append(f"| {' | '.join([name, row.backbone, *recalls, printed, again, remarks, source])} |")
    return "\n".join([*lines, ""])
