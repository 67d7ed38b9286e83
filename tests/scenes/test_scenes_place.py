"""Where scenes and tiles lie, how large their pixels are on the ground, and when they were taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine, from_origin
from rasterio.warp import transform as reproject

from landsift.errors import UsageError
from landsift.scenes import TilingOptions, open_scene
from landsift.scenes.dates import date_in_name, date_in_tag
from landsift.types import TimeSpan, Window

Write = Callable[..., Path]
GREY = np.random.default_rng(5).integers(1, 255, (1, 100, 200)).astype("uint8")


def haversine(start: np.ndarray, stop: np.ndarray) -> float:
    """Metres between two points in degrees, on a sphere: right to half a percent."""
    (lon1, lat1), (lon2, lat2) = np.radians(start), np.radians(stop)
    half = (
        math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * 6_371_009 * math.asin(math.sqrt(half))


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32631", from_origin(500_000, 5_000_000, 10, 10)),
        ("EPSG:32631", Affine(10, 0, 500_000, 0, 10, 5_000_000)),  # south up
        ("EPSG:32631", Affine(8, 6, 500_000, 6, -8, 5_000_000)),  # rotated
        ("EPSG:4326", from_origin(12.5, 60.0, 0.001, 0.0005)),
        ("EPSG:3857", from_origin(-13_651_650, 4_576_290, 30, 30)),
        ("EPSG:4258", from_origin(12.5, 60.0, 0.001, 0.001)),
        ("EPSG:3031", from_origin(-1000, 500, 10, 10)),  # around the south pole
        ("EPSG:2056", from_origin(2_600_000, 1_200_000, 2, 2)),
    ],
)
def test_corners_come_back_to_the_pixels_they_stand_for(
    write_raster: Write, crs: str, transform: Affine
) -> None:
    window = Window(30, 20, 128, 64)
    with open_scene(write_raster(GREY, crs=crs, transform=transform)) as scene:
        corners, outline = scene.corners(window), scene.profile.outline
        tile = next(tile for tile in scene.tiles(TilingOptions(tile=64)) if tile is not None)
    assert corners is not None and outline is not None and tile.corners is not None
    pixels = [(30, 20), (158, 20), (158, 84), (30, 84)]
    for (lon, lat), (col, row) in zip(corners, pixels, strict=True):
        assert -360 <= lon <= 360 and -90 <= lat <= 90
        (x,), (y,) = reproject("EPSG:4326", crs, [lon], [lat])
        back = ~transform
        found = (back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f)
        np.testing.assert_allclose(found, (col, row), atol=1e-3)
    np.testing.assert_allclose(tile.corners[0], outline[0])
    assert outline.shape == (32, 2)


def test_known_corners(write_raster: Write) -> None:
    # The central meridian of zone 31 is 3 degrees east; the equator is northing 0.
    path = write_raster(GREY, crs="EPSG:32631", transform=from_origin(500_000, 0, 10, 10))
    with open_scene(path) as scene:
        corners = scene.corners(Window(0, 0, 100, 100))
    assert corners is not None
    np.testing.assert_allclose(corners[0], (3, 0), atol=1e-9)
    np.testing.assert_allclose(corners[1], (3 + 1000 / 0.9996 / 111_319.49, 0), atol=1e-7)
    np.testing.assert_allclose(corners[3], (3, -1000 / 0.9996 / 110_574.4), atol=1e-5)


@pytest.mark.parametrize(
    ("crs", "transform", "gsd"),
    [
        ("EPSG:32631", from_origin(500_000, 5_000_000, 10, 10), 10.004),
        ("EPSG:3857", from_origin(0, 8_399_738 + 1500, 30, 30), 30 * math.cos(math.radians(60))),
        ("EPSG:4326", from_origin(-0.1, 0.05, 0.001, 0.001), math.sqrt(111.319 * 110.574)),
        ("EPSG:4326", from_origin(10, 60.025, 0.001, 0.0005), math.sqrt(55.800 * 55.706)),
        ("EPSG:32631", Affine(8, 6, 500_000, 6, -8, 5_000_000), 10.004),
        ("EPSG:2229", from_origin(6_480_000, 1_840_000, 10, 10), 10 * 0.3048006),  # US feet
    ],
)
def test_ground_sampling_distance_is_measured_on_the_ground(
    write_raster: Write, crs: str, transform: Affine, gsd: float
) -> None:
    with open_scene(write_raster(GREY, crs=crs, transform=transform)) as scene:
        assert scene.profile.gsd == pytest.approx(gsd, rel=3e-3)
        centre = scene.corners(Window(99, 49, 2, 2))
    assert centre is not None
    across, down = haversine(centre[0], centre[1]) / 2, haversine(centre[0], centre[3]) / 2
    assert scene.profile.gsd == pytest.approx(math.sqrt(across * down), rel=6e-3)


def test_tiles_know_their_own_ground_sampling_distance(write_raster: Write) -> None:
    with open_scene(write_raster(np.tile(GREY, (1, 3, 2)))) as scene:
        native = scene.profile.gsd
        by_scale = {t.scale: t.gsd for t in scene.tiles(TilingOptions(tile=64, scales=(1, 2))) if t}
        wanted = [t.gsd for t in scene.tiles(TilingOptions(tile=64, gsd=25.0)) if t]
    assert native is not None
    assert by_scale == {1.0: pytest.approx(native), 2.0: pytest.approx(2 * native)}
    np.testing.assert_allclose(wanted, 25.0, rtol=0.01)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:4326", from_origin(179.95, 10, 0.001, 0.001)),
        ("EPSG:4326", from_origin(-180.05, 10, 0.001, 0.001)),
        ("EPSG:32601", from_origin(166_021 - 1000, 100, 10, 10)),
        ("EPSG:3832", from_origin(3_339_584 - 1000, 100, 10, 10)),  # Pacific Mercator, centred on 150 east
    ],
)
def test_rings_over_the_antimeridian_are_not_torn(write_raster: Write, crs: str, transform: Affine) -> None:
    with open_scene(write_raster(GREY, crs=crs, transform=transform)) as scene:
        rings = [scene.corners(Window(0, 0, 200, 100)), scene.profile.outline]
    for ring in rings:
        assert ring is not None
        west, east = ring[:, 0].min(), ring[:, 0].max()
        assert east - west < 0.3 and (west < 180 < east or west < -180 < east)


def test_longitudes_from_0_to_360_become_the_usual_ones(write_raster: Write) -> None:
    with open_scene(write_raster(GREY, crs="EPSG:4326", transform=from_origin(280, 10, 0.01, 0.01))) as scene:
        corners = scene.corners(Window(0, 0, 100, 100))
    np.testing.assert_allclose(corners, [[-80, 10], [-79, 10], [-79, 9], [-80, 9]], atol=1e-9)


def test_the_whole_world_is_a_ring_of_360_degrees(write_raster: Write) -> None:
    world = np.tile(GREY, (1, 2, 2))[:, :180, :360]
    for left in (-180, 0):
        path = write_raster(world, crs="EPSG:4326", transform=from_origin(left, 90, 1, 1))
        with open_scene(path) as scene:
            corners = scene.corners(Window(0, 0, 360, 180))
        assert corners is not None
        assert corners[1, 0] - corners[0, 0] == pytest.approx(360) and abs(corners[0, 0]) <= 180


def test_pixels_off_the_earth_have_no_corners(write_raster: Write) -> None:
    disc = "+proj=geos +h=35785831 +lon_0=0 +sweep=y +datum=WGS84"
    path = write_raster(
        np.tile(GREY, (1, 2, 1)), crs=disc, transform=from_origin(-5_568_000, 5_568_000, 55_680, 55_680)
    )
    with open_scene(path) as scene:
        assert scene.profile.corners is None and scene.profile.gsd == pytest.approx(55_680, rel=0.02)
        assert scene.corners(Window(0, 0, 50, 50)) is None
        assert scene.corners(Window(80, 80, 40, 40)) is not None
        tiles = list(scene.tiles(TilingOptions(tile=40)))
    placed = [tile.corners is not None for tile in tiles if tile is not None]
    assert any(placed) and not all(placed)


def test_a_local_coordinate_system_gives_no_place(write_raster: Write) -> None:
    path = write_raster(GREY, crs='LOCAL_CS["drawing",UNIT["metre",1]]')
    with open_scene(path) as scene:
        assert scene.profile.gsd is None and scene.profile.corners is None
        assert scene.corners(Window(0, 0, 10, 10)) is None
        assert all(tile is not None and tile.corners is None for tile in scene.tiles())


def test_ground_control_points_give_a_place(tmp_path: Path) -> None:
    points = [
        GroundControlPoint(row, col, 10 + col * 0.001, 50 - row * 0.001)
        for row, col in ((0, 0), (0, 200), (100, 200), (100, 0))
    ]
    path = tmp_path / "gcps.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=200, height=100, count=1, dtype="uint8", gcps=points, crs="EPSG:4326"
    ) as dataset:
        dataset.write(GREY)
    with open_scene(path) as scene:
        np.testing.assert_allclose(
            scene.corners(Window(0, 0, 200, 100)), [[10, 50], [10.2, 50], [10.2, 49.9], [10, 49.9]], atol=1e-9
        )


def test_a_world_file_needs_a_named_coordinate_system(write_raster: Write) -> None:
    path = write_raster(np.tile(GREY, (3, 1, 1)), "photo.png", driver="PNG", transform=None)
    for extra in path.parent.glob("photo.png.aux.xml"):
        extra.unlink()
    path.with_suffix(".pgw").write_text("10\n0\n0\n-10\n500005\n4999995\n")
    with open_scene(path) as scene:
        assert scene.profile.crs is None and scene.profile.corners is None
    with open_scene(path, crs="EPSG:32631") as scene:
        assert scene.profile.gsd == pytest.approx(10.004, rel=1e-3)
        corners = scene.corners(Window(0, 0, 1, 1))
    assert corners is not None
    (x,), (y,) = reproject("EPSG:4326", "EPSG:32631", [corners[0, 0]], [corners[0, 1]])
    np.testing.assert_allclose((x, y), (500_000, 5_000_000), atol=1e-3)
    with pytest.raises(UsageError, match="EPSG:32633"):
        open_scene(path, crs="mars")


def test_a_named_coordinate_system_does_not_overrule_the_file(write_raster: Write) -> None:
    with open_scene(write_raster(GREY), crs="EPSG:3857") as scene:
        assert scene.profile.crs == "EPSG:32631"


def test_a_picture_without_georeference_has_no_place_even_with_a_coordinate_system(
    write_raster: Write,
) -> None:
    with open_scene(write_raster(GREY, transform=None), crs="EPSG:32631") as scene:
        assert scene.profile.crs is None and scene.profile.transform is None and scene.profile.gsd is None


# Dates


@pytest.mark.parametrize(
    ("stem", "date"),
    [
        ("m_4709963_se_14_1_20090818", "2009-08-18"),
        ("LC08_L1TP_224078_20200518_20200820_01_T1", "2020-05-18"),
        ("T32UMD_20200831T102559_B04", "2020-08-31"),
        ("flight-2021-02-28-north", "2021-02-28"),
        ("flight_2020_02_29", "2020-02-29"),
        ("1985", "1985"),
        ("19700101", "1970-01-01"),
        ("flight_2021_02_29", None),  # no such day
        ("id_2020083112", None),  # ten digits
        ("scene_1234567890", None),
        ("20201301", None),
        ("18991231", None),
        ("21991231", None),
        ("2020-0831", None),
        ("in1985", None),
        ("0999", None),
        ("", None),
        ("scene", None),
        ("99999999_20200101", "2020-01-01"),
    ],
)
def test_dates_in_file_names(stem: str, date: str | None) -> None:
    found = date_in_name(stem)
    assert found == (TimeSpan.parse(date) if date else None)


def test_days_after_tomorrow_are_no_dates() -> None:
    today = datetime.now(UTC)
    assert date_in_name(f"x_{today:%Y%m%d}") is not None
    assert date_in_name(f"x_{today + timedelta(days=3):%Y%m%d}") is None


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2012:07:31 10:20:30", "2012-07-31T10:20:30"),
        ("2012-07-31T10:20:30", "2012-07-31T10:20:30"),
        ("2012:07:31", "2012-07-31"),
        ("0000:00:00 00:00:00", None),
        ("2012:13:31 10:20:30", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_in_tags(text: str | None, date: str | None) -> None:
    assert date_in_tag(text) == (TimeSpan.parse(date) if date else None)


def test_the_tag_counts_more_than_the_name(write_raster: Write) -> None:
    tags = {"TIFFTAG_DATETIME": "2012:07:31 10:20:30"}
    with open_scene(write_raster(GREY, "a_20090818.tif", tags=tags)) as scene:
        assert (scene.profile.date, scene.profile.date_from) == ("2012-07-31T10:20:30", "TIFFTAG_DATETIME")
    with open_scene(write_raster(GREY, "b_20090818.tif")) as scene:
        assert (scene.profile.date, scene.profile.date_from) == ("2009-08-18", "file name")
        assert scene.profile.time == TimeSpan.parse("2009-08-18")
    with open_scene(write_raster(GREY, "c.tif")) as scene:
        assert (scene.profile.date, scene.profile.date_from, scene.profile.time) == (None, None, None)
