"""Where in a scene something is: a heat map, its hottest regions, a picture of both.

The map follows SeLo (Yuan et al., TGRS 2022): fused windows, stretched to 0..1, noise smaller than a window
removed by a median (``two-stage``: a Gaussian, as in the authors' later version; ``dense`` likewise). It is
made in strips with as many rows of company as the filter reaches, which gives the pixels of a map made at
once. Fusing is done twice, for the stretch must be known before, and smoothing once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.errors import SceneError, UsageError, need
from landsift.formats import FeatureTable, write_table
from landsift.localize.fusing import Evidence, fused_strips
from landsift.scenes import Scene, region_outlines, write_heat
from landsift.scenes.heat import LEVELS, NOTHING
from landsift.types import FloatArray, Window

__all__ = ["HeatMap", "Region", "check_threshold", "write_overlay", "write_regions"]

_STRIP = 512
SMOOTHING = {"windows": "median", "two-stage": "gaussian", "dense": "gaussian"}
"""The filter of each engine."""
PUBLISHED_FILTERS = {"windows": 251, "two-stage": 255, "dense": 255}
"""Their sides in pixels, for comparing with published figures."""
_LARGEST_FILTER = 251
_REACH = 128  # rows that the largest filter reads beyond its own
_OVERVIEW_SIDE = 2048
_LEAST_CELLS = 4
_CELLS = 4  # OpenCV's column of counts


@dataclass(frozen=True, eq=False)
class Region:
    """A connected part of the map above the threshold.

    Attributes:
        label: Its number in the labelled overview, from 1.
        score: Highest mean similarity in it.
        heat: Highest heat in it, 0 to 1.
        pixels: Native pixels in it, to the cell of the overview.
        area_m2: On the ground; None where the scene has no coordinate system.
        window: The rectangle that holds it.
    """

    label: int
    score: float
    heat: float
    pixels: int
    area_m2: float | None
    window: Window


class HeatMap:
    """What scored windows say about every pixel of a scene.

    Args:
        scene: Opened.
        evidence: Scored windows of it.
        smoothing: ``median`` or ``gaussian``.
        filter_side: Of the filter, odd, 255 at most; None takes SeLo's 251 for windows of 256 pixels, and in
            proportion less for smaller ones.

    Raises:
        SceneError: No window shows enough of the scene to be judged.
        MissingDependency: OpenCV is not installed.
    """

    def __init__(
        self, scene: Scene, evidence: Evidence, smoothing: str = "median", filter_side: int | None = None
    ) -> None:
        if not len(evidence.scores):
            raise SceneError(
                f"{scene.source.name} shows too little to be searched (clear or empty); "
                "check its nodata value"
            )
        self._cv = need("cv2", extra="localize")
        self.scene, self.evidence, self._smoothing = scene, evidence, smoothing
        self._filter = filter_side or _fitting_filter(evidence)
        self._overview: NDArray[np.uint8] | None = None
        self.low, self.high, self._similarity = _summary(evidence, self.step)

    @property
    def step(self) -> int:
        """Native pixels along the side of a cell of the overview."""
        return max(1, -(-max(self.evidence.width, self.evidence.height) // _OVERVIEW_SIDE))

    def strips(self, rows: int = _STRIP) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """First row and ``(rows, width)`` samples of each strip: heat times 254; 255 where none is known.

        Who takes all of them has made the overview too: a map is smoothed once if it is saved first.
        """
        thinned = []
        for top, samples in self._made(rows):
            if self._overview is None:
                thinned.append(_thinned(top, samples, self.step))
            yield top, samples
        if self._overview is None:
            self._overview = np.concatenate(thinned)

    def _made(self, rows: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for top, above, mean in fused_strips(self.evidence, rows, _REACH):
            unknown = np.isnan(mean)
            span = self.high - self.low
            heat = np.zeros_like(mean) if span == 0 else (mean - self.low) / span
            heat[unknown] = 0
            smooth = self._smoothed(np.rint(LEVELS * heat).astype(np.uint8))
            smooth[unknown] = NOTHING
            yield top, smooth[above : above + min(rows, self.evidence.height - top)]

    def _smoothed(self, heat: NDArray[np.uint8]) -> NDArray[np.uint8]:
        blurred: NDArray[np.uint8]
        if self._smoothing == "median":
            blurred = self._cv.medianBlur(heat, self._filter)
        else:
            blurred = self._cv.GaussianBlur(heat, (self._filter, self._filter), 0)
        return blurred

    @property
    def overview(self) -> NDArray[np.uint8]:
        """Every ``step``-th sample of the map."""
        if self._overview is None:
            for _ in self.strips():
                pass
        assert self._overview is not None
        return self._overview

    @property
    def similarity(self) -> FloatArray:
        """Mean score of the windows over every ``step``-th pixel, before stretching and smoothing."""
        return self._similarity

    def threshold(self, given: float | None = None) -> float:
        """Heat from which a pixel belongs to a region: the given one, else Otsu's (1979) of the overview.

        Raises:
            UsageError: It does not lie between 0 and 1.
        """
        if given is not None:
            check_threshold(given)
            return given
        known = self.overview[self.overview != NOTHING]
        level, _ = self._cv.threshold(known.reshape(1, -1), 0, 255, self._cv.THRESH_OTSU)
        return (float(level) + 1) / LEVELS

    def labels(self, threshold: float) -> NDArray[np.int32]:
        """Overview with the number of the region of each cell, 0 outside."""
        return self._labelled(threshold)[0]

    def regions(self, threshold: float) -> list[Region]:
        """Regions of the map, the best first; specks of fewer than four cells are left out."""
        labels, boxes = self._labelled(threshold)
        heat = np.zeros(len(boxes), np.uint8)
        score = np.full(len(boxes), -np.inf, np.float32)
        np.maximum.at(heat, labels.ravel(), self.overview.ravel())
        np.fmax.at(score, labels.ravel(), self.similarity.ravel())
        found = [
            self._region(label, boxes[label].tolist(), float(score[label]), int(heat[label]))
            for label in range(1, len(boxes))
            if boxes[label, _CELLS] >= _LEAST_CELLS
        ]
        return sorted(found, key=lambda region: (-region.heat, -region.score))

    def _labelled(self, threshold: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Labels, and left, top, width, height and count of the cells of each."""
        hot = (self.overview >= round(threshold * LEVELS)) & (self.overview != NOTHING)
        _, labels, boxes, _ = self._cv.connectedComponentsWithStats(hot.astype(np.uint8), connectivity=8)
        return labels, boxes

    def _region(self, label: int, box: list[int], score: float, heat: int) -> Region:
        left, top, width, height, cells = (self.step * number for number in box)
        pixels, gsd = cells * self.step, self.scene.profile.gsd
        area = None if gsd is None else pixels * gsd**2
        return Region(label, score, heat / LEVELS, pixels, area, Window(left, top, width, height))

    def save(self, path: Path, **tags: str) -> None:
        """Write the map as a Cloud-Optimized GeoTIFF; see :func:`~landsift.scenes.write_heat`.

        Before anything else is asked of the map, it costs no second pass over it.
        """
        facts = {"low": f"{self.low:.6f}", "high": f"{self.high:.6f}"}
        write_heat(path, self.scene.profile, self.strips(), **tags, **facts)


