"""Conditions on the properties of tiles, as a tree, and which rows they hold for.

The tree is what a filter language means once it has been read; it knows no language and no database. A
condition on something unknown (a tile without date, say) is neither true nor false, as in SQL: it holds
nowhere, and its opposite does not hold either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError

__all__ = [
    "PROPERTIES",
    "All",
    "Among",
    "Between",
    "Column",
    "Comparison",
    "Condition",
    "Like",
    "Negation",
    "Some",
    "Truth",
    "Unknown",
    "holds",
]

PROPERTIES: dict[str, type] = {
    "id": str,
    "scene": str,
    "datetime": datetime,
    "start": datetime,
    "end": datetime,
    "gsd": float,
    "scale": float,
    "valid": float,
}
"""What a condition can speak of, with the type of its values.

``datetime`` and ``start`` are the first moment of a tile's acquisition, ``end`` the last.
"""

_OPERATORS = ("=", "<>", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class Comparison:
    """``name operator value``, such as ``gsd < 2``."""

    name: str
    operator: str
    value: Any

    def __post_init__(self) -> None:
        if self.operator not in _OPERATORS:
            raise UsageError(f"{self.operator!r} compares nothing; use one of {', '.join(_OPERATORS)}")
        _check(self.name, [self.value])


@dataclass(frozen=True)
class Between:
    """``low <= name <= high``."""

    name: str
    low: Any
    high: Any

    def __post_init__(self) -> None:
        _check(self.name, [self.low, self.high])


@dataclass(frozen=True)
class Among:
    """``name`` is one of ``values``."""

    name: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        _check(self.name, self.values)


@dataclass(frozen=True)
class Like:
    """A text fits a pattern in which ``%`` stands for any letters and ``_`` for one."""

    name: str
    pattern: str

    def __post_init__(self) -> None:
        _check(self.name, [])
        if PROPERTIES[self.name] is not str:
            raise UsageError(f"Only texts can be like a pattern, and {self.name} is none; compare it instead")
        _check(self.name, [self.pattern])


@dataclass(frozen=True)
class Unknown:
    """Nothing is known of ``name``."""

    name: str

    def __post_init__(self) -> None:
        _check(self.name, [])


@dataclass(frozen=True)
class Negation:
    """Not ``part``."""

    part: Condition


@dataclass(frozen=True)
class All:
    """Every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Some:
    """At least one part holds."""

    parts: tuple[Condition, ...]


Condition = Comparison | Between | Among | Like | Unknown | Negation | All | Some


@dataclass(frozen=True, eq=False)
class Column:
    """The values of one property.

    Attributes:
        values: ``(m,)`` float64 (dates as seconds since 1970 UTC) or texts; anything where unknown.
        known: ``(m,)`` bool.
        rows: ``(n,)`` which of the ``m`` values each row has; None where values are rows.
    """

    values: NDArray[Any]
    known: NDArray[np.bool_]
    rows: NDArray[np.integer] | None = None


@dataclass(frozen=True, eq=False)
class Truth:
    """Where something holds, and where its opposite does; nowhere both. Each ``(n,)`` bool."""

    yes: NDArray[np.bool_]
    no: NDArray[np.bool_]


def holds(condition: Condition, column: Callable[[str], Column]) -> NDArray[np.bool_]:
    """The rows for which a condition holds, ``(n,)`` bool.

    Args:
        condition: The condition.
        column: Gives the column of a name in :data:`PROPERTIES`.
    """
    return _truth(condition, column).yes


def _truth(condition: Condition, column: Callable[[str], Column]) -> Truth:
    match condition:
        case Negation(part):
            inner = _truth(part, column)
            return Truth(inner.no, inner.yes)
        case All(parts):
            found = [_truth(part, column) for part in parts]
            return Truth(np.all([f.yes for f in found], axis=0), np.any([f.no for f in found], axis=0))
        case Some(parts):
            found = [_truth(part, column) for part in parts]
            return Truth(np.any([f.yes for f in found], axis=0), np.all([f.no for f in found], axis=0))
        case Unknown(name):
            known = _spread(column(name), column(name).known)
            return Truth(~known, known)
        case _:
            return _leaf(condition, column(condition.name))


def _leaf(condition: Comparison | Between | Among | Like, column: Column) -> Truth:
    """A condition on one property, judged once for each different value."""
    fits = np.zeros(len(column.values), bool)
    fits[column.known] = _fitting(condition, column.values[column.known])
    return Truth(_spread(column, fits), _spread(column, column.known & ~fits))


def _fitting(condition: Comparison | Between | Among | Like, values: NDArray[Any]) -> NDArray[np.bool_]:
    match condition:
        case Comparison(_, operator, value):
            return _compared(values, operator, _plain(value))
        case Between(_, low, high):
            return (values >= _plain(low)) & (values <= _plain(high))
        case Among(_, wanted):
            return np.isin(values, [_plain(value) for value in wanted])
        case Like(_, pattern):
            fits = _expression(pattern).fullmatch
            return np.fromiter((fits(str(value)) is not None for value in values), bool, len(values))


def _expression(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression that never goes back over what it has matched.

    After a ``%`` the first place where the next stretch of letters fits is as good as any later one, so an
    atomic group may take it; without that, many ``%`` would take time without bound.
    """
    first, *rest = ["".join("." if c == "_" else re.escape(c) for c in part) for part in pattern.split("%")]
    if not rest:
        return re.compile(first, re.DOTALL)
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1] if part)
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL)


def _compared(values: NDArray[Any], operator: str, value: Any) -> NDArray[np.bool_]:
    match operator:
        case "=":
            return values == value
        case "<>":
            return values != value
        case "<":
            return values < value
        case "<=":
            return values <= value
        case ">":
            return values > value
        case _:
            return values >= value


def _spread(column: Column, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask if column.rows is None else mask[column.rows]


def _plain(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else value


def _check(name: str, values: Sequence[Any]) -> None:
    if name not in PROPERTIES:
        raise UsageError(f"Tiles have no property {name!r}; there are {', '.join(PROPERTIES)}")
    kind = PROPERTIES[name]
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number if kind is float else isinstance(value, kind)):
            what = {float: "a number", str: "a text", datetime: "a date"}[kind]
            raise UsageError(f"{name} is {what}, which {value!r} is not; correct the value")
