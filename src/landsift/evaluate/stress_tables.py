"""How reports on robustness and on cost print. Knows their numbers; measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from landsift.evaluate.report import Report

__all__ = ["cost_facts", "cost_table", "robustness_facts", "robustness_table"]

_SPOILT = {
    "gallery": "what is searched is spoilt: pictures for text to image, captions for image to text",
    "query": "what asks is spoilt: pictures for image to text, captions for text to image",
    "both": "spoilt pictures or captions are searched and ask; mR is the mean of both directions",
}


def robustness_table(scores: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A row a corruption: mR at each severity, and the means over them."""
    levels = scores["severities"]
    shares = [name for name in ("top10_kept", "bit_flips") if name in scores["all"]]
    titles = {"top10_kept": "top 10 kept %", "bit_flips": "bits flipped %"}
    headings = ["", "clean", *(f"{level}" for level in levels), "mean", "drop %", "worst drop %"]
    headings += [*(["drift"] if "drift" in scores["all"] else []), *(titles[name] for name in shares)]
    rows = []
    for name, row in scores["corruptions"].items():
        own = row["by_severity"]
        cells = [f"{row['clean']:.2f}", *(f"{own[str(level)]['score']:.2f}" for level in levels)]
        cells += [f"{row['score']:.2f}", f"{row['drop']:.1f}", f"{row['worst']['drop']:.1f}"]
        rows.append([name, *cells, *_moved(row, shares)])
    whole = ("all", "the whole suite")
    both = "pictures" in scores and "texts" in scores
    for part, label in (("pictures", "all pictures"), ("texts", "all texts"), whole) if both else (whole,):
        row, blank = scores[part], [""] * (len(levels) + 1)
        cells = [*blank, f"{row['score']:.2f}", f"{row['drop']:.1f}", ""]
        rows.append([label, *cells, *_moved(row, shares)])
    return headings, rows


def _moved(row: Mapping[str, Any], shares: Sequence[str]) -> list[str]:
    moved = [f"{max(row['drift'], 0):.3f}"] if "drift" in row else []
    return [*moved, *(f"{100 * row[name]:.1f}" for name in shares)]


def robustness_facts(report: Report) -> list[str]:
    """Sentences below the table."""
    data, scores = report.dataset, report.scores
    clean, worst = scores["clean"], scores["worst"]
    families = ", ".join(f"{name} {value:.1f}" for name, value in scores["families"].items())
    lines = [
        f"{data['images']:,} images, {data['captions']:,} captions; {_SPOILT[scores['on']]}.",
        f"Clean mR {clean['mR']:.2f} (image to text {clean['mR_i2t']:.2f}, text to image "
        f"{clean['mR_t2i']:.2f}); over the suite {scores['all']['drop']:.1f} % of it is lost.",
        f"Worst: {worst['corruption']} at severity {worst['severity']}, which loses {worst['drop']:.1f} %.",
        f"Lost by family, percent: {families}.",
    ]
    if "drift" in scores["all"]:
        lines.append(
            "Drift is 1 - cosine of a vector and of the spoilt one; bits are the signs of the vectors"
            " about their clean mean, or the codes of a hashing method."
        )
    return lines


def cost_table(scores: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A row a tower, and one of pairs for a method that judges these."""
    headings = ["", "parameters, M", "GFLOPs", "p50 ms", "p95 ms", "a second"]
    rows = []
    for name, found in scores["parts"].items():
        cells = [
            _number(found.get("parameters"), 1e-6, 2),
            _number(found.get("flops"), 1e-9, 2),
            _number(found.get("p50_ms"), 1, 2),
            _number(found.get("p95_ms"), 1, 2),
            _number(found.get("per_second"), 1, 1),
        ]
        rows.append([name, *cells])
    return headings, rows


def _number(value: float | None, scale: float, places: int) -> str:
    return "-" if value is None else f"{value * scale:.{places}f}"


def cost_facts(report: Report) -> list[str]:
    """Sentences below the table."""
    scores = report.scores
    lines = ["Latencies are of one at a time; a second, of many in one call."]
    if scores["parameters"] is not None:
        lines.append(f"{scores['parameters'] / 1e6:.2f} million parameters; {scores['counted']}.")
    if scores["peak"] is not None:
        peak, bare = (scores["peak"][name] for name in ("peak_mb", "bare_mb"))
        lines.append(
            f"A process that loads it and encodes {scores['peak']['images']} images reaches {peak:,.0f} MB "
            f"of memory, of which {bare:,.0f} MB are Python and the package."
        )
    code = scores.get("code_bytes")
    beside = f", or {code:,} as a code" if code else ""
    lines.append(f"An image costs {scores['bytes_per_image']:,} bytes to keep{beside}.")
    index = scores["index"]
    if index is not None:
        lines.append(
            f"An exact index of {index['rows']:,} rows is built in {index['build_s']:.2f} s and answers in "
            f"{index['p50_ms']:.2f} ms (95 %: {index['p95_ms']:.2f} ms)."
        )
    return lines
