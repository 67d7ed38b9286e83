"""The image side's trunk (block B1): maps of four stages, the lower of which can be computed once.

Stages have strides of about 4, 8, 16 and 32 pixels and are called c1 to c4 as in the papers. c1 is averaged
onto the grid of c2 (28 x 28 of 224 pixels) so that a cache of it stays small. Knows towers and where their
weights are; no text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import UsageError
from landsift.models.blocks.vision_trunk import VISION_TOWERS, VisionTrunk, vision_trunk
from landsift.models.registry import one_of
from landsift.models.resnet import RESNET_SIZES, ResNet, load_resnet, standardise_pixels
from landsift.models.starting import image_weights
from landsift.models.towers import (
    LITE_SIZES,
    EfficientNetLite,
    InvertedResidual,
    load_imagenet_checkpoint,
    normalise_pixels,
)

__all__ = ["LEVELS", "TOWERS", "Trunk", "build_trunk", "grid_tokens", "mean_cell", "regrid"]

LEVELS = ("c1", "c2", "c3", "c4")
TOWERS = (*LITE_SIZES, *RESNET_SIZES, *VISION_TOWERS)


@dataclass(frozen=True, eq=False)
class _Stages:
    """Four stages of a tower, and what it does to pixels first."""

    modules: list[nn.Module]
    channels: tuple[int, ...]
    standardise: bool


class Trunk(nn.Module):
    """Four stages; those up to ``cut`` are the lower part.

    Args:
        stages: The tower's.
        cut: Last level of the lower part, or ``none``.
        levels: What the method reads; stages above the highest of them are left out.
        input_size: Side in pixels of the squares.
    """

    def __init__(self, stages: _Stages, cut: str, levels: tuple[str, ...], input_size: int) -> None:
        super().__init__()
        needed = max(LEVELS.index(level) for level in levels) + 1
        self.lower_count = min(LEVELS.index(cut) + 1 if cut in LEVELS else 0, needed)
        self.levels, self.standardise = tuple(levels), stages.standardise
        # Two attributes, so that one prefix freezes what is to be computed once, whatever the tower.
        self.frozen = nn.ModuleList(stages.modules[: self.lower_count])
        self.trained = nn.ModuleList(stages.modules[self.lower_count : needed])
        self.channels = dict(zip(LEVELS, stages.channels, strict=True))
        sides = [-(-input_size // stride) for stride in (8, 8, 16, 32)]
        self.sides = dict(zip(LEVELS, sides, strict=True))

    def lower(self, pixels: Tensor) -> dict[str, Tensor]:
        """``(n, 3, H, W)`` RGB from 0 to 255 to the maps of the lower part, whoever reads them.

        All of them, so that methods share one cache. Where the part is frozen it runs with the statistics it
        has, whatever mode the whole is in.
        """
        if not any(parameter.requires_grad for parameter in self.frozen.parameters()):
            self.frozen.eval()
        x = (standardise_pixels if self.standardise else normalise_pixels)(pixels.float())
        if not self.frozen:
            return {"pixels": x}
        return self._run(x, self.frozen, 0)

    def upper(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The maps that the method reads."""
        found = dict(maps)
        x = found.pop("pixels", None)
        if x is None:
            x = maps[LEVELS[self.lower_count - 1]]
        if len(self.trained):
            if self.lower_count == 1:
                raise AssertionError("c1 is averaged, so no stage can go on from it")
            found |= self._run(x, self.trained, self.lower_count)
        return {level: found[level] for level in self.levels}

    def _run(self, x: Tensor, stages: nn.ModuleList, first: int) -> dict[str, Tensor]:
        found = {}
        for level, stage in zip(LEVELS[first:], stages, strict=False):
            x = stage(x)
            found[level] = functional.avg_pool2d(x, 2, ceil_mode=True) if level == "c1" else x
        return found


