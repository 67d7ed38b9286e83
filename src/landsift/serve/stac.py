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
from numpy.typing import NDArray

from landsift import __version__
from landsift.formats import outline_geometries
from landsift.gallery import Gallery, Match
from landsift.serve.cql import NAMES
from landsift.types import TimeSpan

__all__ = [
    "CONFORMANCE",
    "GEOJSON",
    "collection",
    "item_halves",
    "items",
    "landing",
    "link",
    "queryables",
    "rank_text",
]

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


def items(base: str, id_: str, matches: Sequence[Match]) -> list[dict[str, Any]]:
    """Tiles as STAC items, by themselves; see :func:`item_halves` for what was looked for."""
    return [json.loads(before + after) for before, after in item_halves(base, id_, matches)]


def item_halves(base: str, id_: str, matches: Sequence[Match]) -> list[tuple[str, str]]:
    """Tiles as STAC items in JSON: what comes before :func:`rank_text`, and what comes after it.

    Put together from texts, since most of an item is the same for a whole scene.

    Args:
        base: Address of the server, ending in a slash.
        id_: The gallery's id.
        matches: The tiles.
    """
    nowhere = np.full((4, 2), np.nan)
    corners = np.array([nowhere if m.corners is None else m.corners for m in matches]).reshape(-1, 4, 2)
    shapes = shapely.to_geojson(outline_geometries(corners)).tolist()
    boxes = _boxes(corners)
    return [
        _item(base, id_, match, _place(shape, box))
        for match, shape, box in zip(matches, shapes, boxes, strict=True)
    ]


def rank_text(rank: int, score: float, percentile: float, chance: float | None = None) -> str:
    """What an item says beside the tile itself, where something was looked for.

    Args:
        rank, score, percentile: As :class:`~landsift.gallery.Match` has them.
        chance: What a probe thinks of the tile.
    """
    likely = "" if chance is None else f',"landsift:probability":{round(chance, 4)}'
    return (
        f',"landsift:score":{round(score, 6)},"landsift:percentile":{round(percentile, 4)}'
        f',"landsift:rank":{rank}{likely}'
    )


def _place(shape: str | None, box: list[float]) -> str:
    return '"geometry":null' if shape is None else f'"geometry":{shape},"bbox":{box}'


def _item(base: str, id_: str, match: Match, place: str) -> tuple[str, str]:
    scene_id, _, name = match.tile.rpartition("_s")
    head, body, links, thumbnail, chip, end = _of_scene(
        base, id_, scene_id, match.scene, match.source, match.date
    )
    window, name = match.window, f"_s{name}"
    path = name.replace("+", "%2B")  # of a scale such as 1e+06; all else in it is plain
    gsd = "" if match.gsd is None else f',"gsd":{round(match.gsd, 4)}'
    return (
        f'{head}{name}",{place},"properties":{{{body}'
        f'"landsift:window":[{window.col},{window.row},{window.width},{window.height}],'
        f'"landsift:scale":{match.scale},"landsift:valid":{round(match.valid, 4)}{gsd}',
        f"}},{links}{path}{thumbnail}{path}{chip}{path}{end}",
    )


@lru_cache(maxsize=2048)
def _of_scene(
    base: str, id_: str, scene_id: str, scene: str, source: str, date: str | None
) -> tuple[str, str, str, str, str, str]:
    """What a scene's items share: the texts up to the id, in the properties, between the addresses."""
    here, tile = quote(id_), quote(scene_id)
    parent = f"{base}collections/{here}"
    fixed = {
        "type": "Feature",
        "stac_version": _STAC,
        "stac_extensions": [],
        "collection": id_,
        "id": scene_id,
    }
    properties = {
        **_dates(date),
        "landsift:scene": scene,
        "landsift:scene_id": scene_id,
        "landsift:date": date,
        "landsift:source": source,
    }
    hole = "\0"  # where the rest of a tile's name goes
    links = [
        link("self", f"{parent}/items/{tile}{hole}", GEOJSON),
        link("collection", parent),
        link("parent", parent),
        link("root", base),
    ]
    assets = {
        "thumbnail": {
            "href": f"{base}tiles/{here}/{tile}{hole}/thumbnail",
            "type": "image/jpeg",
            "roles": ["thumbnail"],
        },
        "chip": {
            "href": f"{base}tiles/{here}/{tile}{hole}/chip.tif",
            "type": "image/tiff; application=geotiff",
            "roles": ["data"],
        },
    }
    tail = _json_text({"links": links, "assets": assets})[1:].split(json.dumps(hole)[1:-1])
    return _json_text(fixed)[:-2], f"{_json_text(properties)[1:-1]},", tail[0], tail[1], tail[2], tail[3]


def _json_text(document: Any) -> str:
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def _boxes(corners: NDArray[np.float64]) -> list[list[float]]:
    """West, south, east, north of each outline; west above east across the antimeridian (RFC 7946)."""
    low, high = corners.min(axis=1), corners.max(axis=1)
    boxes = np.concatenate([low, high], axis=1)
    beyond = (high[:, 0] > 180) | (low[:, 0] < -180)
    boxes[beyond, ::2] = (boxes[beyond, ::2] + 180) % 360 - 180
    return np.round(boxes, 7).tolist()


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
