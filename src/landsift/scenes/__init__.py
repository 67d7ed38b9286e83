"""Scenes: rasters found, opened, understood and cut into tiles.

The only room that knows rasterio and GDAL. It knows nothing of encoders, vectors or galleries. Names load
on first use, so that planning and listing sources need no GDAL.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "BandChoice": "spectra",
    "ReadBlock": "tiling",
    "Scene": "raster",
    "SceneProfile": "profile",
    "SceneSource": "sources",
    "TilePlan": "tiling",
    "TilingOptions": "tiling",
    "VIEW_SHARES": "views",
    "check_size": "uploads",
    "content_hash": "sources",
    "crops_of": "views",
    "cut_window": "chips",
    "draw_square": "webmap",
    "find_sources": "finding",
    "image_suffix": "uploads",
    "keep_environment": "gdal",
    "open_scene": "raster",
    "region_outlines": "heat",
    "write_heat": "heat",
    "plan": "tiling",
    "stat_signature": "sources",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"landsift.scenes.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'landsift.scenes' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from landsift.scenes.chips import cut_window as cut_window
    from landsift.scenes.finding import find_sources as find_sources
    from landsift.scenes.gdal import keep_environment as keep_environment
    from landsift.scenes.heat import region_outlines as region_outlines
    from landsift.scenes.heat import write_heat as write_heat
    from landsift.scenes.profile import SceneProfile as SceneProfile
    from landsift.scenes.raster import Scene as Scene
    from landsift.scenes.raster import open_scene as open_scene
    from landsift.scenes.sources import SceneSource as SceneSource
    from landsift.scenes.sources import content_hash as content_hash
    from landsift.scenes.sources import stat_signature as stat_signature
    from landsift.scenes.spectra import BandChoice as BandChoice
    from landsift.scenes.tiling import ReadBlock as ReadBlock
    from landsift.scenes.tiling import TilePlan as TilePlan
    from landsift.scenes.tiling import TilingOptions as TilingOptions
    from landsift.scenes.tiling import plan as plan
    from landsift.scenes.uploads import check_size as check_size
    from landsift.scenes.uploads import image_suffix as image_suffix
    from landsift.scenes.views import VIEW_SHARES as VIEW_SHARES
    from landsift.scenes.views import crops_of as crops_of
    from landsift.scenes.webmap import draw_square as draw_square
