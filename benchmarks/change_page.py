"""The stored figures of change -> the tables of ``docs/change-models.md``; no number is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "change-models.md"
MARKS = ("<!-- figures: begin -->", "<!-- figures: end -->")
_FACTS = {
    "pairs": "pairs",
    "unchanged_pairs": "pairs without change, %",
    "no_change_captions": "captions that are one of the five sentences, %",
    "repeated_captions": "captions that another pair has too, %",
    "repeated_changed_captions": "the same among changed pairs, %",
    "right_answers": "right answers to a query",
    "right_answers_changed": "the same among changed pairs",
    "strict_ceiling_hit@1": "best strict hit rate at 1, %",
    "strict_ceiling_hit@1_changed": "the same among changed pairs, %",
}
_SCORES = ("BLEU-1", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D", "S*m", "change_acc", "nochange_acc")
_MASKS = ("precision", "recall", "F1", "mIoU", "accuracy")


def write_page(page: Path = PAGE) -> str:
    """Put the tables between the marks of the page; returns its name."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    lines: list[str] = []
    for name, section in (("change_captions", _captions), ("change_detection", _detection)):
        path = RESULTS / f"{name}.json"
        if path.exists():
            record = json.loads(path.read_text(encoding="utf-8"))
            lines += [*section(record["figures"]), "", _origin(record["provenance"])]
    tables = "\n".join([*lines, ""])
    page.write_text(f"{before}{MARKS[0]}\n{tables}\n{MARKS[1]}{after}", encoding="utf-8")
    return f"docs/{page.name}"


def _captions(figures: dict[str, Any]) -> list[str]:
    facts, marks = figures["facts"], figures["marks"]
    lines = ["", "### How captions repeat", "", f"| LEVIR-CC | {' | '.join(facts)} |"]
    lines.append(f"|---|{'---:|' * len(facts)}")
    for key, title in _FACTS.items():
        lines.append(f"| {title} | {' | '.join(_number(split.get(key)) for split in facts.values())} |")
    lines += ["", "### Between which marks a captioner's scores lie (LEVIR-CC test)", ""]
    return [*lines, *_table("what is written", _SCORES, marks, 100)]


def _detection(figures: dict[str, Any]) -> list[str]:
    lines = ["", f"### Changed buildings from differences alone ({figures['pairs']} pairs of LEVIR-CD)", ""]
    return [*lines, *_table("what is compared", _MASKS, figures["rows"], 1)]


def _origin(provenance: dict[str, Any]) -> str:
    commit = str(provenance.get("commit") or "")[:10]
    return f"Measured by `{provenance['command']}` at commit {commit}."


def _table(head: str, names: tuple[str, ...], rows: dict[str, dict[str, float]], factor: float) -> list[str]:
    shown = [name for name in names if any(name in row for row in rows.values())]
    lines = [f"| {head} | {' | '.join(shown)} |", f"|---|{'---:|' * len(shown)}"]
    for title, row in rows.items():
        values = [None if name not in row else factor * row[name] for name in shown]
        lines.append(f"| {title} | {' | '.join(_number(value) for value in values)} |")
    return lines


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() and value > 100 else f"{value:.2f}"
