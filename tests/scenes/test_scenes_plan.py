"""Where windows lie: every pixel covered, by as few as the overlap allows, in reads of bounded size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landsift.errors import LandsiftWarning, UsageError
from landsift.scenes import TilingOptions, plan


@dataclass(frozen=True)
class Paper:
    """As much of a scene as a plan needs."""

    width: int
    height: int
    block: tuple[int, int] = (256, 256)
    gsd: float | None = None


def fewest_windows(length: int, window: int, stride: int) -> int:
    """The slow way: add windows one stride further until the edge is reached."""
    count, reach = 1, window
    while reach < length:
        count, reach = count + 1, reach + stride
    return count


@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    tile=st.integers(8, 200),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]),
    scale=st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0]),
    striped=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_every_pixel_is_covered_by_as_few_windows_as_the_overlap_allows(
    width: int, height: int, tile: int, overlap: float, scale: float, striped: bool
) -> None:
    scene = Paper(width, height, (1, width) if striped else (128, 128))
    laid = plan(scene, TilingOptions(tile=tile, overlap=overlap, scales=(scale,)))
    windows = list(laid.windows())

    seen = np.zeros((height, width), bool)
    for w in windows:
        assert w.col + w.width <= width and w.row + w.height <= height
        seen[w.row : w.row + w.height, w.col : w.col + w.width] = True
    assert seen.all()

    side = max(1, round(tile * scale))
    stride = max(1, round(scale * max(1, round(tile * (1 - overlap)))))
    assert len(windows) == fewest_windows(width, side, stride) * fewest_windows(height, side, stride)
    assert len(windows) == len(laid) == len({(w.col, w.row) for w in windows})


@given(width=st.integers(1, 30_000), height=st.integers(1, 3_000), striped=st.booleans())
@settings(max_examples=50, deadline=None)
def test_blocks_number_the_windows_without_gaps_and_stay_small(
    width: int, height: int, striped: bool
) -> None:
    scene = Paper(width, height, (1, width) if striped else (512, 512))
    laid = plan(scene, TilingOptions(scales=(1, 2, 4)))
    number = 0
    for block in laid.blocks:
        assert block.start == number and block.stop == number + len(block.windows)
        number = block.stop
        outer = block.window
        for w in block.windows:
            assert outer.col <= w.col and w.col + w.width <= outer.col + outer.width
            assert outer.row <= w.row and w.row + w.height <= outer.row + outer.height
        cells = outer.width * outer.height / block.step**2
        tiles = len(block) * block.size[0] * block.size[1]
        assert len(block) == 1 or 3 * (cells + tiles) <= 48_000_000
    assert number == len(laid)


def test_neighbours_share_the_overlap_and_the_last_window_moves_inwards() -> None:
    laid = plan(Paper(1000, 256), TilingOptions(tile=256, overlap=0.25))
    assert [w.col for w in laid.windows()] == [0, 192, 384, 576, 744]
    assert {(w.row, w.width, w.height) for w in laid.windows()} == {(0, 256, 256)}


def test_a_scene_smaller_than_a_tile_is_one_window_of_its_own_size() -> None:
    laid = plan(Paper(100, 60), TilingOptions(tile=256))
    (block,) = laid.blocks
    assert block.size == (60, 100)
    assert [(w.col, w.row, w.width, w.height) for w in laid.windows()] == [(0, 0, 100, 60)]


def test_a_larger_scale_that_shows_nothing_new_is_left_out() -> None:
    assert len(plan(Paper(200, 200), TilingOptions(scales=(1, 2, 4)))) == 1
    # Here scale 2 sees the whole scene at once, which scale 1 does not; scale 4 would only see it smaller.
    laid = plan(Paper(300, 300), TilingOptions(scales=(1, 2, 4)))
    assert [(block.scale, block.size) for block in laid.blocks] == [(1.0, (256, 256)), (2.0, (150, 150))]


def test_larger_scales_read_larger_windows_into_the_same_tile() -> None:
    laid = plan(Paper(2048, 2048), TilingOptions(scales=(2, 1, 2)))
    assert {(b.scale, b.width, b.size, b.step) for b in laid.blocks} == {
        (1.0, 256, (256, 256), 1),
        (2.0, 512, (256, 256), 2),
    }


def test_a_ground_sampling_distance_sets_the_window() -> None:
    laid = plan(Paper(3000, 3000, gsd=0.5), TilingOptions(tile=200, gsd=0.7, scales=(1, 2)))
    assert sorted({(b.scale, b.width, b.size) for b in laid.blocks}) == [
        (1.0, 280, (200, 200)),
        (2.0, 560, (200, 200)),
    ]
    finer = plan(Paper(3000, 3000, gsd=2.0), TilingOptions(tile=200, gsd=1.0))
    assert finer.blocks[0].width == 100 and finer.blocks[0].size == (200, 200)


def test_a_ground_sampling_distance_without_coordinate_system_warns_and_keeps_native_pixels() -> None:
    with pytest.warns(LandsiftWarning, match="native pixels"):
        laid = plan(Paper(1000, 1000), TilingOptions(gsd=1.0))
    assert laid.blocks[0].width == 256


def test_files_in_strips_are_read_at_full_width_and_tiled_ones_in_squares() -> None:
    striped = plan(Paper(20_000, 20_000, (8, 20_000)), TilingOptions())
    assert all(block.window.width == 20_000 for block in striped.blocks)
    tiled = plan(Paper(20_000, 20_000, (256, 256)), TilingOptions())
    assert all(1 / 2 <= block.window.width / block.window.height <= 2 for block in tiled.blocks)
    assert len(striped) == len(tiled) == math.ceil((20_000 - 256) / 192 + 1) ** 2


def test_a_very_wide_strip_is_read_in_few_bounded_pieces() -> None:
    laid = plan(Paper(70_000, 256, (1, 70_000)), TilingOptions())
    assert 2 <= len(laid.blocks) <= 4


def test_a_plan_of_very_many_windows_stays_small() -> None:
    laid = plan(Paper(20_000, 20_000), TilingOptions(tile=64))
    assert len(laid) > 150_000 and len(laid.blocks) < 1000


@pytest.mark.parametrize(
    "wrong",
    [
        {"tile": 4},
        {"tile": 100_000},
        {"tile": 12.5},
        {"overlap": -0.1},
        {"overlap": 1.0},
        {"overlap": math.nan},
        {"scales": ()},
        {"scales": (0,)},
        {"scales": (1, math.inf)},
        {"scales": (-1,)},
        {"gsd": 0},
        {"gsd": math.nan},
    ],
)
def test_options_that_could_never_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="got"):
        TilingOptions(**wrong)  # type: ignore[arg-type]
