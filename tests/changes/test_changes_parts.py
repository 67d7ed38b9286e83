"""The parts on their own: sentences, scores, stacks, pictures of a place, clouds."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from landsift.changes import read_sentence
from landsift.changes.clouds import hidden_shares, unclipped
from landsift.changes.scoring import FEWEST, amount_scores, deviations, directed_scores, settled, unwanted
from landsift.changes.stacks import Layer, stack
from landsift.changes.views import pixel_map, reopened, widened
from landsift.errors import UsageError
from landsift.gallery.settings import IndexSettings
from landsift.gallery.store import SceneRow
from landsift.plot import Pair, save_pair_sheet
from landsift.scenes import SceneProfile, open_scene
from landsift.types import Window


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("forest cleared for farmland", "forest", "farmland"),
        ("Fields were turned into a lake.", "Fields", "a lake"),
        ("a meadow became a car park", "a meadow", "a car park"),
        ("farmland flooded by a lake", "farmland", "a lake"),
        ("old houses have been replaced by towers", "old houses", "towers"),
        ("from forest to bare soil", "forest", "bare soil"),
        ("forest to farmland", "forest", "farmland"),
        ("sand -> water", "sand", "water"),
        ("houses built on farmland", "farmland", "houses"),
        ("trees where there was bare soil", "bare soil", "trees"),
        ("new buildings", None, "buildings"),
        ("a road was built", None, "a road"),
        ("growth of the city", None, "the city"),
        ("the forest is gone", "the forest", None),
        ("a river has dried up", "a river", None),
        ("loss of mangroves", "mangroves", None),
        ("a house next to a road", None, "a house next to a road"),
        ("a road leading into the forest", None, "a road leading into the forest"),
        ("a harbour", None, "a harbour"),
    ],
)
def test_sentences_are_taken_apart(text, before, after):
    read = read_sentence(text)
    assert (read.before, read.after) == (before, after)
    assert read.understood == (text not in (after, f"{after}."))


def test_nothing_said_is_nothing_read():
    assert read_sentence(None) is None
    assert read_sentence("forest cleared for farmland", after="a lake").before is None


# -- scores --------------------------------------------------------------------------------------------------


def slow_deviations(values: list[float]) -> list[float]:
    middle = statistics.median(values)
    spread = 1.4826 * statistics.median(abs(value - middle) for value in values)
    return [(value - middle) / spread for value in values]


def test_deviations_are_those_of_their_own_group():
    rng = np.random.default_rng(0)
    values, groups = rng.normal(size=40), np.repeat([3, 7], 20)
    values[20:] += 50.0
    expected = slow_deviations(values[:20].tolist()) + slow_deviations(values[20:].tolist())
    assert deviations(values, groups) == pytest.approx(expected)
    few = np.arange(FEWEST - 1.0)
    assert deviations(few, np.zeros(len(few), np.int64)).tolist() == few.tolist()
    together = np.repeat([0, 1], FEWEST - 1)  # too small apart, enough together
    assert deviations(np.arange(2.0 * FEWEST - 2), together) == pytest.approx(
        slow_deviations(np.arange(2.0 * FEWEST - 2).tolist())
    )
    same = np.ones(20)
    assert deviations(same, np.zeros(20, np.int64)).tolist() == [0.0] * 20


def test_a_shift_of_the_whole_scene_is_no_change():
    rng = np.random.default_rng(1)
    before = rng.normal(size=(30, 6)).astype(np.float32)
    after, groups = before + np.float32(5.0), np.zeros(30, np.int64)
    after[11] += 0.5
    change = settled(before, after, groups)
    assert np.abs(np.delete(change, 11, axis=0)).max() < 1e-6
    assert int(np.argmax(amount_scores(change, groups))) == 11


def test_all_conditions_of_a_sentence_must_hold():
    target, source = np.eye(3, dtype=np.float32)[:2]
    before = np.tile(np.array([0.1, 0.1, 1.0], np.float32), (20, 1))
    before += np.random.default_rng(2).normal(0, 0.01, before.shape).astype(np.float32)
    after = before.copy()
    before[4], after[4] = (0, 1, 0), (1, 0, 0)  # was the source, became the target
    before[5], after[5] = (1, 0, 0), (1, 0, 0)  # always the target
    before[6], after[6] = (0, 1, 0), (0, 0, 1)  # the source is gone, for something else
    groups = np.zeros(20, np.int64)
    change = settled(before, after, groups)
    scores = directed_scores(before, after, change, source, target, groups)
    assert int(np.argmax(scores)) == 4 and scores[[5, 6]].max() < scores[4] / 5
    gone = directed_scores(before, after, change, source, None, groups)
    assert set(np.argsort(-gone)[:2].tolist()) == {4, 6}
    turned = directed_scores(after, before, -change, source, target, groups)
    assert turned[4] < 0
    taken_off = unwanted(change, target[None], groups)
    assert int(np.argmax(taken_off)) == 4 and taken_off.min() >= 0


# -- stacks --------------------------------------------------------------------------------------------------


def layer(west: float, side: float, count: int, gsd: float, key: int = 1) -> Layer:
    """A row of square tiles from ``west`` on, their upper edge on the equator."""
    left = west + side * np.arange(count)
    right, top, low = left + side, np.zeros(count), np.full(count, -side)
    rings = np.stack([[left, top], [right, top], [right, low], [left, low]])
    windows = np.array([[64 * number, 0, 64, 64] for number in range(count)])
    scene = SceneRow(f"scene{key}", "", "", "{}", "{}", key=key)
    rows = np.arange(count) + 100 * key
    return Layer(scene, rows, np.moveaxis(rings, 2, 0), windows, np.full(count, gsd))


def test_tiles_are_matched_by_the_ground_they_share():
    before, after = layer(0.25, 1.0, 5, 10.0), layer(0.0, 1.0, 5, 10.0, key=2)
    found = stack(before, after)
    assert found.base_is_after and found.places.tolist() == [0, 1, 2, 3, 4] and found.uncovered == 0
    assert found.best.tolist() == [0, 1, 2, 3, 4] and found.likeness == pytest.approx([0.6] * 5)
    tens = np.array([0.0, 10, 20, 30, 40])
    assert found.mean_over_mates(tens) == pytest.approx([0.0, 7.5, 17.5, 27.5, 37.5])
    some = found.among(np.array([False, True, False, True, False]))
    assert some.mean_over_mates(tens) == pytest.approx([7.5, 27.5])


def test_the_coarser_date_gives_the_places_and_little_cover_is_none():
    fine, coarse = layer(0.0, 1.0, 4, 5.0), layer(-1.2, 1.0, 6, 10.0, key=2)
    for pair in ((fine, coarse), (coarse, fine)):
        found = stack(*pair)
        assert found.base.scene.key == 2 and found.base_is_after == (pair[1] is coarse)
        assert found.places.tolist() == [1, 2, 3, 4] and found.uncovered == 1
        assert found.mean_over_mates(np.arange(4.0)) == pytest.approx([0.0, 0.8, 1.8, 2.8])
    assert stack(fine, layer(50.0, 1.0, 4, 5.0, key=2)) is None
    assert stack(fine, layer(4.0, 1.0, 4, 5.0, key=2)) is None  # sides touch, no ground is shared


def test_places_across_the_antimeridian_are_one():
    found = stack(layer(178.5, 1.0, 3, 10.0), layer(-181.5, 1.0, 3, 10.0, key=2))
    assert found.places.tolist() == [0, 1, 2] and found.likeness == pytest.approx([1.0] * 3)


# -- pictures of a place -------------------------------------------------------------------------------------


@pytest.fixture
def turned_scene(tmp_path: Path) -> SceneRow:
    """A scene turned by 30 degrees whose red grows to the east and whose green grows to the north."""
    transform = Affine.translation(500_000, 4_500_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    columns, rows = np.meshgrid(np.arange(200) + 0.5, np.arange(200) + 0.5)
    east, north = transform @ (columns, rows)
    red, green = (east - 498_900) / 14, (north - 4_498_200) / 14
    pixels = np.stack([red, green, np.full_like(red, 90)]).clip(0, 255).astype(np.uint8)
    path = tmp_path / "turned.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=200, height=200, count=3, dtype="uint8", crs="EPSG:32633",
        transform=transform,
    ) as file:  # fmt: skip
        file.write(pixels)
    with open_scene(path) as scene:
        profile = SceneProfile(**{f: getattr(scene.profile, f) for f in SceneProfile.__slots__})
        source = scene.source
    identity = ((0.0, 255.0),) * 3
    return SceneRow(
        "turned", "", "turned.tif", IndexSettings().to_json(), source.to_json(),
        profile=replace(profile, stretch=identity).to_json(), key=1,
    )  # fmt: skip


def test_a_place_is_drawn_upright_from_a_turned_scene(turned_scene):
    from rasterio.warp import transform

    from landsift.changes.views import Views

    east, north, side = 500_700.0, 4_499_900.0, 320.0
    corners = [(east, north), (east + side, north), (east + side, north - side), (east, north - side)]
    ring = np.column_stack(transform("EPSG:32633", "EPSG:4326", *zip(*corners, strict=True)))
    profile = SceneProfile.from_json(turned_scene.profile)
    windows = np.array([[60, 60, 64, 64], [124, 60, 64, 64], [60, 124, 64, 64]])
    with reopened(turned_scene, profile) as scene:
        rings = np.array([scene.corners(Window(*map(int, window))) for window in windows])
    with Views() as views:
        picture, share = views.draw(turned_scene, pixel_map(rings, windows), ring, (32, 32))
        outside, none = views.draw(turned_scene, pixel_map(rings, windows), ring + 1.0, (8, 8))
    middles = (np.arange(32) + 0.5) * 10
    assert np.abs(picture[..., 0] - (east + middles[None] - 498_900) / 14).max() < 2
    assert np.abs(picture[..., 1] - (north - middles[:, None] - 4_498_200) / 14).max() < 2
    assert share == pytest.approx(1.0) and none == 0.0 and len(np.unique(outside)) <= 3


def test_a_margin_is_a_share_of_the_side():
    ring = np.array([[0.0, 2.0], [2.0, 2.0], [2.0, 0.0], [0.0, 0.0]])
    assert widened(ring, 0.5).tolist() == [[-1.0, 3.0], [3.0, 3.0], [3.0, -1.0], [-1.0, -1.0]]


# -- clouds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "scale"), [("uint8", 1), ("uint16", 40)])
def test_white_is_cloud_and_dark_beside_it_shadow(tmp_path, dtype, scale):
    rng = np.random.default_rng(0)
    ground = rng.integers(30, 70, (128, 256, 3)) + np.array([5, 30, 0])
    ground[:64, :40] = 235  # cloud
    ground[:64, 40:64] = 8  # its shadow
    ground[:64, 192:] = 8  # water
    ground[64:, :64] = (235, 120, 90)  # bright, with a colour
    from toys import write_scene

    path = write_scene(tmp_path / "sky.tif", (ground * scale).astype(dtype))
    shares = looked(path, np.array([[x, y, 64, 64] for y in (0, 64) for x in (0, 64, 128, 192)]))
    assert shares[0] == pytest.approx(1.0, abs=0.05) and shares[1:].max() < 0.02


def test_real_clouds_are_told_from_real_ground(real_data):
    clouded, clear = np.array([[430, 70, 40, 40]]), np.array([[60, 250, 40, 40], [600, 100, 40, 40]])
    bahamas = real_data / "scenes" / "misc" / "bahamas_rgb.tif"
    assert looked(bahamas, clouded).min() > 0.7 and looked(bahamas, clear).max() < 0.1
    windows = np.array([[x, y, 96, 96] for y in range(0, 280, 48) for x in range(0, 600, 48)])
    for name in ("naip/m_4709963_se_14_1_20090818", "landsat/1985"):
        assert looked(real_data / "scenes" / f"{name}.tif", windows).max() < 0.05, name


def looked(path: Path, windows: np.ndarray) -> np.ndarray:
    with open_scene(path) as scene:
        profile = scene.profile
    with open_scene(path, profile=replace(profile, stretch=unclipped(profile))) as scene:
        return hidden_shares(scene, windows)


def test_an_empty_wording_is_refused():
    with pytest.raises(UsageError, match="empty"):
        read_sentence("")


def test_a_sheet_needs_a_place(tmp_path):
    with pytest.raises(UsageError, match="nothing to draw"):
        save_pair_sheet(tmp_path / "sheet.png", "title", "facts", [])
    save_pair_sheet(tmp_path / "sheet.png", "title", "facts", [Pair(None, None, ("1985", "2020"), "gone")])
    assert (tmp_path / "sheet.png").stat().st_size > 1000
