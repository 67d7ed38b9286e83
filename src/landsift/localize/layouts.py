"""Where the windows lie that a scene is looked at through. Pure geometry; knows no pixels and no encoder.

Yuan et al., "Exploring a Fine-Grained Multiscale Method for Cross-Modal Remote Sensing Image Retrieval" gave
the sliding windows of several sizes (SeLo, TGRS 2022); SeLo v2 the two stages.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from landsift.errors import LandsiftWarning, UsageError
from landsift.types import Window

__all__ = ["anchor_boxes", "cell_boxes", "diagonal_grids", "fitting_sides", "overlapping_grid", "plain_grid"]

_SMALLEST = 16


def fitting_sides(sides: Sequence[int], width: int, height: int) -> tuple[int, ...]:
    """Window sides that the scene can hold, ascending, each once.

    Raises:
        UsageError: None fits, or one is too small to show anything.

    Warns:
        LandsiftWarning: Some do not fit and are left out.
    """
    if not sides or min(sides) < _SMALLEST:
        raise UsageError(
            f"Window sides must be {_SMALLEST} pixels or more, such as 256,512; got {tuple(sides)}"
        )
    wanted = sorted(set(sides))
    fitting = tuple(side for side in wanted if side <= min(width, height))
    if not fitting:
        raise UsageError(
            f"The scene has {width} x {height} pixels, less than the smallest window of {wanted[0]}; "
            f"ask for windows of {min(width, height)} pixels or less"
        )
    if len(fitting) < len(wanted):
        left_out = ", ".join(str(side) for side in wanted[len(fitting) :])
        warnings.warn(
            f"Windows of {left_out} pixels do not fit into {width} x {height} and are left out.",
            LandsiftWarning,
            stacklevel=3,
        )
    return fitting


def diagonal_grids(width: int, height: int, sides: Sequence[int]) -> list[Window]:
    """SeLo's windows: for each side a grid without overlap, and one that starts half a side in on both axes.

    A window that would pass the right or lower edge is moved back to end there.
    """
    windows: list[Window] = []
    for side in sides:
        for start in (0, side // 2):
            windows += _grid(width, height, side, start)
    return windows


def plain_grid(width: int, height: int, side: int) -> list[Window]:
    """One grid without overlap: the first stage of SeLo v2."""
    return _grid(width, height, side, 0)


def overlapping_grid(width: int, height: int, side: int) -> list[Window]:
    """Windows that each share half with their neighbours; the last ones end at the right and lower edge."""
    step = max(1, side // 2)
    columns, rows = (
        [min(place, length - side) for place in range(0, max(1, length - side + step), step)]
        for length in (width, height)
    )
    return [Window(col, row, side, side) for row in rows for col in columns]


def cell_boxes(window: Window, rows: int, columns: int) -> NDArray[np.int64]:
    """The cells of a grid over a window: ``(rows * columns, 4)`` left, top, right, bottom, row by row.

    Edges fall on whole pixels, those of neighbours on the same one, so that cells cover the window exactly.
    """
    across = window.col + np.rint(np.arange(columns + 1) * (window.width / columns)).astype(np.int64)
    down = window.row + np.rint(np.arange(rows + 1) * (window.height / rows)).astype(np.int64)
    left, top = np.meshgrid(across[:-1], down[:-1])
    right, bottom = np.meshgrid(across[1:], down[1:])
    return np.stack([left, top, right, bottom], axis=-1).reshape(-1, 4)


def _grid(width: int, height: int, side: int, start: int) -> list[Window]:
    columns, rows = (
        [min(place, length - side) for place in range(start, length, side)] for length in (width, height)
    )
    return [Window(col, row, side, side) for row in rows for col in columns]


def anchor_boxes(window: Window, sides: Sequence[int], width: int, height: int) -> list[Window]:
    """SeLo v2's second look at a window: squares around its corners, its quarter points and its middle.

    Squares are clipped at the scene's edges, so that they reach both into the window and out of it.
    """
    shares = [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (0.25, 0.25),
        (0.25, 0.75),
        (0.75, 0.25),
        (0.75, 0.75),
        (0.5, 0.5),
    ]
    boxes = []
    for across, down in shares:
        x, y = window.col + across * window.width, window.row + down * window.height
        boxes += [_clipped(int(x), int(y), side, width, height) for side in sides]
    return boxes


def _clipped(x: int, y: int, side: int, width: int, height: int) -> Window:
    left, top = max(0, x - side // 2), max(0, y - side // 2)
    right, bottom = min(width, x + side - side // 2), min(height, y + side - side // 2)
    return Window(left, top, right - left, bottom - top)
