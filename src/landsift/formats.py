"""Tables of footprints -> GeoJSON, GeoPackage, GeoParquet and CSV, as GIS programs expect them.

Knows nothing of galleries or search. All coordinates are longitude, latitude in degrees WGS84 (OGC:CRS84).
Every file appears whole or not at all.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate

from landsift.errors import UsageError, need
from landsift.files import write_whole

__all__ = ["FeatureTable", "outline_geometries", "write_table"]

_DECIMALS = 7  # a centimetre


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """``n`` footprints with their properties, column by column.

    Attributes:
        corners: ``(n, 4, 2)`` float64 unwrapped longitude, latitude; rows of NaN have no geometry.
        columns: Name -> ``n`` values, None where missing, in the order to write them.
        types: Name -> ``str``, ``int`` or ``float``; so that a file has one schema, however empty its start.
        vectors: ``(n, dim)`` embeddings, written by GeoParquet only.
        about: Facts on the embeddings, kept in the GeoParquet footer under ``emb``.
        outlines: ``(n,)`` shapely polygons in longitude and latitude to write in place of the corners' own;
            None takes those.
    """

    corners: NDArray[np.float64]
    columns: Mapping[str, Sequence[Any]]
    types: Mapping[str, type]
    vectors: NDArray[np.floating] | None = None
    about: dict[str, Any] = field(default_factory=dict)
    outlines: NDArray[np.object_] | None = None

    @property
    def shapes(self) -> NDArray[np.object_]:
        """``(n,)`` what is written as geometry; None where there is none."""
        return outline_geometries(self.corners) if self.outlines is None else self.outlines

    def __len__(self) -> int:
        return len(self.corners)


def outline_geometries(corners: NDArray[np.float64]) -> NDArray[np.object_]:
    """Polygons with counter-clockwise rings inside [-180, 180], cut at the antimeridian (RFC 7946).

    Args:
        corners: ``(n, 4, 2)`` unwrapped longitude, latitude.

    Returns:
        ``(n,)`` shapely Polygon or MultiPolygon; None where a corner is NaN.
    """
    located = np.isfinite(corners).all(axis=(1, 2))
    found = np.full(len(corners), None, object)
    if located.any():
        rings = np.round(corners[located], _DECIMALS)
        polygons = shapely.orient_polygons(shapely.polygons(rings), exterior_cw=False)
        outside = (rings[..., 0].min(axis=1) < -180) | (rings[..., 0].max(axis=1) > 180)
        for position in np.flatnonzero(outside):
            polygons[position] = _wrapped(polygons[position])
        found[located] = polygons
    return found


def _wrapped(polygon: shapely.Polygon) -> shapely.Geometry:
    """The parts of an unwrapped polygon, each moved back into [-180, 180]."""
    parts = []
    for turn in (-720, -360, 0, 360, 720):
        part = polygon.intersection(shapely.box(turn - 180, -90, turn + 180, 90))
        if part.area > 0:
            parts.append(translate(part, -turn))
    parts = [shapely.orient_polygons(part, exterior_cw=False) for part in parts]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def write_table(path: str | Path, tables: Iterable[FeatureTable], *, layer: str = "footprints") -> int:
    """Write footprints in the format that the file's suffix names.

    Args:
        path: ``.geojson``/``.json``, ``.gpkg``, ``.parquet``/``.geoparquet`` or ``.csv``.
        tables: One or more tables of equal columns, written one after the other, so that a large archive
            need not be in memory.
        layer: Layer name, for formats that have one.

    Returns:
        The number of footprints written.

    Raises:
        UsageError: Another suffix.
        MissingDependency: GeoParquet without pyarrow.
    """
    path = Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise UsageError(
            f"Cannot tell a format from the name {path.name}; end it with one of {', '.join(_WRITERS)}"
        )
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} does not exist; make it first")
    count = 0

    def counted() -> Iterator[FeatureTable]:
        nonlocal count
        for table in tables:
            count += len(table)
            yield table

    write_whole(path, lambda partial: writer(partial, counted(), layer))
    return count


def _write_geojson(path: Path, tables: Iterable[FeatureTable], layer: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "name": ' + json.dumps(layer) + ', "features": [')
        separator = "\n"
        for table in tables:
            names = list(table.columns)
            shapes = shapely.to_geojson(table.shapes)
            for shape, *values in zip(shapes, *table.columns.values(), strict=True):
                properties = json.dumps(
                    dict(zip(names, map(_plain, values), strict=True)), ensure_ascii=False
                )
                feature = f'{{"type": "Feature", "geometry": {shape or "null"}, "properties": {properties}}}'
                file.write(separator + feature)
                separator = ",\n"
        file.write("\n]}\n")


def _write_csv(path: Path, tables: Iterable[FeatureTable], layer: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for number, table in enumerate(tables):
            if number == 0:
                writer.writerow([*table.columns, "geometry"])
            shapes = shapely.to_wkt(table.shapes, rounding_precision=_DECIMALS)
            for shape, *values in zip(shapes, *table.columns.values(), strict=True):
                writer.writerow(
                    [*("" if value is None else value for value in map(_plain, values)), shape or ""]
                )


def _write_geopackage(path: Path, tables: Iterable[FeatureTable], layer: str) -> None:
    from pyogrio.raw import write

    for number, table in enumerate(tables):
        shapes = table.shapes
        multi = np.array(
            [None if s is None else shapely.multipolygons(shapely.get_parts(s)) for s in shapes], object
        )
        write(
            str(path),
            geometry=shapely.to_wkb(multi),
            field_data=[_gis_column(values, table.types[name]) for name, values in table.columns.items()],
            fields=list(table.columns),
            layer=layer,
            driver="GPKG",
            geometry_type="MultiPolygon",
            crs="EPSG:4326",
            append=number > 0,
        )


def _write_parquet(path: Path, tables: Iterable[FeatureTable], layer: str) -> None:
    arrow = need("pyarrow", extra="parquet")
    parquet = need("pyarrow.parquet", extra="parquet")
    pieces = (_arrow_table(arrow, table) for table in tables)
    first = next(pieces)
    with parquet.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for piece in pieces:
            writer.write_table(piece)


def _arrow_table(arrow: Any, table: FeatureTable) -> Any:
    """One GeoParquet 1.1 piece: WKB geometry in CRS84, a bbox column that covers it, embeddings if any."""
    shapes = table.shapes
    bounds = shapely.bounds(shapes)
    located = np.isfinite(bounds).all(axis=1)
    box = arrow.StructArray.from_arrays(
        [arrow.array(bounds[:, side], mask=~located) for side in range(4)], ["xmin", "ymin", "xmax", "ymax"]
    )
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64()}
    columns = {
        name: arrow.array(list(map(_plain, values)), kinds[table.types[name]])
        for name, values in table.columns.items()
    }

    columns |= {"bbox": box, "geometry": arrow.array(shapely.to_wkb(shapes), arrow.binary())}
    if table.vectors is not None:
        flat = arrow.array(np.ascontiguousarray(table.vectors, np.float32).reshape(-1))
        columns["embedding"] = arrow.FixedSizeListArray.from_arrays(flat, table.vectors.shape[1])
    cover = {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}
    geometry = {"encoding": "WKB", "geometry_types": ["Polygon", "MultiPolygon"], "covering": {"bbox": cover}}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    return arrow.table(columns).replace_schema_metadata(
        {"geo": json.dumps(geo), "emb": json.dumps(table.about)}
    )


def _gis_column(values: Sequence[Any], kind: type) -> NDArray[Any]:
    """A typed array for OGR, which marks a missing number by NaN."""
    plain = list(map(_plain, values))
    if kind is str:
        return np.array([None if value is None else str(value) for value in plain], object)
    whole = kind is int and None not in plain
    return np.array(
        [np.nan if value is None else value for value in plain], np.int64 if whole else np.float64
    )


def _plain(value: Any) -> Any:
    """A Python value for a numpy one; floats without noise, NaN as None."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


_WRITERS: dict[str, Callable[[Path, Iterable[FeatureTable], str], None]] = {
    ".geojson": _write_geojson,
    ".json": _write_geojson,
    ".gpkg": _write_geopackage,
    ".parquet": _write_parquet,
    ".geoparquet": _write_parquet,
    ".csv": _write_csv,
}
