"""The stored figures -> ``docs/benchmarks.md`` and ``docs/leaderboard.md``; no number is typed by hand."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.encoders_page import encoders_section
from benchmarks.record import RESULTS, origin
from landsift.evaluate import FLAG_MEANINGS, Report, leaderboard, leaderboard_markdown, read_reports

DOCS = Path(__file__).parents[1] / "docs"
BOARDS = ("rsicd", "rsicd-aid150", "rsitmd", "ucm-captions", "sydney-captions", "nwpu-captions")
BOARDS_PRINTED = ("ucm-captions", "rsicd", "rsitmd")


def write_page() -> str:
    """Write both pages; returns their names."""
    parts = ["# Benchmarks", "", "Made by `make bench` from the files in `benchmarks/results`.", ""]
    for name, section in SECTIONS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            record = json.loads(path.read_text(encoding="utf-8"))
            parts += [*section(record["figures"]), "", origin(record["provenance"]), ""]
    reports = read_reports([RESULTS])
    if reports:
        parts += ["## What the built-in encoder finds", "", *(report.markdown() for report in reports)]
        parts += [origin(reports[0].provenance), ""]
    (DOCS / "benchmarks.md").write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    _write_leaderboard(reports)
    return "docs/benchmarks.md and docs/leaderboard.md"


def _write_leaderboard(reports: list[Report]) -> None:
    parts = [
        "# Leaderboard",
        "",
        "Published scores as printed, and ours as measured, by `landsift leaderboard NAME --markdown`. Rows are",
        "comparable only where their protocols are: read that column. A printed mR that is not the mean of its",
        "six recalls stays as printed, with the recomputed one beside it.",
        "",
        *(f"- {flag}: {meaning}." for flag, meaning in FLAG_MEANINGS.items()),
        "",
    ]
    for name in BOARDS:
        rows = leaderboard(name, reports)
        if rows:
            parts.append(leaderboard_markdown(name, rows))
    (DOCS / "leaderboard.md").write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")


def write_methods() -> str:
    """Write the page of methods; returns its name. Needs torch, to know the methods."""
    from benchmarks.hashing_page import hashing_summary
    from landsift.models.listing import method_rows, read_runs

    runs = read_runs(RESULTS / "methods")
    rows = method_rows(RESULTS / "methods")
    parts = [
        "# Methods",
        "",
        "Published methods of image-text retrieval, each written anew and trained by `landsift train methods/NAME`.",
        "Rows say what each was written from: facts read in the authors' code, the paper, its abstract, or, where no",
        "text was reachable, its title. The last two give an idea and no reproduction. What deviates or is inferred is",
        "written at the head of each method's file in `src/landsift/models/methods`.",
        "",
        *_measured_methods(rows, runs),
        *hashing_summary(),
        "## What there is",
        "",
        "| recipe | method | year | score head | index | written from | made from the image | mR UCM | RSICD | RSITMD |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_method_line(row) for row in rows),
        "",
        "mR columns are printed values; those of another protocol, which merges equal captions, are left out. Read",
        "`docs/leaderboard.md` for the protocol behind each.",
    ]
    path = DOCS / "methods.md"
    path.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    return "docs/methods.md"


def _method_line(row: Any) -> str:
    card = row.card
    printed = [f"{row.published[name]:.2f}" if name in row.published else "" for name in BOARDS_PRINTED]
    index = "indexable" if card.exact_index else "re-rank only"
    cells = [
        f"`methods/{row.name}`",
        card.title,
        str(card.year),
        card.head,
        index,
        card.source,
        card.stands_in,
    ]
    return f"| {' | '.join([*cells, *printed])} |"


def _measured_methods(rows: Sequence[Any], runs: Sequence[dict[str, Any]]) -> list[str]:
    """A ranking for each set that runs were made on, best first; nothing without runs."""
    parts: list[str] = []
    for dataset in sorted({run["dataset"] for run in runs}):
        lines = [_measured_line(row, found) for row in rows if (found := _runs_of(row.name, dataset, runs))]
        parts += [
            f"## Measured on the test split of {dataset}",
            "",
            "One recipe budget: a frozen ImageNet tower (EfficientNet-Lite0) whose maps are computed once, the same",
            "passes and batches; the pass is chosen on val and tested once; means over the seeds, with the standard",
            "deviation where there are several. Times are of one image or caption on the CPU, bytes at two a number.",
            "",
            "| method | seeds | mR | i2t | t2i | printed | difference | re-ranked | parameters, M | image ms | text ms "
            "| ms per 1,000 pairs | bytes per image | minutes |",
            "|" + "---|" * 14,
            *(line for _, line in sorted(lines, key=lambda pair: -pair[0])),
            "",
            *_shortfalls(rows, dataset, runs),
            *_below_baseline(rows, dataset, runs),
            origin(max(runs, key=lambda run: run["provenance"]["date"])["provenance"]),
            "",
        ]
    return parts


SHORT = {
    "mtfn": "its hinge compares sigmoids, whose slope is small where a pair is far from right; counting all wrong pairs and "
    "four times the rate raised it on val, and the release trains eight times as long",
    "amfmn-fusion": "its gate looks at both sides of a pair, and learns slower than those of its two sisters; a greater rate "
    "raised it on val, though not enough",
    "camp-bce": "it learns a pair's logit from nothing, where the paper trains its cross-attention first; all wrong pairs "
    "and five times the rate raised it on val",
    "multilanguage": "printed with the towers of CLIP ViT-B/32, trained whole; here an ImageNet tower that stays as it is",
    "remoteclip": "printed with the towers of CLIP ViT-B/32, trained whole on the captions of several sets and of boxes and "
    "masks; here an ImageNet tower that stays as it is, and UCM-Captions alone",
    "pe-rsitr": "printed with the towers of CLIP ViT-B/32; here its adapter has to join an ImageNet tower to a sentence "
    "encoder that never saw a picture",
}
"""Why methods fall short of what was printed for them, as far as their runs tell."""


def _shortfalls(rows: Sequence[Any], dataset: str, runs: Sequence[dict[str, Any]]) -> list[str]:
    """Which methods lie below what was printed for them, and why, if it is known."""
    lines = []
    for row in rows:
        found, printed = _runs_of(row.name, dataset, runs), row.published.get(dataset)
        if found and printed and _mean_mr(found) < printed:
            lines.append(f"- {row.card.title}: {SHORT.get(row.name, 'not looked into yet')}.")
    return ["Below what was printed for them:", "", *lines, ""] if lines else []


BELOW_BASELINE = {
    "lwmcr-d": "a light model of 1.6 million numbers on the lower levels of the trunk, within chance of LW-MCR(b); its "
    "teacher here is the small built-in encoder",
    "lwmcr-u": "the same model, within chance of LW-MCR(b)",
    "swan": "within chance; twice the rate gave no more on val after four passes",
    "msa": "within chance; the hardest wrong pairs alone, as printed, gave less on val at its margin",
}
_BASELINE = "vsepp"


def _below_baseline(rows: Sequence[Any], dataset: str, runs: Sequence[dict[str, Any]]) -> list[str]:
    """Which methods lie below VSE++ trained alike, and why, if it is known."""
    mean = {row.name: _mean_mr(found) for row in rows if (found := _runs_of(row.name, dataset, runs))}
    why = SHORT | BELOW_BASELINE
    lines = [
        f"- {row.card.title}: {why.get(row.name, 'not looked into yet')}."
        for row in rows
        if mean.get(row.name, 100.0) < mean.get(_BASELINE, 0.0)
    ]
    return ["Below VSE++ of the same budget:", "", *lines, ""] if lines else []


def _runs_of(name: str, dataset: str, runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [run for run in runs if (run["method"], run["dataset"]) == (name, dataset)]


def _mean_mr(runs: Sequence[dict[str, Any]]) -> float:
    return statistics.fmean(run["test"]["mR"] for run in runs)


def _measured_line(row: Any, runs: Sequence[dict[str, Any]]) -> tuple[float, str]:
    """Mean mR, and the line of one method."""

    def mean(values: Iterable[float]) -> float:
        return statistics.fmean(values)

    total = _mean_mr(runs)
    spread = f" ± {statistics.stdev(run['test']['mR'] for run in runs):.2f}" if len(runs) > 1 else ""
    printed = row.published.get(runs[0]["dataset"])
    again = [run["reranked"]["strict"]["mR"] for run in runs if run.get("reranked")]
    cells = [
        row.card.title,
        str(len(runs)),
        f"{total:.2f}{spread}",
        f"{mean(run['test']['mR_i2t'] for run in runs):.2f}",
        f"{mean(run['test']['mR_t2i'] for run in runs):.2f}",
        "" if printed is None else f"{printed:.2f}",
        "" if printed is None else f"{total - printed:+.2f}",
        f"{mean(again):.2f} (transductive)" if again else "",
        f"{runs[0]['parameters'] / 1e6:.1f}",
        *(f"{mean(run[key] for run in runs):.1f}" for key in ("image_ms", "text_ms")),
        f"{mean(run['score_ms_per_1000_pairs'] for run in runs):.3f}",
        f"{runs[0]['bytes_per_image']:,}",
        f"{mean(run['seconds'] for run in runs) / 60:.1f}",
    ]
    return total, f"| {' | '.join(cells)} |"


def _startup(figures: dict[str, Any]) -> list[str]:
    return [
        "## Starting",
        "",
        "| what | seconds |",
        "|---|---|",
        f"| an empty Python process | {figures['bare_python_s']:.2f} |",
        f"| `import landsift` | {figures['import_landsift_s']:.3f} |",
        f"| `landsift --help` | {figures['landsift_help_s']:.2f} |",
        f"| first search of a new process, 10,000 tiles | {figures['first_search_10000_tiles_s']:.2f} |",
    ]


def _search(figures: dict[str, Any]) -> list[str]:
    ours, theirs = figures["landsift"], figures["lancedb"]
    rows = [
        f"| {name} | {ours[key]['p50_ms']} | {ours[key]['p95_ms']} | {ours[key]['recall_at_10']} "
        f"| {theirs[key]['p50_ms']} | {theirs[key]['p95_ms']} | {theirs[key]['recall_at_10']} |"
        for name, key in (("none", "none"), ("box around 1 %", "1 %"), ("box around 50 %", "50 %"))
    ]
    bound = ours["bound"]
    return [
        f"## Searching {figures['tiles']:,} tiles of {figures['dim']} numbers",
        "",
        "Exact search on random unit vectors, one query at a time, k = 10; the same vectors and boxes in LanceDB",
        "(flat scan, prefilter), in the same run. Recall is against float64 brute force.",
        "",
        "| filter | Landsift p50 ms | p95 ms | recall | LanceDB p50 ms | p95 ms | recall |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"An unfiltered query reads {bound['bytes_per_query'] / 1e6:.0f} MB. This machine reads the same memory map at "
        f"{bound['plain_read_gb_per_s']} GB/s doing nothing else, which takes {bound['bound_ms']} ms: the search runs at "
        f"{bound['share_of_bound']:.0%} of that bound. Opening the gallery takes {ours['open_s']} s, opening and first "
        f"answer {ours['open_and_first_search_s']} s, building it {ours['build_s']} s (LanceDB {theirs['build_s']} s); "
        f"on disk {ours['disk_mb']:,} MB with metadata and cache (LanceDB {theirs['disk_mb']:,} MB).",
    ]


def _indexing(figures: dict[str, Any]) -> list[str]:
    rows = [
        f"| {name} | {f['tiles']:,} | {f['encoder_alone_per_s']} | {f['pipeline_per_s']} | {f['ratio']:.0%} "
        f"| {f['peak_rss_mb']:,} |"
        for name, f in figures.items()
    ]
    return [
        "## Indexing",
        "",
        "The whole pipeline (read, cut, stretch, encode, store) against the encoder alone on the same tiles.",
        "",
        "| archive | tiles | encoder alone, tiles/s | pipeline, tiles/s | ratio | peak memory, MB |",
        "|---|---|---|---|---|---|",
        *rows,
    ]


def _protocol(figures: dict[str, Any]) -> list[str]:
    ranking, large, boot, tar = (figures[name] for name in ("ranking", "large", "bootstrap", "tar"))
    few, many = tar["samples"]
    rows = [
        f"| six recalls, {ranking['images']:,} images x {ranking['captions']:,} captions | {ranking['s']} s |",
        f"| the same, {large['images']:,} x {large['captions']:,} ({large['dim']} numbers each) | "
        f"{large['seconds']} s, {large['peak_rss_mb']:,} MB |",
        f"| intervals, {boot['resamples']:,} resamples of {boot['images']} images | {boot['intervals_s']} s |",
        f"| two runs compared by as many | {boot['paired_s']} s |",
        f"| a tar of {many:,} samples read ({few:,}) | {tar[f'peak_rss_mb_{many}']} MB "
        f"({tar[f'peak_rss_mb_{few}']} MB) |",
    ]
    reading = figures.get("reading")
    if reading:
        rows.append(
            f"| JPEG images of 132 px read on one thread | {reading['reader_per_s']:,}/s, "
            f"{reading['decode_share']:.0%} of the decoder alone; {reading['reader_two_threads_per_s']:,}/s on two |"
        )
    return ["## The protocol", "", "| what | cost |", "|---|---|", *rows]


def _scoring(figures: dict[str, Any]) -> list[str]:
    rows = [
        f"| `{name}` | {found['s']} | {found['ms_per_1000_pairs']} |"
        for name, found in figures["methods"].items()
    ]
    return [
        "## Scoring pairs",
        "",
        f"Every pair of {figures['images']:,} images and {figures['captions']:,} captions, encoded before, on {figures['threads']} "
        f"threads. Captions have {figures['words']} words ({figures['of']}). Evaluation scores equal captions once and so has fewer.",
        "",
        "| method | s | ms for 1,000 pairs |",
        "|---|---|---|",
        *rows,
    ]


def _training(figures: dict[str, Any]) -> list[str]:
    towers, loader, memory = figures["towers"], figures["loader"], figures["resident_mb"]
    threads = figures["threads"]
    rows = [
        f"| {name} | {f['engine_images_per_s']} | {f['plain_images_per_s']} | {f['ratio']:.2f} | {min(f['ratios']):.2f} to "
        f"{max(f['ratios']):.2f} |"
        for name, f in (("clock", towers["clock"]), ("processor, all threads", towers["processor"]))
    ]
    return [
        "## Training",
        "",
        f"The engine against a plain PyTorch loop of the same towers, loss, optimiser and batch ({figures['batch']} images of "
        f"{figures['input_size']} px, EfficientNet-Lite0, a text tower of two layers, {threads} torch thread{'s' * (threads > 1)}), in "
        f"turns of a few steps. The plain loop has all pixels in memory and changes none. The ratio is the median over neighbouring "
        f"turns; seconds on the clock are disturbed by what else the machine does, processor seconds are not.",
        "",
        "| per second of | engine, images | plain loop, images | ratio | turns |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"The loader alone reads, draws and words {loader['read_images_per_s']:,} images/s, and changes them too at "
        f"{loader['read_and_changed_images_per_s']:,} (changing runs on the device that trains; here a CPU). Resident memory at the "
        f"end of each of {len(memory)} passes: {', '.join(f'{value:,}' for value in memory)} MB.",
    ]


def _semi_supervised(figures: dict[str, Any]) -> list[str]:
    seeds = len(figures["seeds"])
    rows = []
    for name, arm in figures["arms"].items():
        gains = "; ".join(f"{gain:+.2f} ({low:+.1f} to {high:+.1f})" for gain, low, high in arm["gains"])
        first = name == "captions alone"
        rows.append(
            f"| {name} | {arm['mean_test_mR']:.2f} | {'' if first else gains} | {'' if first else arm['verdict']} |"
        )
    return [
        "## Images without captions",
        "",
        f"UCM-Captions with captions for {figures['captioned_images']} images only, at {figures['input_size']} px, the text tower and "
        f"the lower blocks frozen, {figures['epochs']} passes and {figures['pretraining_epochs']} of pre-training; mR on the test "
        f"split, {seeds} seed{'s' * (seeds > 1)}, gains with 95 % intervals of a paired bootstrap over its images. An arm helps or "
        f"harms only if every interval says so. Small and short runs: they say what to expect of minutes on a CPU, not of a long "
        f"pre-training.",
        "",
        "| arm | mR | gain | verdict |",
        "|---|---|---|---|",
        *rows,
    ]


def _serving(figures: dict[str, Any]) -> list[str]:
    rows = []
    for processes, of in figures["by_processes"].items():
        total, searches = of["all"], of["search"]
        rows.append(
            f"| {processes} | {of['requests']:,} | {of['errors']} | {total['p50_ms']} | {total['p95_ms']} | "
            f"{searches['p95_ms']} | {of['processor_ms_per_request']} | {of['memory_mb_after']['RssAnon']:.0f} | "
            f"{of['share_the_host_gave_to_others']:.0%} |"
        )
    return [
        "## Serving",
        "",
        f"{figures['clients']} clients without a pause for {figures['seconds']} s on {figures['tiles']:,} tiles, over loopback "
        "on the same machine, while the gallery grows; `landsift serve --processes`. Memory is that of all processes, mapped "
        "files apart; the last column is the time of the cores that went to others on the same host.",
        "",
        "| processes | requests | errors | half within, ms | 95 % within, ms | 95 % of searches, ms | processor ms a request | "
        "memory, MB | stolen |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]


SECTIONS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "startup": _startup,
    "search_million": _search,
    "indexing": _indexing,
    "serving": _serving,
    "training": _training,
    "semi_supervised": _semi_supervised,
    "protocol": _protocol,
    "scoring": _scoring,
    "encoders": encoders_section,
}

if __name__ == "__main__":
    write_page()
