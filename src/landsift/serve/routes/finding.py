"""Searching: by address, by body, by image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from pydantic import ValidationError

from landsift.errors import SceneError, UsageError
from landsift.serve import stac
from landsift.serve.asking import SearchBody
from landsift.serve.failures import DOCUMENTED
from landsift.serve.service import Service, base_of, encoded

__all__ = ["FEATURES", "answer", "body_of", "image_of", "refusing_damaged", "routes"]

FEATURES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Tiles as STAC items.", "content": {stac.GEOJSON: {"schema": {"type": "object"}}}}
}
"""What a search answers."""


async def answer(
    service: Service,
    request: Request,
    body: SearchBody,
    *,
    paging: str,
    upload: bytes | None = None,
    newer_than: dict[str, int] | None = None,
) -> Response:
    """Search in a thread, and link to the next page.

    Args:
        service, request: Of the route.
        body: What is asked.
        paging: ``GET`` or ``POST``: how the next page is asked for; anything else gives no link.
        upload, newer_than: See :meth:`Searcher.collection`.
    """
    base, address = base_of(request), request.url

    def work() -> bytes:
        found = service.searcher.collection(body, base, upload, newer_than)
        token = found.next
        links = [stac.link("root", base), stac.link("self", str(address), stac.GEOJSON)]
        if token is not None and paging == "GET":
            query = [(k, v) for k, v in request.query_params.multi_items() if k != "token"]
            href = f"{address.replace(query=urlencode([*query, ('token', token)]))}"
            links.append(stac.link("next", href, stac.GEOJSON, method="GET"))
        elif token is not None and paging == "POST":
            again = body.plain() | {"token": token}
            links.append(stac.link("next", f"{base}search", stac.GEOJSON, method="POST", body=again))
        rest = encoded(found.facts | {"links": links}).decode()
        return f'{{"type":"FeatureCollection","features":[{",".join(found.features)}],{rest[1:]}'.encode()

    return Response(await service.workers.search(work), media_type=stac.GEOJSON)


def body_of(text: str | None) -> SearchBody:
    """A request out of JSON text in a form.

    Raises:
        UsageError: It is none.
    """
    if not text:
        return SearchBody()
    try:
        return SearchBody.model_validate(json.loads(text))
    except (ValueError, RecursionError, ValidationError):
        raise UsageError("The field request holds no search request as JSON; see /docs") from None


async def image_of(service: Service, image: UploadFile) -> bytes:
    """The bytes of an image that was sent.

    Raises:
        UsageError: There are none, or too many.
    """
    data = await image.read()
    most = service.options.most_upload_bytes
    if not data or len(data) > most:
        raise UsageError(f"The image has {len(data):,} bytes; send one of 1 to {most:,}")
    return data


@contextmanager
def refusing_damaged() -> Iterator[None]:
    """A damaged image is a mistake of who sent it, not a scene that is gone."""
    try:
        yield
    except SceneError as error:
        raise UsageError(str(error)) from None


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(responses=DOCUMENTED, tags=["search"])

    @router.get("/search", responses=FEATURES)
    async def search_by_address(
        request: Request,
        q: Annotated[
            str | None, Query(max_length=2_000, description="Commas separate several texts.")
        ] = None,
        bbox: Annotated[str | None, Query(max_length=200, description="W,S,E,N")] = None,
        datetime: Annotated[str | None, Query(max_length=100)] = None,
        intersects: Annotated[str | None, Query(max_length=100_000, description="GeoJSON geometry.")] = None,
        ids: Annotated[str | None, Query(max_length=100_000, description="Between commas.")] = None,
        collections: Annotated[str | None, Query(max_length=10_000, description="Between commas.")] = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10,
        token: Annotated[str | None, Query(max_length=2_000)] = None,
        sortby: Annotated[str | None, Query(max_length=500, description="Such as -datetime,+gsd.")] = None,
        filter: Annotated[str | None, Query(max_length=20_000, description="CQL2.")] = None,
        filter_lang: Annotated[str | None, Query(alias="filter-lang", max_length=40)] = None,
        like: Annotated[str | None, Query(alias="landsift:like", max_length=20_000)] = None,
        unlike: Annotated[str | None, Query(alias="landsift:not", max_length=20_000)] = None,
        min_score: Annotated[float | None, Query(alias="landsift:min_score", allow_inf_nan=False)] = None,
        overlapping: Annotated[str, Query(alias="landsift:overlapping", max_length=40)] = "merge",
        explain: Annotated[bool, Query(alias="landsift:explain")] = False,
        probe: Annotated[str | None, Query(alias="landsift:probe", max_length=200)] = None,
    ) -> Response:
        """Find tiles; sentences with commas go into a POST."""
        values: dict[str, Any] = {
            "q": _parts(q),
            "ids": _parts(ids),
            "collections": _parts(collections),
            "sortby": _sort(sortby),
            "landsift:like": _parts(like) or [],
            "landsift:not": _parts(unlike) or [],
            "bbox": _numbers(bbox),
            "intersects": _plain(intersects),
            "datetime": datetime,
            "limit": limit,
            "token": token,
            "filter": _plain(filter) if filter_lang == "cql2-json" else filter,
            "filter-lang": filter_lang,
            "landsift:min_score": min_score,
            "landsift:overlapping": overlapping,
            "landsift:explain": explain,
            "landsift:probe": probe,
            "landsift:histogram": explain,
        }
        try:
            body = SearchBody.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "The request"
            raise UsageError(f"{name} cannot be used ({first['msg']}); see /docs") from None
        return await answer(service, request, body, paging="GET")

    @router.post("/search", responses=FEATURES)
    async def search_by_body(request: Request, body: SearchBody) -> Response:
        """Find tiles."""
        return await answer(service, request, body, paging="POST")

    @router.post("/search/image", responses=FEATURES)
    async def search_by_image(
        request: Request,
        image: Annotated[UploadFile, File(description="PNG, JPEG, WebP or TIFF.")],
        wish: Annotated[str | None, Form(alias="request", description="A search request as JSON.")] = None,
    ) -> Response:
        """Find tiles that look like an image."""
        data = await image_of(service, image)
        with refusing_damaged():
            return await answer(service, request, body_of(wish), paging="", upload=data)

    return router


def _parts(text: str | None) -> list[str] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    return [part for part in parts if part]


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"bbox takes four numbers W,S,E,N between commas, got {text[:60]!r}") from None


def _sort(text: str | None) -> list[dict[str, str]] | None:
    return (
        None
        if text is None
        else [
            {"field": part.lstrip("+-"), "direction": "desc" if part.startswith("-") else "asc"}
            for part in _parts(text) or []
        ]
    )


def _plain(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError("intersects and filters in JSON must be JSON; correct them") from None
