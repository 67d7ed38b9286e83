"""Commands on a gallery: index, search, info, verify, remove, export, demo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from landsift.cli import options as o
from landsift.cli.exporting import export_files
from landsift.cli.parse import parse_box, parse_date, parse_numbers, parse_place
from landsift.cli.show import (
    complain,
    counting_bar,
    print_info,
    print_json,
    print_measured,
    print_report,
    print_result,
    print_scenes,
    print_trace,
    progress_bar,
    say,
)
from landsift.errors import UsageError

if TYPE_CHECKING:
    from landsift.gallery import Near, Refine, Where

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (index, reindex, search, info, verify, remove, export, demo):
        app.command()(command)


def index(
    gallery: o.Gallery,
    source: o.Sources,
    encoder: o.Encoder = None,
    tile: o.Tile = None,
    overlap: o.Overlap = None,
    scales: o.Scales = None,
    views: o.Views = None,
    gsd: o.Gsd = None,
    bands: o.Bands = None,
    crs: o.Crs = None,
    workers: o.Workers = None,
    retry_failed: o.RetryFailed = False,
    kind: o.IndexKind = None,
    as_json: o.AsJson = False,
) -> None:
    """Index imagery into a gallery, new or existing; does only what is missing, and can be repeated."""
    from dataclasses import asdict

    from landsift.gallery import Gallery

    asked: dict[str, Any] = {"tile": tile, "overlap": overlap, "views": views, "gsd": gsd, "crs": crs}
    asked |= {
        "scales": parse_numbers(scales, "--scales", "1,2"),
        "bands": parse_numbers(bands, "--bands", "4,3,2"),
    }
    settings: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    with Gallery.open_or_create(gallery, encoder, **settings) as opened, progress_bar() as tell:
        report = opened.add(
            *source,
            workers=workers,
            retry_failed=retry_failed,
            progress=tell,
            on_wait=say,
            index=kind,
            **settings,
        )
    if as_json:
        print_json(asdict(report))
    print_report(report, str(gallery))
    if report.failed:
        raise typer.Exit(1)


def reindex(
    gallery: o.Gallery,
    kind: o.IndexKind = None,
    floor: o.RecallFloor = None,
    bits: o.CodeBits = None,
    as_json: o.AsJson = False,
) -> None:
    """Build the search index anew from the stored vectors, and measure its recall; encodes nothing."""
    from landsift.gallery import Gallery

    asked = {"floor": floor, "bits": bits}
    with Gallery.open(gallery) as opened:
        facts = opened.reindex(kind, **{name: value for name, value in asked.items() if value is not None})
    if as_json:
        print_json(facts)
    else:
        print_measured(facts)


def search(
    gallery: o.Gallery,
    text: o.Text = None,
    like: o.Like = None,
    unlike: o.Unlike = None,
    k: o.K = 10,
    bbox: o.Box = None,
    after: o.After = None,
    before: o.Before = None,
    scene: o.SceneGlob = None,
    min_score: o.MinScore = None,
    overlapping: o.Overlapping = "merge",
    near: o.NearPlace = None,
    near_weight: o.NearWeight = None,
    near_encoder: o.NearEncoder = None,
    csls: o.LessCrowded = False,
    judge: o.Judge = None,
    pool: o.PoolBy = None,
    refine: o.RefineTop = None,
    zoom: o.Zoom = None,
    explain: o.Explain = False,
    as_json: o.AsJson = False,
    geojson: o.GeoJson = None,
    gpkg: o.Gpkg = None,
    parquet: o.Parquet = None,
    csv: o.Csv = None,
    sheet: o.Sheet = None,
) -> None:
    """Search a gallery in words, by example, or both."""
    from landsift.encoders import load_scorer
    from landsift.gallery import Gallery, Pool

    where = _where(bbox, after, before, scene)
    scorer = None if judge is None else load_scorer(judge)
    closer = _refine(refine, zoom)
    with Gallery.open(gallery) as opened:
        with nullcontext() if closer is None else counting_bar("looking closer") as tell:
            result = opened.search(
                text,
                like=like or (),
                unlike=unlike or (),
                k=k,
                where=where,
                min_score=min_score,
                overlapping=overlapping,
                near=_near(near, near_weight, near_encoder),
                csls=csls,
                judge=scorer,
                pool=None if pool is None else Pool.parse(pool),
                refine=closer,
                tell=tell,
            )
        trace = result.trace if explain else None
        if as_json:
            print_json(result.to_dict() | ({} if trace is None else {"explain": trace.to_dict()}))
        else:
            print_result(result)
            if trace is not None:
                print_trace(trace)
        for path in _outputs(geojson, gpkg, parquet, csv):
            result.save(path)
            say(f"Wrote {path}.")
        if sheet is not None:
            from landsift.plot import save_contact_sheet

            save_contact_sheet(sheet, [result], opened.read)
            say(f"Wrote {sheet}.")


def info(gallery: o.Gallery, scenes: o.ListScenes = False, as_json: o.AsJson = False) -> None:
    """What a gallery holds: tiles, scenes, places, dates, encoder."""
    from landsift.gallery import Gallery

    with Gallery.open(gallery) as opened:
        facts, ledger = opened.info(), opened.scenes() if scenes else None
    if as_json:
        print_json(facts if ledger is None else facts | {"ledger": ledger})
        return
    print_info(facts)
    if ledger is not None:
        print()
        print_scenes(ledger)


def verify(gallery: o.Gallery, as_json: o.AsJson = False) -> None:
    """Check a gallery: database, vectors, cache, encoder and sources."""
    from landsift.gallery import Gallery

    with Gallery.open(gallery) as opened:
        sentences = opened.verify()
    if as_json:
        print_json({"gallery": str(gallery), "problems": sentences})
    for sentence in sentences:
        complain(sentence)
    if sentences:
        raise typer.Exit(1)
    say(f"{gallery}: nothing is wrong.")


def remove(
    gallery: o.Gallery, scene: o.SceneNames = None, missing: o.Missing = False, as_json: o.AsJson = False
) -> None:
    """Remove scenes and their tiles from a gallery; the image files are not touched."""
    from landsift.gallery import Gallery

    if not scene and not missing:
        raise UsageError("Name at least one scene to remove, or give --missing")
    with Gallery.open(gallery) as opened:
        names = opened.remove(*(scene or ()), missing=missing)
    if as_json:
        print_json({"removed": names})
    say(f"Removed {', '.join(names) or 'nothing'}.")


def export(
    gallery: o.GalleryOrEncoder,
    file: o.ExportFile = None,
    vectors: o.Vectors = False,
    bbox: o.Box = None,
    after: o.After = None,
    before: o.Before = None,
    scene: o.SceneGlob = None,
    onnx: o.OnnxFolder = None,
    fp16: o.Fp16 = False,
    int8: o.Int8 = False,
    check: o.CheckExport = False,
    images: o.CheckImages = None,
    as_json: o.AsJson = False,
) -> None:
    """Write the footprints of a gallery's tiles for a GIS; with --onnx, an encoder to run without torch."""
    unfit = {"FILE": file, "--vectors": vectors, "--bbox": bbox, "--after": after, "--before": before}
    if onnx is not None:
        export_files(
            str(gallery),
            onnx,
            fp16=fp16,
            int8=int8,
            check=check,
            images=images,
            as_json=as_json,
            unfit=unfit | {"--scene": scene},
        )
        return
    if file is None or fp16 or int8 or check or images is not None:
        raise UsageError("Name a FILE for a gallery's footprints, or a folder by --onnx for an encoder")
    from landsift.gallery import Gallery

    with Gallery.open(gallery) as opened:
        count = opened.export(file, where=_where(bbox, after, before, scene), vectors=vectors)
    say(f"Wrote {count:,} footprints to {file}.")


