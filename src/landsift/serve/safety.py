"""What stands between a request and the routes: who may ask, from where, how much, and what a browser may do.

Plain ASGI, outermost first: counting, headers of every answer, the Host header (against DNS rebinding), the
token, the Origin of writing requests, read-only, and the size of the body. Knows nothing of galleries.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from landsift.serve.failures import failure
from landsift.serve.metrics import Metrics
from landsift.serve.options import ServeOptions

__all__ = ["COOKIE", "UPLOAD_PATH", "Gate"]

COOKIE = "landsift_token"
UPLOAD_PATH = "/search/image"
_PAGE = "/ui/"
_OPEN_PATHS = ("/healthz",)
_WRITING_METHODS = ("POST", "PUT", "PATCH", "DELETE")
_READING_POSTS = ("/search", UPLOAD_PATH, "/export")
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
        refusal = self._refusal(scope, headers)
        if refusal is None:
            most = self._options.most_body_bytes
            if scope["path"] == UPLOAD_PATH:
                most = self._options.most_upload_bytes + _FORM_BYTES
            body = await _whole_body(headers, receive, most)
            if body is not None:
                await self._app(scope, _replaying(body, receive), send)
                return
            refusal = failure(413, f"The request holds more than {most:,} bytes; send less.", _CLOSE)
        await refusal(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Any:
        """Why a request is not answered; None if it is."""
        if not self._is_known_host(headers.get("host", "")):
            return failure(403, "The server goes by another name; ask for it by its address.")
        if self._options.token is not None and scope["path"] not in _OPEN_PATHS:
            given = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token")
            if scope["path"] == _PAGE and scope["method"] == "GET" and given is not None:
                return self._enter(scope, given)
            if not self._has_token(headers):
                return failure(
                    401,
                    "The server asks for its token: send Authorization: Bearer TOKEN, or open /ui/?token=T.",
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
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and self._is_token(unquote(cookie.value))

    def _is_token(self, given: str) -> bool:
        """Compare in a time that tells nothing of where two texts differ."""
        assert self._options.token is not None
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._options.token.encode())

    def _enter(self, scope: Scope, given: str) -> Any:
        """Keep the token in a cookie that scripts cannot read, and take it out of the address."""
        if not self._is_token(given):
            return failure(401, "This is not the token; copy the address that landsift serve printed.")
        rest = [pair for pair in parse_qsl(scope["query_string"].decode("latin-1")) if pair[0] != "token"]
        where = _PAGE + (f"?{urlencode(rest)}" if rest else "")
        cookie = f"{COOKIE}={quote(given, safe='')}; Path=/; HttpOnly; SameSite=Strict"
        return failure(303, "The token is kept.", {"Location": where, "Set-Cookie": cookie})


_CLOSE = {"Connection": "close"}


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
