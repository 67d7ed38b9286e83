"""Scenes from STAC: items, item collections, catalogs and collections, local or remote, followed down.

Knows how items name their rasters; knows nothing of what is in them.
"""

from __future__ import annotations

import json
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

import pystac

from landsift.errors import LandsiftWarning, SceneError
from landsift.scenes.sources import RASTER_SUFFIXES, SceneSource, canonical_href, is_local
from landsift.types import TimeSpan

__all__ = ["stac_sources"]

_COLOURS = ("red", "green", "blue")
_RASTER_TYPES = ("image/tiff", "image/jp2", "image/png", "image/jpeg", "image/webp", "image/vnd.stac.geotiff")
_NOT_THE_IMAGE = {"thumbnail", "overview", "metadata", "cloud", "cloud-mask", "snow-ice", "saturation"}
_FOLLOWED = ("child", "item")
_TIMEOUT_S = 60
# What reading an item that breaks the rules can end in.
_MALFORMED = (LookupError, ValueError, TypeError, AttributeError)


def stac_sources(href: str) -> Iterator[SceneSource]:
    """The scenes of a STAC document and of all it links to, in the order of its links.

    Of an item, the ``visual`` asset is taken; else its only raster with the ``data`` role (or at all);
    else its red, green and blue assets; else its first data raster.

    Args:
        href: Absolute path or URL of an Item, ItemCollection, Catalog or Collection.

    Raises:
        SceneError: The document cannot be read, or is no STAC.

    Warns:
        LandsiftWarning: An item has no raster, or a linked document cannot be read; the others go on.
    """
    return _walk(href, _load(href), {href})


def _walk(href: str, document: dict[str, Any], seen: set[str]) -> Iterator[SceneSource]:
    kind = document.get("type")
    if kind == "FeatureCollection":
        for feature in document.get("features") or []:
            yield from _item_sources(href, feature)
    elif kind == "Feature":
        yield from _item_sources(href, document)
    else:
        for link in _links(href, document):
            if link not in seen:
                seen.add(link)
                yield from _follow(link, seen)


def _follow(href: str, seen: set[str]) -> Iterator[SceneSource]:
    try:
        document = _load(href)
    except SceneError as error:
        warnings.warn(f"{error} It is skipped.", LandsiftWarning, stacklevel=2)
        return
    yield from _walk(href, document, seen)


def _load(href: str) -> dict[str, Any]:
    """Read a JSON document and see that it can be STAC."""
    try:
        document = json.loads(_read_bytes(href))
    except FileNotFoundError as error:
        raise SceneError(f"There is no file {href}; check the path or the link to it.") from error
    except (OSError, HTTPException) as error:
        raise SceneError(f"{href} cannot be read ({error}); check the address.") from error
    except ValueError as error:
        raise SceneError(f"{href} is broken JSON ({error}); fetch it again.") from error
    kind = document.get("type") if isinstance(document, dict) else None
    is_catalog = isinstance(document, dict) and "links" in document and "stac_version" in document
    if kind not in ("Feature", "FeatureCollection") and not is_catalog:
        raise SceneError(
            f"{href} is no STAC Item, ItemCollection, Catalog or Collection; name an image or one."
        )
    return document


def _read_bytes(href: str) -> bytes:
    if is_local(href):
        return Path(href).read_bytes()
    if not href.startswith(("http://", "https://")):
        raise SceneError(f"STAC is read from files and over HTTP, not from {href}; copy it, or name a URL.")
    with urllib.request.urlopen(href, timeout=_TIMEOUT_S) as answer:
        return bytes(answer.read())


def _links(href: str, document: dict[str, Any]) -> list[str]:
    """Absolute addresses of the documents below this catalog."""
    links = [link for link in document["links"] or [] if isinstance(link, dict)]
    return [
        _absolute(link["href"], href) for link in links if link.get("rel") in _FOLLOWED and "href" in link
    ]


def _absolute(target: str, base: str) -> str:
    return canonical_href(pystac.utils.make_absolute_href(target, base, start_is_dir=False))