def check_threshold(heat: float) -> None:
    """Refuse a threshold that is no heat.

    Raises:
        UsageError: It does not lie between 0 and 1.
    """
    if not 0 < heat <= 1:
        raise UsageError(f"The threshold is a heat above 0 and at most 1, or auto; got {heat}")


def _thinned(top: int, strip: NDArray[Any], step: int) -> NDArray[Any]:
    """What a strip that begins at row ``top`` holds of every ``step``-th row and column of the whole."""
    return strip[-top % step :: step, ::step].copy()


def _summary(evidence: Evidence, step: int) -> tuple[float, float, FloatArray]:
    """Lowest and highest value of the map, and every ``step``-th value of it: one pass over the scene."""
    low, high, thinned = np.inf, -np.inf, []
    for top, _, mean in fused_strips(evidence, _STRIP):
        known = mean[~np.isnan(mean)]
        if len(known):
            low, high = min(low, float(known.min())), max(high, float(known.max()))
        thinned.append(_thinned(top, mean, step))
    return low, high, np.concatenate(thinned)


def _fitting_filter(evidence: Evidence) -> int:
    smallest = int((evidence.boxes[:, 2] - evidence.boxes[:, 0]).min())
    return max(3, min(_LARGEST_FILTER, smallest * _LARGEST_FILTER // 256) | 1)


def write_regions(path: Path, heat: HeatMap, threshold: float, text: str) -> int:
    """Write the regions as polygons, in the format that the suffix names; gives how many there are."""
    regions = heat.regions(threshold)
    outlines = region_outlines(heat.labels(threshold), heat.scene.profile, heat.step)
    columns: dict[str, Sequence[Any]] = {
        "rank": list(range(1, len(regions) + 1)),
        "score": [round(region.score, 6) for region in regions],
        "heat": [round(region.heat, 4) for region in regions],
        "area_m2": [None if region.area_m2 is None else round(region.area_m2, 1) for region in regions],
        "text": [text] * len(regions),
        "scene": [heat.scene.source.name] * len(regions),
    }
    types = {"rank": int, "score": float, "heat": float, "area_m2": float, "text": str, "scene": str}
    shapes = np.empty(len(regions), object)
    shapes[:] = [outlines[region.label] for region in regions]
    corners = np.full((len(regions), 4, 2), np.nan)
    return write_table(path, [FeatureTable(corners, columns, types, outlines=shapes)], layer="regions")


def write_overlay(path: Path, heat: HeatMap, threshold: float, side: int = 1400) -> None:
    """A picture: the scene, tinted by heat, the regions outlined and numbered by rank.

    Args:
        path: ``.png`` or ``.jpg``.
        heat: The map.
        threshold: Of the regions.
        side: Longer side of the picture, pixels.
    """
    cv = need("cv2", extra="localize")
    profile = heat.scene.profile
    ratio = min(1.0, side / max(profile.width, profile.height))
    size = max(1, round(profile.height * ratio)), max(1, round(profile.width * ratio))
    scene, _ = heat.scene.read(Window(0, 0, profile.width, profile.height), size)
    across = (size[1], size[0])
    level = cv.resize(heat.overview, across, interpolation=cv.INTER_NEAREST)
    known = level != NOTHING
    share = np.where(known, level, 0).astype(np.float32) / LEVELS
    tint = cv.applyColorMap((255 * share).astype(np.uint8), cv.COLORMAP_TURBO)[..., ::-1]
    # Cold parts stay nearly as they are, so that the eye can check what was found against the picture.
    weight = np.where(known, 0.6 * share, 0)[..., None]
    picture = np.ascontiguousarray((scene * (1 - weight) + tint * weight).astype(np.uint8))
    labels = cv.resize(heat.labels(threshold).astype(np.float32), across, interpolation=cv.INTER_NEAREST)
    for rank, region in enumerate(heat.regions(threshold), 1):
        mask = (labels == region.label).astype(np.uint8)
        lines, _ = cv.findContours(mask, cv.RETR_EXTERNAL, cv.CHAIN_APPROX_SIMPLE)
        cv.drawContours(picture, lines, -1, (0, 0, 0), 4, cv.LINE_AA)
        cv.drawContours(picture, lines, -1, (255, 255, 255), 2, cv.LINE_AA)
        _number(cv, picture, str(rank), region, ratio)
    _save_picture(path, picture)


def _number(cv: Any, picture: NDArray[np.uint8], text: str, region: Region, ratio: float) -> None:
    at = int(region.window.col * ratio) + 8, int(region.window.row * ratio) + 26
    for colour, width in (((0, 0, 0), 5), ((255, 255, 255), 2)):
        cv.putText(picture, text, at, cv.FONT_HERSHEY_SIMPLEX, 0.8, colour, width, cv.LINE_AA)


def _save_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    from PIL import Image

    from landsift.files import write_whole

    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"The overlay is a picture, so {path.name} must end in .png or .jpg")
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} does not exist; make it first")
    write_whole(path, lambda partial: Image.fromarray(picture).save(partial))
