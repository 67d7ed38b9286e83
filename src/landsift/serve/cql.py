"""CQL2 filters, as text or as JSON, read into conditions.

The part of OGC's Common Query Language that compares properties with values: ``= <> < <= > >=``, ``LIKE``,
``BETWEEN``, ``IN``, ``IS NULL``, joined by ``AND``, ``OR``, ``NOT`` and parentheses (OGC 21-065r2, classes
"Basic CQL2" and "Advanced Comparison Operators"). Knows nothing of galleries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from landsift.errors import UsageError
from landsift.gallery.conditions import (
    PROPERTIES,
    All,
    Among,
    Between,
    Comparison,
    Condition,
    Like,
    Negation,
    Some,
    Unknown,
)
from landsift.types import TimeSpan

__all__ = ["NAMES", "read_filter"]

NAMES = {
    "id": "id",
    "landsift:scene": "scene",
    "datetime": "datetime",
    "start_datetime": "start",
    "end_datetime": "end",
    "gsd": "gsd",
    "landsift:scale": "scale",
    "landsift:valid": "valid",
}
"""Name of a property in items -> name in conditions; conditions' own names are taken as well."""

_MOST_PARTS = 500
_DEEPEST = 30
_LONGEST = 20_000
_FLIPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*')
  | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<quoted>"[^"]+")
  | (?P<word>[A-Za-z_][A-Za-z0-9_.:]*)
  | (?P<sign><>|<=|>=|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)


def read_filter(filter_: Any, language: str | None = None) -> Condition:
    """Read a filter.

    Args:
        filter_: CQL2 text, or CQL2 JSON as plain values.
        language: ``cql2-text`` or ``cql2-json``; None tells by the type.

    Raises:
        UsageError: It cannot be read, is too large, or speaks of properties that tiles do not have.
    """
    language = language or ("cql2-text" if isinstance(filter_, str) else "cql2-json")
    if language == "cql2-text" and isinstance(filter_, str):
        return _Text(filter_).read()
    if language == "cql2-json" and isinstance(filter_, Mapping):
        return _Json().read(filter_, 0)
    if language not in ("cql2-text", "cql2-json"):
        raise UsageError(f"filter-lang is cql2-text or cql2-json, got {language[:40]!r}; choose one")
    raise UsageError(f"The filter is no {language}; set filter-lang to what it is")


def _name(text: str) -> str:
    name = NAMES.get(text, text)
    if name not in PROPERTIES:
        raise UsageError(f"Tiles have no property {text[:80]!r} to filter by; there are {', '.join(NAMES)}")
    return name


def _value(name: str, value: Any) -> Any:
    """A literal as the property's type wants it."""
    if PROPERTIES[name] is datetime and isinstance(value, str):
        return _moment(value)
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise UsageError(f"The number compared with {name} is too large; give a smaller one") from None
    return value


def _moment(text: str) -> datetime:
    try:
        return TimeSpan.parse(text).start
    except (ValueError, OverflowError):
        raise UsageError(f"{text[:60]!r} is no date; write 2020-06-30 or 2020-06-30T12:00:00Z") from None


def _pattern(text: Any) -> str:
    if not isinstance(text, str):
        raise UsageError("LIKE takes a pattern in quotes, such as 'harbour%'")
    return text


