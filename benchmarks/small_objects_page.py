"""The stored runs of ``python -m benchmarks small_objects`` -> ``docs/small-objects.md``; no number by hand."""

# ruff: noqa: E501
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, origin

__all__ = ["write_small_objects"]

DOCS = Path(__file__).parents[1] / "docs"

_OPENING = """# Small objects

A plane of twenty pixels is a small share of a tile's one vector. Three ways to look closer need no training. They cost
encodes, and are meant for tiles wider than what the encoder sees (224 pixels for landsift-lite, so tiles of scale 2 and
more); on images no wider than that they do not pay, as is measured below.

```sh
# views: each tile whole and in 2 x 2 crops (5), 3 x 3 (10) or 4 x 4 (17), each a tile of its own
landsift index archive.gallery /data/scenes --views 5

# pooling: one score a place, of all tiles and views that show it: the largest, the mean of the m largest, a soft maximum
landsift search archive.gallery "parked airplanes" --pool top-3

# refinement: the best 20 tiles are read again from their scenes and looked at in 4 crops each (--zoom 2,4: and in 16)
landsift search archive.gallery "parked airplanes" --refine 20
```

A place is a tile of its scene's largest scale, and the match shows the tile that scored best in it. Pooled search is exact:
no way of pooling gives more than the best tile does, so it stops when nothing left can come among the wanted. A closer look
never lowers a score; tiles whose file is gone keep theirs, and a note says how many. Without `--pool`, overlapping tiles are
merged into the best one, which orders nearly as `--pool max` does.
"""

_HEADS = """## Image heads that keep small things

`landsift train small-objects` trains an image head on the levels c2, c3 and c4 of a tower, mixed by one of these blocks
(`--set model.options.block=bifpn`), each level pooled by attention, one vector an image.
`small-objects-s2` also looks at four squares of twice the resolution; `small-objects-late` scores words against 49 cells of
one bit a number (FILIP; `model.options.head=colbert` for ColBERT); `small-objects-prompted` weighs cells by a mask that the
text prompts (RSRefSeg, abstract only). The last two re-rank: `landsift search GALLERY TEXT --judge FOLDER`.
Any method whose towers show tokens gets late interaction by `landsift.models.late_matcher.LateInteraction`, and
`landsift.index.TokenTable` keeps cells in 16 or 1 bit.
"""


def write_small_objects() -> str:
    """Write the page; returns its name."""
    parts = [_OPENING]
    for name, opening in (("small_objects", _protocol), ("small_objects_mosaics", _mosaics)):
        path = RESULTS / f"{name}.json"
        if path.exists():
            record = json.loads(path.read_text(encoding="utf-8"))
            figures = record["figures"]
            parts += [opening(figures)]
            parts += [_set(title, facts) for title, facts in figures["sets"].items()]
            parts += [origin(record["provenance"]) + "\n"]
    parts += [_HEADS, _blocks(), _trained()]
    (DOCS / "small-objects.md").write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    return "docs/small-objects.md"


def _protocol(figures: dict[str, Any]) -> str:
    return f"""## What it brings

`{figures["encoder"]}` on the test splits: captions that name a plane, ship, car, tank or court against all others, every
image in the gallery. Equal captions count as right for each other's images, as most captions of UCM do; the strict mR of
the papers stands beside it. Every parameter was chosen on val, by mR over all its captions; test was looked at once.
Intervals are 95 %, paired, over images. Refinement changes text to image alone, so its gain is that of text to image, and
its images are re-encoded with each question. Image to text is counted for the images most of whose captions name a small
thing. Crops of these images show next to nothing that the encoder's square of 224 pixels did not.
"""


def _mosaics(figures: dict[str, Any]) -> str:
    return """## What it brings in wide scenes

Four images put together at random make a scene wider than what the encoder sees, as a tile of scale 2 is; a caption's right
answer is the scene that holds its image. There a crop holds detail that the whole has lost. A crop of the 2 x 2 grid holds
one of the images almost alone, which flatters it; the 3 x 3 grid does not fit the seams. Scenes are few, so refining 50 of
them is refining nearly all, and few scenes count as small in image to text. All else is as above.
"""


