"""Which scenes stand for "before" and which for "after", and in what order their pairs are tried.

Works on the ledger alone; knows no tiles and no vectors.
"""

from __future__ import annotations

from collections.abc import Iterable

from landsift.errors import UsageError
from landsift.gallery.store import SceneRow
from landsift.types import TimeSpan

__all__ = ["pairs_of_scenes", "span_of"]

_SHOWN = 6


def span_of(date: str | TimeSpan, option: str) -> TimeSpan:
    """A date or an interval.

    Raises:
        UsageError: It is neither.
    """
    if isinstance(date, TimeSpan):
        return date
    try:
        return TimeSpan.parse(date)
    except ValueError:
        raise UsageError(
            f"{option} takes a date such as 2020 or 2020-06-30, or an interval such as 2019/2020-06, "
            f"got {date!r}"
        ) from None


def pairs_of_scenes(
    ledger: Iterable[SceneRow], before: TimeSpan, after: TimeSpan
) -> list[tuple[SceneRow, SceneRow]]:
    """All pairs of a scene before and a scene after, those nearest in time to each other first.

    So of an interval the date next to the change is taken, and one further away only where the nearer does
    not show the ground.

    Raises:
        UsageError: The two overlap, one of them holds no scene, or the gallery knows one date only.
    """
    if before.start < after.end and after.start < before.end:
        raise UsageError(
            f"The dates before ({before.text}) and after ({after.text}) overlap; give two that do not"
        )
    dated = [scene for scene in ledger if scene.start is not None and scene.tiles]
    known = sorted({scene.date or "" for scene in dated})
    if not known:
        raise UsageError(
            "No scene of the gallery has a date; put it into the names of the files and index them again"
        )
    if len(known) == 1:
        raise UsageError(
            f"All scenes are of one date, {known[0]}; index another date of the place to compare"
        )
    first, second = _within(dated, before, "before", known), _within(dated, after, "after", known)
    pairs = [(one, other) for one in first for other in second if one.date != other.date]
    if not pairs:
        raise UsageError(
            f"{before.text} and {after.text} both mean the scenes of {first[0].date}; "
            f"choose two of {_listed(known)}"
        )
    return sorted(
        pairs, key=lambda pair: (abs(_middle(pair[0]) - _middle(pair[1])), pair[0].name, pair[1].name)
    )


def _within(scenes: list[SceneRow], span: TimeSpan, side: str, known: list[str]) -> list[SceneRow]:
    start, end = span.start.timestamp(), span.end.timestamp()
    found = [
        s for s in scenes if s.start is not None and s.stop is not None and s.start < end and s.stop > start
    ]
    if not found:
        raise UsageError(f"No scene is of {span.text}, the date {side}; there are {_listed(known)}")
    return found


def _middle(scene: SceneRow) -> float:
    assert scene.start is not None and scene.stop is not None
    return (scene.start + scene.stop) / 2


def _listed(dates: list[str]) -> str:
    more = len(dates) - _SHOWN
    return ", ".join(dates[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
