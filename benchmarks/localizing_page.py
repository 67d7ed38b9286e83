"""The stored run of ``python -m benchmarks localizing`` -> ``docs/localize.md``. No number is typed by hand
but the published ones, which are cited."""

# ruff: noqa: E501
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, origin

__all__ = ["write_localizing"]

DOCS = Path(__file__).parents[1] / "docs"
_NAMES = {
    "sliding": "plain sliding windows",
    "windows": "`windows`",
    "two-stage": "`two-stage`",
    "dense": "`dense`",
    "uniform": "a uniform map",
    "centre": "a map that points at the middle",
}


def write_localizing() -> str:
    """Write the page; returns its name."""
    record = json.loads((RESULTS / "localizing.json").read_text(encoding="utf-8"))
    figures, facts = record["figures"], record["provenance"]
    parts = [*_engines(figures), *_measured(figures), *_fusing(figures["fusing"]), "", origin(facts)]
    (DOCS / "localize.md").write_text("\n".join(parts) + "\n", encoding="utf-8")
    return "docs/localize.md"


def _engines(figures: dict[str, Any]) -> list[str]:
    sides = {name: ", ".join(map(str, some)) for name, some in figures["sides"].items()}
    return [
        "# Where in a scene something is",
        "",
        "```sh",
        'landsift localize scene.tif "a lake" --not "clouds" -o heat.tif --polygons hot.geojson --overlay hot.png',
        'landsift localize scene.tif "a lake" --engine dense',
        "```",
        "",
        "`-o` is a Cloud-Optimized GeoTIFF on the scene's grid, `--polygons` the hottest regions with their scores, ranked,",
        "`--overlay` a picture of both. `landsift explain` says why one image or tile matches ([explain.md](explain.md)).",
        "",
        '`landsift localize src/landsift/samples/yellowstone_road_2019.jpg "a highway" --engine dense --overlay road.png`:',
        "",
        "![A road through a forest, hot all along from one edge of the picture to the other](img/localize-dense.jpg)",
        "",
        '`landsift localize naip_2012.tif "a lake beside bare farmland" --engine dense --scales 256 --overlay lakes.png`:',
        "",
        "![Ponds in ploughed fields are hot, ponds in pasture are not](img/localize-lakes.jpg)",
        "",
        "| engine | looks at | by default, pixels | smoothed by |",
        "|---|---|---|---|",
        f"| `windows` | all windows of all sizes on two grids, the second half a window in (SeLo, Yuan et al. 2022) | {sides['windows']} | a median |",
        f"| `two-stage` | the best 15 % of large windows, then squares around their corners and middles (SeLo v2) | {sides['two-stage']} | a Gaussian |",
        f"| `dense` | the cells of large crops that share half with their neighbours | {sides['dense']} | a Gaussian |",
        "",
        "**Dense maps** need an encoder that shows its cells. Where an image tower ends in a mean over a map and a linear",
        "layer, as the built-in one does, that layer is applied to each cell of the map instead: the mean of the cells is",
        "the crop's own vector, so one encode gives a grid of 6 x 6. ONNX graphs are opened with that as a second",
        "output, the files stay as they are, and the identity is checked before it is used. Encoders run by torch give cells",
        "directly; vision transformers those of their last layer's value path (MaskCLIP). An encoder that pools otherwise is",
        "told apart by one sentence that names the engines which work with it. A cell lies where the tower's strides put it, to",
        "the pixel; it counts by its distance from its crop's border, beyond which the tower saw nothing.",
        "",
    ]


def _measured(figures: dict[str, Any]) -> list[str]:
    engines, baselines, scene = figures["engines"], figures["baselines"], figures["scene"]
    plain = engines["sliding"]
    rows = []
    for name, row in engines.items():
        quick = plain["processor_s"] / row["processor_s"]
        fewer = plain["encodes"] / row["encodes"]
        rows.append(
            f"| {_NAMES[name]} | {row['encodes']:.0f} | {fewer:.1f} | {row['processor_s']:.2f} | {quick:.1f} "
            f"| {row['agreement']:.2f} | {row['rmi']:.3f} | {row['rsu']:.3f} | {row['ras']:.3f} | {row['rda']:.3f} |"
        )
    rows += [
        f"| {_NAMES[name]} | | | | | | {row['rmi']:.3f} | {row['rsu']:.3f} | {row['ras']:.3f} | {row['rda']:.3f} |"
        for name, row in baselines.items()
    ]
    return [
        "## Measured",
        "",
        f"{scene['cases']} scenes of {scene['side']} x {scene['side']} pixels, composed of test images of UCM-Captions: four of one class side",
        f"by side, {scene['target']} x {scene['target']} pixels, among sixty of the others, and a caption of one of the four. AIR-SLT's own pictures",
        "are not at hand, so these figures stand beside no published ones; `landsift evaluate --task selo` scores them where",
        "they are. Means over the scenes, by `landsift-lite`, nothing kept from before; *fewer* and *quicker* against plain",
        "sliding windows half a window apart, encoded one by one; *agreement* is the correlation with their map. Rsu, Rda and",
        "Rmi are better high, Ras low.",
        "",
        "| | encodes | fewer, x | processor s | quicker, x | agreement | Rmi | Rsu | Ras | Rda |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        "Encodes grow with the area of the scene; the ratio falls as edges matter less, and stays above ten:",
        "",
        "| side of the scene, pixels | plain sliding windows | `windows` | `dense` | `windows` over `dense` |",
        "|---|---|---|---|---|",
        *(
            f"| {int(size):,} | {row['sliding']:,} | {row['windows']:,} | {row['dense']:,} | {row['windows'] / row['dense']:.1f} |"
            for size, row in figures["encodes"].items()
        ),
        "",
        "Vectors of windows and of cells are kept, so a second question about a scene encodes nothing.",
        "",
    ]


def _fusing(row: dict[str, Any]) -> list[str]:
    return [
        "## Fusing",
        "",
        f"The map is the mean score of the windows over each pixel. For {row['windows']:,} windows of {row['width']:,} x {row['height']:,} pixels, the size of",
        "AIR-SLT's smallest pictures:",
        "",
        "| | processor s |",
        "|---|---|",
        f"| pixel by pixel in Python, as published | {row['pixel_by_pixel_s']:.2f} |",
        f"| an array operation for each window | {row['window_by_window_s']:.3f} |",
        f"| differences at the corners, summed once (here) | {row['integral_s']:.3f} |",
        "",
        f"All three give one map (largest difference {row['largest_difference']:.1g}); the published way takes {row['ratio']:.0f} times as long. A map is made in",
        "strips of rows, so a scene of any size needs the memory of a few of them, and is smoothed once, whatever is",
        "written of it.",
    ]
