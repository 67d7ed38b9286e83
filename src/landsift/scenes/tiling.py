"""Where the tiles of a scene lie, and in which reads they are fetched. Pure geometry.

Knows a scene only by its size, its block layout and its ground sampling distance.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from landsift.errors import LandsiftWarning, UsageError
from landsift.scenes.views import VIEW_SHARES, crop_offsets, view_grid
from landsift.types import Window

__all__ = ["PlannedScene", "ReadBlock", "TilePlan", "TilingOptions", "plan", "read_step"]

_SMALLEST_TILE, _LARGEST_TILE = 8, 4096
_LARGEST_OVERLAP = 0.9
_SHOWN_BANDS = 3
# Bounds of one read: what its pixels and the tiles cut from them may take together, and how many native
# pixels it may touch (decimated reads without overviews decode them all).
_BLOCK_BYTES = 48_000_000
_BLOCK_PIXELS = 4_000_000
_BLOCK_PIXELS_DECIMATED = 16_000_000


class PlannedScene(Protocol):
    """The little a plan needs to know; :class:`landsift.scenes.SceneProfile` is one."""

    @property
    def width(self) -> int:
        """Columns."""
        ...

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of the file's own blocks."""
        ...

    @property
    def gsd(self) -> float | None:
        """Ground sampling distance in metres, or None."""
        ...


@dataclass(frozen=True, slots=True)
class TilingOptions:
    """How to cut scenes into tiles.

    Attributes:
        tile: Side of a tile in pixels.
        overlap: Share of a tile that neighbours have in common, 0 to 0.9.
        scales: Window sizes as multiples of ``tile``; the windows are all resampled to ``tile`` pixels.
            Kept in ascending order, each once.
        gsd: Ground sampling distance in metres to resample tiles of scale 1 to; None keeps native pixels.
        views: How often each tile is seen: 1, or 5, 10 or 17 for the whole and its 2 x 2, 3 x 3 or 4 x 4
            crops, each a tile of its own at a smaller scale.

    Raises:
        UsageError: A value that could never work.
    """

    tile: int = 256
    overlap: float = 0.25
    scales: tuple[float, ...] = (1.0,)
    gsd: float | None = None
    views: int = 1

    def __post_init__(self) -> None:
        if self.tile != int(self.tile) or not _SMALLEST_TILE <= self.tile <= _LARGEST_TILE:
            raise UsageError(f"A tile must have {_SMALLEST_TILE} to {_LARGEST_TILE} pixels; got {self.tile}.")
        if not 0 <= self.overlap <= _LARGEST_OVERLAP:
            raise UsageError(f"The overlap must lie between 0 and {_LARGEST_OVERLAP}; got {self.overlap}.")
        scales = tuple(sorted({float(scale) for scale in self.scales}))
        if not scales or not all(math.isfinite(scale) and scale > 0 for scale in scales):
            raise UsageError(f"Scales must be one or more numbers above 0, such as 1,2; got {self.scales}.")
        if self.gsd is not None and not (math.isfinite(self.gsd) and self.gsd > 0):
            raise UsageError(f"The ground sampling distance must be above 0 metres; got {self.gsd}.")
        finer = {_view_scale(scale, grid) for scale in scales} if (grid := view_grid(self.views)) else set()
        if twice := finer & set(scales):
            raise UsageError(
                f"Tiles of scale {min(twice):g} would be cut twice, as a scale and as views; leave one out."
            )
        object.__setattr__(self, "tile", int(self.tile))
        object.__setattr__(self, "scales", scales)


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """Windows of one size on a grid, to be fetched together.

    Attributes:
        start: Number of the first window in the plan.
        cols: Left edges of the windows' columns, ascending.
        rows: Upper edges of the windows' rows, ascending.
        width: Width of each window in native pixels.
        height: Height of each window in native pixels.
        size: Height and width of each tile in pixels.
        scale: Window size as a multiple of the tile size.
        step: How far to decimate when reading, a power of two; see :func:`read_step`.
    """

    start: int
    cols: tuple[int, ...]
    rows: tuple[int, ...]
    width: int
    height: int
    size: tuple[int, int]
    scale: float
    step: int

    def __len__(self) -> int:
        return len(self.cols) * len(self.rows)

    @property
    def stop(self) -> int:
        """Number of the first window after."""
        return self.start + len(self)

    @property
    def window(self) -> Window:
        """The rectangle that holds all the windows."""
        col, row = self.cols[0], self.rows[0]
        return Window(col, row, self.cols[-1] + self.width - col, self.rows[-1] + self.height - row)

    @property
    def windows(self) -> list[Window]:
        """The windows in plan order: row by row, from left to right."""
        return [Window(col, row, self.width, self.height) for row in self.rows for col in self.cols]


