"""The quick ways of a gallery: which are wanted, what recall is measured with, where they are kept.

Ties the index room's stored ways to a gallery's store and cache folder; knows no raster.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.errors import DiskFull, EncoderError, UsageError
from landsift.gallery.store import Store
from landsift.index import FlatIndex, IndexChoice, PlannedIndex, StoredWays, best_measured
from landsift.types import Encoder, FloatArray

__all__ = ["chosen_index", "keep_choice", "measured_ways", "open_ways", "probe_texts", "texts_to_measure"]

_FOLDER = "ways"
_CHOICE = "index"
_SUBJECTS = (
    "airport runways",
    "parked airplanes",
    "a harbour with moored boats",
    "ships on the open sea",
    "a sandy beach and waves",
    "a winding river",
    "a lake between mountains",
    "snow on mountain ridges",
    "a dense forest",
    "bare desert sand",
    "green farmland in stripes",
    "round irrigated fields",
    "a meadow with few trees",
    "an orchard in rows",
    "rows of terraced houses",
    "scattered houses with gardens",
    "tall buildings downtown",
    "a large factory with chimneys",
    "white storage tanks",
    "solar panels on a field",
    "a parking lot full of cars",
    "a road junction with overpasses",
    "a bridge across water",
    "a railway station",
    "a baseball field",
    "tennis courts",
    "a stadium with a running track",
    "a golf course",
    "a swimming pool",
    "a church among houses",
    "a school with a playground",
    "a pond in a park",
    "thick white clouds",
    "burnt land after a fire",
    "a quarry or open mine",
    "a construction site",
    "a dam and its reservoir",
    "flooded fields",
    "a wastewater plant",
    "an island in blue water",
)
_SENTENCES = ("{}", "an aerial photograph that shows {}")


def probe_texts(encoder: Encoder) -> FloatArray:
    """Vectors of texts such as people search for: ``(80, dim)``."""
    return encoder.encode_texts([form.format(subject) for subject in _SUBJECTS for form in _SENTENCES])


def texts_to_measure(load: Callable[[], Encoder]) -> FloatArray:
    """The vectors of :func:`probe_texts`; none where the encoder cannot be loaded."""
    try:
        return probe_texts(load())
    except EncoderError:
        return np.empty((0, 0), np.float32)


def chosen_index(store: Store) -> IndexChoice:
    """What the gallery wants of its index; ``auto`` where nobody said what this release knows."""
    try:
        return IndexChoice(**(store.meta(_CHOICE) or {}))
    except (TypeError, UsageError):
        return IndexChoice()


def keep_choice(store: Store, choice: IndexChoice) -> None:
    """Remember what is wanted (inside a transaction)."""
    store.set_meta(_CHOICE, asdict(choice))


def measured_ways(choice: IndexChoice, ways: PlannedIndex) -> dict[str, Any]:
    """What was chosen and what each way was measured to find, as plain values.

    Of each way, answer length, and with filters or without, the smallest shortlist that reaches the floor is
    given; where none does, the one that finds most, with ``used`` False.
    """
    found = []
    for name, way in ways.ways.items():
        for filtered, k in sorted({(record.filtered, record.k) for record in way.records}):
            record = best_measured(way.records, k, filtered=filtered, floor=choice.floor)
            used = record is not None
            if record is None:
                same = [r for r in way.records if (r.filtered, r.k) == (filtered, k)]
                record = max(same, key=lambda r: r.least)
            found.append({"way": name, "used": used} | record.to_dict())
    return asdict(choice) | {"rows": len(ways), "measured": found}


def open_ways(
    store: Store,
    cache_folder: Path,
    flat: FlatIndex,
    rows: NDArray[np.int64],
    alive: NDArray[np.bool_],
    *,
    save: Callable[[], FloatArray] | None = None,
    anew: bool = False,
) -> PlannedIndex:
    """The ways to the rows of a cache.

    Args:
        store: The truth; its epoch says whether what is on disk belongs to these rows.
        cache_folder: The folder of the search cache.
        flat, rows, alive: Its columns.
        save: Gives texts to measure with; bring what is on disk up to date first. None leaves it.
        anew: Build also what is up to date.
    """
    source = {"gallery": store.meta("uuid"), "epoch": store.meta("epoch")}
    ways = StoredWays(cache_folder / _FOLDER, chosen_index(store), source)
    if save is not None:
        # Without room for them the rows are still searched exactly.
        with suppress(OSError, DiskFull):
            ways.save(flat, rows, alive, _once(save), anew=anew)
    return ways.open(flat, rows)


def _once(make: Callable[[], FloatArray]) -> Callable[[], FloatArray]:
    held: list[FloatArray] = []

    def give() -> FloatArray:
        if not held:
            held.append(make())
        return held[0]

    return give