def _set(name: str, facts: dict[str, Any]) -> str:
    rows = facts["rows"]
    plain = rows[0]
    lines = [
        f"### {name}",
        "",
        f"{facts['small_captions']:,} of {facts['captions']:,} captions and {facts['small_images']} of "
        f"{facts['images']:,} images name a small thing.",
        "",
        "| scored by | chosen on val | mR small | gain (95 %) | mR other | gain (95 %) | strict mR small | strict mR all "
        "| encodes an image | bytes an image | encodes a query |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_row(row, plain) for row in rows),
        "",
        _verdict(facts),
        "",
        "Text to image by what the caption names, whole image, equal captions merged:",
        "",
        "| thing | captions | R@1 | R@5 | R@10 |",
        "|---|---|---|---|---|",
        *(_thing(thing, row) for thing, row in facts["things"].items()),
        "",
    ]
    return "\n".join(lines)


def _row(row: dict[str, Any], plain: dict[str, Any]) -> str:
    small, other = row["small"], row["other"]
    cells = [
        row["name"],
        row["parameters"] or "-",
        f"{small['aware_mR']:.2f}",
        "-" if row is plain else _interval(row, "small"),
        f"{other['aware_mR']:.2f}",
        "-" if row is plain else _interval(row, "other"),
        f"{small['strict_mR']:.2f}",
        f"{row['all']['strict_mR']:.2f}",
        f"{row['encodes_per_image']}",
        f"{row['bytes_per_image']:,}",
        f"{row['encodes_per_query']}",
    ]
    return f"| {' | '.join(cells)} |"


def _gain(row: dict[str, Any], stratum: str) -> Sequence[float]:
    found: Sequence[float] = row[stratum]["gain_mR_t2i" if row["text_only"] else "gain_mR"]
    return found


def _interval(row: dict[str, Any], stratum: str) -> str:
    value, low, high = _gain(row, stratum)
    return f"{value:+.2f} ({low:+.2f} to {high:+.2f})"


def _verdict(facts: dict[str, Any]) -> str:
    """Which options help, which hurt, and which show nothing, by their intervals on small things."""
    helps, hurts, shows = [], [], []
    for row in facts["rows"][1:]:
        _, low, high = _gain(row, "small")
        (helps if low > 0 else hurts if high < 0 else shows).append(row["name"])
    gap = {
        row["name"]: row["other"]["aware_mR"] - row["small"]["aware_mR"]
        for row in facts["rows"]
        if row["name"] in (facts["rows"][0]["name"], facts["best_on_val"])
    }
    gaps = "; ".join(f"{name}: {value:+.2f}" for name, value in gap.items())
    return (
        f"On small things, by the intervals: helps: {', '.join(helps) or 'nothing'}; hurts: "
        f"{', '.join(hurts) or 'nothing'}; no difference shown: {', '.join(shows) or 'nothing'}. On val the best was: "
        f"{facts['best_on_val']}. Small-object gap (mR of the other captions less that of the small): {gaps}."
    )


def _thing(thing: str, row: dict[str, float]) -> str:
    return f"| {thing} | {row['captions']} | {row['R@1']:.1f} | {row['R@5']:.1f} | {row['R@10']:.1f} |"


def _blocks() -> str:
    from landsift.models.blocks.multiscale import NECKS

    rows = [f"| `{name}` | {card.paper} | {card.source or '-'} |" for name, card in NECKS.items()]
    return "\n".join(["| block | from | written from |", "|---|---|---|", *rows, ""])


def _trained() -> str:
    paths = sorted((RESULTS / "small_objects").glob("*.json"))
    if not paths:
        return "`python -m benchmarks.small_objects_train` compares them under one budget; no such run is stored yet.\n"
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    runs.sort(key=lambda run: -run["test"]["small"]["aware_mR"])
    rows = [
        f"| {run['name']} | {run['test']['small']['aware_mR']:.2f} | {run['test']['other']['aware_mR']:.2f} "
        f"| {run['test']['all']['strict_mR']:.2f} | {run['parameters'] / 1e6:.1f} M | {run['seconds']:.0f} |"
        for run in runs
    ]
    head = [
        "| head | mR small | mR other | strict mR all | parameters | seconds |",
        "|---|---|---|---|---|---|",
    ]
    opening = f"Trained alike on {runs[0]['dataset']} for a few passes, chosen on val, one seed:"
    return "\n".join([opening, "", *head, *rows, "", origin(runs[0]["provenance"]) + "\n", ""])
