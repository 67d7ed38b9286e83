"""The matches of a search as a file for a GIS."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Response, UploadFile
from pydantic import BaseModel

from landsift.gallery import SearchResult
from landsift.serve.asking import Page, SearchBody
from landsift.serve.failures import DOCUMENTED
from landsift.serve.routes.finding import body_of, image_of, refusing_damaged
from landsift.serve.service import Service

__all__ = ["routes"]

_TYPES = {
    "geojson": "application/geo+json",
    "gpkg": "application/geopackage+sqlite3",
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
}


Format = Literal["geojson", "gpkg", "parquet", "csv"]


class Export(BaseModel):
    """What to write, and how."""

    format: Format
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
        return _file(body.format, await service.workers.search(_written, service, body, None))

    @router.post("/export/image", responses=content)
    async def export_by_image(
        image: Annotated[UploadFile, File(description="PNG, JPEG, WebP or TIFF.")],
        format: Annotated[Format, Form(description="Of the file to write.")],
        wish: Annotated[str | None, Form(alias="request", description="A search request as JSON.")] = None,
    ) -> Response:
        """The matches of a search by image as GeoJSON, GeoPackage, GeoParquet or CSV."""
        data, body = await image_of(service, image), Export(format=format, request=body_of(wish))
        with refusing_damaged():
            return _file(format, await service.workers.search(_written, service, body, data))

    return router


def _file(format_: str, data: bytes) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="landsift.{format_}"'}
    return Response(data, media_type=_TYPES[format_], headers=headers)


def _written(service: Service, body: Export, upload: bytes | None) -> bytes:
    wish = body.request
    limit = min(wish.limit, service.options.deepest_match)
    answers = service.searcher.answers(wish, Page.read(wish.token), limit, upload)
    examples = [*(f"like {name}" for name in wish.like), *(f"not {item}" for item in wish.unlike)]
    picture = [] if upload is None else ["like a picture"]
    words = ", ".join([*wish.texts, *picture, *examples])
    rows = service.searcher.merged(answers, wish, Page.read(wish.token).skip, limit)
    matches = tuple(row.match for row in rows)
    result = SearchResult(matches, words, len(matches), len(matches), 0.0)
    with TemporaryDirectory(prefix="landsift-export-") as folder:
        path = Path(folder) / f"landsift.{body.format}"
        result.save(path)
        return path.read_bytes()
