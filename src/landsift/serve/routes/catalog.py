"""The STAC catalog: landing page, conformance, collections, items."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from landsift.errors import UsageError
from landsift.gallery import Gallery, Match
from landsift.serve import stac
from landsift.serve.asking import SearchBody
from landsift.serve.failures import DOCUMENTED, NotFound
from landsift.serve.routes.finding import answer
from landsift.serve.service import Service, base_of, encoded

__all__ = ["known_tile", "routes"]

_SCHEMA_TYPE = "application/schema+json"


def _promised(type_: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": "As the standard says.", "content": {type_: {"schema": {"type": "object"}}}}}


def known_tile(gallery: Gallery, tile: str) -> Match:
    """A tile by its id.

    Raises:
        NotFound: There is none.
    """
    try:
        return gallery.tile(tile)
    except UsageError as error:
        raise NotFound(str(error)) from None


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(responses=DOCUMENTED, tags=["catalog"])
    archive, workers = service.archive, service.workers

    def described(base: str, id_: str) -> dict[str, Any]:
        gallery = archive.get(id_)
        key = ("facts", id_, gallery.snapshot().version)
        facts = service.kept.get(key)
        if facts is None:
            facts = gallery.info()
            service.kept.keep(key, facts, 2_000)
        return stac.collection(base, id_, gallery, facts)

    @router.get("/", summary="Landing page", responses={303: {"description": "To the page."}})
    async def landing(request: Request) -> Response:
        """The catalog; browsers are sent to the page."""
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/ui/", 303)
        return _json(stac.landing(base_of(request), [id_ for id_, _ in archive]))

    @router.get("/conformance")
    async def conformance() -> Response:
        """The standards this keeps to."""
        return _json({"conformsTo": list(stac.CONFORMANCE)})

    @router.get("/collections")
    async def collections(request: Request) -> Response:
        """All galleries."""
        base = base_of(request)

        def work() -> bytes:
            found = [described(base, id_) for id_, _ in archive]
            links = [stac.link("self", f"{base}collections"), stac.link("root", base)]
            return encoded({"collections": found, "links": links})

        return Response(await workers.search(work), media_type="application/json")

    @router.get("/queryables", responses=_promised(_SCHEMA_TYPE))
    async def queryables(request: Request) -> Response:
        """What a filter may speak of."""
        return _json(stac.queryables(base_of(request), "queryables"), _SCHEMA_TYPE)

    @router.get("/collections/{collection}")
    async def collection(request: Request, collection: str) -> Response:
        """One gallery."""
        base = base_of(request)
        return _json(await workers.search(described, base, collection))

    @router.get("/collections/{collection}/queryables", responses=_promised(_SCHEMA_TYPE))
    async def queryables_of(request: Request, collection: str) -> Response:
        """What a filter may speak of."""
        archive.get(collection)
        return _json(stac.queryables(base_of(request), f"collections/{collection}/queryables"), _SCHEMA_TYPE)

    @router.get("/collections/{collection}/encoder")
    async def encoder(collection: str) -> Response:
        """The card of the encoder that made the vectors."""
        return _json(asdict(archive.get(collection).card))

    @router.get("/collections/{collection}/scenes")
    async def scenes(collection: str) -> Response:
        """The scenes, with their state and place."""
        gallery = archive.get(collection)
        return Response(
            await workers.search(lambda: encoded({"scenes": gallery.scenes()})), media_type="application/json"
        )

    @router.get("/collections/{collection}/items", responses=_promised(stac.GEOJSON))
    async def items(
        request: Request,
        collection: str,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10,
        bbox: Annotated[str | None, Query(max_length=200)] = None,
        datetime: Annotated[str | None, Query(max_length=100)] = None,
        token: Annotated[str | None, Query(max_length=2_000)] = None,
    ) -> Response:
        """The tiles of one gallery."""
        archive.get(collection)
        body = from_query(
            collections=[collection], limit=limit, bbox=bbox, datetime=datetime, token=token, histogram=False
        )
        return await answer(service, request, body, paging="GET")

    @router.get("/collections/{collection}/items/{tile}", responses=_promised(stac.GEOJSON))
    async def item(request: Request, collection: str, tile: str) -> Response:
        """One tile."""
        base, gallery = base_of(request), archive.get(collection)
        match = await workers.search(known_tile, gallery, tile)
        return _json(stac.items(base, collection, [match])[0], stac.GEOJSON)

    return router


def from_query(*, bbox: str | None, **values: Any) -> SearchBody:
    """A request out of the parameters of an address.

    Raises:
        UsageError: The box is none.
    """
    box = None
    if bbox is not None:
        try:
            box = [float(part) for part in bbox.split(",")]
        except ValueError:
            raise UsageError(f"bbox takes four numbers W,S,E,N between commas, got {bbox[:60]!r}") from None
        if len(box) not in (4, 6):
            raise UsageError(f"bbox takes four numbers W,S,E,N, got {len(box)}; correct it")
    return SearchBody(bbox=box, **values)


def _json(document: Any, type_: str = "application/json") -> Response:
    return Response(encoded(document), media_type=type_)