def read_step(width: int, height: int, size: tuple[int, int]) -> int:
    """How far to decimate a window while reading it, if ``size`` (height, width) is wanted in the end.

    The largest power of two that does not fall below ``size``: it meets the overviews files have, and cells
    of that many native pixels, counted from the scene's corner, are the same for every window.
    """
    ratio = min(width / size[1], height / size[0])
    return 1 << max(0, math.floor(math.log2(ratio)))


@dataclass(frozen=True, slots=True)
class TilePlan:
    """All windows of a scene, numbered from 0, grouped into reads; ``len()`` is the number of windows."""

    blocks: tuple[ReadBlock, ...]

    def __len__(self) -> int:
        return self.blocks[-1].stop if self.blocks else 0

    def windows(self) -> Iterator[Window]:
        """The windows in plan order."""
        for block in self.blocks:
            yield from block.windows


def plan(scene: PlannedScene, options: TilingOptions) -> TilePlan:
    """Lay windows over a scene so that every pixel is covered, with as few as the overlap allows.

    Neighbours share ``options.overlap`` of their width; the last of a row or column is moved inwards to end
    at the edge. Where the scene is narrower than a window, one window of the scene's width takes its place.
    A scale whose windows are those of the scale before (the scene fits into one) is left out. The crops of a
    scale's windows follow them, each place once.

    Warns:
        LandsiftWarning: ``options.gsd`` is given for a scene without one; its native pixels are used.
    """
    if options.gsd is not None and scene.gsd is None:
        warnings.warn(
            "A scene without coordinate system has no ground sampling distance, so its native pixels are"
            " used; name its coordinate system (crs) to resample it.",
            LandsiftWarning,
            stacklevel=2,
        )
    blocks: list[ReadBlock] = []
    before: _Layer | None = None
    for scale in options.scales:
        layer = _lay(scene, options, scale)
        if before is None or not layer.covers_the_same(before):
            for part in (layer, *layer.crops(options)):
                start = blocks[-1].stop if blocks else 0
                blocks += _cut_into_blocks(part, scene, start)
            before = layer
    return TilePlan(tuple(blocks))


@dataclass(frozen=True, slots=True)
class _Axis:
    """Windows along one direction: ``offsets`` and length in native pixels, ``pixels`` of the tile."""

    offsets: tuple[int, ...]
    length: int
    pixels: int
    stride: int

    def span(self, count: int) -> int:
        """Native pixels under ``count`` neighbouring windows."""
        return (count - 1) * self.stride + self.length

    def cropped(self, tile: int, grid: int) -> _Axis:
        """The crops of all windows; never more pixels than there are."""
        length, within = crop_offsets(self.length, grid)
        offsets = tuple(sorted({start + shift for start in self.offsets for shift in within}))
        widest = max((b - a for a, b in pairwise(offsets)), default=self.stride)
        return _Axis(offsets, length, min(tile, length), widest)

    def chunks(self, size: int) -> Iterator[tuple[int, ...]]:
        """Runs of about equal length, at most ``size`` windows each."""
        for run in np.array_split(np.asarray(self.offsets), math.ceil(len(self.offsets) / size)):
            yield tuple(run.tolist())


