"""What a search request holds, as STAC APIs write it, and its filters as the gallery takes them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import shapely
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from landsift.errors import UsageError
from landsift.gallery import Where
from landsift.gallery.conditions import PROPERTIES
from landsift.gallery.listing import SCORE, SortKey
from landsift.serve.cql import NAMES, read_filter
from landsift.types import TimeSpan

__all__ = ["Page", "SearchBody", "sort_keys", "where_of"]

_MOST_VERTICES = 20_000
_OPEN = ("", "..")

Text = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class SortBy(BaseModel):
    """One key to sort by."""

    field: Name
    direction: Literal["asc", "desc"] = "asc"


class SearchBody(BaseModel):
    """A search; everything is optional. Without anything to look for, tiles are listed."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore")

    q: Text | Annotated[list[Text], Field(max_length=20)] | None = Field(
        default=None, description="What to look for, one sentence or several."
    )
    collections: Annotated[list[Name], Field(max_length=100)] | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 10
    bbox: Annotated[list[Number], Field(min_length=4, max_length=6)] | None = Field(
        default=None,
        description="West, south, east, north in degrees; west above east crosses the antimeridian.",
    )
    datetime: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        default=None, description="A date, or two joined by /; .. leaves a side open."
    )
    intersects: dict[str, Any] | None = Field(default=None, description="A GeoJSON geometry.")
    ids: Annotated[list[Name], Field(max_length=10_000)] | None = None
    sortby: Annotated[list[SortBy], Field(max_length=8)] | None = None
    filter: str | dict[str, Any] | None = Field(default=None, description="CQL2, as text or JSON.")
    filter_lang: Literal["cql2-text", "cql2-json"] | None = Field(default=None, alias="filter-lang")
    token: Annotated[str, StringConstraints(max_length=2_000)] | None = Field(
        default=None, description="From a next link."
    )
    like: Annotated[list[Name], Field(max_length=200)] = Field(
        default_factory=list, alias="landsift:like", description="Tiles that show what to look for."
    )
    unlike: Annotated[list[Text], Field(max_length=200)] = Field(
        default_factory=list,
        alias="landsift:not",
        description="Texts or tiles that show what not to look for.",
    )
    min_score: Number | None = Field(default=None, alias="landsift:min_score")
    overlapping: Literal["merge", "keep"] = Field(
        default="merge",
        alias="landsift:overlapping",
        description="One match a place, or every overlapping tile; a listing keeps all.",
    )
    explain: bool = Field(default=False, alias="landsift:explain")
    histogram: bool = Field(default=True, alias="landsift:histogram", description="Of all scores.")
    probe: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        default=None, alias="landsift:probe", description="Rank by what the labels of this topic teach."
    )

    @property
    def texts(self) -> list[str]:
        """What to look for in words."""
        return [self.q] if isinstance(self.q, str) else list(self.q or ())

    def plain(self) -> dict[str, Any]:
        """As JSON values, less what is left at its default and the page asked for."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"token"})


class Page:
    """Which page of an answer: how many tiles come before it, and what was stored when the first was asked.

    Tiles indexed while somebody pages do not move the pages.
    """

    def __init__(self, skip: int = 0, last_rows: Mapping[str, int] | None = None) -> None:
        self.skip = skip
        self.last_rows = dict(last_rows or {})

    @classmethod
    def read(cls, token: str | None) -> Page:
        """Read a token.

        Raises:
            UsageError: It is none of ours.
        """
        if token is None:
            return cls()
        try:
            values = json.loads(base64.urlsafe_b64decode(token.encode()))
            skip, rows = values["skip"], values["rows"]
            numbers = [skip, *rows.values()]
            if any(type(number) is not int or not 0 <= number < 2**62 for number in numbers):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
            raise UsageError("The token is none that this server gave; follow its next links") from None
        return cls(skip, rows)

    def token(self) -> str:
        """The text that :meth:`read` reads."""
        values = {"skip": self.skip, "rows": self.last_rows}
        return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode()


def where_of(body: SearchBody) -> Where:
    """The filters of a request.

    Raises:
        UsageError: One cannot be read.
    """
    if body.bbox is not None and body.intersects is not None:
        raise UsageError("Both bbox and intersects are given; give one of them")
    after, before = _dates(body.datetime)
    return Where(
        box=None if body.bbox is None else _box(body.bbox),
        after=after,
        before=before,
        intersects=None if body.intersects is None else _geometry(body.intersects),
        ids=None if body.ids is None else tuple(body.ids),
        condition=None if body.filter is None else read_filter(body.filter, body.filter_lang),
    )


def _box(values: list[float]) -> tuple[float, float, float, float]:
    if len(values) == 5:
        raise UsageError("bbox has four numbers W,S,E,N, or six with heights; got 5")
    west, south, east, north = values if len(values) == 4 else (*values[:2], *values[3:5])
    return west, south, east, north


def _dates(text: str | None) -> tuple[TimeSpan | None, TimeSpan | None]:
    if text is None:
        return None, None
    first, slash, last = text.partition("/")
    if slash and first in _OPEN and last in _OPEN:
        raise UsageError("datetime is open on both sides; leave it out, or give a date")
    after = None if slash and first in _OPEN else _date(first)
    before = (None if last in _OPEN else _date(last)) if slash else after
    return after, before


def _date(text: str) -> TimeSpan:
    try:
        if "/" in text:
            raise ValueError
        return TimeSpan.parse(text.upper().replace("Z", "+00:00") if "T" in text.upper() else text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"datetime takes dates such as 2020-06-30, or 2020-01-01/.. for an interval; got {text[:60]!r}"
        ) from None


def _geometry(values: dict[str, Any]) -> shapely.Geometry:
    if values.get("type") == "Feature" and isinstance(values.get("geometry"), dict):
        values = values["geometry"]
    kinds = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon")
    if values.get("type") not in kinds:
        raise UsageError(f"intersects takes a GeoJSON geometry: {', '.join(kinds)}; correct it")
    try:
        text = json.dumps({"type": values["type"], "coordinates": values["coordinates"]}, allow_nan=False)
        geometry = shapely.from_geojson(text)
    except (KeyError, ValueError, TypeError, RecursionError, shapely.GEOSException):
        raise UsageError("intersects holds no readable GeoJSON geometry; draw it anew") from None
    if geometry is None or shapely.get_num_coordinates(geometry) > _MOST_VERTICES:
        raise UsageError(f"intersects has more than {_MOST_VERTICES} points; simplify it")
    return shapely.force_2d(geometry)


def sort_keys(sortby: list[SortBy] | None) -> list[SortKey]:
    """What to sort by, in the gallery's names.

    Raises:
        UsageError: There is no such property.
    """
    keys = []
    for key in sortby or ():
        name = key.field.removeprefix("properties.")
        name = SCORE if name in (SCORE, f"landsift:{SCORE}") else NAMES.get(name, name)
        if name != SCORE and name not in PROPERTIES:
            raise UsageError(
                f"Tiles are not sorted by {key.field[:60]!r}; choose from landsift:score, {', '.join(NAMES)}"
            )
        keys.append((name, key.direction == "desc"))
    return keys
