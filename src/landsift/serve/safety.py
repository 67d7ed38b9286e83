"""What stands between a request and the routes: who may ask, from where, how much, and what a browser may do.

Plain ASGI, outermost first: counting, headers of every answer, the Host header (against DNS rebinding), the
token, the Origin of writing requests, read-only, and the size of the body. Knows nothing of galleries.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from landsift.serve.entrance import MOST_FORM_BYTES, admit, ask_for_token, token_in_cookie, token_in_form
from landsift.serve.failures import failure
from landsift.serve.metrics import Metrics
from landsift.serve.options import ServeOptions

__all__ = ["UPLOAD_PATHS", "Gate"]

UPLOAD_PATHS = ("/search/image", "/search/image/scores", "/export/image")
_PAGE = "/ui/"
_OPEN_PATHS = ("/healthz",)
_WRITING_METHODS = ("POST", "PUT", "PATCH", "DELETE")
_READING_POSTS = ("/search", "/search/scores", "/export", *UPLOAD_PATHS)
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_FORM_BYTES = 200_000  # beside the image of an upload

_HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: blob:; worker-src 'self' blob:; "
        b"style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Gate:
    """The middleware.

    Args:
        app: What it guards.
        options: Token, host, limits.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, options: ServeOptions, metrics: Metrics) -> None:
        self._app = app
        self._options = options
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        self._metrics.began()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        try:
            await self._guarded(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.ended(scope["method"], route, status, time.perf_counter() - began)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if self._is_at_the_door(scope, headers):
            await (await self._answer_at_the_door(scope, headers, receive))(scope, receive, send)
            return
        refusal = self._refusal(scope, headers)
        if refusal is None:
            most = self._options.most_body_bytes
            if scope["path"] in UPLOAD_PATHS:
                most = self._options.most_upload_bytes + _FORM_BYTES
            body = await _whole_body(headers, receive, most)
            if body is not None:
                await self._app(scope, _replaying(body, receive), send)
                return
            refusal = failure(413, f"The request holds more than {most:,} bytes; send less.", _CLOSE)
        await refusal(scope, receive, send)

    def _is_at_the_door(self, scope: Scope, headers: Headers) -> bool:
        """Whether somebody opens the page of a server that asks for a token, and has not come in yet."""
        if self._options.token is None or scope["path"] != _PAGE:
            return False
        known_host = self._is_known_host(headers.get("host", ""))
        if scope["method"] == "POST" or "token" in _asked(scope):
            return known_host
        wants_page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
        return known_host and wants_page and not self._has_token(headers)

    async def _answer_at_the_door(self, scope: Scope, headers: Headers, receive: Receive) -> ASGIApp:
        """Let in whoever brings the token, in the address or the form; ask the others for it."""
        given = _asked(scope).get("token")
        if scope["method"] == "POST":
            body = await _whole_body(headers, receive, MOST_FORM_BYTES)
            given = token_in_form(body or b"")
        if given and self._is_token(given):
            return admit(given, scope["query_string"].decode("latin-1"))
        return ask_for_token(again=given is not None)

    def _refusal(self, scope: Scope, headers: Headers) -> Any:
        """Why a request is not answered; None if it is."""
        if not self._is_known_host(headers.get("host", "")):
            return failure(403, "The server goes by another name; ask for it by its address.")
        needs_token = self._options.token is not None and scope["path"] not in _OPEN_PATHS
        if needs_token and not self._has_token(headers):
            return failure(
                401,
                "The server asks for its token: send Authorization: Bearer TOKEN, or open /ui/ in a browser.",
                {"WWW-Authenticate": "Bearer"},
            )
        if scope["method"] in _WRITING_METHODS:
            if not _is_same_origin(headers):
                return failure(403, "Another site's page sent this; use the page of this server.")
            if self._options.read_only and scope["path"] not in _READING_POSTS and not _is_run(scope["path"]):
                return failure(403, "The server is read-only; start it without --read-only to write.")
        return None

    def _is_known_host(self, host: str) -> bool:
        """Whether this is a name the server goes by.

        A page of another site can make its own name mean this address, and then read what it gets as its own.
        It cannot bring the token, so a server that asks for one may go by any name.
        """
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        own = self._options.host
        known = {*_LOOPBACK_NAMES, own, f"[{own}]"}
        return name.lower() in known or (self._options.token is not None and not self._options.is_loopback)

    def _has_token(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(given.strip()):
            return True
        kept = token_in_cookie(headers)
        return kept is not None and self._is_token(kept)

    def _is_token(self, given: str) -> bool:
        """Compare in a time that tells nothing of where two texts differ."""
        assert self._options.token is not None
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._options.token.encode())


_CLOSE = {"Connection": "close"}


def _asked(scope: Scope) -> dict[str, str]:
    """The parameters in the address."""
    return dict(parse_qsl(scope["query_string"].decode("latin-1")))


def _is_run(path: str) -> bool:
    """Whether this runs a saved search, which only reads."""
    return path.startswith("/queries/") and path.endswith("/run")


def _is_same_origin(headers: Headers) -> bool:
    """Whether a browser sent this for a page of this server; programs send no such headers."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")


async def _whole_body(headers: Headers, receive: Receive, most: int) -> bytes | None:
    """The body; None as soon as it is longer than allowed."""
    declared = headers.get("content-length", "0")
    if not declared.isdigit() or int(declared[:20]) > most:
        return None
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        part = message.get("body", b"")
        length += len(part)
        if length > most:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read already, then whatever comes."""
    given = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
