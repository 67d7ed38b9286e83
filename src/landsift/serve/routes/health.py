"""For those who look after the server: is it alive, what has it done, what can it be asked."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Response

from landsift import __version__
from landsift.serve.failures import DOCUMENTED
from landsift.serve.metrics import metrics_text
from landsift.serve.service import Service, encoded

__all__ = ["routes"]

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1b1f24; background: #fff }
code { background: #eef1f4; padding: .1em .3em; border-radius: 3px }
h3 { margin: 1.6rem 0 .2rem; font: 600 1rem ui-monospace, monospace }
table { border-collapse: collapse; width: 100% } td { padding: .2rem .6rem .2rem 0; vertical-align: top }
@media (prefers-color-scheme: dark) { body { color: #e6e9ed; background: #15181c }
       code { background: #262b31 } }
"""


def routes(service: Service, app: FastAPI) -> APIRouter:
    """The routes."""
    router = APIRouter(responses=DOCUMENTED, tags=["server"])

    @router.get("/healthz")
    async def health() -> Response:
        """Whether the server is alive."""
        return Response(encoded({"status": "ok", "version": __version__}), media_type="application/json")

    text: dict[int | str, dict[str, Any]] = {
        200: {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    }

    @router.get("/metrics", responses=text, response_class=Response)
    async def metrics() -> Response:
        """Counters for Prometheus."""

        def work() -> str:
            tiles = {id_: float(gallery.snapshot().cache.alive.sum()) for id_, gallery in service.archive}
            return metrics_text(service.counts_of_all(), {"tiles": tiles})

        return Response(await service.workers.search(work), media_type="text/plain; version=0.0.4")

    html: dict[int | str, dict[str, Any]] = {
        200: {"description": "A page.", "content": {"text/html": {"schema": {"type": "string"}}}}
    }

    @router.get("/docs", responses=html, response_class=Response)
    async def docs() -> Response:
        """What can be asked, as a page that needs no script and nothing from elsewhere."""
        return Response(_page(app.openapi()), media_type="text/html")

    return router


def _page(schema: dict[str, Any]) -> str:
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Landsift API</title>",
        f"<style>{_STYLE}</style>",
        "<h1>Landsift API</h1>",
        f"<p>{escape(schema['info'].get('description', ''))} The same for machines: ",
        '<a href="/openapi.json">openapi.json</a>.</p>',
    ]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts += _operation(path, method, operation)
    for name, model in schema.get("components", {}).get("schemas", {}).items():
        parts += _model(name, model)
    return "".join(parts)


def _operation(path: str, method: str, operation: dict[str, Any]) -> list[str]:
    rows = [
        f"<tr><td><code>{escape(p['name'])}</code><td>{escape(p.get('description', ''))}"
        for p in operation.get("parameters", ())
    ]
    body = next(iter(operation.get("requestBody", {}).get("content", {}).items()), None)
    if body is not None:
        model = body[1]["schema"].get("$ref", "").rpartition("/")[2]
        rows.append(f'<tr><td>body<td>{escape(body[0])} <a href="#{escape(model)}">{escape(model)}</a>')
    what = escape(operation.get("description", operation.get("summary", "")))
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    return [f"<h3>{method.upper()} {escape(path)}</h3><p>{what}</p>{table}"]


def _model(name: str, model: dict[str, Any]) -> list[str]:
    rows = [
        f"<tr><td><code>{escape(field)}</code><td>{escape(str(facts.get('type', '')))}"
        f"<td>{escape(facts.get('description', ''))}"
        for field, facts in model.get("properties", {}).items()
    ]
    title = f'<h3 id="{escape(name)}">{escape(name)}</h3>'
    return [f"{title}<p>{escape(model.get('description', ''))}</p><table>{''.join(rows)}</table>"]
