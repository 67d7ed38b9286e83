"""``landsift localize``: where in one scene something is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated as An

import typer
from typer import Argument, Option

from landsift.cli import options as o
from landsift.cli.parse import parse_numbers
from landsift.cli.show import counting_bar, print_rows, say
from landsift.errors import UsageError

if TYPE_CHECKING:
    from landsift.localize import Region

__all__ = ["register"]

_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(localize)


def localize(
    scene: An[str, Argument(metavar="SCENE", help="A raster: a path or a URL.", show_default=False)],
    text: An[str, Argument(metavar="TEXT", help="What to look for, in words.", show_default=False)],
    unlike: An[list[str] | None, Option("--not", metavar="TEXT", help="Away from this; repeatable.")] = None,
    engine: An[
        str, Option(metavar="windows|two-stage|dense", help="How the scene is looked at; dense is quickest.")
    ] = "windows",
    scales: An[
        str | None, Option(metavar="256,512", help="Window sides in pixels; those of the paper otherwise.")
    ] = None,
    threshold: An[str, Option(metavar="auto|X", help="Heat, 0 to 1, from which something counts.")] = "auto",
    output: An[
        Path | None, Option("--output", "-o", metavar="TIF", help="Write the heat map as a GeoTIFF.")
    ] = None,
    polygons: An[
        Path | None, Option(metavar="F", help="Write the hot regions: .geojson, .gpkg, .parquet or .csv.")
    ] = None,
    overlay: An[Path | None, Option(metavar="PNG", help="Draw the heat over the scene.")] = None,
    encoder: An[str, Option(help="Name or folder of the encoder.")] = "landsift-lite",
    bands: o.Bands = None,
    crs: o.Crs = None,
    keep: An[
        bool, Option("--cache/--no-cache", help="Keep the windows' vectors for other questions.")
    ] = True,
) -> None:
    """Find where in one large scene something is: a heat map and its hottest regions."""
    from landsift.encoders import load_encoder
    from landsift.files import cache_folder
    from landsift.localize import localize as run
    from landsift.localize import write_overlay, write_regions
    from landsift.scenes import open_scene

    sides, shown = _whole(scales, "--scales", "256,512"), _whole(bands, "--bands", "4,3,2")
    least = None if threshold == "auto" else _heat(threshold)
    with ExitStack() as stack:
        opened = stack.enter_context(open_scene(scene, bands=shown, crs=crs))
        tell = stack.enter_context(counting_bar("looking"))
        heat = run(
            opened,
            text,
            load_encoder(encoder),
            unlike=unlike or (),
            engine=engine,
            sides=sides,
            cache=cache_folder() / "windows" if keep else None,
            progress=tell,
        )
        if output is not None:
            # First, for the regions are then found in the same pass over the scene.
            heat.save(output, text=text, encoder=encoder, engine=engine)
            say(f"Wrote {output}.")
        limit = heat.threshold(least)
        _show(scene, text, heat.regions(limit), limit)
        if polygons is not None:
            write_regions(polygons, heat, limit, text)
            say(f"Wrote {polygons}.")
        if overlay is not None:
            write_overlay(overlay, heat, limit)
            say(f"Wrote {overlay}.")


def _whole(text: str | None, option: str, example: str) -> list[int] | None:
    numbers = parse_numbers(text, option, example)
    return None if numbers is None else [int(number) for number in numbers]


def _heat(text: str) -> float:
    from landsift.localize.maps import check_threshold

    try:
        heat = float(text)
    except ValueError:
        raise UsageError(f"--threshold takes auto or a heat between 0 and 1, got {text!r}") from None
    check_threshold(heat)
    return heat


def _show(scene: str, text: str, regions: Sequence[Region], limit: float) -> None:
    rows = [
        [
            f"{rank}",
            f"{region.heat:.2f}",
            f"{region.score:.3f}",
            "-" if region.area_m2 is None else f"{region.area_m2 / 10_000:,.2f}",
            f"{region.window.col}, {region.window.row}",
            f"{region.window.width} x {region.window.height}",
        ]
        for rank, region in enumerate(regions[:_SHOWN], 1)
    ]
    count = f"{len(regions)} region{'s' * (len(regions) != 1)}"
    title = f"{text}: {count} of {Path(scene).name} above a heat of {limit:.2f}"
    print_rows(title, ["", "heat", "score", "area, ha", "corner", "size, px"], rows)
