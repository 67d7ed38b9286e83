"""The stored runs of ``python -m benchmarks robustness``, ``cost`` and ``pareto`` -> ``docs/evaluation.md``.

No number is typed by hand; the suite's table is that of the code. ``python -m benchmarks.evaluation_page``
rewrites the page, and the heat maps that it shows.
"""

# ruff: noqa: E501
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, origin
from benchmarks.robust_training import ARMS, BASE
from benchmarks.robustness import read_stored
from landsift.data.corrupting import CORRUPTIONS, TEXT_NOISES
from landsift.evaluate import Report

__all__ = ["draw", "write_evaluation"]

DOCS = Path(__file__).parents[1] / "docs"


def write_evaluation() -> str:
    """Write the page; returns its name."""
    reports, arms = _robust()
    parts = [
        "# Evaluation fit for use",
        "",
        "Recalls on clean pictures say little about an archive under haze, with a stuck scan mirror, or asked by people who",
        "mistype. `landsift evaluate` measures that too, and what an encoder costs, and whether its answers agree with",
        "one another. Every number below comes from a stored run; `python -m benchmarks.evaluation_page` rewrites this page.",
        "",
        *_robustness(),
        *_measured(reports),
        *_trained(arms),
        *_cost(_read(RESULTS / "cost")),
        *_pareto(),
        *_consistency(),
    ]
    (DOCS / "evaluation.md").write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    return "docs/evaluation.md"


def draw() -> list[Path]:
    """The heat map of every encoder's stored run, in the page's folder of pictures."""
    from landsift.plot import save_report_figure

    (DOCS / "img").mkdir(parents=True, exist_ok=True)
    written = []
    for report in _robust()[0]:
        path = DOCS / "img" / _figure(report)
        save_report_figure(path, report)
        written.append(path)
    return written


def _robustness() -> list[str]:
    return [
        "## Robustness",
        "",
        "```sh",
        "landsift evaluate landsift-lite ucm --robustness --plot heat.png --json report.json",
        "landsift evaluate runs/mine ucm --robustness --corruptions air,jpeg,typos --severities 1,3,5 --on gallery",
        "```",
        "",
        "The clean set is encoded once; then every corruption, at every severity, spoils the pictures or the captions, and the",
        "spoilt side is scored against the clean other one. `--on gallery` judges what is searched (spoilt pictures: text to",
        "image), `--on query` what asks (spoilt pictures: image to text); the default, `both`, takes the mean of all six",
        "recalls. **Drop** is `1 - mR / clean mR`, **drift** the mean of `1 - cosine` between a vector and the spoilt one, **bits",
        "flipped** the share of sign bits that change (of the codes of a hashing method, or else of the vectors about their",
        "clean mean), **top 10 kept** the share of each query's first ten answers that stay among its first ten.",
        "",
        "What is drawn at random depends on `--seed`, the corruption, and the picture's name or the caption's text, not on",
        "the severity: the five severities of a picture are the same clouds, growing. Black (0, 0, 0) is read as no data and",
        "stays so, but where pixels move. What comes into view at an edge is the picture mirrored. Methods that judge pairs",
        "are scored anew for every corruption; they have no drift and no bits.",
        "",
        "| corruption | family | the level is | at severities 1 to 5 |",
        "|---|---|---|---|",
        *(
            f"| {name} | {row.family} | {row.meaning} | {_levels(row.levels)} |"
            for name, row in CORRUPTIONS.items()
        ),
        *(
            f"| {name} | text | {noise.meaning} | {_levels(noise.levels)} |"
            for name, noise in TEXT_NOISES.items()
        ),
        "",
        "The four noises have ImageNet-C's levels (Hendrycks and Dietterich, ICLR 2019). The suite covers the perturbations of",
        "REOBench (2025) and more of overhead imagery; the other levels are its own. `landsift.data.corrupting.corrupt(pixels, name, severity)` gives one picture.",
        "",
    ]


