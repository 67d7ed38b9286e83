"""Filters against shapely, around the antimeridian, and over dates of every precision."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from landsift.errors import UsageError
from landsift.gallery.store import SceneRow
from landsift.gallery.where import Outlines, Where, fits, quads_meet_box
from landsift.types import TimeSpan


def rotated(x: float, y: float, width: float, height: float, angle: float) -> np.ndarray:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[-width, height], [width, height], [width, -height], [-width, -height]]) / 2
    return corners @ turn.T + [x, y]


@settings(max_examples=200, deadline=None)
@given(
    quads=st.lists(
        st.tuples(
            st.floats(-200, 200),
            st.floats(-60, 60),
            st.floats(0.1, 20),
            st.floats(0.1, 20),
            st.floats(0, 3.14),
        ),
        min_size=1,
        max_size=8,
    ),
    west=st.floats(-180, 180),
    south=st.floats(-80, 70),
    width=st.floats(0, 300),
    height=st.floats(0, 20),
)
def test_box_test_agrees_with_shapely(quads, west, south, width, height):
    corners = np.array([rotated(*quad) for quad in quads])
    east = west + width
    box = (west, south, east if east <= 180 else east - 360, south + height)
    expected = [
        any(
            shapely.Polygon(quad + np.array([turn, 0])).intersects(shapely.box(west, south, east, box[3]))
            for turn in (-360, 0, 360)
        )
        for quad in corners
    ]
    found = quads_meet_box(Outlines.of(corners), box).tolist()
    near = [
        min(
            shapely.Polygon(quad + np.array([turn, 0])).distance(
                shapely.box(west, south, east, box[3]).boundary
            )
            for turn in (-360, 0, 360)
        )
        for quad in corners
    ]
    # A touch within rounding may fall either way; everything else must agree.
    assert all(f == e or n < 1e-9 for f, e, n in zip(found, expected, near, strict=True))


def test_a_rotated_tile_that_only_nears_the_box_is_left_out():
    diamond = rotated(0, 0, 2, 2, np.pi / 4)[None]
    assert not quads_meet_box(Outlines.of(diamond), (1.2, 1.2, 2, 2))[0]
    assert quads_meet_box(Outlines.of(diamond), (0.6, 0.6, 2, 2))[0]


def test_antimeridian_from_both_sides():
    crossing = rotated(180, 0, 2, 2, 0)  # longitudes 179 .. 181
    near_east, near_west = rotated(-179.5, 0, 0.2, 0.2, 0), rotated(170, 0, 1, 1, 0)
    outlines = Outlines.of(np.array([crossing, near_east, near_west, np.full((4, 2), np.nan)]))
    assert quads_meet_box(outlines, (179.5, -1, -179.2, 1)).tolist() == [True, True, False, False]
    assert quads_meet_box(outlines, (-180, -1, -179.3, 1)).tolist() == [True, True, False, False]
    assert quads_meet_box(outlines, (-180, -90, 180, 90)).tolist() == [True, True, True, False]


def scene(key: int, name: str, date: str | None) -> SceneRow:
    span = None if date is None else TimeSpan.parse(date)
    bounds = (None, None) if span is None else (span.start.timestamp(), span.end.timestamp())
    return SceneRow(f"id-{key}", name, name, "{}", "{}", key=key, start=bounds[0], stop=bounds[1], date=date)


LEDGER = [
    scene(1, "a/one.tif", "2009-08-18"),
    scene(2, "a/two.tif", "2012"),
    scene(3, "b/three.tif", None),
    scene(4, "b/four[1].tif", "2020-01-01T10:00:00Z"),
]


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        (None, None, {1, 2, 3, 4}),
        ("2009-08-18", None, {1, 2, 4}),
        ("2009-08-19", None, {2, 4}),
        (None, "2009-08-18", {1}),
        (None, "2009-08-17", set()),
        ("2012-12-31", "2013", {2}),
        ("2020-01-01", "2020-01-01", {4}),
        ("2020-01-01T10:00:02Z", None, set()),
        ("2009", "2020", {1, 2, 4}),
    ],
)
def test_dates_are_inclusive_and_overlap(after, before, expected):
    parse = TimeSpan.parse
    where = Where(after=parse(after) if after else None, before=parse(before) if before else None)
    assert where.scenes(LEDGER) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a/*", {1, 2}),
        ("one.tif", {1}),
        ("id-3", {3}),
        ("*t*.tif", {2, 3}),
        ("four[1].tif", {4}),
        ("x*", set()),
    ],
)
def test_scenes_by_name_id_or_glob(pattern, expected):
    assert Where(scene=pattern).scenes(LEDGER) == expected
    assert {s.key for s in LEDGER if fits(s, pattern)} == expected


def test_mask_joins_scenes_and_box():
    corners = np.array([rotated(x, 0, 1, 1, 0) for x in (0, 10, 20, 30)])
    keys = np.array([1, 2, 2, 5], np.int32)
    mask = Where(box=(5, -1, 40, 1)).mask(keys, Outlines.of(corners), {1, 2})
    assert mask.tolist() == [False, True, True, False]
    assert not Where() and Where(scene="x")


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0, 10, 1, -10), "south"),
        ((0, -91, 1, 0), "Latitudes"),
        ((0, 0, 1, 95), "Latitudes"),
        ((-400, 0, 1, 1), "Longitudes"),
        ((0, 0, float("nan"), 1), "not a number"),
    ],
)
def test_impossible_boxes_are_refused(box, words):
    with pytest.raises(UsageError, match=words):
        Where(box=box)


def test_impossible_dates_are_refused():
    with pytest.raises(UsageError, match="swap the two"):
        Where(after=TimeSpan.parse("2021"), before=TimeSpan.parse("2020"))


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1500])
def test_tiles_near_a_box_are_the_same_without_passing_over_blocks(count):
    random = np.random.default_rng(count)
    middle = np.sort(random.uniform(-190, 190, count)), random.uniform(-80, 80, count)
    quads = [
        rotated(x, y, *random.uniform(0.1, 5, 2), random.uniform(0, 3)) for x, y in zip(*middle, strict=True)
    ]
    corners = np.array(quads).reshape(-1, 4, 2)
    corners[random.random(count) < 0.2] = np.nan
    corners[300:600] = np.nan  # a block without any place
    outlines = Outlines.of(corners)
    for _ in range(30):
        west, south = random.uniform(-180, 150), random.uniform(-80, 60)
        east, north = west + random.uniform(0, 80), south + random.uniform(0, 40)
        slow = [
            n
            for n in range(count)
            if outlines.north[n] >= south
            and outlines.south[n] <= north
            and outlines.east[n] >= west
            and outlines.west[n] <= east
        ]
        assert outlines.near(west, south, east, north).tolist() == slow