@dataclass(frozen=True, slots=True)
class _Layer:
    """The windows of one scale."""

    x: _Axis
    y: _Axis
    scale: float

    @property
    def size(self) -> tuple[int, int]:
        return self.y.pixels, self.x.pixels

    @property
    def step(self) -> int:
        return read_step(self.x.length, self.y.length, self.size)

    def crops(self, options: TilingOptions) -> list[_Layer]:
        """The layer of the windows' crops; none where only whole windows are asked for."""
        grid = view_grid(options.views)
        if not grid:
            return []
        x, y = (axis.cropped(options.tile, grid) for axis in (self.x, self.y))
        return [_Layer(x, y, _view_scale(self.scale, grid))]

    def covers_the_same(self, other: _Layer) -> bool:
        return all(
            mine.offsets == theirs.offsets and mine.length == theirs.length
            for mine, theirs in ((self.x, other.x), (self.y, other.y))
        )


def _view_scale(scale: float, grid: int) -> float:
    """The scale of crops, with no more digits than the names of tiles have."""
    return float(f"{scale * VIEW_SHARES[grid]:g}")


def _lay(scene: PlannedScene, options: TilingOptions, scale: float) -> _Layer:
    ratio = scale
    if options.gsd is not None and scene.gsd is not None:
        ratio = scale * options.gsd / scene.gsd
    return _Layer(_axis(scene.width, options, ratio), _axis(scene.height, options, ratio), scale)


def _axis(length: int, options: TilingOptions, ratio: float) -> _Axis:
    """Windows along ``length`` native pixels, ``ratio`` of which make one tile pixel."""
    window = max(1, round(options.tile * ratio))
    # From the stride in tile pixels, so that whole ratios keep every window on whole tile pixels.
    stride = max(1, round(ratio * max(1, round(options.tile * (1 - options.overlap)))))
    if length <= window:
        pixels = options.tile if length == window else max(1, min(options.tile, round(length / ratio)))
        return _Axis((0,), length, pixels, stride)
    count = math.ceil((length - window) / stride) + 1
    offsets = [*range(0, (count - 1) * stride, stride), length - window]
    return _Axis(tuple(offsets), window, options.tile, stride)


def _cut_into_blocks(layer: _Layer, scene: PlannedScene, start: int) -> Iterator[ReadBlock]:
    across, down = _block_shape(layer, scene)
    for rows in layer.y.chunks(down):
        for cols in layer.x.chunks(across):
            block = ReadBlock(
                start, cols, rows, layer.x.length, layer.y.length, layer.size, layer.scale, layer.step
            )
            yield block
            start = block.stop


def _block_shape(layer: _Layer, scene: PlannedScene) -> tuple[int, int]:
    """How many windows to fetch at once, across and down.

    A file in strips decodes whole rows whatever is asked, so its reads go the full width while memory
    lasts; of a tiled file, squares touch the fewest blocks twice.
    """
    in_strips = scene.block[1] >= scene.width
    decimation = layer.step**2
    tile_pixels = layer.x.pixels * layer.y.pixels
    most_native = min(_BLOCK_PIXELS * decimation, _BLOCK_PIXELS_DECIMATED)

    def fits(across: int, down: int) -> bool:
        native = layer.x.span(across) * layer.y.span(down)
        pixels = native / decimation + across * down * tile_pixels
        return pixels * _SHOWN_BANDS <= _BLOCK_BYTES and (native <= most_native or (in_strips and down == 1))

    return _grow(layer, fits, across_first=in_strips)


def _grow(layer: _Layer, fits: Callable[[int, int], bool], across_first: bool) -> tuple[int, int]:
    """Enlarge a block of windows from one until it fits no more."""
    across = down = 1
    while True:
        wider = across < len(layer.x.offsets) and fits(across + 1, down)
        taller = down < len(layer.y.offsets) and fits(across, down + 1)
        flat = layer.x.span(across) > layer.y.span(down)
        if wider and (across_first or not taller or not flat):
            across += 1
        elif taller:
            down += 1
        else:
            return across, down