def _levels(levels: Sequence[Any]) -> str:
    return ", ".join(
        " and ".join(f"{part:g}" for part in level) if isinstance(level, tuple) else f"{level:g}"
        for level in levels
    )


def _measured(reports: Sequence[Report]) -> list[str]:
    if not reports:
        return ["No runs are stored yet; `python -m benchmarks robustness` makes them and this table.", ""]
    parts = _compared(reports) if len(reports) > 1 else []
    for report in reports:
        headings, rows = report.table()
        parts += [
            f"### {report.title}",
            "",
            _row(headings),
            "|" + "---|" * len(headings),
            *map(_row, rows),
            "",
            *(f"- {line}" for line in report.facts()),
            "",
            f"![What is left of the clean score, by corruption and severity](img/{_figure(report)})",
            "",
            origin(report.provenance),
            "",
        ]
    return parts


def _compared(reports: Sequence[Report]) -> list[str]:
    """Encoders beside each other, the most robust first; only those of one set and of the same severities."""
    families = list(dict.fromkeys(name for report in reports for name in report.scores["families"]))
    lines = [
        "| encoder | set | severities | clean mR | drop % | " + " | ".join(families) + " | worst |",
        "|" + "---|" * (6 + len(families)),
    ]
    for report in sorted(reports, key=lambda one: one.scores["all"]["drop"]):
        scores, worst = report.scores, report.scores["worst"]
        cells = [
            report.model["name"],
            report.dataset["name"],
            report.protocol["severities"],
            f"{scores['clean']['mR']:.2f}",
            f"{scores['all']['drop']:.1f}",
            *(f"{scores['families'][name]:.1f}" if name in scores["families"] else "" for name in families),
            f"{worst['corruption']} {worst['severity']}: {worst['drop']:.1f}",
        ]
        lines.append(_row(cells))
    return [
        *lines,
        "",
        "Columns of families are drops, percent; compare rows of one set and one choice of severities.",
        "",
    ]


def _trained(arms: Sequence[Report]) -> list[str]:
    """What changing pictures in training brought."""
    base = next((arm for arm in arms if arm.model["name"] == BASE), None)
    if base is None or len(arms) < 2:
        return []
    return [
        "### What changing pictures in training brings",
        "",
        "VSE++ of the method zoo on a frozen EfficientNet-Lite0, trained once for each way to change its pictures, one seed",
        "each. A drop is a share of the arm's own clean mR, so read both. Gaussian noise is in the suite: what it brings to",
        "that row was practised in training.",
        "",
        *(f"- {arm.model['name']}: {ARMS[arm.model['name']].words};" for arm in arms),
        "",
        *_compared(arms),
        *(f"- {_against(arm, base)}" for arm in arms if arm is not base),
        "",
        origin(base.provenance),
        "",
    ]


def _against(arm: Report, base: Report) -> str:
    """One arm beside the recipe's own, in a sentence."""
    ours, theirs = arm.scores, base.scores
    gains = {name: theirs["families"][name] - ours["families"][name] for name in ours["families"]}
    most, least = max(gains, key=lambda name: gains[name]), min(gains, key=lambda name: gains[name])
    whole, clean = theirs["all"]["drop"] - ours["all"]["drop"], ours["clean"]["mR"] - theirs["clean"]["mR"]
    return (
        f"{arm.model['name']} loses {abs(whole):.1f} points {'less' if whole >= 0 else 'more'} than {BASE} over the suite, at "
        f"{clean:+.2f} clean mR; by family it does best at {most} ({gains[most]:+.1f}) and worst at {least} ({gains[least]:+.1f}). "
        f"Its mR itself, under the suite: {_left(ours, 'all'):.2f} against {_left(theirs, 'all'):.2f}; under {most}: "
        f"{_left(ours, most):.2f} against {_left(theirs, most):.2f}."
    )


