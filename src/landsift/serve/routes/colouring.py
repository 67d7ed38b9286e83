"""What colours the map: how well every tile fits, as one column of numbers instead of a document each."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, File, Form, Response, UploadFile

from landsift.errors import UsageError
from landsift.gallery.listing import passing
from landsift.gallery.where import Where
from landsift.serve.asking import SearchBody
from landsift.serve.failures import DOCUMENTED
from landsift.serve.routes.finding import body_of, image_of, refusing_damaged
from landsift.serve.routes.maps import rows_key
from landsift.serve.service import Service

__all__ = ["routes"]

_KEY = "Landsift-Rows"
_TYPE = "application/octet-stream"


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(responses=DOCUMENTED, tags=["page"], default_response_class=Response)
    column: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "Little-endian float16, one a tile in the order of the footprints; NaN for tiles "
            f"that the search leaves out. The header {_KEY} equals the member rows of those footprints.",
            "content": {_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    }

    @router.post("/search/scores", responses=column)
    async def scores(body: SearchBody) -> Response:
        """The scores of all tiles of one collection."""
        return await service.workers.search(_column, service, body, None)

    @router.post("/search/image/scores", responses=column)
    async def scores_by_image(
        image: Annotated[UploadFile, File(description="PNG, JPEG, WebP or TIFF.")],
        wish: Annotated[str | None, Form(alias="request", description="A search request as JSON.")] = None,
    ) -> Response:
        """How much all tiles of one collection look like an image."""
        data = await image_of(service, image)
        with refusing_damaged():
            return await service.workers.search(_column, service, body_of(wish), data)

    return router


def _column(service: Service, body: SearchBody, upload: bytes | None) -> Response:
    seen, order = service.searcher.ranking(body, upload)
    shown = passing(seen.cache, seen.ledger, Where())
    scores = order.scores[shown]
    least = -np.inf if body.min_score is None else body.min_score
    if not len(scores):
        raise UsageError("The collection has no tiles yet; index some scenes")
    column = np.where(np.isfinite(scores) & (scores >= np.float32(least)), scores, np.nan).astype("<f2")
    return Response(column.tobytes(), media_type=_TYPE, headers={_KEY: rows_key(seen, shown)})
