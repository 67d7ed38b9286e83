"""Published scores of other methods, as data, each with its source and the protocol it was measured by.

Knows ``published.toml`` only. Printed means and recomputed ones are kept apart, for they differ in places.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from landsift.data.catalog import find_dataset

__all__ = ["PUBLISHED_FLAGS", "PublishedScore", "published_scores"]

PUBLISHED_FLAGS = {
    "zero-shot": "not trained on this set",
    "test-selected": "the epoch was chosen on the test split",
    "train+val": "trained on the validation split as well",
    "transductive": "re-ranked with the other test queries",
    "outside-data": "trained on captions beyond this set",
    "merged-captions": "equal captions merged and prefixed: another protocol",
    "disputed": "not reproduced by others, or sources disagree",
    "unverified": "not checked against its source",
}
"""What each flag means."""


@dataclass(frozen=True)
class PublishedScore:
    """One printed row.

    Attributes:
        dataset: Name of the set.
        method: As its authors call it.
        backbone: Of the image tower.
        source: Where it is printed.
        i2t: R@1, R@5, R@10 of image to text in percent; fewer or none where they are not known.
        t2i: Of text to image.
        mR: Mean of the six as printed; None where it is not.
        mR_i2t: Mean of one direction as printed.
        mR_t2i: Of the other.
        flags: What sets its protocol apart; see :data:`PUBLISHED_FLAGS`.
        note: What else to know.
    """

    dataset: str
    method: str
    backbone: str
    source: str
    i2t: tuple[float, ...] = ()
    t2i: tuple[float, ...] = ()
    mR: float | None = None
    mR_i2t: float | None = None
    mR_t2i: float | None = None
    flags: tuple[str, ...] = ()
    note: str = ""

    @property
    def recomputed_mR(self) -> float | None:
        """Mean of the six printed recalls, or of the two printed means; None if neither is complete."""
        if len(self.i2t) == len(self.t2i) == 3:
            return sum((*self.i2t, *self.t2i)) / 6
        if self.mR_i2t is not None and self.mR_t2i is not None:
            return (self.mR_i2t + self.mR_t2i) / 2
        return None


def published_scores(dataset: str) -> tuple[PublishedScore, ...]:
    """All rows of one set, in the order of the file; none for a set nobody reports on.

    Raises:
        UsageError: No set of that name.
    """
    return _table().get(find_dataset(dataset).name, ())


@cache
def _table() -> dict[str, tuple[PublishedScore, ...]]:
    text = resources.files("landsift.data").joinpath("published.toml").read_text("utf-8")
    table = tomllib.loads(text)
    return {
        name: tuple(_score(name, dict(row), table["sources"]) for row in rows)
        for name, rows in table["scores"].items()
    }


def _score(dataset: str, row: dict[str, Any], sources: dict[str, str]) -> PublishedScore:
    return PublishedScore(
        dataset=dataset,
        source=sources[row.pop("from")],
        i2t=tuple(row.pop("i2t", ())),
        t2i=tuple(row.pop("t2i", ())),
        flags=tuple(row.pop("flags", ())),
        **row,
    )
