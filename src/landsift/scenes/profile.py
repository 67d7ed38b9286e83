"""What is known of a scene once it has been opened: all that must be kept to cut the same tiles again."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.errors import SceneError
from landsift.scenes.stretch import Stretch
from landsift.types import TimeSpan

__all__ = ["SceneProfile"]


@dataclass(frozen=True, slots=True)
class SceneProfile:
    """A scene's size, samples, place, date and look.

    Attributes:
        driver: GDAL's name of the format.
        width: Columns.
        height: Rows.
        count: Bands in the file.
        dtype: Numpy name of the sample type.
        block: Rows and columns of the file's own blocks.
        nodata: For each shown band the sample that means "nothing here", or None.
        bands: Band numbers, from 1, shown as red, green and blue; 0 is the mean of the other two.
        bands_why: By which rule they were chosen.
        stretch: For red, green and blue the samples shown as 0 and as 255.
        crs: ``EPSG:n`` or WKT; None where it is unknown.
        transform: The affine map from column and row to ``crs``, as ``(a, b, c, d, e, f)`` of
            ``x = a col + b row + c``, ``y = d col + e row + f``; None without georeference.
        gsd: Ground sampling distance in metres, measured at the centre; None without a CRS.
        corners: The outline, clockwise in pixel space from the upper left, as longitude and latitude in
            degrees WGS84; longitudes are unwrapped. None without a CRS.
        date: Text of a :class:`~landsift.types.TimeSpan`, or None.
        date_from: Where the date was found, or None.
        spectra: The bands that an encoder asked for: number, wavelength in micrometres, and the range of
            each; None unless one did.
    """

    driver: str
    width: int
    height: int
    count: int
    dtype: str
    block: tuple[int, int]
    nodata: tuple[float | None, ...]
    bands: tuple[int, int, int]
    bands_why: str
    stretch: Stretch
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    gsd: float | None = None
    corners: tuple[tuple[float, float], ...] | None = None
    date: str | None = None
    date_from: str | None = None
    spectra: tuple[tuple[int, float, float, float], ...] | None = None

    @property
    def time(self) -> TimeSpan | None:
        """The date as a span of time."""
        return TimeSpan.parse(self.date) if self.date else None

    @property
    def outline(self) -> NDArray[np.float64] | None:
        """``corners`` as an ``(n, 2)`` array."""
        return None if self.corners is None else np.asarray(self.corners, np.float64)

    def to_json(self) -> str:
        """One line of strict JSON that :meth:`from_json` reads back to an equal profile."""
        record = asdict(self)
        # JSON knows no NaN and no infinity, which are lawful nodata values.
        record["nodata"] = [
            str(value) if value is not None and not math.isfinite(value) else value for value in self.nodata
        ]
        return json.dumps(record, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> SceneProfile:
        """Read what :meth:`to_json` wrote; fields of later releases are left aside.

        Raises:
            SceneError: The text is not a profile.
        """
        try:
            record: dict[str, Any] = json.loads(text)
            known = {field.name: record[field.name] for field in fields(cls) if field.name in record}
            known["nodata"] = [None if value is None else float(value) for value in known["nodata"]]
            return cls(**{name: _frozen(value) for name, value in known.items()})
        except (ValueError, TypeError, KeyError) as error:
            raise SceneError(
                f"A stored scene profile cannot be read ({error}); index the scene again."
            ) from error


def _frozen(value: Any) -> Any:
    """JSON lists as tuples, all the way down."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
