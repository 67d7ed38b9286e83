"""Localizing: maps fused by integral images and pixel by pixel, engines beside plain sliding windows.

Fusing is measured on the windows of a scene of SeLo's smallest size, the slow twin written out as the
published program does it; both maps are asserted to be one. The engines run on scenes composed of test images
of UCM-Captions (``LANDSIFT_DATA``), whose truth is known: four images of one class side by side among sixty
of the others, and a caption of one of the four. Plain sliding windows encode each window by itself, half a
window apart on both axes, with nothing kept. Seconds are those of all processors together, so that what else
a machine does leaves them alone.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.localizing_page import write_localizing
from benchmarks.record import save
from landsift.data import load_dataset
from landsift.data.images import read_image
from landsift.encoders import load_encoder
from landsift.localize import Evidence, HeatMap, Looker, ask, centre_map, look, selo_scores, uniform_map
from landsift.localize.engines import DEFAULT_SIDES, ENGINES
from landsift.localize.fusing import fused
from landsift.localize.layouts import diagonal_grids, overlapping_grid
from landsift.localize.looking import box_of
from landsift.localize.maps import PUBLISHED_FILTERS, SMOOTHING
from landsift.scenes import Scene, open_scene
from landsift.scenes.heat import LEVELS
from landsift.types import Encoder, FloatArray, RetrievalSet

CASES, SEED = 3, 0
SIDE, ACROSS, TARGET = 256, 8, 2  # pixels of an image, images along a scene, along the target
FUSED_SIZE = 2000, 3000
_EVERY = 16  # pixels between those that maps are compared at
_SHOWN_ENCODES = (2048, 10_000, 20_000)


def run() -> None:
    """Measure and save."""
    data = load_dataset("ucm-captions", Path(os.environ["LANDSIFT_DATA"]) / "ucm_captions", "test")
    encoder = load_encoder("landsift-lite")
    cases = [_measured(encoder, composed(data, seed)) for seed in range(CASES)]
    names = ("sliding", *ENGINES)
    figures = {
        "fusing": fusing(),
        "scene": {"side": SIDE * ACROSS, "cases": CASES, "target": SIDE * TARGET},
        "sides": {name: list(DEFAULT_SIDES[name]) for name in ENGINES},
        "engines": {name: _means([case[name] for case in cases]) for name in names},
        "baselines": {name: _means([case[name] for case in cases]) for name in ("uniform", "centre")},
        "encodes": {str(size): _encodes(size) for size in _SHOWN_ENCODES},
    }
    save("localizing", figures, seed=SEED)
    print(f"Wrote {write_localizing()}.")


def fusing() -> dict[str, Any]:
    """Seconds of both ways to fuse the windows of one scene, and how far their maps are apart."""
    height, width = FUSED_SIZE
    windows = diagonal_grids(width, height, DEFAULT_SIDES["windows"])
    scores = np.random.default_rng(SEED).normal(size=len(windows)).astype(np.float32)
    evidence = Evidence(width, height, np.array([box_of(window) for window in windows]), scores)
    quick, quick_s = _timed(lambda: fused(evidence))
    slow, slow_s = _timed(lambda: accumulated(evidence))
    apart = float(np.abs(quick - slow).max())
    assert apart < 1e-4, f"the two maps differ by {apart}"
    whole, whole_s = _timed(lambda: added_whole(evidence))
    assert float(np.abs(quick - whole).max()) < 1e-4
    return {
        "width": width,
        "height": height,
        "windows": len(windows),
        "integral_s": round(quick_s, 4),
        "pixel_by_pixel_s": round(slow_s, 2),
        "window_by_window_s": round(whole_s, 4),
        "ratio": round(slow_s / quick_s, 1),
        "largest_difference": apart,
    }


def accumulated(evidence: Evidence) -> FloatArray:
    """As published: for every window, for every pixel of it, a sum and a count, in plain Python."""
    total = [[0.0] * evidence.width for _ in range(evidence.height)]
    count = [[0] * evidence.width for _ in range(evidence.height)]
    for (left, top, right, bottom), score in zip(
        evidence.boxes.tolist(), evidence.scores.tolist(), strict=True
    ):
        for row in range(top, bottom):
            sums, counts = total[row], count[row]
            for column in range(left, right):
                sums[column] += score
                counts[column] += 1
    return (np.array(total) / np.array(count)).astype(np.float32)


def added_whole(evidence: Evidence) -> FloatArray:
    """The same with an array operation for each window, as a careful program without integral images does."""
    total, count = np.zeros((evidence.height, evidence.width)), np.zeros((evidence.height, evidence.width))
    for (left, top, right, bottom), score in zip(evidence.boxes, evidence.scores, strict=True):
        total[top:bottom, left:right] += score
        count[top:bottom, left:right] += 1
    return (total / count).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Case:
    """A scene, what is looked for, and where it is."""

    pixels: np.ndarray[Any, Any]
    text: str
    region: list[list[int]]


def composed(data: RetrievalSet, seed: int) -> _Case:
    """Four test images of one class side by side among those of the others."""
    assert data.labels is not None
    random = np.random.default_rng(seed)
    wanted = np.unique(data.labels)[5 * seed % len(np.unique(data.labels))]
    own = random.permutation(np.flatnonzero(data.labels == wanted))
    others = iter(random.permutation(np.flatnonzero(data.labels != wanted)))
    inside = iter(own)
    top, left = random.integers(0, ACROSS - TARGET + 1, 2).tolist()
    rows = []
    for row in range(ACROSS):
        tiles = [
            next(inside if top <= row < top + TARGET and left <= column < left + TARGET else others)
            for column in range(ACROSS)
        ]
        rows.append(np.concatenate([_square(data.images[int(tile)]) for tile in tiles], axis=1))
    x, y, side = left * SIDE, top * SIDE, TARGET * SIDE
    text = data.captions[int(np.flatnonzero(data.image_of == own[0])[0])]
    corners = [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]
    return _Case(np.concatenate(rows), text, corners)


def _square(source: Any) -> np.ndarray[Any, Any]:
    return np.asarray(Image.fromarray(read_image(source)).resize((SIDE, SIDE)))


def _measured(encoder: Encoder, case: _Case) -> dict[str, dict[str, float]]:
    """All engines on one scene, and maps that say nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.png"
        Image.fromarray(case.pixels).save(path)
        with open_scene(str(path)) as scene:
            found, plain = {}, None
            for name in ("sliding", *ENGINES):
                heat, facts = _localized(scene, encoder, case.text, name)
                plain = heat if plain is None else plain
                thin = heat[::_EVERY, ::_EVERY].ravel(), plain[::_EVERY, ::_EVERY].ravel()
                facts["agreement"] = float(np.corrcoef(*thin)[0, 1])
                found[name] = facts | _judged(heat, case)
    size = case.pixels.shape[:2]
    return found | {
        "uniform": _judged(uniform_map(*size), case),
        "centre": _judged(centre_map(*size), case),
    }


