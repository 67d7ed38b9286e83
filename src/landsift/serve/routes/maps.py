"""What the page asks for beside searches: settings, footprints, dates, one place through time."""

from __future__ import annotations

from itertools import chain
from typing import Annotated, Any
from zlib import crc32

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from numpy.typing import NDArray

from landsift import __version__
from landsift.errors import UsageError
from landsift.gallery import Gallery
from landsift.gallery.cache import Snapshot
from landsift.gallery.listing import passing
from landsift.gallery.places import Footprints, footprints, same_place, tiles_by_day
from landsift.gallery.search import as_match
from landsift.gallery.store import SceneRow
from landsift.gallery.where import Where
from landsift.scenes import SceneProfile
from landsift.serve import stac
from landsift.serve.failures import DOCUMENTED
from landsift.serve.routes.catalog import known_tile
from landsift.serve.service import Service, base_of, encoded, packed, squeeze

__all__ = ["EXAMPLES", "routes", "rows_key"]

EXAMPLES = (
    "a harbour with moored boats",
    "a highway beside a forest",
    "white clouds over the sea",
    "a town by the beach",
    "an airport with parked planes",
    "storage tanks near the sea",
)
"""What the search box suggests."""

_DECIMALS = 7  # a centimetre
_TILES_AT_ONCE = 4096  # other threads run in between


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(responses=DOCUMENTED, tags=["page"])
    archive, workers, kept = service.archive, service.workers, service.kept

    @router.get("/ui-config")
    async def config() -> Response:
        """What the page must know to begin."""

        def work() -> bytes:
            document = {
                "galleries": [_summary(id_, gallery) for id_, gallery in archive],
                "read_only": service.options.read_only,
                "examples": list(EXAMPLES),
                "version": __version__,
            }
            return encoded(document)

        return Response(await workers.search(work), media_type="application/json")

    @router.get("/galleries/{collection}/footprints")
    async def outlines(
        request: Request,
        collection: str,
        scene: Annotated[str | None, Query(max_length=300, description="Name, id or pattern.")] = None,
    ) -> Response:
        """The outlines of all tiles, as columns."""
        gallery = archive.get(collection)

        def work() -> tuple[bytes, bytes | None]:
            seen = gallery.snapshot()
            key = ("footprints", collection, scene, seen.version)
            body = kept.get(key)
            if body is None:
                where = Where(scene=scene)
                rows = rows_key(seen, passing(seen.cache, seen.ledger, where))
                plain = _columns(footprints(seen.cache, seen.ledger, where), rows)
                body = plain, squeeze(plain)
                kept.keep(key, body, len(plain) + len(body[1] or b""))
            return body

        return packed(request, *await workers.search(work), "application/json")

    @router.get("/galleries/{collection}/dates")
    async def dates(collection: str) -> Response:
        """How many tiles there are of each day."""
        gallery = archive.get(collection)

        def work() -> bytes:
            seen = gallery.snapshot()
            key = ("dates", collection, seen.version)
            body = kept.get(key)
            if body is None:
                days = tiles_by_day(seen.cache, seen.ledger)
                body = encoded({"days": list(days), "tiles": list(days.values())})
                kept.keep(key, body, len(body))
            return body

        return Response(await workers.search(work), media_type="application/json")

    @router.get("/galleries/{collection}/place/{tile}")
    async def place(request: Request, collection: str, tile: str) -> Response:
        """The tiles that show the same place, by date."""
        base, gallery = base_of(request), archive.get(collection)

        def work() -> bytes:
            known_tile(gallery, tile)
            seen = gallery.snapshot()
            own = passing(seen.cache, seen.ledger, Where(ids=(tile,)))
            if not len(own):
                raise UsageError(f"The tile {tile[:100]!r} has just been removed; search again")
            positions = same_place(seen.cache, seen.ledger, int(own[0]))
            matches = [as_match(item, seen.ledger[item.scene]) for item in seen.cache.items(positions)]
            return encoded({"tiles": stac.items(base, collection, matches)})

        return Response(await workers.search(work), media_type="application/json")

    return router


def _summary(id_: str, gallery: Gallery) -> dict[str, Any]:
    facts = gallery.info()
    return {
        "id": id_,
        "title": id_.removesuffix(".gallery"),
        "tiles": facts["tiles"],
        "scenes": facts["scenes"]["done"],
        "bounds": facts["bounds"],
        "dates": facts["dates"],
        "encoder": {"name": gallery.card.name, "dim": gallery.card.dim},
    }


def rows_key(seen: Snapshot, positions: NDArray[np.integer]) -> str:
    """What tells one column of tiles from another: columns with the same key are about the same tiles."""
    return f"{crc32(seen.cache.row[positions].tobytes()):08x}"


def _columns(found: Footprints, rows: str) -> bytes:
    """The columns as JSON, written a piece at a time so that no other request waits for the whole."""
    counts = np.bincount(found.scene, minlength=len(found.scenes)).tolist()
    scenes = [_scene(row, count) for row, count in zip(found.scenes, counts, strict=True)]
    rings = np.round(found.corners, _DECIMALS).reshape(-1, 8)
    parts = [
        b'{"count":%d,"rows":"%s","ids":' % (len(found.ids), rows.encode()),
        *_pieces(found.ids),
        b',"scene":',
        *_pieces(found.scene.tolist()),
        b',"rings":',
        *_flat(rings),
        b',"gsd":',
        *_pieces([None if np.isnan(value) else round(value, 4) for value in found.gsd.tolist()]),
        b',"scenes":',
        encoded(scenes),
        b',"dates":',
        encoded([_day(row) for row in found.scenes]),
        b"}",
    ]
    return b"".join(parts)


def _pieces(values: list[Any]) -> list[bytes]:
    """A JSON list in pieces."""
    parts = [
        encoded(values[start : start + _TILES_AT_ONCE])[1:-1]
        for start in range(0, len(values), _TILES_AT_ONCE)
    ]
    return [b"[", b",".join(parts), b"]"]


def _flat(rings: np.ndarray) -> list[bytes]:
    """``(n, 8)`` numbers as one flat JSON list, null where there are none."""
    parts = []
    for start in range(0, len(rings), _TILES_AT_ONCE):
        values = chain.from_iterable(rings[start : start + _TILES_AT_ONCE].tolist())
        parts.append(encoded([None if value != value else value for value in values])[1:-1])
    return [b"[", b",".join(parts), b"]"]


def _scene(row: SceneRow, tiles: int) -> dict[str, Any]:
    profile = None if row.profile is None else SceneProfile.from_json(row.profile)
    bounds = None
    if profile is not None and profile.corners is not None:
        ring = np.asarray(profile.corners)
        bounds = np.round([*ring.min(axis=0), *ring.max(axis=0)], _DECIMALS).tolist()
    gsd = None if profile is None or profile.gsd is None else round(profile.gsd, 4)
    return {"id": row.id, "name": row.name, "date": row.date, "gsd": gsd, "bounds": bounds, "tiles": tiles}


def _day(row: SceneRow) -> str | None:
    return None if row.start is None else str(np.datetime64(int(row.start // 86_400), "D"))