def _item_sources(href: str, document: dict[str, Any]) -> Iterator[SceneSource]:
    """The one scene of an item; nothing, and a warning, where it has none."""
    try:
        item = pystac.Item.from_dict(document, href=href, preserve_dict=False)
        source = _item_source(href, item)
    except (*_MALFORMED, pystac.STACError, pystac.STACTypeError) as error:
        warnings.warn(
            f"A STAC item in {href} cannot be understood ({error!r}) and is skipped; correct it.",
            LandsiftWarning,
            stacklevel=2,
        )
        return
    if source is None:
        warnings.warn(
            f"STAC item {item.id} in {href} has no raster asset and is skipped; name its files instead.",
            LandsiftWarning,
            stacklevel=2,
        )
        return
    yield source


def _item_source(href: str, item: pystac.Item) -> SceneSource | None:
    date = _item_date(item)
    rasters = {key: asset for key, asset in item.assets.items() if _is_raster(asset)}
    candidates = {key: asset for key, asset in rasters.items() if not _NOT_THE_IMAGE & set(asset.roles or [])}
    visual = _visual(rasters)
    data = {key: asset for key, asset in candidates.items() if "data" in (asset.roles or [])} or candidates
    colours = _colour_assets(data)
    if visual is not None or len(data) == 1:
        asset = visual if visual is not None else next(iter(data.values()))
        return _one_asset(href, item, asset, date)
    if colours is not None:
        bands = tuple((_asset_href(href, asset), band) for asset, band in colours)
        return SceneSource(f"{href}#{item.id}", item.id, bands, date)
    several = [asset for asset in data.values() if len(_band_names(asset)) >= len(_COLOURS)]
    first = next(iter(several or data.values()), None)
    return None if first is None else _one_asset(href, item, first, date)


def _one_asset(href: str, item: pystac.Item, asset: pystac.Asset, date: TimeSpan | None) -> SceneSource:
    """A scene in one file; its bands are named where the item knows which are red, green and blue."""
    place = _asset_href(href, asset)
    names = _band_names(asset)
    bands = None
    if all(names.count(colour) == 1 for colour in _COLOURS):
        bands = tuple((place, names.index(colour) + 1) for colour in _COLOURS)
    return SceneSource(place, item.id, bands, date)


def _visual(rasters: dict[str, pystac.Asset]) -> pystac.Asset | None:
    """The asset made to be looked at, at full resolution."""
    for key, asset in rasters.items():
        roles = set(asset.roles or [])
        if key.lower() == "visual" or ("visual" in roles and not _NOT_THE_IMAGE & roles):
            return asset
    return None


def _colour_assets(data: dict[str, pystac.Asset]) -> list[tuple[pystac.Asset, int]] | None:
    """The assets, and the band in each, that hold red, green and blue."""
    found: dict[str, tuple[pystac.Asset, int]] = {}
    for key, asset in data.items():
        for number, name in enumerate(_band_names(asset) or [key.lower()], 1):
            if name in _COLOURS:
                found.setdefault(name, (asset, number))
    return [found[colour] for colour in _COLOURS] if len(found) == len(_COLOURS) else None


def _band_names(asset: pystac.Asset) -> list[str]:
    """The common names of an asset's bands, in STAC 1.1's way or in the older one of the eo extension."""
    fields = asset.extra_fields
    records: Sequence[dict[str, Any]] = fields.get("bands") or fields.get("eo:bands") or []
    return [
        str(record.get("eo:common_name") or record.get("common_name") or record.get("name") or "").lower()
        for record in records
    ]


def _is_raster(asset: pystac.Asset) -> bool:
    if (asset.media_type or "").lower().startswith(_RASTER_TYPES):
        return True
    return (
        asset.media_type is None
        and PurePosixPath(urlparse(asset.href).path).suffix.lower() in RASTER_SUFFIXES
    )


def _asset_href(href: str, asset: pystac.Asset) -> str:
    return _absolute(asset.href, href)


def _item_date(item: pystac.Item) -> TimeSpan | None:
    """The item's moment, or its start and end."""
    properties = item.properties
    moment = properties.get("datetime")
    start, end = properties.get("start_datetime"), properties.get("end_datetime")
    text = moment or (f"{start}/{end}" if start and end else None)
    return TimeSpan.parse(text) if text else None
