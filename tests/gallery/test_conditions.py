"""Conditions against a slow twin that judges one tile at a time by three-valued logic."""

from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landsift.errors import UsageError
from landsift.gallery.conditions import (
    All,
    Among,
    Between,
    Column,
    Comparison,
    Like,
    Negation,
    Some,
    Unknown,
    holds,
)

TILES = [
    {"gsd": 1.0, "scene": "alpha"},
    {"gsd": 2.0, "scene": "beta"},
    {"gsd": None, "scene": "alpha_2"},
    {"gsd": 10.0, "scene": None},
    {"gsd": None, "scene": None},
]
OPERATORS = {
    "=": lambda a, b: a == b, "<>": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


def slow(condition, tile):
    """True, False or None for unknown, as SQL has it."""
    match condition:
        case Negation(part):
            inner = slow(part, tile)
            return None if inner is None else not inner
        case All(parts) | Some(parts):
            found = [slow(part, tile) for part in parts]
            decisive = isinstance(condition, Some)
            if decisive in found:
                return decisive
            return None if None in found else not decisive
        case Unknown(name):
            return tile[name] is None
    value = tile[condition.name]
    if value is None:
        return None
    match condition:
        case Comparison(_, operator, other):
            return OPERATORS[operator](value, other)
        case Between(_, low, high):
            return low <= value <= high
        case Among(_, values):
            return value in values
        case Like(_, pattern):
            return fnmatchcase(value, pattern.replace("%", "*").replace("_", "?"))


def column(name):
    values = [tile[name] for tile in TILES]
    known = np.array([value is not None for value in values])
    if name == "gsd":
        return Column(np.array([np.nan if v is None else v for v in values]), known)
    distinct = [*sorted({v for v in values if v is not None}), ""]
    rows = np.array([len(distinct) - 1 if v is None else distinct.index(v) for v in values])
    return Column(np.array(distinct, object), np.array([v != "" for v in distinct]), rows)


numbers = st.sampled_from([0.5, 1.0, 2.0, 10.0])
texts = st.sampled_from(["alpha", "beta", "gamma", "alpha_2"])
leaves = st.one_of(
    st.builds(Comparison, st.just("gsd"), st.sampled_from(list(OPERATORS)), numbers),
    st.builds(Comparison, st.just("scene"), st.sampled_from(list(OPERATORS)), texts),
    st.builds(Between, st.just("gsd"), numbers, numbers),
    st.builds(Among, st.just("scene"), st.lists(texts, min_size=1, max_size=3).map(tuple)),
    st.builds(Like, st.just("scene"), st.text("alph_%2", max_size=6)),
    st.builds(Unknown, st.sampled_from(["gsd", "scene"])),
)
conditions = st.recursive(
    leaves,
    lambda part: st.one_of(
        st.builds(Negation, part),
        st.builds(All, st.lists(part, min_size=1, max_size=3).map(tuple)),
        st.builds(Some, st.lists(part, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(conditions)
def test_conditions_agree_with_the_slow_twin(condition):
    assert holds(condition, column).tolist() == [slow(condition, tile) is True for tile in TILES]


def test_what_is_unknown_neither_holds_nor_its_opposite():
    below = Comparison("gsd", "<", 5.0)
    neither = ~(holds(below, column) | holds(Negation(below), column))
    assert neither.tolist() == [tile["gsd"] is None for tile in TILES]


def test_dates_compare_as_moments():
    moments = Column(np.array([0.0, 86_400.0]), np.ones(2, bool))
    day = datetime(1970, 1, 2, tzinfo=UTC)
    assert holds(Comparison("datetime", ">=", day), lambda _: moments).tolist() == [False, True]


@settings(max_examples=300, deadline=None)
@given(st.text("ab.", max_size=8), st.text("ab%_.", max_size=8))
def test_patterns_agree_with_globs(text, pattern):
    values = Column(np.array([text], object), np.ones(1, bool))
    expected = fnmatchcase(text, pattern.replace("%", "*").replace("_", "?"))
    assert holds(Like("id", pattern), lambda _: values).tolist() == [expected]


def test_many_wildcards_do_not_take_forever():
    values = Column(np.array(["a" * 200] * 20, object), np.ones(20, bool))
    # Going back over what was matched would take longer than anyone waits.
    assert not holds(Like("id", "%a" * 60 + "b"), lambda _: values).any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Comparison("colour", "=", 1), "no property"),
        (lambda: Comparison("gsd", "~", 1), "compares nothing"),
        (lambda: Comparison("gsd", "=", "1"), "a number"),
        (lambda: Comparison("gsd", "=", True), "a number"),
        (lambda: Comparison("scene", "=", 1), "a text"),
        (lambda: Between("datetime", "2020", "2021"), "a date"),
        (lambda: Like("gsd", "1%"), "Only texts"),
    ],
)
def test_conditions_that_mean_nothing_are_refused(make, words):
    with pytest.raises(UsageError, match=words):
        make()
