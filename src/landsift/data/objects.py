"""Which captions name things that cover few pixels of a scene: planes, ships, cars, tanks, courts.

What a caption set has no boxes for, its words tell: a caption that names such a thing cannot be answered
without seeing it. Knows words only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from landsift.captions import normalise_caption

__all__ = ["SMALL_THINGS", "names_small", "things_in"]

_NAMES = {
    "plane": "plane planes airplane airplanes aeroplane aeroplanes aircraft aircrafts",
    "ship": "ship ships boat boats yacht yachts vessel vessels",
    "car": "car cars vehicle vehicles truck trucks bus buses",
    "tank": "tank tanks",
    "court": "court courts",
}
SMALL_THINGS: Mapping[str, frozenset[str]] = {
    thing: frozenset(names.split()) for thing, names in _NAMES.items()
}
"""Thing -> the words of captions that name it."""


def things_in(caption: str) -> tuple[str, ...]:
    """The small things that a caption names, in the order of the table."""
    words = set(normalise_caption(caption).split())
    return tuple(thing for thing, names in SMALL_THINGS.items() if words & names)


def names_small(captions: Sequence[str]) -> NDArray[np.bool_]:
    """Which captions name a small thing: ``(M,)``."""
    return np.array([bool(things_in(caption)) for caption in captions], np.bool_)