class _Text:
    """One reading of a CQL2 text, by recursive descent."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise UsageError(f"The filter is longer than {_LONGEST} characters; make it simpler")
        self._tokens = list(_tokens(text))
        self._at = 0
        self._deep = 0
        if len(self._tokens) > 4 * _MOST_PARTS:
            raise UsageError("The filter has too many parts; make it simpler")

    def read(self) -> Condition:
        found = self._some()
        if self._at < len(self._tokens):
            raise self._wrong("AND, OR or the end")
        return found

    def _some(self) -> Condition:
        parts = [self._all()]
        while self._took("OR"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._took("AND"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Condition:
        self._deep += 1
        if self._deep > _DEEPEST:
            raise UsageError("The filter is nested too deeply; make it simpler")
        try:
            if self._took("NOT"):
                return Negation(self._one())
            if self._took("("):
                inner = self._some()
                self._need(")")
                return inner
            return self._predicate()
        finally:
            self._deep -= 1

    def _predicate(self) -> Condition:
        kind, text = self._peek()
        if kind in ("text", "number") or (kind == "word" and text.upper() in ("TIMESTAMP", "DATE")):
            value, sign = self._literal(), self._sign()
            name = self._property()
            return Comparison(name, _FLIPPED[sign], _value(name, value))
        name = self._property()
        if self._took("IS"):
            opposite = self._took("NOT")
            self._need("NULL")
            return Negation(Unknown(name)) if opposite else Unknown(name)
        opposite = self._took("NOT")
        found = self._special(name)
        if found is None and opposite:
            raise self._wrong("LIKE, BETWEEN or IN")
        if found is None:
            return Comparison(name, self._sign(), _value(name, self._literal()))
        return Negation(found) if opposite else found

    def _special(self, name: str) -> Condition | None:
        if self._took("LIKE"):
            return Like(name, _pattern(self._literal()))
        if self._took("BETWEEN"):
            low = _value(name, self._literal())
            self._need("AND")
            return Between(name, low, _value(name, self._literal()))
        if self._took("IN"):
            self._need("(")
            values = [_value(name, self._literal())]
            while self._took(","):
                values.append(_value(name, self._literal()))
            self._need(")")
            return Among(name, tuple(values))
        return None

    def _property(self) -> str:
        kind, text = self._peek()
        if kind not in ("word", "quoted"):
            raise self._wrong("the name of a property")
        self._at += 1
        return _name(text.strip('"'))

    def _sign(self) -> str:
        _, text = self._peek()
        if text not in _FLIPPED:
            raise self._wrong("a comparison")
        self._at += 1
        return text

    def _literal(self) -> Any:
        kind, text = self._peek()
        self._at += 1
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text)
        if kind == "word" and text.upper() in ("TIMESTAMP", "DATE"):
            self._need("(")
            inner = self._literal()
            self._need(")")
            return _moment(_pattern(inner))
        self._at -= 1
        raise self._wrong("a value: a number, or a text in single quotes")

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _took(self, word: str) -> bool:
        kind, text = self._peek()
        if kind in ("word", "sign") and text.upper() == word:
            self._at += 1
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._took(word):
            raise self._wrong(word)

    def _wrong(self, expected: str) -> UsageError:
        _, text = self._peek()
        return UsageError(f"The filter has {text[:40] or 'its end'!r} where {expected} should be; correct it")


def _tokens(text: str) -> Any:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise UsageError(f"The filter cannot be read from {text[at : at + 20]!r} on; correct it")
        yield found.lastgroup, found.group(found.lastgroup or 0)
        at = found.end()


class _Json:
    """One reading of a CQL2 JSON tree."""

    def __init__(self) -> None:
        self._parts = 0

    def read(self, node: Any, deep: int) -> Condition:
        self._parts += 1
        if self._parts > _MOST_PARTS or deep > _DEEPEST:
            raise UsageError("The filter has too many parts or is nested too deeply; make it simpler")
        op, args = self._operation(node)
        if op in ("and", "or"):
            parts = tuple(self.read(arg, deep + 1) for arg in args)
            if not parts:
                raise UsageError(f"{op} needs at least one part; add it")
            return All(parts) if op == "and" else Some(parts)
        if op == "not":
            (part,) = _counted(op, args, 1)
            return Negation(self.read(part, deep + 1))
        return _leaf(op, args)

    @staticmethod
    def _operation(node: Any) -> tuple[str, list[Any]]:
        op = node.get("op") if isinstance(node, Mapping) else None
        args = node.get("args") if isinstance(node, Mapping) else None
        if not isinstance(op, str) or not isinstance(args, list):
            raise UsageError('A CQL2 JSON filter is made of {"op": ..., "args": [...]}; correct it')
        return op, args


def _counted(op: str, args: list[Any], count: int) -> list[Any]:
    if len(args) != count:
        raise UsageError(f"{op} takes {count} args, got {len(args)}; correct the filter")
    return args


def _leaf(op: str, args: list[Any]) -> Condition:
    if op == "isNull":
        return Unknown(_property_of(_counted(op, args, 1)[0]))
    if op == "between":
        place, low, high = _counted(op, args, 3)
        name = _property_of(place)
        return Between(name, _literal_of(name, low), _literal_of(name, high))
    if op == "in":
        place, values = _counted(op, args, 2)
        name = _property_of(place)
        if not isinstance(values, list) or not values or len(values) > 10_000:
            raise UsageError("in takes a property and a list of values; correct the filter")
        return Among(name, tuple(_literal_of(name, value) for value in values))
    if op == "like":
        place, pattern = _counted(op, args, 2)
        return Like(_property_of(place), _pattern(pattern))
    if op in _FLIPPED:
        left, right = _counted(op, args, 2)
        if not _is_property(left) and _is_property(right):
            left, right, op = right, left, _FLIPPED[op]
        name = _property_of(left)
        return Comparison(name, op, _literal_of(name, right))
    raise UsageError(
        f"The filter has the unknown op {op[:40]!r}; there are and, or, not, isNull, between, in, like, "
        f"{', '.join(_FLIPPED)}"
    )


def _is_property(node: Any) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("property"), str)


def _property_of(node: Any) -> str:
    if not _is_property(node):
        raise UsageError('A property is written {"property": "gsd"}; correct the filter')
    return _name(node["property"])


def _literal_of(name: str, node: Any) -> Any:
    if isinstance(node, Mapping):
        text = node.get("timestamp", node.get("date"))
        if isinstance(text, str):
            return _moment(text)
    if isinstance(node, str | int | float) and not isinstance(node, bool):
        return _value(name, node)
    raise UsageError(f"{name} can be compared with a number, a text or a date only; correct the filter")