def build_trunk(
    name: str, *, start: str, cut: str, levels: tuple[str, ...], input_size: int, empty: bool = False
) -> Trunk | VisionTrunk:
    """Make a trunk by the name of its tower.

    Args:
        name: Of ``TOWERS``.
        start: ``pretrained`` (installed ImageNet weights), ``random``, or a file of weights; of CLIP's vision
            transformers as :func:`landsift.models.blocks.vision_trunk.vision_trunk` takes it.
        cut: ``c2``, ``c3``, ``c4`` or ``none``.
        levels: What the method reads.
        input_size: Side in pixels of the squares.
        empty: Weights are read into it afterwards, so none are loaded.

    Raises:
        UsageError: No such tower, or no installed weights for it.
        EncoderError: The weights cannot be read.
    """
    if name not in TOWERS:
        raise UsageError(f"There is no image tower {name!r}; {one_of(name, TOWERS)}")
    if name in VISION_TOWERS:
        return vision_trunk(name, start=start, cut=cut, levels=levels, input_size=input_size, empty=empty)
    stages = (_lite if name in LITE_SIZES else _resnet)(name, start, empty)
    return Trunk(stages, cut, levels, input_size)


def _lite(name: str, start: str, empty: bool) -> _Stages:
    if start == "random" or empty:
        tower = EfficientNetLite(name)
    else:
        tower, _ = load_imagenet_checkpoint(image_weights(name) if start == "pretrained" else start, name)
    if start != "random":
        # Small batches would spoil the statistics of a pretrained tower.
        tower.fold_batch_norm()
    blocks = [block for block in tower.blocks if isinstance(block, InvertedResidual)]
    starts = [n for n, block in enumerate(blocks) if block.depthwise.conv.stride[0] == 2]
    ends = [starts[1], starts[2], starts[3], len(blocks)]
    parts = [nn.Sequential(tower.stem, *blocks[: ends[0]])]
    parts += [nn.Sequential(*blocks[a:b]) for a, b in pairwise(ends)]
    parts[-1].append(tower.head)
    channels = [blocks[end - 1].project.conv.out_channels for end in ends[:3]]
    return _Stages(list(parts), (*channels, tower.width), standardise=False)


def _resnet(name: str, start: str, empty: bool) -> _Stages:
    if start == "pretrained" and not empty:
        raise UsageError(
            f"No package brings weights for {name}; set image_start to a file in torchvision's layout."
        )
    if start == "random" or empty:
        tower = ResNet(name)
    else:
        tower = load_resnet(Path(start), name)
    return _Stages(tower.stages(), tower.channels, standardise=True)


def grid_tokens(maps: Tensor, side: int = 0) -> Tensor:
    """A map as a list of cells: ``(n, channels, h, w)`` to ``(n, h * w, channels)``.

    Args:
        maps: The map.
        side: Average onto a grid of this side first; 0 keeps the map's own.
    """
    if side:
        maps = regrid(maps, side, side)
    return maps.flatten(2).transpose(1, 2)


def regrid(maps: Tensor, height: int, width: int) -> Tensor:
    """Adaptive average pooling, to a coarser or a finer grid, as one matrix product.

    Torch's own visits cell by cell and takes a third of a training step of some methods; the same averages as
    a product of ``(h * w, height * width)`` cost next to nothing.

    Args:
        maps: ``(n, channels, h, w)``.
        height, width: Of the new grid.
    """
    if maps.shape[2:] == (height, width):
        return maps
    rows, columns = (
        _averages(old, new, maps) for old, new in ((maps.shape[2], height), (maps.shape[3], width))
    )
    cells = maps.flatten(2) @ torch.kron(rows, columns).T
    return cells.unflatten(2, (height, width))


def _averages(old: int, new: int, like: Tensor) -> Tensor:
    """``(new, old)``: which cells along one axis each new one is the mean of, as torch chooses them."""
    at = torch.arange(new, device=like.device)
    first, stop = at * old // new, -(-(at + 1) * old // new)
    place = torch.arange(old, device=like.device)
    inside = (place >= first[:, None]) & (place < stop[:, None])
    return (inside / inside.sum(dim=1, keepdim=True)).to(like.dtype)


def mean_cell(maps: Tensor) -> Tensor:
    """Mean over the cells of a map: ``(n, channels, h, w)`` to ``(n, channels)``."""
    return torch.mean(maps, dim=(2, 3))
