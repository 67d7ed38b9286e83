"""``landsift changes``: what changed between two dates."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated as An

import typer
from typer import Argument, Option

from landsift.cli import options as o
from landsift.cli.parse import parse_box
from landsift.cli.show import counting_bar, print_json, print_rows, say
from landsift.errors import UsageError

if TYPE_CHECKING:
    from landsift.changes import ChangeResult
    from landsift.gallery import Gallery

__all__ = ["register"]

_THUMB = 432  # pixels of a picture before it is drawn into the sheet


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(changes)


def changes(
    gallery: o.Gallery,
    text: An[
        str | None,
        Argument(metavar="[TEXT]", help="Such as 'forest cleared for farmland'.", show_default=False),
    ] = None,
    before: An[
        str | None, Option(metavar="DATE", help="2009, 2009-08-18, or an interval such as 2008/2010-06.")
    ] = None,
    after: An[str | None, Option(metavar="DATE", help="Likewise; the two must not overlap.")] = None,
    was: An[str | None, Option("--from", metavar="TEXT", help="What was there before.")] = None,
    became: An[str | None, Option("--to", metavar="TEXT", help="What is there after.")] = None,
    unlike: An[
        list[str] | None,
        Option("--not", metavar="TEXT", help="Put changes to or from this back; repeatable."),
    ] = None,
    bbox: o.Box = None,
    k: An[int, Option("-k", help="How many places.")] = 10,
    keep_clouds: An[bool, Option("--keep-clouds", help="Do not leave out what looks like clouds.")] = False,
    output: An[
        Path | None,
        Option("--output", "-o", metavar="F", help="Write the places: .geojson, .gpkg, .parquet or .csv."),
    ] = None,
    sheet: An[Path | None, Option(metavar="PNG", help="Draw the places before and after.")] = None,
    as_json: o.AsJson = False,
) -> None:
    """Find what changed between two dates: as a sentence says, or most."""
    from landsift.changes import find_changes
    from landsift.gallery import Gallery

    if before is None or after is None:
        raise UsageError("Two dates are needed; give both, such as --before 2009 --after 2020")
    with ExitStack() as stack:
        opened = stack.enter_context(Gallery.open(gallery))
        with counting_bar("comparing") as tell:
            result = find_changes(
                opened,
                text,
                before=before,
                after=after,
                was=was,
                became=became,
                unlike=unlike or (),
                box=parse_box(bbox),
                k=k,
                keep_clouds=keep_clouds,
                progress=tell,
            )
        if as_json:
            print_json(result.to_dict())
        else:
            _show(result)
        if output is not None:
            result.save(output)
            say(f"Wrote {output}.")
        if sheet is not None:
            _draw(sheet, result, opened)
            say(f"Wrote {sheet}.")


def _show(result: ChangeResult) -> None:
    for note in result.notes:
        say(f"note: {note}")
    rows = [
        [
            f"{change.rank}",
            f"{change.score:.2f}",
            change.before.date or "-",
            change.after.date or "-",
            "{:.4f}, {:.4f}".format(*(change.before.center or (0.0, 0.0))),
            f"{change.gsd:.3g}",
            change.before.tile,
            change.after.tile,
        ]
        for change in result
    ]
    headings = ["", "score", "before", "after", "lon, lat", "m/px", "tile before", "tile after"]
    print_rows(f"{result.query}: {len(result)} of {result.places:,} places compared", headings, rows)


def _draw(path: Path, result: ChangeResult, gallery: Gallery) -> None:
    from landsift.changes import MARGIN, pictures_of
    from landsift.plot import Pair, save_pair_sheet

    pairs = [
        Pair(
            *pictures,
            (change.before.date or "", change.after.date or ""),
            f"{change.rank}.   {change.score:.2f}   {change.after.tile}",
            MARGIN,
        )
        for change, pictures in zip(result, pictures_of(gallery, list(result), _THUMB), strict=True)
    ]
    best = "The best" if len(result) == 1 else f"The {len(result)} best"
    facts = f"{best} of {result.places:,} places compared, framed, before and after"
    save_pair_sheet(path, result.query, facts, pairs)
