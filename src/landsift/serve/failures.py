"""What went wrong, as a status and one sentence: the one table from errors to HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from landsift.errors import (
    DiskFull,
    GalleryBusy,
    GalleryReadOnly,
    LandsiftError,
    MissingDependency,
    SceneError,
    UsageError,
)

__all__ = ["DOCUMENTED", "Forbidden", "NotFound", "failure", "install"]


class NotFound(LandsiftError):
    """There is no such collection, tile, scene or saved search."""


class Forbidden(LandsiftError):
    """The server does not do this for anybody."""


_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotFound, 404),
    (Forbidden, 403),
    (UsageError, 400),
    (UnicodeError, 400),  # half of a surrogate pair, which JSON can hold and no text can
    (SceneError, 404),
    (GalleryReadOnly, 403),
    (GalleryBusy, 503),
    (DiskFull, 507),
    (MissingDependency, 501),
    (LandsiftError, 500),
)
"""The first row that fits counts."""

_CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "PayloadTooLarge",
    500: "InternalServerError",
    501: "NotImplemented",
    503: "ServiceUnavailable",
    507: "InsufficientStorage",
}

_SCHEMA = {
    "type": "object",
    "required": ["code", "description"],
    "properties": {"code": {"type": "string"}, "description": {"type": "string"}},
}
_MEANINGS = {
    400: "The request could never work; the description says what to change.",
    401: "The server asks for its token.",
    403: "The server does not do this.",
    404: "There is nothing of that name.",
    413: "The request is larger than the server takes.",
}
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/json": {"schema": _SCHEMA}}}
    for status, text in _MEANINGS.items()
}
"""Answers that every route may give."""


def failure(status: int, description: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as STAC APIs give it."""
    body = {"code": _CODES.get(status, "Error"), "description": description}
    return Response(json.dumps(body), status, dict(headers or {}), "application/json")


def install(app: FastAPI) -> None:
    """Answer every error of an app by the table."""

    async def ours(request: Request, error: Exception) -> Response:
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        sentence = "A text holds half a character; send whole ones." if status == 400 else str(error)
        return failure(status, sentence if isinstance(error, UnicodeError) else str(error))

    async def unreadable(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return failure(400, _in_a_sentence(error))

    async def web(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return failure(error.status_code, f"{str(error.detail).rstrip('.')}.", error.headers)

    for kind in (LandsiftError, UnicodeError):
        app.add_exception_handler(kind, ours)
    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_exception_handler(HTTPException, web)


def _in_a_sentence(error: RequestValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    what = str(first["msg"])
    what = what[:1].lower() + what[1:]
    where = f"{place[:80]} is not as it should be" if place else "The request cannot be read"
    return f"{where}: {what}; see /docs."
