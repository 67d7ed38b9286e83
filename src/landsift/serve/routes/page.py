"""The page: files that came with the package, read once when the server starts.

What a client asks for is looked up in a table and never becomes a path.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from landsift.serve.failures import NotFound

__all__ = ["PAGE", "routes"]

PAGE = Path(__file__).parents[1] / "page"
"""The built page."""

_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_ABSENT = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>Landsift</title>"
    b"<p>This installation came without the page. The API is described at <a href=/docs>/docs</a>.</p>"
)
_HASHED_FOLDER = "assets/"


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    type: str
    headers: dict[str, str]


def routes(folder: Path = PAGE) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)
    files = _read(folder)

    @router.get("/ui")
    async def without_slash() -> Response:
        return RedirectResponse("/ui/", 308)

    @router.get("/favicon.ico")
    async def icon() -> Response:
        return RedirectResponse("/ui/icon.svg", 308)

    @router.get("/ui/{name:path}")
    async def file(request: Request, name: str) -> Response:
        found = files.get(name or "index.html")
        if found is None:
            raise NotFound("The page has no such part; open /ui/")
        if found.headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=found.headers)
        return Response(found.data, media_type=found.type, headers=found.headers)

    return router


def _read(folder: Path) -> dict[str, _File]:
    """Every file of the page by its name below the folder."""
    files = {"index.html": _file("index.html", _ABSENT)}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            files[name] = _file(name, path.read_bytes())
    return files


def _file(name: str, data: bytes) -> _File:
    # Names in the folder of built parts change with their content; the others are asked for each time.
    keeping = "public, max-age=31536000, immutable" if name.startswith(_HASHED_FOLDER) else "no-cache"
    headers = {"Cache-Control": keeping, "ETag": f'"{hashlib.sha256(data).hexdigest()[:24]}"'}
    return _File(data, _TYPES.get(Path(name).suffix, "application/octet-stream"), headers)
