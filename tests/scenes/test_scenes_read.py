"""What tiles look like: sample types, bands, stretch, missing pixels, and reads that agree."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from PIL import Image

from landsift.errors import SceneError, UsageError
from landsift.scenes import SceneProfile, TilingOptions, open_scene, plan
from landsift.types import Tile, Window

Noise = Callable[..., np.ndarray]
Write = Callable[..., Path]
IDENTITY = ((0.0, 255.0),) * 3


def stretched(samples: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """The slow way: percentiles of everything, then the formula, in double precision; ``(h, w, 3)``."""
    shown = np.empty((*samples.shape[1:], 3), np.uint8)
    for i, band in enumerate(samples.astype(np.float64)):
        low, high = np.percentile(band if valid is None else band[valid], (2, 98))
        with np.errstate(invalid="ignore"):
            shown[..., i] = np.nan_to_num(np.clip((band - low) * 255 / (high - low), 0, 255) + 0.5, nan=0)
    return shown


def all_tiles(path: Path, **options: object) -> list[Tile | None]:
    with open_scene(path) as scene:
        return list(scene.tiles(TilingOptions(**options)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("uint8", 20, 90),
        ("int8", -100, 100),
        ("uint16", 300, 9000),
        ("int16", -3000, 12_000),
        ("uint32", 1e5, 4e9),
        ("int32", -1e9, 1e9),
        ("float32", -0.2, 1.4),
        ("float64", 1e6, 1e6 + 3),
    ],
)
def test_every_sample_type_is_stretched_as_by_numpy(
    write_raster: Write, noise: Noise, dtype: str, low: float, high: float
) -> None:
    samples = noise((3, 90, 120), dtype, low, high)
    with open_scene(write_raster(samples)) as scene:
        pixels, valid = scene.read(Window(0, 0, 120, 90))
        for band, limits in zip(samples, scene.profile.stretch, strict=True):
            np.testing.assert_allclose(limits, np.percentile(band.astype(float), (2, 98)))
    assert valid == 1.0 and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - stretched(samples)).max() <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7, 12])
def test_any_number_of_bands_gives_three_colours(write_raster: Write, noise: Noise, count: int) -> None:
    samples = noise((count, 64, 64), "uint16", 0, 9000)
    expected = {1: (1, 1, 1), 2: (1, 2, 0), 6: (3, 2, 1), 7: (4, 3, 2), 12: (4, 3, 2)}.get(count, (1, 2, 3))
    with open_scene(write_raster(samples)) as scene:
        assert scene.profile.bands == expected
        assert scene.profile.count == count
        pixels, _ = scene.read(Window(0, 0, 64, 64))
    if count == 1:
        assert (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
        return
    shown = stretched(samples[[band - 1 for band in expected if band]])
    both = [i for i, band in enumerate(expected) if band]
    assert np.abs(pixels[..., both].astype(int) - shown[..., : len(both)]).max() <= 1
    if count == 2:
        assert np.abs(pixels[..., 2] - pixels[..., :2].mean(axis=-1)).max() <= 0.5


@pytest.mark.parametrize(
    ("options", "bands", "why"),
    [
        ({"colours": ["blue", "green", "red", "undefined"]}, (3, 2, 1), "colour interpretation"),
        ({"names": ["Blue", "Green", "Red", "NIR"]}, (3, 2, 1), "band names"),
        ({"names": ["red edge 1", "Red (665 nm)", "green", "blue"]}, (2, 3, 4), "band names"),
        ({"names": ["near infra-red", "blue", "green", "red"]}, (4, 3, 2), "band names"),
        ({"names": ["B02", "B03", "B04", "B08"]}, (3, 2, 1), "band names"),
        ({"names": ["B8", "B4", "B3", "B2"]}, (2, 3, 4), "band names"),
        ({"names": ["SR_B2", "SR_B3", "SR_B4", "SR_B5"]}, (3, 2, 1), "band names"),
        ({"names": ["B1", "B2", "B3", "B4", "B5", "B7"]}, (3, 2, 1), "band names"),
        ({"names": ["alpha", "beta", "gamma", "delta"]}, (1, 2, 3), "guessed from the band count"),
        (
            {"band_tags": [{"wavelength": w} for w in ("0.83", "0.49", "0.56", "0.665")]},
            (4, 3, 2),
            "wavelengths",
        ),
        (
            {
                "band_tags": [
                    {"wavelength": w, "wavelength_units": "Nanometers"} for w in ("490", "560", "665", "842")
                ]
            },
            (3, 2, 1),
            "wavelengths",
        ),
    ],
)
def test_the_bands_to_show_are_guessed_from_what_the_file_says(
    write_raster: Write,
    noise: Noise,
    options: dict[str, list[str]],
    bands: tuple[int, int, int],
    why: str,
) -> None:
    count = len(next(iter(options.values())))
    path = write_raster(noise((count, 32, 32), "uint16"), photometric="MINISBLACK", **options)
    with open_scene(path) as scene:
        assert scene.profile.bands == bands
        assert scene.profile.bands_why.startswith(why)


def test_bands_can_be_chosen(write_raster: Write, noise: Noise) -> None:
    samples = noise((5, 40, 40), "uint16", 0, 9000)
    path = write_raster(samples)
    with open_scene(path, bands=(5, 1, 3)) as scene:
        assert (
            np.abs(scene.read(Window(0, 0, 40, 40))[0].astype(int) - stretched(samples[[4, 0, 2]])).max() <= 1
        )
    with open_scene(path, bands=[4]) as scene:
        assert scene.profile.bands == (4, 4, 4)
    with open_scene(path, bands=[4, 2]) as scene:
        assert scene.profile.bands == (4, 2, 0)


@pytest.mark.parametrize("bands", [(), (0, 1, 2), (1, 2, 3, 4), (-1,)])
def test_impossible_band_numbers_are_refused(
    write_raster: Write, noise: Noise, bands: tuple[int, ...]
) -> None:
    with pytest.raises(UsageError, match="counted from 1"):
        open_scene(write_raster(noise((3, 20, 20))), bands=bands)


def test_a_palette_is_expanded_into_its_colours(write_raster: Write) -> None:
    samples = np.zeros((64, 64), np.uint8)
    samples[:, 32:] = 7
    path = write_raster(samples, palette={0: (10, 20, 30, 255), 7: (200, 100, 50, 255)})
    with open_scene(path) as scene:
        pixels, valid = scene.read(Window(0, 0, 64, 64))
        half, _ = scene.read(Window(0, 0, 64, 64), (32, 32))
    assert scene.profile.bands_why == "colour palette" and valid == 1.0
    assert pixels[0, 0].tolist() == [10, 20, 30] and pixels[0, 40].tolist() == [200, 100, 50]
    # Colour numbers must not be averaged: 3 or 4 would be other colours altogether.
    assert {tuple(c) for c in half.reshape(-1, 3).tolist()} == {(10, 20, 30), (200, 100, 50)}


def test_plain_photographs_keep_their_look(write_raster: Write, noise: Noise) -> None:
    forest = noise((3, 50, 50), "uint8", 40, 60)
    rgb = ["red", "green", "blue"]
    for name, driver, options in [
        ("a.png", "PNG", {}),
        ("b.tif", "GTiff", {"transform": None, "colours": rgb}),
        ("c.webp", "WEBP", {"QUALITY": 100, "LOSSLESS": "YES"}),
    ]:
        with open_scene(write_raster(forest, name, driver=driver, **options)) as scene:
            assert scene.profile.stretch == IDENTITY, name
            np.testing.assert_array_equal(
                scene.read(Window(0, 0, 50, 50))[0], forest.transpose(1, 2, 0), err_msg=name
            )
    with open_scene(write_raster(forest, "d.tif", colours=rgb)) as scene:
        assert scene.profile.stretch != IDENTITY
    with open_scene(write_raster(forest[:1], "e.png", driver="PNG")) as scene:
        assert scene.profile.stretch == IDENTITY
    with open_scene(write_raster(forest.astype("uint16"), "f.png", driver="PNG")) as scene:
        assert scene.profile.stretch != IDENTITY


def test_a_scene_of_one_value_does_no_harm(write_raster: Write) -> None:
    (tile,) = all_tiles(write_raster(np.full((3, 50, 50), 777, np.uint16)))
    assert tile is not None and len(np.unique(tile.pixels)) == 1
    spike = np.zeros((1, 100, 100), np.float32)
    spike[0, 50, 50] = 8
    with open_scene(write_raster(spike, "spike.tif")) as scene:
        assert scene.profile.stretch[0] == (0.0, 8.0)


# Missing pixels


def half_missing(samples: np.ndarray, share: float) -> np.ndarray:
    """Which pixels stay valid when the right ``share`` of the columns is gone."""
    valid = np.ones(samples.shape[1:], bool)
    valid[:, round(samples.shape[2] * (1 - share)) :] = False
    return valid


@pytest.mark.parametrize("how", ["nodata", "alpha", "mask", "external mask", "NaN", "nodata NaN", "palette"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_missing_pixels_are_left_out_and_filled(
    write_raster: Write, noise: Noise, how: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = noise((3, 100, 100), "uint16", 1000, 3000)
    valid = half_missing(samples, share)
    if how == "nodata":
        path = write_raster(np.where(valid, samples, 0), nodata=0)
    elif how == "alpha":
        alpha = (valid * 65535).astype("uint16")
        path = write_raster(
            np.concatenate([samples, alpha[None]]),
            colours=["red", "green", "blue", "alpha"],
            photometric="RGB",
        )
    elif how == "palette":
        samples = noise((1, 100, 100), "uint8", 1, 9)
        colours = {i: (20 * i, 10 * i, i, 255) for i in range(1, 10)} | {0: (0, 0, 0, 0)}
        path = write_raster(np.where(valid, samples, 0).astype("uint8"), nodata=0, palette=colours)
    elif "mask" in how:
        inside = how == "mask"
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside):
            path = write_raster(samples, mask=valid)
        assert path.with_suffix(".tif.msk").exists() != inside
        # A setting that suits remote files must not hide a mask beside a local one.
        monkeypatch.setenv("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
    else:
        nodata = np.nan if how == "nodata NaN" else None
        path = write_raster(np.where(valid, samples, np.nan).astype("float32"), nodata=nodata)
    with open_scene(path) as scene:
        pixels, found = scene.read(Window(0, 0, 100, 100))
        tiles = list(scene.tiles())
    assert found == pytest.approx(1 - share, abs=1e-9)
    assert (tiles[0] is None) == (share > 0.5)
    filled = pixels[~valid]
    assert (filled == filled[0]).all()
    np.testing.assert_allclose(filled[0], pixels[valid].mean(axis=0), atol=0.51)
    if how != "palette":
        assert np.abs(pixels[valid].astype(int) - stretched(samples, valid)[valid]).max() <= 1


def test_one_band_may_hold_the_nodata_value_by_right(write_raster: Write, noise: Noise) -> None:
    samples = noise((3, 60, 60), "uint8", 10, 255)
    samples[0, :30] = 255
    samples[:, 40:, :] = 255
    with open_scene(write_raster(samples, nodata=255)) as scene:
        assert scene.read(Window(0, 0, 60, 60))[1] == pytest.approx(40 / 60)


def test_not_a_number_in_one_band_is_missing_in_all(write_raster: Write, noise: Noise) -> None:
    samples = noise((3, 50, 50), "float32", 0, 1)
    samples[1, :10] = np.nan
    samples[2, 10:20] = np.inf
    samples[0, 20:25] = -np.inf
    with warnings.catch_warnings(), open_scene(write_raster(samples)) as scene:
        warnings.simplefilter("error")
        pixels, valid = scene.read(Window(0, 0, 50, 50))
        assert valid == 0.5
        assert all(np.isfinite(limits).all() and limits[1] <= 1 for limits in scene.profile.stretch)
    assert (pixels[:25] == pixels[0, 0]).all()


@pytest.mark.parametrize("nodata", [-9999.0, -3.4028234663852886e38])
def test_nodata_of_floats_is_found_despite_rounding(write_raster: Write, noise: Noise, nodata: float) -> None:
    samples = noise((1, 40, 40), "float32", 0, 1)
    samples[:, :10] = nodata
    with open_scene(write_raster(samples, nodata=nodata)) as scene:
        assert scene.read(Window(0, 0, 40, 40))[1] == 0.75
        assert scene.profile.stretch[0][0] >= 0


def test_decimation_does_not_mix_missing_pixels_in(write_raster: Write) -> None:
    samples = np.full((3, 512, 512), 1000, np.uint16)
    samples[:, :, ::2] += np.arange(512, dtype=np.uint16)[:, None]
    samples[:, :301, :301] = 0
    with open_scene(write_raster(samples, nodata=0)) as scene:
        pixels, valid = scene.read(Window(0, 0, 512, 512), (128, 128))
        low = scene.profile.stretch[0][0]
    assert low >= 1000 and valid == pytest.approx(1 - (300 / 512) ** 2, abs=0.01)
    mean = pixels[80:, 80:].mean()
    edge = pixels[75, :75]
    assert (edge > mean / 4).all(), "the rim of the hole would be dark if nodata had been averaged in"


# Reads that agree


KINDS: dict[str, Callable[[Write, np.ndarray], Path]] = {
    "tiled": lambda write, a: write((a // 16).astype("uint8"), tiled=True, blockxsize=64, blockysize=64),
    "striped, nodata": lambda write, a: write(a, nodata=0),
    "floats with holes": lambda write, a: write(np.where(a == 0, np.nan, a).astype("float32")),
    "overviews": lambda write, a: write(
        a, nodata=0, overviews=[2, 4], tiled=True, blockxsize=64, blockysize=64
    ),
    "odd overviews": lambda write, a: write(a, nodata=0, overviews=[3, 7]),
    "mask, overviews": lambda write, a: write(a, mask=a[0] > 0, overviews=[2]),
    "alpha": lambda write, a: write(with_alpha(a), colours=RGBA, photometric="RGB"),
    "alpha, overviews": lambda write, a: write(
        with_alpha(a), colours=RGBA, photometric="RGB", overviews=[2, 4]
    ),
    "palette": lambda write, a: write(
        (a[:1] // 16).astype("uint8"), palette={i: (i, 255 - i, i // 2, 255) for i in range(256)}
    ),
    "COG": lambda write, a: copied(write(a, nodata=0), "COG", BLOCKSIZE=128, OVERVIEW_COUNT=2),
    "JPEG2000": lambda write, a: copied(write(a), "JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES"),
    "JPEG": lambda write, a: copied(write((a // 16).astype("uint8")), "JPEG", QUALITY=95),
    "VRT": lambda write, a: copied(write(a, nodata=0, overviews=[2]), "VRT"),
}
RGBA = ["red", "green", "blue", "alpha"]


def with_alpha(samples: np.ndarray) -> np.ndarray:
    return np.concatenate([samples, np.where(samples[:1] == 0, 0, 65535).astype("uint16")])


def copied(path: Path, driver: str, **options: object) -> Path:
    copy = path.with_name(f"copy.{driver}")
    rasterio.shutil.copy(path, copy, driver=driver, **options)
    return copy


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {"tile": 64, "scales": (1, 2, 4)},
        {"tile": 50, "overlap": 0.5, "scales": (3,)},
        {"tile": 64, "gsd": 13.7, "scales": (1, 2)},
        {"tile": 64, "gsd": 6.0},
    ],
)
def test_a_block_gives_what_reading_each_window_gives(
    write_raster: Write, noise: Noise, kind: str, options: dict[str, object]
) -> None:
    samples = noise((3, 301, 333), "uint16", 1, 4000)
    samples[:, 100:160, 40:] = 0
    path = KINDS[kind](write_raster, samples)
    tiling = TilingOptions(**options)  # type: ignore[arg-type]
    with open_scene(path) as scene:
        laid = plan(scene.profile, tiling)
        tiles = list(scene.tiles(tiling))
        assert len(tiles) == len(laid) and any(tile is not None for tile in tiles)
        for block in laid.blocks:
            for window, tile in zip(block.windows, scene.read_block(block), strict=True):
                pixels, valid = scene.read(window, block.size)
                if tile is None:
                    assert valid < 0.5
                    continue
                assert tile.window == window and tile.scale == block.scale and tile.valid == valid >= 0.5
                np.testing.assert_array_equal(tile.pixels, pixels)
                np.testing.assert_array_equal(tile.corners, scene.corners(window))


def test_blocks_of_every_size_give_the_same_tiles(
    write_raster: Write, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_raster(noise((3, 400, 500), "uint16", 0, 9000), nodata=0)
    options = TilingOptions(tile=64, scales=(1, 2))
    with open_scene(path) as scene:
        whole = list(scene.tiles(options))
        blocks = len(plan(scene.profile, options).blocks)
    monkeypatch.setattr("landsift.scenes.tiling._BLOCK_BYTES", 3 * 64 * 64 * 7)
    monkeypatch.setattr("landsift.scenes.canvas._READ_BYTES", 20_000)
    with open_scene(path) as scene:
        pieces = list(scene.tiles(options))
        assert len(plan(scene.profile, options).blocks) > blocks
    by_window = {(t.window, t.scale): t.pixels for t in whole if t is not None}
    assert len(by_window) == len(pieces) == len(whole)
    for tile in pieces:
        assert tile is not None
        np.testing.assert_array_equal(tile.pixels, by_window[tile.window, tile.scale])


def test_tiles_from_the_middle_on_are_the_same(write_raster: Write, noise: Noise) -> None:
    path = write_raster(noise((3, 200, 300)))
    everything = all_tiles(path, tile=64)
    with open_scene(path) as scene:
        rest = list(scene.tiles(TilingOptions(tile=64), start=7))
    assert len(rest) == len(everything) - 7
    for one, other in zip(rest, everything[7:], strict=True):
        assert one is not None and other is not None and one.window == other.window
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_decimation_averages(write_raster: Write, noise: Noise) -> None:
    samples = noise((3, 128, 128), "uint8", 0, 255)
    path = write_raster(samples, "a.png", driver="PNG")
    with open_scene(path) as scene:
        pixels, _ = scene.read(Window(16, 32, 96, 64), (16, 24))
    slow = samples[:, 32:96, 16:112].reshape(3, 16, 4, 24, 4).mean(axis=(2, 4)).transpose(1, 2, 0)
    assert np.abs(pixels - slow).max() <= 1


@pytest.mark.parametrize("pixels_wide", [50, 64, 80, 100, 133, 200, 256])
def test_resampled_tiles_lie_where_their_window_says(write_raster: Write, pixels_wide: int) -> None:
    ramp = np.tile(np.arange(240, dtype=np.uint8), (3, 240, 1))
    ramp[1] = ramp[0].T
    path = write_raster(ramp, "ramp.png", driver="PNG")
    window = Window(17, 31, 200, 200)
    with open_scene(path) as scene:
        pixels, _ = scene.read(window, (pixels_wide, pixels_wide))
    centres = (np.arange(pixels_wide) + 0.5) * 200 / pixels_wide - 0.5
    inner = slice(2, -2)
    half_a_pixel = 0.5 * 200 / pixels_wide
    assert np.abs(pixels[pixels_wide // 2, :, 0] - (17 + centres))[inner].max() <= half_a_pixel + 0.6
    assert np.abs(pixels[:, pixels_wide // 2, 1] - (31 + centres))[inner].max() <= half_a_pixel + 0.6


def test_overviews_serve_decimated_reads(write_raster: Write) -> None:
    samples = np.full((3, 512, 512), 50, np.uint8)
    path = write_raster(samples, "a.tif", transform=None, photometric="RGB", tiled=True, overviews=[2])
    # Full resolution changes after the overviews were made, so that one can tell which was read.
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.write(np.full((3, 512, 512), 200, np.uint8))
    tiles = all_tiles(path, tile=256, overlap=0, scales=(1, 2))
    assert [int(tile.pixels.mean()) for tile in tiles if tile is not None] == [200, 200, 200, 200, 50]


def test_the_stretch_of_a_large_scene_comes_from_patches_everywhere(
    write_raster: Write, noise: Noise
) -> None:
    ramp = np.linspace(1000, 9000, 2600)[None, :, None] + noise((1, 2600, 2400), "float64", -50, 50)
    with open_scene(write_raster(ramp.astype("uint16"), tiled=True)) as scene:
        stretch = scene.profile.stretch[0]
    np.testing.assert_allclose(stretch, np.percentile(ramp, (2, 98)), rtol=0.12)


def test_a_speck_of_data_in_an_empty_scene_is_found(write_raster: Write) -> None:
    samples = np.zeros((1, 2600, 2400), np.uint8)
    samples[0, 2001:2004, 301:305] = 9
    path = write_raster(samples, nodata=0, compress="deflate", tiled=True)
    with open_scene(path) as scene:
        assert scene.profile.stretch[0] == (9.0, 10.0)
        assert all(tile is None for tile in scene.tiles())


# Profiles and threads


def test_a_profile_survives_json_and_brings_back_the_same_tiles(write_raster: Write, noise: Noise) -> None:
    samples = noise((4, 120, 140), "float32", 0, 1)
    samples[:, :20] = np.nan
    path = write_raster(samples, "s_20200831.tif", nodata=np.nan)
    with open_scene(path, bands=(4, 2, 1)) as scene:
        profile, first = scene.profile, scene.read(Window(5, 0, 100, 90))
    again = SceneProfile.from_json(profile.to_json())
    assert again.to_json() == profile.to_json()
    assert (again.bands, again.stretch, again.corners) == (profile.bands, profile.stretch, profile.corners)
    with rasterio.open(path, "r+") as dataset:
        dataset.write(samples * 2, indexes=[1, 2, 3, 4])
    with open_scene(path, profile=again) as scene:
        assert scene.profile is again
        second = scene.read(Window(5, 0, 100, 90))
    assert first[1] == second[1]
    assert (second[0].astype(int) >= first[0]).all(), "brighter samples under the old stretch"


def test_a_profile_that_is_none_is_refused() -> None:
    for text in ("", "[]", "{}", '{"driver": 1}'):
        with pytest.raises(SceneError, match="index the scene again"):
            SceneProfile.from_json(text)


def test_a_profile_of_another_shape_says_that_the_scene_changed(write_raster: Write, noise: Noise) -> None:
    with open_scene(write_raster(noise((3, 50, 60)))) as scene:
        profile = scene.profile
    path = write_raster(noise((3, 60, 60)))
    with pytest.raises(SceneError, match="has changed"):
        open_scene(path, profile=profile)


def test_threads_with_their_own_scenes_read_the_same(write_raster: Write, noise: Noise) -> None:
    path = write_raster(noise((3, 600, 700), "uint16", 0, 9000), tiled=True, compress="deflate")
    options = TilingOptions(tile=64, scales=(1, 2))
    with open_scene(path) as scene:
        profile, alone = scene.profile, list(scene.tiles(options))

    def read(_: int) -> list[Tile | None]:
        with open_scene(path, profile=profile) as mine:
            return list(mine.tiles(options))

    with ThreadPoolExecutor(4) as pool:
        for together in pool.map(read, range(8)):
            for one, other in zip(alone, together, strict=True):
                assert one is not None and other is not None
                np.testing.assert_array_equal(one.pixels, other.pixels)


def test_tiles_own_their_pixels(write_raster: Write, noise: Noise) -> None:
    for tile in all_tiles(write_raster(noise((3, 300, 300))), tile=64, scales=(1, 1.3)):
        assert tile is not None and tile.pixels.flags["C_CONTIGUOUS"] and tile.pixels.base is None
        tile.pixels[0, 0] = 1


def test_windows_beyond_the_edge_are_refused(write_raster: Write, noise: Noise) -> None:
    with open_scene(write_raster(noise((3, 50, 60)))) as scene, pytest.raises(UsageError, match="edge"):
        scene.read(Window(30, 0, 40, 20))


def test_a_jpeg_is_read(write_raster: Write, tmp_path: Path) -> None:
    gradient = np.linspace(0, 255, 300).astype(np.uint8)[None, :, None].repeat(200, 0).repeat(3, 2)
    Image.fromarray(gradient).save(tmp_path / "photo.JPG", quality=95)
    with open_scene(tmp_path / "photo.JPG") as scene:
        pixels, _ = scene.read(Window(0, 0, 300, 200), (100, 150))
        assert scene.profile.driver == "JPEG" and scene.profile.crs is None and scene.profile.corners is None
    assert np.abs(pixels[50, :, 0].astype(int) - gradient[0, ::2, 0]).max() < 8
