"""When a scene was taken, as far as its file name or its TIFF tag tells. Knows nothing of files."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from landsift.types import TimeSpan

__all__ = ["date_in_name", "date_in_tag"]

# The same separator twice, and no further digit on either side: ids of ten digits are not dates.
_DAY = re.compile(r"(?<!\d)(\d{4})([-_]?)(\d{2})\2(\d{2})(?!\d)")
_TAG = re.compile(r"\s*(\d{4})[:/-](\d{2})[:/-](\d{2})(?:[ T](\d{2}):(\d{2}):(\d{2}))?")
_FIRST_YEAR = 1900


def date_in_name(stem: str) -> TimeSpan | None:
    """The first real date in a file name (without extension), or None.

    Read are ``YYYYMMDD``, ``YYYY-MM-DD`` and ``YYYY_MM_DD`` between 1900 and tomorrow, and a name that is
    a year and nothing else.
    """
    for year, _, month, day in _DAY.findall(stem):
        if _is_plausible(f"{year}-{month}-{day}"):
            return TimeSpan.parse(f"{year}-{month}-{day}")
    if re.fullmatch(r"\d{4}", stem) and _is_plausible(f"{stem}-01-01"):
        return TimeSpan.parse(stem)
    return None


def date_in_tag(text: str | None) -> TimeSpan | None:
    """The date in a ``TIFFTAG_DATETIME`` (``YYYY:MM:DD HH:MM:SS``), or None where it is not a real one."""
    match = _TAG.match(text or "")
    if match is None:
        return None
    day = "-".join(match.groups()[:3])
    clock = ":".join(match.groups()[3:]) if match[4] else ""
    moment = f"{day}T{clock}" if clock else day
    return TimeSpan.parse(moment) if _is_plausible(moment) else None


def _is_plausible(moment: str) -> bool:
    """Whether this ISO text is a real moment between 1900 and tomorrow."""
    try:
        parsed = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    except ValueError:
        return False
    return parsed.year >= _FIRST_YEAR and parsed <= datetime.now(UTC) + timedelta(days=1)
