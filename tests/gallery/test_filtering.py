"""All filters together over a real gallery, each against a slow judgement of every tile."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from landsift import Gallery
from landsift.errors import UsageError
from landsift.gallery import Where
from landsift.gallery.conditions import All, Comparison, Like, Negation, Unknown
from landsift.gallery.filtering import column_of, quads_meet_geometry
from landsift.gallery.listing import arranged, passing
from landsift.gallery.places import same_place, tile_at, tiles_by_day
from landsift.gallery.search import as_match
from landsift.gallery.where import Outlines
from toys import coloured, write_scene


@pytest.fixture
def gallery(tmp_path, archive, toy):
    write_scene(archive / "plain.png.tif", coloured("yellow", 5), crs=None)
    with Gallery.create(tmp_path / "g", toy, tile=64, scales=(1, 2)) as opened:
        opened.add(archive)
        yield opened


def every(gallery):
    seen = gallery.snapshot()
    return [as_match(item, seen.ledger[item.scene]) for item in seen.cache.items(range(len(seen.cache.row)))]


def passed(gallery, where):
    seen = gallery.snapshot()
    matches = every(gallery)
    return {matches[at].tile for at in passing(seen.cache, seen.ledger, where)}


def test_polygons_take_the_tiles_whose_outline_they_touch(gallery):
    placed = [match for match in every(gallery) if match.corners is not None]
    west, south = np.min([match.corners.min(axis=0) for match in placed], axis=0)
    east, north = np.max([match.corners.max(axis=0) for match in placed], axis=0)
    triangle = shapely.Polygon([(west, south), (east, south), (west + 0.3 * (east - west), north)])
    expected = {m.tile for m in placed if shapely.Polygon(m.corners).intersects(triangle)}
    assert 0 < len(expected) < len(placed)
    assert passed(gallery, Where(intersects=triangle)) == expected
    result = gallery.search("red", k=3, where=Where(intersects=triangle))
    assert {match.tile for match in result} <= expected and "by the polygon" in result.notes[0]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-190, 190), st.floats(-60, 60), st.floats(0.1, 20)), min_size=1, max_size=6),
    st.lists(st.tuples(st.floats(-180, 180), st.floats(-80, 80)), min_size=3, max_size=3),
)
def test_the_polygon_test_agrees_with_shapely(squares, points):
    area = shapely.MultiPoint(points).convex_hull
    assume(area.area > 1e-3)
    corners = np.array([[(x, y), (x + d, y), (x + d, y - d), (x, y - d)] for x, y, d in squares])
    turned = [
        shapely.transform(area, lambda p, turn=turn: p + np.array([turn, 0])) for turn in (-360, 0, 360)
    ]
    quads = [shapely.Polygon(quad) for quad in corners]
    found = quads_meet_geometry(Outlines.of(corners), area).tolist()
    for quad, hit in zip(quads, found, strict=True):
        apart = min(quad.distance(area) for area in turned)
        near = min(quad.boundary.distance(area.boundary) for area in turned)
        assert hit == (apart == 0) or near < 1e-9  # a touch within rounding may fall either way


def test_names_and_rows_take_exactly_those(gallery):
    names = [match.tile for match in every(gallery)]
    some = (names[0], names[-1], names[40], "gone_s1_x0_y0", "nonsense", names[3].replace("_x", "_x9"))
    assert passed(gallery, Where(ids=some)) == {names[0], names[-1], names[40]}
    rows = gallery.snapshot().cache.row
    assert passed(gallery, Where(rows=(int(rows[9]), int(rows[20])))) == set(names[10:21])
    assert passed(gallery, Where(ids=())) == set()


def test_conditions_are_judged_on_the_tiles_own_properties(gallery):
    matches = every(gallery)
    coarse = All((Comparison("scale", "=", 2), Negation(Like("scene", "red%"))))
    assert passed(gallery, Where(condition=coarse)) == {
        m.tile for m in matches if m.scale == 2 and not m.scene.startswith("red")
    }
    assert passed(gallery, Where(condition=Unknown("gsd"))) == {m.tile for m in matches if m.gsd is None}
    assert passed(gallery, Where(condition=Unknown("datetime"))) == {
        m.tile for m in matches if m.date is None
    }
    name = matches[5].tile
    assert passed(gallery, Where(condition=Comparison("id", "=", name))) == {name}
    gallery.remove("red*")
    left = passed(gallery, Where(condition=Negation(Like("scene", "blue%"))))
    assert left and all(not name.startswith(("red", "blue")) for name in left)


def test_columns_hold_what_the_tiles_hold(gallery):
    seen, matches = gallery.snapshot(), every(gallery)
    for name, of in {"gsd": lambda m: m.gsd, "scale": lambda m: m.scale, "valid": lambda m: m.valid,
                     "scene": lambda m: m.scene, "id": lambda m: m.tile}.items():  # fmt: skip
        column = column_of(name, seen.cache, seen.ledger)
        rows = np.arange(len(matches)) if column.rows is None else column.rows
        values = [column.values[at] if column.known[at] else None for at in rows]
        assert values == [of(match) for match in matches], name


@pytest.mark.parametrize(
    ("keys", "of"),
    [
        ([("gsd", False)], lambda m: (m.gsd is None, m.gsd)),
        ([("scene", True), ("id", False)], None),
        ([("datetime", True)], lambda m: (m.date is None, [-ord(c) for c in m.date or ""])),
    ],
)
def test_sorting_agrees_with_pythons(gallery, keys, of):
    seen, matches = gallery.snapshot(), every(gallery)
    order = arranged(seen.cache, seen.ledger, np.arange(len(matches)), None, keys)
    found = [matches[at] for at in order]
    if of is None:
        expected = sorted(sorted(matches, key=lambda m: m.tile), key=lambda m: m.scene, reverse=True)
    else:
        expected = sorted(matches, key=of)
    assert [m.tile for m in found] == [m.tile for m in expected]
    with pytest.raises(UsageError, match="colour"):
        arranged(seen.cache, seen.ledger, np.arange(3), None, [("colour", False)])


def test_places_and_days(gallery):
    seen, matches = gallery.snapshot(), every(gallery)
    days = tiles_by_day(seen.cache, seen.ledger)
    assert list(days) == ["2020-01-01", "2021-06-15", "2022-03-01"] and sum(days.values()) == sum(
        m.date is not None for m in matches
    )
    at = next(n for n, m in enumerate(matches) if m.scale == 1 and m.center)
    assert same_place(seen.cache, seen.ledger, at) == [at]
    loose = next(n for n, m in enumerate(matches) if m.corners is None)
    assert same_place(seen.cache, seen.ledger, loose) == [loose]
    found = matches[tile_at(seen.cache, seen.ledger, matches[at].center)]
    assert found.scale == 1 and shapely.Polygon(found.corners).contains(shapely.Point(matches[at].center))
    assert tile_at(seen.cache, seen.ledger, (0.0, 0.0)) is None
    assert tile_at(seen.cache, seen.ledger, (0.0, 123.0)) is None


@pytest.mark.parametrize(
    ("area", "words"),
    [
        (shapely.Polygon(), "empty"),
        (shapely.Polygon([(0, 0), (1, 1), (0, 1), (1, 0)]), "Self-intersection"),
        (shapely.Point(0, 91), "off the Earth"),
    ],
)
def test_impossible_areas_are_refused(area, words):
    with pytest.raises(UsageError, match=words):
        Where(intersects=area)