def _judged(heat: FloatArray, case: _Case) -> dict[str, float]:
    scores = selo_scores(heat, [case.region])
    return {"rsu": scores.rsu, "ras": scores.ras, "rda": scores.rda, "rmi": scores.rmi}


def _localized(scene: Scene, encoder: Encoder, text: str, name: str) -> tuple[FloatArray, dict[str, float]]:
    """Map at full size, encodes and seconds of all processors, from nothing kept to the map."""
    began = time.process_time()
    query = ask(encoder, text, shuffled=name == "two-stage")
    looker, like = Looker(scene, encoder), name
    if name == "sliding":
        evidence, like = _slid(scene, encoder, query), "windows"
    else:
        evidence = look(looker, query, engine=name)
    drawn = HeatMap(scene, evidence, SMOOTHING[like], PUBLISHED_FILTERS[like])
    samples = np.concatenate([strip for _, strip in drawn.strips()])
    used = time.process_time() - began
    encodes = looker.encoded or len(evidence.scores)
    return (samples / np.float32(LEVELS)).clip(0, 1), {"encodes": encodes, "processor_s": used}


def _slid(scene: Scene, encoder: Encoder, query: FloatArray) -> Evidence:
    """One encode for every window, every half window."""
    width, height = scene.profile.width, scene.profile.height
    windows = [
        window for side in DEFAULT_SIDES["windows"] for window in overlapping_grid(width, height, side)
    ]
    scores = [
        float(encoder.encode_images([scene.read(window, (min(256, window.height),) * 2)[0]])[0] @ query)
        for window in windows
    ]
    boxes = np.array([box_of(window) for window in windows])
    return Evidence(width, height, boxes, np.array(scores, np.float32))


def _encodes(size: int) -> dict[str, int]:
    """How many images each way encodes of a square scene; of ``two-stage`` that depends on what is found."""
    sides = DEFAULT_SIDES["windows"]
    (crop,) = DEFAULT_SIDES["dense"]
    return {
        "sliding": sum(len(overlapping_grid(size, size, side)) for side in sides),
        "windows": len(set(diagonal_grids(size, size, sides))),
        "dense": len(overlapping_grid(size, size, crop)),
    }


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}


def _timed(call: Callable[[], FloatArray]) -> tuple[FloatArray, float]:
    began = time.process_time()
    found = call()
    return found, time.process_time() - began
