"""The stored runs of ``python -m benchmarks.hashing`` -> ``docs/hashing.md``.

No number is typed by hand but the published ones, which are cited.
"""

# ruff: noqa: E501
from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, origin
from landsift.models.methods.hashing.base import HashMatcher
from landsift.models.registry import find_matcher, list_hashing
from landsift.train import read_recipe

__all__ = ["PUBLISHED", "hashing_summary", "write_hashing"]

DOCS = Path(__file__).parents[1] / "docs"
BITS = (16, 32, 64, 128)

PUBLISHED = {
    "ucm-captions": {
        "CPAH": ((0.706, 0.802, 0.891, 0.914), (0.782, 0.891, 0.987, 0.982)),
        "DJSRH": ((0.686, 0.711, 0.735, 0.754), (0.738, 0.755, 0.776, 0.800)),
        "JDSH": ((0.462, 0.751, 0.820, 0.829), (0.509, 0.794, 0.884, 0.904)),
        "DUCH": ((0.760, 0.794, 0.844, 0.870), (0.799, 0.851, 0.916, 0.927)),
        "Li et al. 2023": ((0.789, 0.816, 0.841, 0.860), (0.848, 0.894, 0.926, 0.951)),
    },
    "rsicd": {
        "CPAH": ((0.428, 0.587, 0.636, 0.696), (0.452, 0.598, 0.667, 0.706)),
        "DJSRH": ((0.411, 0.665, 0.688, 0.722), (0.422, 0.685, 0.705, 0.733)),
        "JDSH": ((0.385, 0.720, 0.796, 0.815), (0.418, 0.751, 0.799, 0.815)),
        "DUCH": ((0.684, 0.791, 0.836, 0.829), (0.697, 0.780, 0.824, 0.826)),
        "Li et al. 2023": ((0.708, 0.802, 0.823, 0.832), (0.736, 0.818, 0.845, 0.850)),
    },
}
"""mAP@20 of 16, 32, 64 and 128 bits, image to text and text to image, all from one table (Li et al., Acta Photonica
Sinica 52(1), 2023), whose authors ran the methods themselves."""


def write_hashing() -> str:
    """Write the page; returns its name. Needs torch, to know the methods."""
    runs = _read(RESULTS / "hashing")
    parts = [
        "# Hashing",
        "",
        "Codes of 16 to 128 bits in place of real vectors: an image of 16 bytes instead of a thousand, searched by",
        "counting bits. Each method is one file in `src/landsift/models/methods/hashing`, trained by",
        "`landsift train hashing/NAME`; `landsift evaluate FOLDER SET --task hashing` scores it, and any other",
        "encoder by coders that need no training (`--coder sign|lsh|pca-sign|itq|pq --bits N`).",
        "",
        *_protocol(),
        *_methods(),
        *_tables(runs),
        *_lite(RESULTS / "hashing" / "landsift-lite.json"),
    ]
    (DOCS / "hashing.md").write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    return "docs/hashing.md"


def _protocol() -> list[str]:
    return [
        "## The protocol",
        "",
        "All splits of a set together are drawn anew with a fixed seed: 50 % train; of the rest 20 % ask and 80 % are",
        "searched; one caption an image. What shares the scene class is right, so these scores do not compare with",
        "R@K, where an image's own captions alone are: the same codes are scored by R@K too, among the queries.",
        "",
        "The papers' mAP@k is three things, which stand apart here:",
        "",
        "- `map_first_k_relevant`: mean precision at the first k right answers, wherever they stand. **DUCH, CHNR,",
        "  CACH and the code they descend from print this as mAP@20**, and so does every table below.",
        "- `map_topk_hits`: over the right answers within the first k alone (DJSRH, CIRH).",
        "- `map_all`: over all right answers (UCCH). The textbook's, `map_topk_std`, is there as well.",
        "",
        "With few bits nearly everything ties: values are means over all orders of ties, and one stable order's value",
        "stands beside in the stored files. P@K, lookup within a radius, and the four directions are in them too.",
        "",
        "The built-in encoder has learnt from pictures that ask in this split. So heads are trained on towers that",
        "have seen none of them with its caption: EfficientNet-Lite0 as ImageNet left it, and MiniLM sentence",
        "vectors; DUCH used ResNet-18 and BERT. Any encoder can stand under a head (`model.options.features`), the",
        "built-in one and those of the CLIP family included. Coders without training work in the canonical",
        "correlation space of the same vectors, for two towers that share no space have no codes in common.",
        "",
        *_passes(),
        "",
    ]


def _passes() -> list[str]:
    """How long heads learn, as the recipes say."""
    base = read_recipe("hashing/base").loop
    passes = {name: read_recipe(f"hashing/{name}").loop.epochs for name in list_hashing()}
    longer = [f"{name} {count}" for name, count in passes.items() if count != base.epochs]
    return [
        f"Heads learn for {base.epochs} passes of {base.steps_per_epoch} steps; longer where a trial inside the training half,",
        f"split again, gained by it: {', '.join(longer)}.",
    ]


def _methods() -> list[str]:
    lines = [
        "## Methods",
        "",
        "| recipe | method | year | learns from | written from |",
        "|---|---|---|---|---|",
    ]
    named = [(name, find_matcher(name)) for name in list_hashing()]
    for name, spec in sorted(named, key=lambda pair: (pair[1].card.year if pair[1].card else 0, pair[0])):
        assert spec.card is not None
        assert isinstance(spec.build, type) and issubclass(spec.build, HashMatcher)
        card, taught = spec.card, "scene classes" if spec.build.supervised else "pairs"
        lines.append(f"| `hashing/{name}` | {card.title} | {card.year} | {taught} | {card.source} |")
    lines.append("| `hashing/fsisr` | FSISR | 2024 | pairs and scene classes | abstract only |")
    return [*lines, "", "What deviates or is inferred is written at the head of each method's file.", ""]


