"""Indexing: the whole pipeline against the encoder alone on the same tiles, and the memory it takes.

The bound is the encoder: reading, cutting, stretching and storing should hide behind it. Each run is its own
process, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

from benchmarks.record import PEAK_MEMORY, save

SIDE, SEED = 20_000, 0
ENCODED_ALONE = 1024  # tiles the encoder is timed on; its rate does not depend on how many

ALONE = """
import json, sys, time
from itertools import islice
import numpy as np
from landsift import load_encoder, open_scene
from landsift.gallery.indexing import BATCH
from landsift.scenes import find_sources
encoder = load_encoder("landsift-lite")
tiles = []
for source in find_sources([sys.argv[1]]):
    with open_scene(source) as scene:
        tiles += [t.pixels for t in islice(scene.tiles(), int(sys.argv[2]) - len(tiles)) if t is not None]
    if len(tiles) >= int(sys.argv[2]):
        break
encoder.encode_images(tiles[:BATCH])
began = time.perf_counter()
for start in range(0, len(tiles), BATCH):
    encoder.encode_images(tiles[start:start + BATCH])
print(json.dumps({"tiles": len(tiles), "per_s": len(tiles) / (time.perf_counter() - began)}))
"""

PIPELINE = """
import json, sys
from landsift import Gallery
with Gallery.create(sys.argv[2]) as gallery:
    report = gallery.add(sys.argv[1])
facts = {"tiles": report.tiles, "scenes": report.indexed, "per_s": report.tiles / report.seconds}
print(json.dumps(facts | {"peak_rss_mb": peak_mb()}))
"""


def write_large_scene(path: Path) -> None:
    """A 20,000 x 20,000 RGB GeoTIFF, tiled and compressed, with ground-like texture at many sizes."""
    random = np.random.default_rng(SEED)
    options = {
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "zlevel": 1,
        "predictor": 2,
    }
    place = {"crs": "EPSG:32633", "transform": from_origin(300_000, 5_000_000, 0.5, 0.5)}
    small = random.integers(0, 256, (3, SIDE // 40 + 1, SIDE // 40 + 1), np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint8", **place, **options
    ) as file:
        for top in range(0, SIDE, 2000):
            rows = small[:, top // 40 : (top + 2000) // 40]
            band = np.repeat(np.repeat(rows, 40, axis=1), 40, axis=2)[:, :, :SIDE]
            band = band // 2 + random.integers(0, 32, (1, 2000, SIDE), np.uint8)
            file.write(band, window=rasterio.windows.Window(0, top, SIDE, 2000))


def write_small_scenes(folder: Path, count: int) -> None:
    """A folder of 256-pixel JPEG chips."""
    from PIL import Image

    folder.mkdir()
    random = np.random.default_rng(SEED)
    for number in range(count):
        coarse = random.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC).save(
            folder / f"{number:05d}.jpg", quality=90
        )


def child(code: str, *arguments: str) -> dict[str, Any]:
    """The JSON that a fresh interpreter prints."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PEAK_MEMORY + code, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout.splitlines()[-1])


def compare(archive: Path, work: Path) -> dict[str, Any]:
    """Pipeline and encoder alone on one archive."""
    alone = child(ALONE, str(archive), str(ENCODED_ALONE))
    whole = child(PIPELINE, str(archive), str(work / f"gallery-{archive.stem}"))
    return {
        "scenes": whole["scenes"],
        "tiles": whole["tiles"],
        "encoder_alone_per_s": round(alone["per_s"], 1),
        "pipeline_per_s": round(whole["per_s"], 1),
        "ratio": round(whole["per_s"] / alone["per_s"], 3),
        "peak_rss_mb": round(whole["peak_rss_mb"]),
    }


def run() -> None:
    """Measure and save."""
    work = Path(tempfile.mkdtemp(prefix="landsift-bench-"))
    try:
        figures: dict[str, Any] = {}
        for count in (200, 2000):
            write_small_scenes(work / f"chips{count}", count)
            figures[f"folder of {count} chips, 256 px JPEG"] = compare(work / f"chips{count}", work)
        write_large_scene(work / "large.tif")
        figures[f"one GeoTIFF, {SIDE:,} x {SIDE:,} px RGB"] = compare(work / "large.tif", work)
        data = os.environ.get("LANDSIFT_DATA")
        if data:
            figures["UCM, 2100 images, 256 px"] = compare(Path(data) / "ucm_captions", work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    save("indexing", figures, seed=SEED)
