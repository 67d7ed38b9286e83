"""Pixels: thumbnails, chips cut from the originals, and the scenes as squares of a web map."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from PIL import Image

from landsift.errors import UsageError
from landsift.gallery import Gallery
from landsift.serve.failures import DOCUMENTED, NotFound
from landsift.serve.routes.catalog import known_tile
from landsift.serve.service import Service

__all__ = ["routes"]

_FRESH = "private, max-age=300"
_JPEG_QUALITY = 85


def _content(*types: str) -> dict[int | str, dict[str, Any]]:
    content = {type_: {"schema": {"type": "string", "format": "binary"}} for type_ in types}
    return {
        200: {"description": "The picture.", "content": content},
        304: {"description": "It is as it was."},
    }


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(responses=DOCUMENTED, tags=["pictures"], default_response_class=Response)
    archive, workers, kept = service.archive, service.workers, service.kept

    async def picture(
        request: Request, gallery: Gallery, name: tuple[Any, ...], type_: str, draw: Callable[[], bytes]
    ) -> Response:
        """A picture that is kept for a while, here and in the browser."""

        def work() -> tuple[bytes, str]:
            key = (*name, gallery.snapshot().version)
            known = kept.get(key)
            if known is None:
                data = draw()
                known = data, f'"{hashlib.sha256(data).hexdigest()[:24]}"'
                kept.keep(key, known, len(data) + 200)
            return known

        data, tag = await workers.draw(work)
        headers = {"Cache-Control": _FRESH, "ETag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=type_, headers=headers)

    @router.get("/tiles/{collection}/{tile}/thumbnail", responses=_content("image/jpeg"))
    async def thumbnail(
        request: Request,
        collection: str,
        tile: str,
        size: Annotated[int, Query(ge=16, le=1024, description="Longer side in pixels.")] = 256,
    ) -> Response:
        """A tile as the encoder saw it."""
        gallery = archive.get(collection)

        def draw() -> bytes:
            known_tile(gallery, tile)
            out = io.BytesIO()
            Image.fromarray(gallery.read(tile, size)).save(out, "JPEG", quality=_JPEG_QUALITY)
            return out.getvalue()

        return await picture(request, gallery, ("thumbnail", collection, tile, size), "image/jpeg", draw)

    @router.get(
        "/tiles/{collection}/{tile}/chip.tif",
        responses=_content("image/tiff; application=geotiff"),
    )
    async def chip(collection: str, tile: str) -> Response:
        """A tile cut out of the original: all bands, native samples, georeferenced."""
        gallery = archive.get(collection)

        def cut() -> bytes:
            known_tile(gallery, tile)
            return gallery.cut(tile)

        data = await workers.draw(cut)
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in tile)
        headers = {"Content-Disposition": f'attachment; filename="{name}.tif"'}
        return Response(data, media_type="image/tiff; application=geotiff", headers=headers)

    @router.get("/scenes/{collection}/{scene}/{z}/{x}/{y}.png", responses=_content("image/png"))
    async def square(
        request: Request,
        collection: str,
        scene: str,
        z: Annotated[int, Path(ge=0, le=24)],
        x: Annotated[int, Path(ge=0, lt=2**24)],
        y: Annotated[int, Path(ge=0, lt=2**24)],
    ) -> Response:
        """A square of the web map that shows one scene as it was indexed."""
        gallery = archive.get(collection)

        def draw() -> bytes:
            try:
                return gallery.draw(scene, z, x, y)
            except UsageError as error:
                raise NotFound(str(error)) from None

        return await picture(request, gallery, ("square", collection, scene, z, x, y), "image/png", draw)

    return router
