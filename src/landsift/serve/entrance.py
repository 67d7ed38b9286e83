"""The way in for people where a server asks for its token: a form, and the cookie that remembers who came in.

Needs no script, so that it works under the strictest policy. Knows nothing of which token is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, unquote, urlencode

from starlette.responses import HTMLResponse, Response

__all__ = ["MOST_FORM_BYTES", "admit", "ask_for_token", "token_in_cookie", "token_in_form"]

MOST_FORM_BYTES = 8_000
_COOKIE = "landsift_token"
_PAGE = "/ui/"

_FORM = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Landsift: token</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #56606b; --ground: #f4f6f8; --card: #fff;
  --line: #8a949e; --act: #0b6e5f; --on-act: #fff; --wrong: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #a7b0ba; --ground: #15181c;
  --card: #1e2329; --line: #6d7782; --act: #5fd0bb; --on-act: #06231d; --wrong: #ffb4ab } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { background: var(--card); padding: 2rem; border-radius: 12px; width: min(26rem, calc(100vw - 6rem)) }
h1 { font-size: 1.3rem; margin: 0 0 .5rem } p { margin: 0 0 1.2rem; color: var(--soft) }
p[role=alert] { color: var(--wrong) } label { display: block; font-weight: 600 }
input { box-sizing: border-box; width: 100%; margin: .3rem 0 1.2rem; padding: .6rem .7rem; font: inherit;
  color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: 8px }
button { font: inherit; font-weight: 600; padding: .6rem 1.4rem; border: 0; border-radius: 8px;
  background: var(--act); color: var(--on-act); cursor: pointer }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px }
</style></head>
<body><main><h1>This server asks for a token</h1>
<p>Whoever started it with <code>landsift serve --token</code> can tell you.</p>WRONG
<form method="post"><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button type="submit">Open Landsift</button></form></main></body></html>
"""
_WRONG = '\n<p role="alert">That was not the token. Check it and try again.</p>'


def ask_for_token(*, again: bool) -> Response:
    """The form; its own address is where it sends to, so a link that was followed here is not lost."""
    text = _FORM.replace("WRONG", _WRONG if again else "")
    return HTMLResponse(text, 401, {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"})


def admit(token: str, query: str) -> Response:
    """Keep the token in a cookie that scripts cannot read, and go to the page without it in the address."""
    rest = [pair for pair in parse_qsl(query) if pair[0] != "token"]
    where = _PAGE + (f"?{urlencode(rest)}" if rest else "")
    cookie = f"{_COOKIE}={quote(token, safe='')}; Path=/; HttpOnly; SameSite=Strict"
    return Response(status_code=303, headers={"Location": where, "Set-Cookie": cookie})


def token_in_form(body: bytes) -> str:
    """The token that the form sent; empty if there is none."""
    return dict(parse_qsl(body.decode("utf-8", "replace"))).get("token", "").strip()


def token_in_cookie(headers: Mapping[str, str]) -> str | None:
    """The token that a browser brings along; None if it brings none."""
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return None
    return None if cookie is None else unquote(cookie.value)
