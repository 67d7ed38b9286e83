"""Saved searches, and running them again on what was indexed since.

A search of several galleries is kept in each of them under one id, with how far each has been looked at.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ValidationError

from landsift.errors import GalleryReadOnly, UsageError
from landsift.gallery import Gallery
from landsift.gallery.saved import SavedQuery
from landsift.serve.archive import Archive
from landsift.serve.asking import Name, SearchBody, sort_keys, where_of
from landsift.serve.failures import DOCUMENTED, NotFound
from landsift.serve.routes.finding import FEATURES, answer
from landsift.serve.service import Service, encoded

__all__ = ["routes"]

_Id = Annotated[str, Path(max_length=40)]
_Kept = list[tuple[str, Gallery, SavedQuery]]


class NewQuery(BaseModel):
    """A search to keep."""

    name: Name
    request: SearchBody


class Run(BaseModel):
    """How to run a saved search."""

    new_only: bool = False


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(responses=DOCUMENTED, tags=["saved searches"])
    archive, workers = service.archive, service.workers

    @router.get("/queries")
    async def queries() -> Response:
        """The saved searches, and how many tiles were stored since each was last looked at."""
        return _json(await workers.search(_all, archive))

    @router.post("/queries")
    async def save(body: NewQuery) -> Response:
        """Keep a search; everything stored until now counts as seen."""
        return _json(await workers.search(_save, archive, body))

    @router.delete("/queries/{query}")
    async def forget(query: _Id) -> Response:
        """Forget a saved search."""

        def work() -> dict[str, Any]:
            for _, gallery, _ in _kept(archive, query):
                gallery.saved.drop(query)
            return {"id": query, "forgotten": True}

        return _json(await workers.search(work))

    @router.post("/queries/{query}/run", responses=FEATURES)
    async def run(request: Request, query: _Id, body: Run) -> Response:
        """Run a saved search; with ``new_only``, on tiles stored since the last such run."""
        kept = await workers.search(_kept, archive, query)
        try:
            wish = SearchBody.model_validate(kept[0][2].request)
        except ValidationError:
            raise UsageError("The saved search is of another release; save it anew") from None
        wish.collections = [id_ for id_, _, _ in kept]
        since = {id_: saved.seen for id_, _, saved in kept} if body.new_only else None
        until = await workers.search(lambda: {id_: _last_row(gallery) for id_, gallery, _ in kept})
        found = await answer(service, request, wish, paging="", newer_than=since)
        if body.new_only and not service.options.read_only:
            await workers.search(_looked, kept, until)
        return found

    return router


def _kept(archive: Archive, id_: str) -> _Kept:
    """The galleries that keep a search."""
    found = [(name, gallery, saved) for name, gallery in archive if (saved := gallery.saved.get(id_))]
    if not found:
        raise NotFound(f"There is no saved search {id_!r}; it may have been forgotten")
    return found


def _all(archive: Archive) -> dict[str, Any]:
    by_id: dict[str, _Kept] = {}
    for name, gallery in archive:
        for saved in gallery.saved.all():
            by_id.setdefault(saved.id, []).append((name, gallery, saved))
    return {"queries": [_described(kept) for kept in by_id.values()]}


def _described(kept: _Kept) -> dict[str, Any]:
    first = kept[0][2]
    return {
        "id": first.id,
        "name": first.name,
        "request": first.request,
        "collections": [name for name, _, _ in kept],
        "made": datetime.fromtimestamp(first.made, UTC).isoformat(timespec="seconds"),
        "new_tiles": sum(_tiles_after(gallery, saved.seen) for _, gallery, saved in kept),
    }


def _save(archive: Archive, body: NewQuery) -> dict[str, Any]:
    where_of(body.request)
    sort_keys(body.request.sortby)
    galleries = archive.chosen(body.request.collections)
    if not galleries:
        raise UsageError("The search names no collection; name one, or leave collections out for all")
    id_: str | None = None
    kept: _Kept = []
    for name, gallery in galleries.items():
        saved = gallery.saved.save(body.name, body.request.plain(), id_)
        id_ = saved.id
        kept.append((name, gallery, saved))
    return _described(kept)


def _last_row(gallery: Gallery) -> int:
    rows = gallery.snapshot().cache.row
    return int(rows[-1]) if len(rows) else 0


def _tiles_after(gallery: Gallery, row: int) -> int:
    cache = gallery.snapshot().cache
    return int((cache.alive & (cache.row > row)).sum())


def _looked(kept: _Kept, until: dict[str, int]) -> None:
    for name, gallery, saved in kept:
        with suppress(GalleryReadOnly):  # then the next run shows the same again
            gallery.saved.mark_seen(saved.id, max(saved.seen, until[name]))


def _json(document: Any) -> Response:
    return Response(encoded(document), media_type="application/json")
