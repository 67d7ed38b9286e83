"""What an evaluation says: numbers, the protocol behind them, and how they print."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from landsift.errors import DatasetError
from landsift.evaluate.stress_tables import cost_facts, cost_table, robustness_facts, robustness_table
from landsift.files import replace_file

__all__ = ["RECALLS", "Report", "read_report"]

RECALLS = ("i2t_R@1", "i2t_R@5", "i2t_R@10", "t2i_R@1", "t2i_R@5", "t2i_R@10")
"""The six recalls in the order of the papers' tables."""

_FORMAT = 1


@dataclass(frozen=True)
class Report:
    """One evaluation.

    Attributes:
        task: ``retrieval``, ``zero-shot``, ``hashing``, ``selo``, ``robustness`` or ``cost``.
        model: Name, weights hash and training sets of the encoder.
        dataset: Name, split, sizes and fingerprint of what was scored.
        protocol: Every option that can change a number, by name.
        scores: The numbers; recalls and accuracies in percent.
        leakage: Sentences on what the encoder had seen, gravest first.
        provenance: Commit, machine, versions, command, seed.
    """

    task: str
    model: Mapping[str, Any]
    dataset: Mapping[str, Any]
    protocol: Mapping[str, Any]
    scores: Mapping[str, Any]
    leakage: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def clip_benchmark(self) -> dict[str, Any]:
        """The recalls in the JSON form of CLIP_benchmark's zero-shot retrieval (shares, not percent)."""
        strict = self.scores["strict"]
        metrics = {f"image_retrieval_recall@{k}": strict[f"t2i_R@{k}"] / 100 for k in (1, 5, 10)}
        metrics |= {f"text_retrieval_recall@{k}": strict[f"i2t_R@{k}"] / 100 for k in (1, 5, 10)}
        return {
            "dataset": self.dataset["name"],
            "split": self.dataset["split"],
            "model": self.model["name"],
            "pretrained": self.model["weights_sha256"],
            "task": "zeroshot_retrieval",
            "language": "en",
            "metrics": metrics,
        }

    @property
    def title(self) -> str:
        """Model, data set and split, for headings."""
        return f"{self.model['name']} on {self.dataset['title']} ({self.dataset['split']})"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"format": _FORMAT} | asdict(self)

    def save(self, path: str | Path) -> None:
        """Write JSON that :func:`read_report` reads back."""
        text = json.dumps(self.as_dict(), indent=2, ensure_ascii=False)
        replace_file(path, f"{text}\n".encode())

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headings and rows: the papers' table first, then the honest extras."""
        return _TABLES.get(self.task, _class_table)(self.scores)

    def facts(self) -> list[str]:
        """Sentences below the table: sizes, ranks, ties, scenes, protocol, leakage."""
        lines = _FACTS.get(self.task, _class_facts)(self)
        chosen = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.protocol.items())
        return [
            *lines,
            f"Protocol: {chosen}.",
            *(self.leakage or ["No overlap with its training sets is known."]),
        ]

    def markdown(self) -> str:
        """The report as a Markdown section."""
        headings, rows = self.table()
        lines = [f"### {self.title}", "", _markdown_row(headings), "|" + "---|" * len(headings)]
        lines += [_markdown_row(row) for row in rows]
        return "\n".join([*lines, "", *(f"- {line}" for line in self.facts()), ""])


