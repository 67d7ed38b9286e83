"""Small rasters, written as they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine, from_origin

UTM = {"crs": "EPSG:32631", "transform": from_origin(500_000, 5_000_000, 10, 10)}

WriteRaster = Callable[..., Path]


@pytest.fixture
def write_raster(tmp_path: Path) -> WriteRaster:
    """Write ``(bands, h, w)`` (or ``(h, w)``) samples to a raster; UTM at 10 m unless told otherwise."""

    def write(
        samples: np.ndarray,
        name: str = "scene.tif",
        *,
        crs: str | None = UTM["crs"],
        transform: Affine | None = UTM["transform"],
        colours: list[str] | None = None,
        names: list[str] | None = None,
        tags: dict[str, str] | None = None,
        band_tags: list[dict[str, str]] | None = None,
        mask: np.ndarray | None = None,
        palette: dict[int, tuple[int, ...]] | None = None,
        overviews: list[int] | None = None,
        driver: str = "GTiff",
        **options: Any,
    ) -> Path:
        samples = samples[None] if samples.ndim == 2 else samples
        count, height, width = samples.shape
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        place = {"crs": crs, "transform": transform} if transform is not None else {}
        with rasterio.open(
            path,
            "w",
            driver=driver,
            width=width,
            height=height,
            count=count,
            dtype=options.pop("dtype", samples.dtype),
            **place,
            **options,
        ) as dataset:
            if colours:
                # Before the samples: a GeoTIFF fixes which band is alpha when the first are written.
                dataset.colorinterp = [rasterio.enums.ColorInterp[colour] for colour in colours]
            dataset.write(samples)
            for band, text in enumerate(names or [], 1):
                dataset.set_band_description(band, text)
            for band, record in enumerate(band_tags or [], 1):
                dataset.update_tags(band, **record)
            if tags:
                dataset.update_tags(**tags)
            if mask is not None:
                dataset.write_mask(mask)
            if palette:
                dataset.write_colormap(1, palette)
        if overviews:
            with rasterio.open(path, "r+") as dataset:
                dataset.build_overviews(overviews, rasterio.enums.Resampling.average)
        return path

    return write


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    """Random samples that are the same in every run, smooth enough to look like something."""

    def make(shape: tuple[int, ...], dtype: str = "uint8", low: float = 1, high: float = 250) -> np.ndarray:
        rng = np.random.default_rng(sum(shape))
        return rng.uniform(low, high, shape).astype(dtype)

    return make


@pytest.fixture(scope="session")
def real_scenes() -> Path:
    """The folder of real scenes."""
    root = os.environ.get("LANDSIFT_DATA")
    if not root or not (Path(root) / "scenes").is_dir():
        pytest.skip("LANDSIFT_DATA does not name a folder with scenes/")
    return Path(root) / "scenes"
