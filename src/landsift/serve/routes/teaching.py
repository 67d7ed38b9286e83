"""Relevance feedback: which tiles of a topic are wanted and which are not, kept in the gallery."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from landsift.errors import UsageError
from landsift.gallery import Gallery
from landsift.gallery.labels import Label, labels_from_geojson, labels_to_geojson
from landsift.gallery.places import tile_at
from landsift.gallery.probe import LEAST_LABELS
from landsift.gallery.search import as_match
from landsift.serve.archive import Archive
from landsift.serve.asking import Name, Text
from landsift.serve.failures import DOCUMENTED
from landsift.serve.routes.catalog import known_tile
from landsift.serve.routes.finding import FEATURES
from landsift.serve.service import Service, encoded
from landsift.serve.stac import GEOJSON

__all__ = ["routes"]

_MOST_IMPORTED = 20_000
_Place = tuple[float, float] | None


class Feedback(BaseModel):
    """One judgement; ``wanted`` null takes it back."""

    collection: Name
    topic: Name
    tile: Name
    wanted: bool | None


class FeedbackImport(BaseModel):
    """Labels from elsewhere: GeoJSON points with the property ``label`` of 0 or 1."""

    collection: Name
    topic: Name
    labels: dict[str, Any]


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(responses=DOCUMENTED, tags=["feedback"])
    archive, workers = service.archive, service.workers

    @router.post("/feedback")
    async def give(body: Feedback) -> Response:
        """Say that a tile is wanted or not, or take that back."""
        return _json(await workers.search(_give, archive, body))

    @router.get("/feedback")
    async def get(
        collection: Annotated[Text, Query()], topic: Annotated[str | None, Query(max_length=300)] = None
    ) -> Response:
        """The labels of a topic; without one, the topics there are."""
        gallery = archive.get(collection)
        if topic is None:
            return _json(await workers.search(_topics, gallery))
        return _json(await workers.search(_labels, gallery, topic))

    @router.get("/feedback/export", responses=FEATURES)
    async def export(collection: Annotated[Text, Query()], topic: Annotated[Text, Query()]) -> Response:
        """The labels of a topic as GeoJSON points."""
        gallery = archive.get(collection)
        document = await workers.search(lambda: labels_to_geojson(gallery.labels.of(topic)))
        headers = {"Content-Disposition": 'attachment; filename="labels.geojson"'}
        return Response(encoded(document), media_type=GEOJSON, headers=headers)

    @router.post("/feedback/import")
    async def import_(body: FeedbackImport) -> Response:
        """Add labels from GeoJSON points; each means the tile it names, or else the finest tile under it."""
        return _json(await workers.search(_import, archive, body))

    return router


def _give(archive: Archive, body: Feedback) -> dict[str, Any]:
    gallery = archive.get(body.collection)
    if body.wanted is None:
        gallery.labels.drop(body.topic, body.tile)
    else:
        match = known_tile(gallery, body.tile)
        gallery.labels.put([Label.now(body.topic, match.tile, body.wanted, match.center)])
    wanted, unwanted = gallery.labels.topics().get(body.topic, (0, 0))
    ready = min(wanted, unwanted) >= LEAST_LABELS
    return {"topic": body.topic, "wanted": wanted, "unwanted": unwanted, "probe_ready": ready}


def _topics(gallery: Gallery) -> dict[str, Any]:
    topics = gallery.labels.topics().items()
    return {"topics": [{"topic": t, "wanted": good, "unwanted": bad} for t, (good, bad) in topics]}


def _labels(gallery: Gallery, topic: str) -> dict[str, Any]:
    labels = [
        {
            "tile": label.tile,
            "wanted": label.wanted,
            "lon": label.longitude,
            "lat": label.latitude,
            "made": datetime.fromtimestamp(label.made, UTC).isoformat(timespec="seconds"),
        }
        for label in gallery.labels.of(topic)
    ]
    return {"topic": topic, "labels": labels}


def _import(archive: Archive, body: FeedbackImport) -> dict[str, Any]:
    gallery = archive.get(body.collection)
    features = body.labels.get("features")
    if isinstance(features, list) and len(features) > _MOST_IMPORTED:
        raise UsageError(f"More than {_MOST_IMPORTED} labels at once are too many; send them in parts")

    def find(name: str | None, point: _Place) -> tuple[str, _Place] | None:
        if name is not None:
            try:
                found = gallery.tile(name)
                return found.tile, found.center
            except UsageError:  # of another gallery: its place counts
                pass
        seen = gallery.snapshot()
        position = None if point is None else tile_at(seen.cache, seen.ledger, point)
        if position is None:
            return None
        item = seen.cache.items([position])[0]
        under = as_match(item, seen.ledger[item.scene])
        return under.tile, under.center

    labels, lost = labels_from_geojson(body.labels, body.topic, find)
    return {"imported": gallery.labels.put(labels) if labels else 0, "without_tile": lost}


def _json(document: Any) -> Response:
    return Response(encoded(document), media_type="application/json")
