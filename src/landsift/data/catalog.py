"""The table of caption sets, read from ``catalog.toml``: one row each.

Facts of the sets (counts, terms, sources) live in that file and nowhere else.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from landsift.data import layouts
from landsift.data.dataset import LABEL_RULES, CaptionFiles, Dataset, PairFiles, Size, StreamFiles
from landsift.errors import UsageError

__all__ = ["find_dataset", "list_datasets"]

_PARSERS: Mapping[str, layouts.Parser] = {
    "karpathy": layouts.karpathy,
    "rsicd-derived": layouts.rsicd_derived,
    "grouped": layouts.grouped,
    "precomp": layouts.precomp,
    "rows": layouts.rows,
    "textrs": layouts.textrs,
    "class-folders": layouts.class_folders,
}
_SPLITS = ("train", "val", "test", "all")


@cache
def list_datasets() -> tuple[Dataset, ...]:
    """All rows, in order of name."""
    text = resources.files("landsift.data").joinpath("catalog.toml").read_text("utf-8")
    return tuple(_row(name, table) for name, table in sorted(tomllib.loads(text).items()))


def find_dataset(name: str) -> Dataset:
    """Look a row up by its exact name or an alias.

    Raises:
        UsageError: No such row; the message lists the names.
    """
    for row in list_datasets():
        if name == row.name or name in row.aliases:
            return row
    names = ", ".join(row.name for row in list_datasets())
    raise UsageError(f"There is no data set named {name!r}; choose one of {names}.")


def _row(name: str, table: dict[str, Any]) -> Dataset:
    table = dict(table)
    return Dataset(
        name=name,
        label=LABEL_RULES[table.pop("label")],
        captions=tuple(map(_caption_files, table.pop("captions", ()))),
        stream=tuple(StreamFiles(**form) for form in table.pop("stream", ())),
        pairs=_pair_files(table.pop("pairs", None)),
        images=tuple(table.pop("images")),
        aliases=tuple(table.pop("aliases", ())),
        shares=tuple(table.pop("shares", ())),
        **table,
    )


def _pair_files(form: dict[str, Any] | None) -> PairFiles | None:
    if form is None:
        return None
    sizes = {split: Size(*form[split]) for split in _SPLITS if split in form}
    folders = {key: tuple(form.get(key, ())) for key in ("before", "after", "captions", "mask", "semantics")}
    return PairFiles(form["layout"], classes=form.get("classes", {}), sizes=sizes, **folders)


def _caption_files(form: dict[str, Any]) -> CaptionFiles:
    sizes = {split: Size(*form[split]) for split in _SPLITS if split in form}
    return CaptionFiles(form["file"], _PARSERS[form["layout"]], sizes)