def _left(scores: Mapping[str, Any], of: str) -> float:
    """The mR that is left under the whole suite, or a family of it."""
    drop = scores["all"]["drop"] if of == "all" else scores["families"][of]
    return float(scores["clean"]["mR"] * (1 - drop / 100))


def _cost(reports: Sequence[Report]) -> list[str]:
    parts = [
        "## Cost",
        "",
        "```sh",
        "landsift evaluate landsift-lite ucm --cost --json cost.json",
        "```",
        "",
        "Parameters and operations are counted: of ONNX folders from the graph and the shapes of one real run, of torch",
        "folders by torch's own counter, two operations for each multiplication with addition in convolutions, matrix",
        "products and (torch) attention; what is done element by element is left out. Latencies are of one picture or caption",
        "at a time, reading files not included; rates are of many in one call. Memory is the peak of a process of its own that",
        "loads the encoder and encodes. Bytes are what a gallery keeps of an image, two a number; of a method that judges",
        "pairs, all the numbers it needs to judge without the pixels.",
        "",
    ]
    if not reports:
        return [*parts, "No runs are stored yet; `python -m benchmarks cost` makes them.", ""]
    for report in reports:
        scores = report.scores
        parts += [
            report.markdown().rstrip(),
            f"- mR {scores['mR']:.2f} on the same set; {scores['load_before']:.1f} and {scores['load_after']:.1f} processes "
            "wanted the machine's processors before and after, so times are upper bounds where that is more than it has.",
            "",
            origin(report.provenance),
            "",
        ]
    return parts


def _pareto() -> list[str]:
    parts = [
        "## What a score costs",
        "",
        "`python -m benchmarks pareto` draws mR against the bytes kept of an image and against the time to encode one, for",
        "every method with results in `benchmarks/results`.",
        "",
    ]
    if not (DOCS / "img" / "pareto.png").exists():
        return [*parts, "Results of two methods or more are needed, and are not stored yet.", ""]
    return [*parts, "![mR against bytes and against milliseconds](img/pareto.png)", ""]


def _consistency() -> list[str]:
    return [
        "## Consistency",
        "",
        "`landsift evaluate ENCODER SET --semantic` says, beside mAP@R, R-Precision and nDCG, whether answers mean the same:",
        "",
        "- **class-agreement@10**: the share of the first ten answers that show the query's scene class;",
        "- **paraphrase-RBO** and **paraphrase-tau**: how alike two captions of one image, in different words, rank the images:",
        "  rank-biased overlap (Webber et al., TOIS 2010, p = 0.9), which weighs the top, and Kendall's tau-b over all of",
        "  them; 2,000 pairs are drawn where there are more;",
        "- **cycle_i2t2i** and **cycle_t2i2t**: how often the best answer to the best answer is where one started, an equal",
        "  caption being home too; **cycle_class**: at an image of the same class at least;",
        "- **PMRP**: R-Precision where everything of like labels is right (Chun et al., CVPR 2021): keyword sets that differ in",
        "  0, 1 or 2 words, or, where a set has none, equal scene classes.",
        "",
        "Equal scores are worth no order: cycles and PMRP are expectations over all, paraphrases draw one.",
    ]


def _figure(report: Report) -> str:
    return f"robustness-{report.model['name']}.png"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _robust() -> tuple[list[Report], list[Report]]:
    """The stored runs of robustness: of encoders, and of the arms of one method."""
    every = _read(RESULTS / "robustness")
    arms = [report for report in every if report.model["name"] in ARMS]
    return [report for report in every if report.model["name"] not in ARMS], arms


def _read(folder: Path) -> list[Report]:
    """The reports in a folder, by name."""
    found = (read_stored(path) for path in sorted(folder.glob("*.json")))
    return [report for report in found if report is not None]


if __name__ == "__main__":
    drawn = draw()
    print(f"Wrote {', '.join([write_evaluation(), *map(str, drawn)])}.")
