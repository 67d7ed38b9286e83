"""The application: all routes, the errors as answers, and the gate in front."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

from landsift import __version__
from landsift.serve.archive import Archive
from landsift.serve.failures import install
from landsift.serve.options import ServeOptions
from landsift.serve.routes import (
    catalog,
    colouring,
    exporting,
    finding,
    health,
    maps,
    page,
    pictures,
    teaching,
    watching,
)
from landsift.serve.safety import Gate
from landsift.serve.service import Service
from landsift.serve.tally import Tally

__all__ = ["create_app"]


def create_app(archive: Archive, options: ServeOptions | None = None, tally: Tally | None = None) -> ASGIApp:
    """An ASGI application that serves galleries.

    Args:
        archive: The galleries; closed when the application shuts down.
        options: Token, limits and whether it may write; the defaults are safe on this machine only.
        tally: Where the counts of other processes are, if this is one of several.
    """
    return Gate(*_parts(Service(archive, options or ServeOptions(), tally)))


def _parts(service: Service) -> tuple[FastAPI, ServeOptions, Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.close()

    app = FastAPI(
        title="Landsift",
        version=__version__,
        description="Satellite and aerial imagery, searched in words: a STAC-shaped API.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    # Searches first: routes are looked through in this order.
    for part in (finding, colouring, catalog, maps, pictures, teaching, watching, exporting):
        app.include_router(part.routes(service))
    app.include_router(health.routes(service, app))
    app.include_router(page.routes())
    install(app)
    app.openapi = lambda: _documented(app)  # type: ignore[method-assign]
    return app, service.options, service.metrics


def _documented(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, less the 422 that FastAPI promises everywhere: what cannot be read gives 400."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        for methods in schema["paths"].values():
            for operation in methods.values():
                operation["responses"].pop("422", None)
        models = schema.get("components", {}).get("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            models.pop(name, None)
        app.openapi_schema = schema
    return app.openapi_schema
