"""Galleries and tiles as STAC documents: catalog, collections, items.

Knows the formats (STAC 1.0, the STAC API 1.0, and the embedding extension 0.0.1, a proposal kept to this one
writer). Knows nothing of requests.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import numpy as np
import shapely

from landsift import __version__
from landsift.formats import outline_geometries
from landsift.gallery import Gallery, Match
from landsift.serve.cql import NAMES
from landsift.types import TimeSpan

__all__ = ["CONFORMANCE", "GEOJSON", "collection", "items", "landing", "link", "queryables"]

GEOJSON = "application/geo+json"
_JSON = "application/json"
_STAC = "1.0.0"
_EMBEDDING = "https://stac-extensions.github.io/embeddings/v0.0.1/schema.json"
_ALL_TIME = {"start_datetime": "0001-01-01T00:00:00Z", "end_datetime": "9999-12-31T23:59:59Z"}
_CORE = "https://api.stacspec.org/v1.0.0"
_FEATURES = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf"
_FILTER = "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf"
_CQL = "http://www.opengis.net/spec/cql2/1.0/conf"

CONFORMANCE = (
    f"{_CORE}/core",
    f"{_CORE}/collections",
    f"{_CORE}/ogcapi-features",
    f"{_CORE}/item-search",
    f"{_CORE}/item-search#sort",
    f"{_CORE}/item-search#filter",
    f"{_CORE}-rc.1/item-search#free-text",
    f"{_FEATURES}/core",
    f"{_FEATURES}/geojson",
    f"{_FEATURES}/oas30",
    f"{_FILTER}/filter",
    f"{_CQL}/basic-cql2",
    f"{_CQL}/advanced-comparison-operators",
    f"{_CQL}/cql2-text",
    f"{_CQL}/cql2-json",
    "https://landsift.invalid/conformance/like-not-score-explain",
)
"""What the API keeps to; the last names its own additions."""


def link(rel: str, href: str, type_: str = _JSON, **more: Any) -> dict[str, Any]:
    """A link."""
    return {"rel": rel, "href": href, "type": type_, **more}


def landing(base: str, galleries: Sequence[str]) -> dict[str, Any]:
    """The landing page.

    Args:
        base: Address of the server, ending in a slash.
        galleries: Their ids.
    """
    links = [
        link("self", base),
        link("root", base),
        link("conformance", f"{base}conformance"),
        link("data", f"{base}collections"),
        link("search", f"{base}search", GEOJSON, method="GET"),
        link("search", f"{base}search", GEOJSON, method="POST"),
        link(
            "http://www.opengis.net/def/rel/ogc/1.0/queryables",
            f"{base}queryables",
            "application/schema+json",
        ),
        link("service-desc", f"{base}openapi.json", "application/vnd.oai.openapi+json;version=3.1"),
        link("service-doc", f"{base}docs", "text/html"),
        *(link("child", f"{base}collections/{quote(id_)}") for id_ in galleries),
    ]
    return {
        "type": "Catalog",
        "id": "landsift",
        "title": "Landsift",
        "description": "Satellite and aerial imagery, searched in words.",
        "stac_version": _STAC,
        "conformsTo": list(CONFORMANCE),
        "links": links,
    }


def collection(base: str, id_: str, gallery: Gallery, facts: dict[str, Any]) -> dict[str, Any]:
    """A gallery as a STAC collection of embedded tiles.

    Args:
        base: Address of the server, ending in a slash.
        id_: The gallery's id.
        gallery: The gallery.
        facts: What :meth:`Gallery.info` gave.
    """
    here = f"{base}collections/{quote(id_)}"
    settings, card = facts["settings"], gallery.card
    dates = facts["dates"]
    interval = [f"{dates[0]}T00:00:00Z", f"{dates[1]}T23:59:59Z"] if dates else [None, None]
    stride = max(1, round(settings["tile"] * (1 - settings["overlap"])))
    scenes = facts["scenes"]
    return {
        "type": "Collection",
        "stac_version": _STAC,
        "stac_extensions": [_EMBEDDING],
        "id": id_,
        "title": id_.removesuffix(".gallery"),
        "description": f"{facts['tiles']:,} tiles of {scenes['done']:,} scenes, embedded by {card.name}.",
        "license": "proprietary",
        "extent": {
            "spatial": {"bbox": [facts["bounds"] or [-180.0, -90.0, 180.0, 90.0]]},
            "temporal": {"interval": [interval]},
        },
        "emb:type": "chip",
        "emb:dimensions": card.dim,
        "data_type": "float16",
        "emb:chip_layout": {
            "layout_type": "regular_grid",
            "chip_size": [settings["tile"], settings["tile"]],
            "stride": [stride, stride],
        },
        "emb:fit_for_use": ["retrieval"],
        "summaries": {"landsift:scale": list(settings["scales"])},
        "links": [
            link("self", here),
            link("root", base),
            link("parent", base),
            link("items", f"{here}/items", GEOJSON),
            link("http://www.opengis.net/def/rel/ogc/1.0/queryables", f"{here}/queryables"),
            link("emb:model", f"{here}/encoder"),
            link("emb:source-data", f"{here}/scenes"),
        ],
    }


def items(base: str, id_: str, matches: Sequence[Match], ranked: bool) -> list[dict[str, Any]]:
    """Tiles as STAC items.

    Args:
        base: Address of the server, ending in a slash.
        id_: The gallery's id.
        matches: The tiles.
        ranked: Whether something was looked for, so that rank, score and percentile mean something.
    """
    nowhere = np.full((4, 2), np.nan)
    corners = np.array([nowhere if m.corners is None else m.corners for m in matches]).reshape(-1, 4, 2)
    shapes = shapely.to_geojson(outline_geometries(corners)).tolist()
    return [_item(base, id_, match, shape, ranked) for match, shape in zip(matches, shapes, strict=True)]


def _item(base: str, id_: str, match: Match, shape: str | None, ranked: bool) -> dict[str, Any]:
    tile, collection_ = quote(match.tile), quote(id_)
    parent = f"{base}collections/{collection_}"
    window = match.window
    properties = {
        **_dates(match.date),
        "landsift:scene": match.scene,
        "landsift:scene_id": match.tile.rsplit("_", 3)[0],
        "landsift:date": match.date,
        "landsift:source": match.source,
        "landsift:window": [window.col, window.row, window.width, window.height],
        "landsift:scale": match.scale,
        "landsift:valid": round(match.valid, 4),
    }
    if match.gsd is not None:
        properties["gsd"] = round(match.gsd, 4)
    if ranked:
        properties |= {
            "landsift:score": round(match.score, 6),
            "landsift:percentile": round(match.percentile, 4),
            "landsift:rank": match.rank,
        }
    place = {"bbox": _bbox(match)} if shape is not None else {}
    return {
        "type": "Feature",
        "stac_version": _STAC,
        "stac_extensions": [],
        "id": match.tile,
        "collection": id_,
        "geometry": None if shape is None else json.loads(shape),
        **place,
        "properties": properties,
        "links": [
            link("self", f"{parent}/items/{tile}", GEOJSON),
            link("collection", parent),
            link("parent", parent),
            link("root", base),
        ],
        "assets": {
            "thumbnail": {
                "href": f"{base}tiles/{collection_}/{tile}/thumbnail",
                "type": "image/jpeg",
                "roles": ["thumbnail"],
            },
            "chip": {
                "href": f"{base}tiles/{collection_}/{tile}/chip.tif",
                "type": "image/tiff; application=geotiff",
                "roles": ["data"],
            },
        },
    }


def _bbox(match: Match) -> list[float]:
    """West, south, east, north; west above east across the antimeridian (RFC 7946)."""
    assert match.corners is not None
    (west, south), (east, north) = match.corners.min(axis=0).tolist(), match.corners.max(axis=0).tolist()
    if east > 180 or west < -180:
        west, east = (west + 180) % 360 - 180, (east + 180) % 360 - 180
    return [round(side, 7) for side in (west, south, east, north)]


@lru_cache(maxsize=4096)
def _dates(text: str | None) -> dict[str, Any]:
    """A moment; where it is not known to the second an interval too; without any date, all time."""
    if text is None:
        return {"datetime": None, **_ALL_TIME}
    span = TimeSpan.parse(text)
    start = span.start.strftime("%Y-%m-%dT%H:%M:%SZ")
    if span.end - span.start <= timedelta(seconds=1):
        return {"datetime": start}
    end = (span.end - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"datetime": start, "start_datetime": start, "end_datetime": end}


def queryables(base: str, path: str) -> dict[str, Any]:
    """The properties that a filter may speak of, as a JSON schema."""
    kinds: dict[str, dict[str, Any]] = {
        "id": {"type": "string"},
        "landsift:scene": {"type": "string"},
        **{name: {"type": "string", "format": "date-time"} for name in NAMES if name.endswith("datetime")},
        "gsd": {"type": "number", "minimum": 0},
        "landsift:scale": {"type": "number"},
        "landsift:valid": {"type": "number", "minimum": 0, "maximum": 1},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{base}{path}",
        "type": "object",
        "title": f"What Landsift {__version__} filters by",
        "properties": kinds,
        "additionalProperties": False,
    }
