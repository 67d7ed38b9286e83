"""Real scenes: NAIP, Landsat, and odd ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from landsift.scenes import SceneProfile, TilingOptions, find_sources, open_scene
from landsift.types import TimeSpan, Window

# name: bands shown, ground sampling distance, date, a point inside (longitude, latitude)
FACTS = {
    "landsat/1985.tif": ((1, 2, 3), 89.2, "1985", (-74.4, -8.4)),
    "misc/L7_ETMs.tif": ((3, 2, 1), 28.5, None, (-34.87, -8.0)),  # Olinda
    "misc/LC08_L1TP_224078_20200518_uint16.tif": ((1, 2, 3), 30.0, "2020-05-18", (-54.6, -25.36)),
    "misc/OSBS_029.tif": ((1, 2, 3), 0.1, None, (-81.9899, 29.6925)),
    "misc/bahamas_rgb.tif": ((1, 2, 3), 299.9, None, (-77.8, 24.6)),
    "misc/landsat7.tif": ((1, 2, 3), 23.7, None, (-122.3, 37.8)),  # San Francisco Bay
    "misc/sparseresidential_3814.tif": ((1, 2, 3), None, None, None),
    "naip/m_4709963_se_14_1_20120731.tif": ((1, 2, 3), 5.0, "2012-07-31", (-99.15, 47.02)),
}


@pytest.mark.parametrize("name", FACTS)
def test_real_scenes_are_what_they_are(real_scenes: Path, name: str) -> None:
    bands, gsd, date, inside = FACTS[name]
    with open_scene(real_scenes / name) as scene:
        profile = scene.profile
        tiles = list(scene.tiles())
    assert profile.bands == bands and profile.date == date
    assert profile.time == (TimeSpan.parse(date) if date else None)
    assert profile == SceneProfile.from_json(profile.to_json())
    if gsd is None or inside is None:
        assert profile.gsd is None and profile.outline is None
    else:
        assert profile.gsd == pytest.approx(gsd, rel=0.01) and profile.outline is not None
        assert (profile.outline.min(axis=0) < inside).all() and (profile.outline.max(axis=0) > inside).all()
    shown = [tile for tile in tiles if tile is not None]
    assert shown and all(tile.pixels.shape[2] == 3 and tile.valid >= 0.5 for tile in shown)


def test_the_whole_folder_is_found(real_scenes: Path) -> None:
    found = [source.name for source in find_sources([real_scenes])]
    assert len(found) == 12 and set(FACTS) <= set(found) and found == sorted(found)


def test_water_is_blue_and_mangroves_are_green(real_scenes: Path) -> None:
    """The colours come out as a person would see them."""
    with open_scene(real_scenes / "misc" / "L7_ETMs.tif") as scene:
        sea, _ = scene.read(Window(320, 230, 24, 24))
        mangrove, _ = scene.read(Window(205, 306, 8, 8))
    red, _, blue = sea.reshape(-1, 3).mean(axis=0)
    assert blue > red + 40
    red, green, blue = mangrove.reshape(-1, 3).mean(axis=0)
    assert green > red + 10 and green > blue + 10


def test_sixteen_bits_are_stretched_over_the_whole_range(real_scenes: Path) -> None:
    with open_scene(real_scenes / "misc" / "LC08_L1TP_224078_20200518_uint16.tif", bands=(3, 2, 1)) as scene:
        pixels, _ = scene.read(Window(0, 0, 1024, 1024))
    shares = [
        np.bincount(pixels[..., i].ravel(), minlength=256)[[0, 255]] / pixels[..., i].size for i in range(3)
    ]
    assert all(0.01 < share < 0.03 for pair in shares for share in pair)


def test_tiles_outside_a_turned_footprint_are_left_out(real_scenes: Path) -> None:
    with open_scene(real_scenes / "misc" / "bahamas_rgb.tif") as scene:
        tiles = list(scene.tiles(TilingOptions(tile=128)))
    assert 0 < sum(tile is None for tile in tiles) < len(tiles) / 3
    assert any(tile is not None and tile.valid < 1 for tile in tiles)
