"""The first minute with Landsift: index the sample scenes, search them, write what a GIS opens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from landsift.gallery import Gallery, IndexProgress, IndexReport, SearchResult
from landsift.plot import save_contact_sheet

__all__ = ["QUERIES", "SAMPLES", "DemoOutcome", "run_demo"]

SAMPLES = Path(__file__).parent / "samples"
QUERIES = (
    "a highway beside a forest",
    "white clouds over the sea",
    "a town by the beach",
)


@dataclass(frozen=True, eq=False)
class DemoOutcome:
    """What the demo made: the gallery, the indexing report, a result for each query, and the files."""

    gallery: Path
    report: IndexReport
    results: tuple[SearchResult, ...]
    files: tuple[Path, ...]


def run_demo(folder: str | Path, progress: Callable[[IndexProgress], None] | None = None) -> DemoOutcome:
    """Index the samples into ``folder/gallery``, search, and write results and footprints beside it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    geojson, sheet, footprints = (
        folder / "results.geojson",
        folder / "results.png",
        folder / "footprints.gpkg",
    )
    with Gallery.open_or_create(folder / "gallery", scales=(1, 2)) as gallery:
        report = gallery.add(SAMPLES, progress=progress)
        results = tuple(gallery.search(query, k=5) for query in QUERIES)
        SearchResult.save_all(geojson, results)
        save_contact_sheet(sheet, results, gallery.read)
        gallery.export(footprints)
    return DemoOutcome(folder / "gallery", report, results, (geojson, sheet, footprints))
