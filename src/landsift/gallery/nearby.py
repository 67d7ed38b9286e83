"""A prior of place: ``score += weight * <location(place asked for), location(middle of the tile)>``.

A location encoder says how alike two places of the Earth are: by distance, and by what the photographs it
learned from show there. Places are rounded to a thousandth of a degree, 111 m at most, and each is encoded
once; the vectors are kept beside the search cache and can be deleted at any time. Works on the cache;
location encoders, which need torch, are imported when a place is first asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landsift.errors import DiskFull, UsageError, need
from landsift.files import write_whole
from landsift.gallery.cache import Cache
from landsift.gallery.scoring import Scorer
from landsift.gallery.search import Order
from landsift.gallery.store import SceneRow
from landsift.gallery.where import Where
from landsift.types import FloatArray

if TYPE_CHECKING:
    from landsift.models.location import LocationEncoder

__all__ = ["NEAR_WEIGHT", "Near", "Nearby"]

NEAR_WEIGHT = 0.1
"""By default the prior moves a score by less than what tells a good match from a bad one."""

_STEPS = 1000  # to a degree
_TURN = 360 * _STEPS
_WORTH_KEEPING = 256  # new places, below which encoding them again costs less than writing a file
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Near:
    """A place to prefer.

    Attributes:
        longitude, latitude: In degrees.
        weight: What the inner product of two places is multiplied by; negative prefers unlike places.
        encoder: Location encoder, as :func:`landsift.models.location.load_location_encoder` takes it.

    Raises:
        UsageError: No such place, or a weight that is not finite.
    """

    longitude: float
    latitude: float
    weight: float = NEAR_WEIGHT
    encoder: str = "geoclip"

    def __post_init__(self) -> None:
        if not (-360 <= self.longitude <= 360 and -90 <= self.latitude <= 90):
            raise UsageError(
                f"near takes a longitude and a latitude in degrees, got {self.longitude}, {self.latitude}; "
                f"longitude comes first"
            )
        if not np.isfinite(self.weight):
            raise UsageError(f"The weight of near is a number such as {NEAR_WEIGHT}, got {self.weight}")

    @classmethod
    def of(cls, value: Near | tuple[float, float]) -> Near:
        """A place given as itself or as longitude and latitude."""
        if isinstance(value, Near):
            return value
        try:
            longitude, latitude = map(float, value)
        except (TypeError, ValueError):
            raise UsageError(f"near takes (longitude, latitude), got {value!r}; give two numbers") from None
        return cls(longitude, latitude)


class Nearby:
    """What a gallery knows of places: the encoders it has loaded, and the vectors of its tiles' middles.

    Args:
        folder: Of the gallery.
        writable: Whether vectors may be kept there.
    """

    def __init__(self, folder: Path, writable: bool) -> None:
        self._folder, self._writable = folder, writable
        self._encoders: dict[str, LocationEncoder] = {}
        self._known: dict[str, NDArray[Any]] = {}

    def order(
        self,
        cache: Cache,
        ledger: Mapping[int, SceneRow],
        query: FloatArray,
        where: Where,
        near: Near | tuple[float, float],
        scorer: Scorer,
    ) -> Order:
        """The ranking of all tiles that pass the filters, with the prior in every score.

        Raises:
            UsageError: No such place.
            MissingDependency: Torch, or the package with the weights, is not installed.
            EncoderError: The location encoder cannot be read.
        """
        near = Near.of(near)
        prior, placeless = self._prior(cache, near)
        lost = int(np.count_nonzero(placeless & cache.alive))
        note = f"{lost} tiles without coordinates have no place to compare and keep their score."
        order = Order.of(cache, ledger, query, where, scorer)
        return order.shifted(prior, (note,) if lost else ())

    def _prior(self, cache: Cache, near: Near) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """What is added to the score of every row, and which rows have no place: 0 there."""
        encoder = self._encoder(near.encoder)
        asked = encoder.encode([(near.longitude, near.latitude)])[0]
        middles = np.asarray(cache.outlines.corners).mean(axis=1)
        placed = np.flatnonzero(~np.isnan(middles[:, 0]))
        different, which = np.unique(_keys(middles[placed]), return_inverse=True)
        rows = self._vectors(encoder, different)
        likeness = np.empty(len(different), np.float32)
        for first in range(0, len(different), _ROWS_AT_ONCE):
            part = rows[first : first + _ROWS_AT_ONCE]["vector"].astype(np.float32)
            likeness[first : first + _ROWS_AT_ONCE] = part @ asked
        prior = np.zeros(len(middles), np.float32)
        prior[placed] = np.float32(near.weight) * likeness[which]
        return prior, np.isnan(middles[:, 0])

    def _encoder(self, name: str) -> LocationEncoder:
        if name not in self._encoders:
            need("torch", extra="torch")
            from landsift.models.location import load_location_encoder

            self._encoders[name] = load_location_encoder(name)
        return self._encoders[name]

    def _vectors(self, encoder: LocationEncoder, keys: NDArray[np.int64]) -> NDArray[Any]:
        """The vectors of places by key, those that are new encoded now."""
        known = self._kept(encoder)
        at = np.searchsorted(known["key"], keys)
        inside = at < len(known)
        there = np.zeros(len(keys), bool)
        there[inside] = known["key"][at[inside]] == keys[inside]
        fresh = keys[~there]
        if len(fresh):
            new = np.empty(len(fresh), known.dtype)
            new["key"], new["vector"] = fresh, encoder.encode(_places(fresh))
            known = np.concatenate([known, new])
            known = known[np.argsort(known["key"])]
            self._known[encoder.key] = known
            if len(fresh) >= _WORTH_KEEPING:
                self._keep(encoder, known)
        return known[np.searchsorted(known["key"], keys)]

    def _path(self, encoder: LocationEncoder) -> Path:
        return self._folder / f"places-{encoder.name}-{encoder.key[:16]}.npy"

    def _kept(self, encoder: LocationEncoder) -> NDArray[Any]:
        kind = np.dtype([("key", "<i8"), ("vector", "<f2", (encoder.dim,))])
        if encoder.key not in self._known:
            found = np.empty(0, kind)
            with suppress(OSError, ValueError):  # absent or cut short: encoded anew
                on_disk = np.load(self._path(encoder), mmap_mode="r")
                found = on_disk if on_disk.dtype == kind else found
            self._known[encoder.key] = found
        return self._known[encoder.key]

    def _keep(self, encoder: LocationEncoder, known: NDArray[Any]) -> None:
        def write(partial: Path) -> None:
            with partial.open("wb") as file:
                np.save(file, known)

        if self._writable:
            with suppress(OSError, DiskFull):  # what is not kept is encoded again
                write_whole(self._path(encoder), write)


def _keys(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places rounded to steps, each as one number."""
    east = np.rint((places[:, 0] + 180) % 360 * _STEPS).astype(np.int64) % _TURN
    return east + _TURN * np.rint((places[:, 1] + 90) * _STEPS).astype(np.int64)


def _places(keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """The places of keys, ``(n, 2)`` longitude and latitude."""
    return np.stack([keys % _TURN / _STEPS - 180, keys // _TURN / _STEPS - 90], axis=1)
