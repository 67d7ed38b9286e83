"""Landsift: search satellite and aerial imagery in words.

The public names load on first use, so ``import landsift`` stays light: no torch, onnxruntime, rasterio or
faiss until something needs them.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# Nothing leaves the machine of who searches. ONNX Runtime would report sessions and models to its makers, and
# reads this once, when it is imported. Whoever wants the reports sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

_PUBLIC = {
    "Gallery": "landsift.gallery",
    "SearchResult": "landsift.gallery",
    "Match": "landsift.gallery",
    "open_scene": "landsift.scenes",
    "Scene": "landsift.scenes",
    "load_encoder": "landsift.encoders",
    "list_encoders": "landsift.encoders",
    "Encoder": "landsift.types",
    "EncoderCard": "landsift.types",
    "RetrievalSet": "landsift.types",
    "Tile": "landsift.types",
    "TimeSpan": "landsift.types",
    "Window": "landsift.types",
    "LandsiftError": "landsift.errors",
    "LandsiftWarning": "landsift.errors",
}

__all__ = [*sorted(_PUBLIC), "__version__"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'landsift' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from landsift.encoders import list_encoders as list_encoders
    from landsift.encoders import load_encoder as load_encoder
    from landsift.errors import LandsiftError as LandsiftError
    from landsift.errors import LandsiftWarning as LandsiftWarning
    from landsift.gallery import Gallery as Gallery
    from landsift.gallery import Match as Match
    from landsift.gallery import SearchResult as SearchResult
    from landsift.scenes import Scene as Scene
    from landsift.scenes import open_scene as open_scene
    from landsift.types import Encoder as Encoder
    from landsift.types import EncoderCard as EncoderCard
    from landsift.types import RetrievalSet as RetrievalSet
    from landsift.types import Tile as Tile
    from landsift.types import TimeSpan as TimeSpan
    from landsift.types import Window as Window
