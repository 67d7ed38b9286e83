"""The stored race of encoders -> a section of ``docs/benchmarks.md``; no number is typed by hand.

Knows no torch: the page is written where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

__all__ = ["encoders_section"]

_WIDE = 120


def encoders_section(figures: Mapping[str, Any]) -> list[str]:
    """Markdown lines.

    Args:
        figures: As :mod:`benchmarks.encoders` stores them.
    """
    batch, threads, rounds = (figures[name] for name in ("batch", "threads", "rounds"))
    before, after = figures["load_before"][0], figures["load_after"][0]
    how = (
        f"Random weights; {batch} pictures of 224 px and as many texts of 5 to 12 words in a turn, on "
        f"{threads} threads. In each of {rounds} rounds every contender has its turn, and ratios are to the "
        "base of the same round (median and quartiles; more is quicker), so that a busy machine meets all "
        f"alike (load {before:.1f} before, {after:.1f} after). Cosines are to our float32. open_clip is "
        "missing: it does not import where torchvision does not fit torch."
    )
    return [
        "## Encoding with CLIP ViT-B/32",
        "",
        *wrap(how, _WIDE),
        "",
        *_table("pictures", figures["images"]),
        "",
        *_table("texts", figures["texts"]),
        "",
        *_loading(**figures["loading"]),
    ]


def _loading(wall_s: float, processor_s: float, own_mb: float, file_mb: float, **_: float) -> list[str]:
    what = (
        f"`load_encoder` on {file_mb:.0f} MB of safetensors, SHA-256 included: {wall_s:.2f} s "
        f"({processor_s:.2f} of a processor) and {own_mb:.0f} MB of memory of its own, "
        f"{own_mb / file_mb:.0%} of the file; the rest is the mapped file."
    )
    return wrap(what, _WIDE)


def _table(what: str, rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"| {what} | a second | to the base | processor ms each | to the base by processor | least cosine |",
        "|---|---|---|---|---|---|",
        *(_line(name, row) for name, row in rows.items()),
    ]


def _line(name: str, row: Mapping[str, Any]) -> str:
    cosine = "" if row["least_cosine"] is None else f"{row['least_cosine']:.5f}"
    note = " (one turn)" if row["turns"] == 1 else ""
    cells = (name + note, row["per_second"], _spread(row["ratio"]), row["processor_ms"])
    return f"| {' | '.join(map(str, (*cells, _spread(row['processor_ratio']), cosine)))} |"


def _spread(quartiles: list[float]) -> str:
    low, middle, high = quartiles
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
