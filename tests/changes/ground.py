"""A small piece of ground that is written as scenes of several dates, grids and coordinate systems."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rasterio.transform import from_origin
from rasterio.warp import Resampling, calculate_default_transform, reproject

from landsift.types import Pixels
from toys import write_scene

SIDE, TILE = 320, 64
WEST, NORTH, STEP = 500_000.0, 4_600_000.0, 10.0
GREEN, RED, BLUE = (20, 150, 20), (160, 20, 20), (20, 20, 160)
CHANGED = (slice(128, 192), slice(192, 256))
"""Rows and columns of the place that changes: the tile whose upper-left pixel is column 192, row 128."""


def meadow(seed: int, *, light: float = 1.0) -> Pixels:
    """Green ground with noise; strips of pure colours along the top give every date the same stretch."""
    pixels = np.full((SIDE, SIDE, 3), GREEN) + np.random.default_rng(seed).integers(-12, 13, (SIDE, SIDE, 3))
    pixels = (np.clip(pixels, 1, 255) * light).clip(1, 255)
    for number, colour in enumerate(((1, 1, 1), (250, 1, 1), (1, 250, 1), (1, 1, 250))):
        pixels[10 * number : 10 * number + 10] = colour
    return pixels.astype(np.uint8)


def painted(pixels: Pixels, colour: tuple[int, int, int], where: tuple[slice, slice] = CHANGED) -> Pixels:
    """A copy with one place in another colour."""
    copy = pixels.copy()
    noise = np.random.default_rng(9).integers(0, 12, copy[where].shape)
    copy[where] = np.clip(np.array(colour) + noise, 1, 255)
    return copy


def write_date(folder: Path, date: str, pixels: Pixels, *, shift: float = 0.0) -> Path:
    """A scene of one date, in UTM; ``shift`` moves it east by so many metres."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_scene(folder / f"ground_{date}.tif", pixels, west=WEST + shift, north=NORTH, step=STEP)


def write_warped(folder: Path, date: str, pixels: Pixels, *, crs: str, finer: float) -> Path:
    """The same ground in another coordinate system, with pixels ``finer`` times as fine."""
    source = from_origin(WEST, NORTH, STEP, STEP)
    bounds = (WEST, NORTH - SIDE * STEP, WEST + SIDE * STEP, NORTH)
    transform, width, height = calculate_default_transform("EPSG:32633", crs, SIDE, SIDE, *bounds)
    assert width is not None and height is not None
    width, height = round(width * finer), round(height * finer)
    transform = transform @ transform.scale(1 / finer)
    out = np.zeros((3, height, width), np.uint8)
    reproject(
        np.moveaxis(pixels, 2, 0),
        out,
        src_transform=source,
        src_crs="EPSG:32633",
        dst_transform=transform,
        dst_crs=crs,
        resampling=Resampling.bilinear,
    )
    path = folder / f"ground_{date}.tif"
    write_scene(path, np.moveaxis(out, 0, 2), crs=None, nodata=0)
    import rasterio

    with rasterio.open(path, "r+") as file:
        file.crs, file.transform = crs, transform
    return path
