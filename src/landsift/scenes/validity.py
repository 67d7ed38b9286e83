"""Which pixels are valid, by their samples. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.scenes.stretch import Plane

__all__ = ["Validity", "both", "valid_by_value"]

Validity = NDArray[np.bool_] | None
"""``(h, w)``, or None where every pixel is valid."""


def valid_by_value(planes: Sequence[Plane], nodata: Sequence[float | None]) -> Validity:
    """A pixel is void where all its bands hold their nodata value, or where any holds no finite number.

    One band alone may hold the value by right: white roofs where it is 255, shadows where it is 0.
    """
    valid: Validity = None
    for plane, value in zip(planes, nodata, strict=True):
        sample = _nodata_sample(value, plane.dtype)
        if sample is not None:
            some = plane != sample
            valid = some if valid is None else np.logical_or(valid, some, out=valid)
    for plane in planes:
        if plane.dtype.kind == "f":
            valid = both(valid, np.isfinite(plane))
    return valid


def both(first: Validity, second: Validity) -> Validity:
    """Where both are valid; may reuse the memory of ``first``."""
    if first is None or second is None:
        return second if first is None else first
    return np.logical_and(first, second, out=first)


def _nodata_sample(nodata: float | None, dtype: np.dtype[Any]) -> Any:
    """The nodata value as a sample of this type; None where no sample can equal it."""
    if nodata is None or not np.isfinite(nodata):
        return None
    if dtype.kind == "f":
        # Written in decimals, the value may differ from the stored float by a rounding.
        with np.errstate(over="ignore"):
            return dtype.type(nodata)
    limits = np.iinfo(dtype)
    fits = limits.min <= nodata <= limits.max and nodata == int(nodata)
    return dtype.type(int(nodata)) if fits else None