def read_report(path: str | Path) -> Report:
    """Read what :meth:`Report.save` wrote.

    Raises:
        DatasetError: The file is not a report.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        if record.pop("format") != _FORMAT:
            raise KeyError("format")
        return Report(**record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} is not an evaluation report; write one with landsift evaluate --json"
        ) from error


def _retrieval_table(scores: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    names = [*RECALLS[:3], "mR_i2t", *RECALLS[3:], "mR_t2i", "mR"]
    headings = ["", *("i2t R@1", "R@5", "R@10", "mR"), *("t2i R@1", "R@5", "R@10", "mR"), "mR"]
    rows = []
    for label, key in (("strict", "strict"), ("duplicate-aware", "duplicate_aware")):
        rows.append([label, *(f"{scores[key][name]:.2f}" for name in names)])
    again = scores.get("reranked")
    if again:
        label = f"{again['name']}{' (transductive)' if again['transductive'] else ''}"
        rows.append([label, *(f"{again['strict'][name]:.2f}" for name in names)])
    ceiling = scores["ceiling"]
    rows.append(["ceiling (strict)", *(f"{ceiling[n]:.2f}" if n in ceiling else "" for n in names)])
    found = scores["intervals"]
    bounds = [f"{found[n]['low']:.1f} to {found[n]['high']:.1f}" if n in found else "" for n in names]
    rows.append(["95 % interval", *bounds])
    return headings, rows


def _retrieval_facts(report: Report) -> list[str]:
    data, scores = report.dataset, report.scores
    strict, ties = scores["strict"], scores["ties"]
    lines = [
        f"{data['images']:,} images, {data['captions']:,} captions ({data['distinct_captions']:,} distinct).",
        f"Median rank {strict['i2t_median_rank']:g} (image to text) and {strict['t2i_median_rank']:g} "
        f"(text to image); mean rank {strict['i2t_mean_rank']:.1f} and {strict['t2i_mean_rank']:.1f}.",
    ]
    low = sum(ties["pessimistic"][name] for name in RECALLS) / len(RECALLS)
    high = sum(ties["optimistic"][name] for name in RECALLS) / len(RECALLS)
    lines.append(
        f"Ties count by expectation; mR is {low:.2f} if all fall badly, {high:.2f} if all fall well."
    )
    if scores.get("scene"):
        listed = ", ".join(f"{name.replace('_', ' ')} {value:.1f}" for name, value in scores["scene"].items())
        lines.append(f"Scene recall (share of the first K of the right class): {listed}.")
    again = scores.get("reranked")
    if again:
        looked = (
            "the other test queries, which no single query could do"
            if again["transductive"]
            else again["bank"]
        )
        lines.append(f"Re-ranked by {again['name']} ({again['source']}) looking at {looked}.")
    if scores.get("semantic"):
        parts = (f"{name} {value:.1f}" for name, value in scores["semantic"].items())
        lines.append(f"Beyond R@K: {', '.join(parts)}.")
    if scores.get("consistency"):
        parts = (f"{name} {value:.1f}" for name, value in scores["consistency"].items())
        lines.append(f"Consistency, percent: {', '.join(parts)}.")
    return lines


def _class_table(scores: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    recalls = scores["class_recall"]
    rows = [[name, "-" if value is None else f"{value:.1f}"] for name, value in recalls.items()]
    return ["class", "recall"], [*rows, ["mean", f"{scores['mean_class_recall']:.2f}"]]


def _class_facts(report: Report) -> list[str]:
    pairs = [
        (count, true, other)
        for true, row in report.scores["confusion"].items()
        for other, count in row.items()
        if true != other
    ]
    worst = sorted(pairs, reverse=True)[:3]
    mistakes = "; ".join(f"{true} taken for {other} {count:g} times" for count, true, other in worst)
    lines = [
        f"{report.dataset['images']:,} images in {len(report.scores['class_recall'])} classes; "
        f"accuracy {report.scores['accuracy']:.2f} %."
    ]
    return [*lines, f"Most frequent mistakes: {mistakes}."] if mistakes else lines


_DIRECTIONS = {
    "i2t": "image to text",
    "t2i": "text to image",
    "i2i": "image to image",
    "t2t": "text to text",
}


def _code_table(scores: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    k = scores["k"]
    kinds = {
        "map_all": "mAP of all",
        "map_first_k_relevant": f"first {k} relevant",
        "map_topk_hits": f"hits in top {k}",
        "map_topk_std": f"textbook mAP@{k}",
    }
    rows = []
    for name, found in scores["directions"].items():
        values = [found["mean_ap"][kind] for kind in kinds]
        values += [found["mean_ap_stable"]["map_first_k_relevant"], found["precision"].get(str(k))]
        cells = ["" if value is None else f"{100 * value:.2f}" for value in values]
        rows.append([_DIRECTIONS[name], *cells])
    return ["", *kinds.values(), f"first {k} relevant, one order", f"P@{k}"], rows


def _code_facts(report: Report) -> list[str]:
    data, scores = report.dataset, report.scores
    lines = [
        f"{data['images']:,} queries, {data['database']:,} images searched; codes of {scores['bits']} bits "
        f"({scores['coder']}). DUCH's papers print the mAP of the first {scores['k']} relevant as mAP@"
        f"{scores['k']}.",
    ]
    for name, found in scores["directions"].items():
        if found["lookup"]:
            near = found["lookup"][min(2, len(found["lookup"]) - 1)]
            shares = {key: f"{100 * near[key]:.1f}" for key in ("precision", "recall", "empty")}
            lines.append(
                f"Within {near['radius']} bits, {_DIRECTIONS[name]}: precision {shares['precision']}, "
                f"recall {shares['recall']}; {shares['empty']} % of the queries find nothing."
            )
    recall = scores["recall"]
    lines.append(
        f"R@K among the queries, own captions alone right: mR {recall['codes']['mR']:.2f} by codes, "
        f"{recall['reranked']['mR']:.2f} with real vectors on the best {recall['shortlist']}, "
        f"{recall['float']['mR']:.2f} by real vectors alone."
    )
    return lines


_LOCATION_ROWS = {"model": "encoder", "uniform": "a uniform map", "centre": "always the middle"}


def _location_table(scores: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    names = ("Rsu", "Ras", "Rda", "Rmi")
    rows = [[label, *(f"{scores[key][name]:.4f}" for name in names)] for key, label in _LOCATION_ROWS.items()]
    return ["", *names], rows


def _location_facts(report: Report) -> list[str]:
    return [
        f"{report.dataset['cases']:,} cases; Ras is the better the lower, the others the higher.",
        "The last two rows are maps that say nothing; what they score is no skill.",
    ]


_TABLES = {
    "retrieval": _retrieval_table,
    "hashing": _code_table,
    "selo": _location_table,
    "robustness": robustness_table,
    "cost": cost_table,
}
_FACTS = {
    "retrieval": _retrieval_facts,
    "hashing": _code_facts,
    "selo": _location_facts,
    "robustness": robustness_facts,
    "cost": cost_facts,
}


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
