"""Galleries on the web: a STAC-shaped API over their searches, and the page that speaks to it.

The only room that knows FastAPI. It knows nothing of how a gallery stores, encodes or reads: every route
parses, calls a gallery, and writes JSON. Names load on first use, because the web packages are optional.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_PUBLIC = {"ServeOptions": "options", "create_app": "app", "serve": "running"}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"landsift.serve.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'landsift.serve' has no attribute {name!r}")


if TYPE_CHECKING:
    from landsift.serve.app import create_app as create_app
    from landsift.serve.options import ServeOptions as ServeOptions
    from landsift.serve.running import serve as serve
