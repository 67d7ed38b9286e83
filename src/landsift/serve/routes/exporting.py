"""The matches of a search as a file for a GIS."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from landsift.gallery import SearchResult
from landsift.serve.asking import Page, SearchBody
from landsift.serve.failures import DOCUMENTED
from landsift.serve.service import Service

__all__ = ["routes"]

_TYPES = {
    "geojson": "application/geo+json",
    "gpkg": "application/geopackage+sqlite3",
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
}


class Export(BaseModel):
    """What to write, and how."""

    format: Literal["geojson", "gpkg", "parquet", "csv"]
    request: SearchBody


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(responses=DOCUMENTED, tags=["export"], default_response_class=Response)
    binary = {"schema": {"type": "string", "format": "binary"}}
    written = dict.fromkeys(_TYPES.values(), binary) | {_TYPES["geojson"]: {"schema": {"type": "object"}}}
    content: dict[int | str, dict[str, Any]] = {200: {"description": "The file.", "content": written}}

    @router.post("/export", responses=content)
    async def export(body: Export) -> Response:
        """The matches of a search as GeoJSON, GeoPackage, GeoParquet or CSV."""
        data = await service.workers.search(_written, service, body)
        headers = {"Content-Disposition": f'attachment; filename="landsift.{body.format}"'}
        return Response(data, media_type=_TYPES[body.format], headers=headers)

    return router


def _written(service: Service, body: Export) -> bytes:
    wish = body.request
    limit = min(wish.limit, service.options.most_matches)
    answers, _, _ = service.searcher.answers(wish, Page.read(wish.token), limit)
    examples = [*(f"like {name}" for name in wish.like), *(f"not {item}" for item in wish.unlike)]
    words = ", ".join([*wish.texts, *examples])
    pairs = service.searcher.merged(answers, wish, Page.read(wish.token).skip, limit)
    matches = tuple(match for _, match in pairs)
    result = SearchResult(matches, words, len(matches), len(matches), 0.0)
    with TemporaryDirectory(prefix="landsift-export-") as folder:
        path = Path(folder) / f"landsift.{body.format}"
        result.save(path)
        return path.read_bytes()