def _tables(runs: Sequence[dict[str, Any]]) -> list[str]:
    if not runs:
        return [
            "## Measured",
            "",
            "No runs are stored yet; `python -m benchmarks.hashing` makes them and this table.",
            "",
            *_printed("ucm-captions"),
            *_printed("rsicd"),
        ]
    parts: list[str] = []
    for dataset in sorted({run["dataset"] for run in runs}):
        own = [run for run in runs if run["dataset"] == dataset]
        parts += [
            f"## Measured on {dataset}",
            "",
            "mAP@20 (`map_first_k_relevant`, ties averaged) by bits, means over seeds; mR is that of the longest codes",
            "among the queries, by codes alone. Methods that learn from scene classes are told at training what is judged",
            "here; DUCH and the other published rows are not. Coders without training stand below.",
            "",
            *_table(own),
            "",
            origin(max(own, key=lambda run: run["provenance"]["date"])["provenance"]),
            "",
            *_printed(dataset),
        ]
    return parts


def hashing_summary() -> list[str]:
    """What the page of all methods says of them: the tables, without protocol and published rows."""
    runs = _read(RESULTS / "hashing")
    parts = [
        "## Hashing",
        "",
        "Methods that make short codes learn and are judged by another protocol, and `landsift train hashing/NAME`",
        "trains them; [hashing.md](hashing.md) tells it all, with the published rows. Here is mAP@20 over scene",
        "classes by bits, the mR of the longest codes, and the seconds of training.",
        "",
    ]
    for dataset in sorted({run["dataset"] for run in runs}):
        parts += [f"On {dataset}:", "", *_table([run for run in runs if run["dataset"] == dataset]), ""]
    return parts


def _table(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Trained methods, best first by text to image, then coders."""
    return [
        f"| method | learns from | i2t {_slashed(BITS)} | t2i {_slashed(BITS)} | mR of codes | seconds |",
        "|---|---|---|---|---|---|",
        *_lines(runs),
    ]


def _lines(runs: Sequence[dict[str, Any]]) -> list[str]:
    names = sorted({run["method"] for run in runs})
    found = []
    for name in names:
        own = [run for run in runs if run["method"] == name]
        coder = any(run.get("coder") for run in own)
        mean = statistics.fmean(_value(run, "t2i") for run in own)
        found.append((coder, -mean, _line(name, own)))
    return [line for _, _, line in sorted(found)]


def _line(name: str, runs: Sequence[dict[str, Any]]) -> str:
    taught = "classes" if any(run.get("supervised") for run in runs) else "pairs"
    cells = [name, taught, _by_bits(runs, "i2t"), _by_bits(runs, "t2i")]
    longest = max(run["bits"] for run in runs)
    own = [run["recall"]["codes"]["mR"] for run in runs if run["bits"] == longest]
    cells.append(f"{statistics.fmean(own):.2f} ({longest} bits)")
    seconds = [run["seconds"] for run in runs if "seconds" in run]
    cells.append(f"{statistics.fmean(seconds):.0f}" if seconds else "")
    return f"| {' | '.join(cells)} |"


def _by_bits(runs: Sequence[dict[str, Any]], direction: str) -> str:
    cells = []
    for bits in BITS:
        values = [_value(run, direction) for run in runs if run["bits"] == bits]
        cells.append(f"{statistics.fmean(values):.3f}"[1:] if values else "-")
    return _slashed(cells)


def _value(run: dict[str, Any], direction: str) -> float:
    found: float = run["directions"][direction]["mean_ap"]["map_first_k_relevant"]
    return found


def _slashed(values: Iterable[Any]) -> str:
    return "/".join(map(str, values))


def _printed(dataset: str) -> list[str]:
    """The published rows of a set, or of the whole that it is a part of; nothing for a set without any."""
    whole = dataset.removesuffix("-aid150")
    rows = PUBLISHED.get(whole)
    if not rows:
        return []
    differs = "other towers, their own split"
    if whole != dataset:
        differs += ", and the whole set at full size, so that no row compares with ours"
    lines = [
        f"Published on {whole} (Li et al., Acta Photonica Sinica 52(1), 2023; {differs}):",
        "",
        f"| method | i2t {_slashed(BITS)} | t2i {_slashed(BITS)} |",
        "|---|---|---|",
    ]
    for name, sides in rows.items():
        cells = [_slashed(f"{value:.3f}"[1:] for value in side) for side in sides]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    return [*lines, ""]


def _lite(path: Path) -> list[str]:
    """The built-in encoder's codes against its real vectors; nothing without that run."""
    if not path.is_file():
        return []
    run = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "## The built-in encoder in bits",
        "",
        f"mR on the official test split of {run['dataset']}, {run['bits']} bits fitted to its val split; re-ranked: the",
        "best by codes, in the order of the real vectors.",
        "",
        "| coder | codes alone | shortlist | re-ranked | real vectors |",
        "|---|---|---|---|---|",
    ]
    for name, found in run["coders"].items():
        values = [f"{found[kind]:.2f}" for kind in ("codes", "reranked", "float")]
        lines.append(f"| {name} | {values[0]} | {found['shortlist']} | {values[1]} | {values[2]} |")
    return [*lines, "", origin(run["provenance"]), ""]


def _read(folder: Path) -> list[dict[str, Any]]:
    """The runs in a folder; files that are none are passed over."""
    found = []
    for path in sorted(folder.glob("*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        if {"method", "dataset", "bits", "directions"} <= run.keys():
            found.append(run)
    return found
