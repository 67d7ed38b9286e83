"""What a gallery and its scenes are, as plain values for people and machines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from landsift.errors import EncoderMismatch
from landsift.gallery.cache import Cache
from landsift.gallery.indexing import signature
from landsift.gallery.store import SceneRow
from landsift.scenes import SceneProfile, SceneSource
from landsift.types import Encoder, EncoderCard

__all__ = ["facts_of_scene", "facts_of_tiles", "is_gone", "same_encoder"]


def facts_of_tiles(cache: Cache, ledger: Mapping[int, SceneRow]) -> dict[str, Any]:
    """Number of scenes by state, extent and dates."""
    states = [scene.state for scene in ledger.values()]
    starts = [scene.start for scene in ledger.values() if scene.start is not None]
    stops = [scene.stop for scene in ledger.values() if scene.stop is not None]
    placed = cache.alive & np.isfinite(cache.outlines.west)
    outlines = cache.outlines
    bounds = (outlines.west, outlines.south, outlines.east, outlines.north)
    extremes = (np.min, np.min, np.max, np.max)
    return {
        "tiles_without_coordinates": int(cache.alive.sum() - placed.sum()),
        "scenes": {state: states.count(state) for state in ("done", "partial", "failed")},
        "bounds": [
            round(float(extreme(side[placed])), 6) for extreme, side in zip(extremes, bounds, strict=True)
        ]
        if placed.any()
        else None,
        "dates": [_day(min(starts)), _day(max(stops) - 1)] if starts else None,
    }


def facts_of_scene(scene: SceneRow) -> dict[str, Any]:
    """Name, state, place, date, look and source of a scene."""
    facts = {
        "name": scene.name,
        "id": scene.id,
        "state": scene.state,
        "tiles": scene.tiles,
        "skipped": scene.windows_done - scene.tiles,
        "date": scene.date,
        "error": scene.error,
        "source": scene.href,
    }
    if scene.profile is None:
        return facts
    profile = SceneProfile.from_json(scene.profile)
    return facts | {
        "gsd": profile.gsd,
        "crs": profile.crs,
        "size": [profile.width, profile.height],
        "dtype": profile.dtype,
        "bands": list(profile.bands),
        "bands_why": profile.bands_why,
        "stretch": [list(pair) for pair in profile.stretch],
    }


def is_gone(scene: SceneRow) -> bool:
    """Whether the local file of a scene is not there any more."""
    return scene.signature is not None and signature(SceneSource.from_json(scene.source)) is None


def same_encoder(encoder: Encoder, card: EncoderCard, folder: Path) -> Encoder:
    """The encoder, if it is the one that made the gallery in ``folder``.

    Raises:
        EncoderMismatch: It is another.
    """
    if encoder.card.weights_sha256 != card.weights_sha256:
        raise EncoderMismatch(
            f"The gallery {folder} was made by {_named(card)}, which is not {_named(encoder.card)}; "
            "use the first, or index into a new gallery"
        )
    return encoder


def _named(card: EncoderCard) -> str:
    return f"{card.name} ({card.weights_sha256[:8]})"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
