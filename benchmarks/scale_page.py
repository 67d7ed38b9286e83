"""The stored figures of scale -> ``docs/scale_measured.md`` and its plot; no number is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS
from landsift.provenance import provenance

DOCS = Path(__file__).parents[1] / "docs"
_KINDS = ("exact", "cascade", "ann")


def _name(rows: int, codes_only: bool) -> str:
    return f"scale_{'codes_' if codes_only else ''}{rows}"


def kept(rows: int, results: Path, *, codes_only: bool) -> bool:
    """Whether the figures of a number of rows are there."""
    return (results / f"{_name(rows, codes_only)}.json").is_file()


def keep(figures: dict[str, Any], results: Path, *, codes_only: bool) -> Path:
    """Write the figures of one number of rows, with where they came from."""
    name = _name(figures["rows"], codes_only)
    command = f"python -m benchmarks.scale --rows {figures['rows']}" + (" --codes-only" if codes_only else "")
    packages = ("lancedb", "hnswlib", "usearch")
    record = {
        "name": name,
        "figures": figures,
        "provenance": provenance(command, seed=0, packages=packages),
    }
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def write_page(results: Path = RESULTS, docs: Path = DOCS) -> str:
    """Write the page from all stored runs; returns its name."""
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in results.glob("scale_*.json")]
    runs.sort(key=lambda run: (run["figures"]["rows"], run["name"]))
    parts = [
        "# Scale, measured",
        "",
        "Made by `make bench-scale` from `benchmarks/results/scale_*.json`.",
        "",
    ]
    for run in runs:
        parts += _section(run)
    if len({run["figures"]["rows"] for run in runs}) > 1:
        _plot(runs, docs / "img" / "scale.png")
        parts += ["## Growth", "", "![Time and memory against rows](img/scale.png)", ""]
    page = docs / "scale_measured.md"
    page.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    return str(page)


def _section(run: dict[str, Any]) -> list[str]:
    figures, origin = run["figures"], run["provenance"]
    made = "real images and moved copies" if figures["real"] else "clusters drawn at random"
    parts = [
        f"## {figures['rows']:,} rows of {figures['dim']}",
        "",
        f"{made}, {figures['queries']} queries, half of them texts. `{origin['command']}`, "
        f"{origin['date']}, {origin['machine']['cores']} x {origin['machine']['processor']}.",
        "",
        *_codes(figures["codes"], figures["bits"]),
    ]
    if "exact" in figures:
        bound = figures["exact"]["bound"]
        parts += [
            f"Exact scan: {figures['exact']['none']['p50_ms']} ms, {bound['share_of_bound']:.0%} of what "
            f"reading {bound['bytes_per_query'] / 1e6:,.0f} MB at {bound['plain_read_gb_per_s']} GB/s "
            f"allows: it reads {bound['reached_gb_per_s']} GB/s, a plain copy reads and writes "
            f"{bound['plain_copy_gb_per_s']} GB/s.",
            "",
            *_table(
                ("index", "filter", "way", "p50 ms", "p95 ms", "recall@10", "recall@100"), _rows(figures)
            ),
            *_table(
                ("index", "floor", "build s", "peak MB", "B/row", "open ms", "1 % more, s"), _builds(figures)
            ),
        ]
        parts += _peers(figures)
    return parts


def _codes(codes: dict[str, Any], bits: int) -> list[str]:
    return [
        f"{bits}-bit codes: scan and shortlist of 1,024 in {codes['p50_ms']} ms, "
        f"{codes['share_of_bound']:.0%} of the bound of {codes['bound_ms']} ms; "
        f"{codes['disk_bytes_per_row']} B a row; made in {codes['build_s']} s with at most "
        f"{codes['peak_rss_mb']:,} MB.",
        "",
    ]


def _rows(figures: dict[str, Any]) -> list[list[str]]:
    found = []
    for kind in _KINDS:
        for name, values in figures[kind].items():
            if isinstance(values, dict) and "recall_at_10" in values:
                found.append(_line(kind, name, values.get("path", "exact"), values))
    return found


def _line(kind: str, name: str, way: str, values: dict[str, Any]) -> list[str]:
    numbers = [values[key] for key in ("p50_ms", "p95_ms", "recall_at_10", "recall_at_100")]
    return [kind, name, way, *map(str, numbers)]


def _builds(figures: dict[str, Any]) -> list[list[str]]:
    keys = ("floor", "build_s", "peak_rss_mb", "disk_bytes_per_row", "open_ms", "add_one_percent_s")
    return [[kind, *(str(figures[kind][key]) for key in keys)] for kind in _KINDS[1:]]


def _peers(figures: dict[str, Any]) -> list[str]:
    """Ours and theirs, each peer with the least effort that finds as much as ours, or with its most."""
    if not figures.get("peers"):
        return []
    rows = []
    for name, values in {"landsift ann": figures["ann"], **figures["peers"]}.items():
        if "left_out" in values:
            rows.append([name, values["left_out"], *[""] * 7])
            continue
        for chosen in ("none", "1 %"):
            line = _line(name, chosen, str(values[chosen].get("effort", "")), values[chosen])
            rows.append([*line[:3], str(values["build_s"]), str(values["peak_rss_mb"]), *line[3:]])
    measures = ("build s", "peak MB", "p50 ms", "p95 ms", "recall@10", "recall@100")
    return _table(("index", "filter", "effort", *measures), rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in (headings, ["---"] * len(headings), *rows)]
    return [*lines, ""]


def _plot(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """Median latency and peak memory of building against rows, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for kind in ("codes", *_KINDS):
        found = {run["figures"]["rows"]: run["figures"][kind] for run in runs if kind in run["figures"]}
        times = [values.get("none", values)["p50_ms"] for values in found.values()]
        label = "code scan" if kind == "codes" else kind
        left.plot(list(found), times, marker="o", label=label)
        if kind != "exact":
            right.plot(list(found), [v["peak_rss_mb"] for v in found.values()], marker="o", label=label)
    for axes, what in ((left, "median query, ms"), (right, "peak memory of building, MB")):
        axes.set(xscale="log", yscale="log", xlabel="rows", ylabel=what)
        axes.grid(alpha=0.3)
        axes.legend()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
