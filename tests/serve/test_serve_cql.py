"""CQL2 filters: both notations mean what a slow reading of the same condition means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landsift.errors import UsageError
from landsift.gallery.conditions import All, Among, Between, Comparison, Like, Negation, Some, Unknown
from landsift.serve.cql import read_filter

DAY = datetime(2020, 6, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gsd < 2", Comparison("gsd", "<", 2.0)),
        ("2 >= gsd", Comparison("gsd", "<=", 2.0)),
        ("gsd<>-1.5e3", Comparison("gsd", "<>", -1500.0)),
        ('"landsift:scene" = \'it\'\'s\'', Comparison("scene", "=", "it's")),
        ("landsift:scale between 1 and 2", Between("scale", 1.0, 2.0)),
        (
            "gsd NOT BETWEEN 1 AND 2 AND gsd > 0",
            All((Negation(Between("gsd", 1.0, 2.0)), Comparison("gsd", ">", 0.0))),
        ),
        ("id IN ('a', 'b')", Among("id", ("a", "b"))),
        ("id not in ('a')", Negation(Among("id", ("a",)))),
        ("scene LIKE 'harbour%_'", Like("scene", "harbour%_")),
        ("datetime IS NULL", Unknown("datetime")),
        ("datetime IS NOT NULL", Negation(Unknown("datetime"))),
        ("datetime >= DATE('2020-06-30')", Comparison("datetime", ">=", DAY)),
        ("end_datetime < TIMESTAMP('2020-06-30T00:00:00Z')", Comparison("end", "<", DAY)),
        ("start_datetime = '2020-06-30'", Comparison("start", "=", DAY)),
        (
            "NOT gsd = 1 OR gsd = 2 AND gsd = 3",
            Some((Negation(Comparison("gsd", "=", 1.0)),
                  All((Comparison("gsd", "=", 2.0), Comparison("gsd", "=", 3.0))))),
        ),
        (
            "(gsd = 1 OR gsd = 2) AND NOT (gsd = 3)",
            All((Some((Comparison("gsd", "=", 1.0), Comparison("gsd", "=", 2.0))),
                 Negation(Comparison("gsd", "=", 3.0)))),
        ),
    ],
)  # fmt: skip
def test_texts_are_read(text, expected):
    assert read_filter(text) == expected == read_filter(text.replace(" ", "\n "), "cql2-text")


names = st.sampled_from(["gsd", "landsift:scale", "landsift:valid"])
numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
leaves = st.one_of(
    st.tuples(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), names, numbers),
    st.tuples(st.just("between"), names, numbers, numbers),
    st.tuples(st.just("in"), names, st.lists(numbers, min_size=1, max_size=3)),
    st.tuples(st.just("isNull"), names),
    st.tuples(st.just("like"), st.just("id"), st.text("ab%_'", max_size=5)),
)
trees = st.recursive(
    leaves,
    lambda part: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), st.lists(part, min_size=2, max_size=3)),
        st.tuples(st.just("not"), part),
    ),
    max_leaves=8,
)


def quoted(value):
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else f"{value:.3f}"


def as_text(tree):
    match tree:
        case ("and" | "or") as op, parts:
            return f" {op} ".join(f"({as_text(part)})" for part in parts)
        case "not", part:
            return f"not ({as_text(part)})"
        case "between", name, low, high:
            return f"{name} between {quoted(low)} and {quoted(high)}"
        case "in", name, values:
            return f"{name} in ({', '.join(map(quoted, values))})"
        case "isNull", name:
            return f"{name} is null"
        case op, name, value:
            return f"{name} {op} {quoted(value)}"


def as_json(tree):
    match tree:
        case ("and" | "or") as op, parts:
            return {"op": op, "args": [as_json(part) for part in parts]}
        case "not", part:
            return {"op": "not", "args": [as_json(part)]}
        case op, name, *values:
            return {"op": op, "args": [{"property": name}, *values]}


@settings(max_examples=150, deadline=None)
@given(trees)
def test_both_notations_mean_the_same(tree):
    assert read_filter(as_text(tree)) == read_filter(as_json(tree))


def test_json_dates_and_turned_comparisons():
    assert read_filter(
        {"op": ">=", "args": [{"property": "datetime"}, {"date": "2020-06-30"}]}
    ) == Comparison("datetime", ">=", DAY)
    assert read_filter({"op": ">", "args": [3, {"property": "gsd"}]}) == Comparison("gsd", "<", 3.0)


@pytest.mark.parametrize(
    "filter_",
    ["", "gsd", "gsd =", "gsd = = 1", "= 1", "gsd = 1 gsd = 2", "(gsd = 1", "gsd = 1)", "gsd = 'one'",
     "gsd LIKE 'a'",
     "gsd in ()", "gsd between 1", "id = 3", "colour = 1", "gsd = 1 AND", "NOT", "gsd not = 1",
     "datetime = 'soon'",
     "datetime = DATE(2020)", "gsd ~ 1", "'", "id LIKE 3", "gsd = 1" + " AND gsd = 1" * 2000, "(" * 2000,
     "NOT " * 2000 + "gsd = 1", "x" * 30_000, {}, {"op": "and"}, {"op": "and", "args": []},
     {"op": "not", "args": []},
     {"op": "=", "args": [1, 2]}, {"op": "=", "args": [{"property": "gsd"}]}, {"op": "near", "args": []},
     {"op": "=", "args": [{"property": "gsd"}, True]}, {"op": "=", "args": [{"property": "gsd"}, None]},
     {"op": "=", "args": [{"property": "gsd"}, 10**400]}, {"op": "in", "args": [{"property": "gsd"}, 3]},
     {"op": "like", "args": [{"property": "id"}, 3]}, {"op": "=", "args": [{"property": ["gsd"]}, 3]}],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(filter_):
    with pytest.raises(UsageError):
        read_filter(filter_)


def test_a_tree_too_deep_is_refused():
    tree = {"op": "isNull", "args": [{"property": "gsd"}]}
    for _ in range(200):
        tree = {"op": "not", "args": [tree]}
    with pytest.raises(UsageError, match="deeply"):
        read_filter(tree)