def demo(folder: o.DemoFolder = Path("demo")) -> None:
    """Index the sample scenes that come with Landsift, and run three searches on them."""
    from landsift.demo import run_demo

    with progress_bar() as tell:
        outcome = run_demo(folder, progress=tell)
    print_report(outcome.report, str(outcome.gallery))
    for result in outcome.results:
        print()
        print_result(result)
    print()
    for path in outcome.files:
        say(f"Wrote {path}.")
    say(f"Now try: landsift search {outcome.gallery} 'a lake between mountains'")
    say(f"Or in a browser: landsift serve {outcome.gallery}")


def _where(bbox: str | None, after: str | None, before: str | None, scene: str | None) -> Where:
    from landsift.gallery import Where

    return Where(parse_box(bbox), parse_date(after, "--after"), parse_date(before, "--before"), scene)


def _near(place: str | None, weight: float | None, encoder: str | None) -> Near | None:
    from landsift.gallery import Near

    point = parse_place(place)
    if point is None:
        if weight is not None or encoder is not None:
            raise UsageError("--near-weight and --near-encoder need a place; give --near LON,LAT too")
        return None
    asked = {"weight": weight, "encoder": encoder}
    chosen: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    return Near(*point, **chosen)


def _refine(tiles: int | None, zoom: str | None) -> Refine | None:
    from landsift.gallery import Refine

    if tiles is None:
        if zoom is not None:
            raise UsageError("--zoom says how closely --refine looks; give --refine K too")
        return None
    zooms = parse_numbers(zoom, "--zoom", "2,4")
    return Refine(tiles) if zooms is None else Refine(tiles, zooms)


def _outputs(
    geojson: Path | None, gpkg: Path | None, parquet: Path | None, csv: Path | None
) -> Iterator[Path]:
    """The files asked for, each ending as its format does."""
    asked = (
        (geojson, (".geojson", ".json")),
        (gpkg, (".gpkg",)),
        (parquet, (".parquet", ".geoparquet")),
        (csv, (".csv",)),
    )
    for path, suffixes in asked:
        if path is not None:
            fits = path.suffix.lower() in suffixes
            yield path if fits else path.with_name(path.name + suffixes[0])
