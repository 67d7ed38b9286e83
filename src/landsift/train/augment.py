"""Changing images: what is drawn for each, and a whole batch changed at once on any device.

Crop, quarter turns, flips and resizing are one resampling; colour is one pass; a coarser sensor is imitated
by reducing and enlarging. What is drawn depends on the generator alone, so a batch can be drawn as a whole
and changed in parts. Knows tensors; no files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from landsift.train.recipe import AugmentRecipe

__all__ = ["Draws", "changed", "draw", "plain"]

_GREY = (0.299, 0.587, 0.114)
_COARSE_LEVELS = 4
"""Scales between 1 and the coarsest; images of one scale are reduced together."""


@dataclass(frozen=True, eq=False)
class Draws:
    """What happens to each of ``n`` images.

    Attributes:
        box: ``(n, 4)`` float64: left, top, width and height of the crop, as shares of the side.
        quarters: ``(n,)`` int64 quarter turns, counter-clockwise.
        flipped: ``(n,)`` bool: mirrored left to right before it is turned.
        scale: ``(n,)`` float64 scale it is reduced to first; 1 is none.
        colour: ``(n, 3)`` float64 factors of brightness, contrast and saturation.
        hidden: ``(n, 4)`` float64: left, top, right and bottom of the square that is painted over, as shares
            of the result's side; an empty one for none.
    """

    box: NDArray[np.float64]
    quarters: NDArray[np.int64]
    flipped: NDArray[np.bool_]
    scale: NDArray[np.float64]
    colour: NDArray[np.float64]
    hidden: NDArray[np.float64]
    noise: NDArray[np.float64]
    seed: NDArray[np.int64]

    def rows(self, part: slice | NDArray[np.int64]) -> Draws:
        """What happens to some of them."""
        return Draws(**{name: values[part] for name, values in vars(self).items()})


def draw(count: int, recipe: AugmentRecipe, rng: np.random.Generator) -> Draws:
    """Draw what happens to ``count`` images."""
    colour = np.stack(
        [
            1 + rng.uniform(-most, most, count)
            for most in (recipe.brightness, recipe.contrast, recipe.saturation)
        ],
        axis=1,
    )
    steps = np.linspace(recipe.coarsest, 1, _COARSE_LEVELS + 1)[:-1]
    coarse = rng.random(count) < recipe.coarse
    return Draws(
        _boxes(count, recipe, rng),
        rng.integers(4, size=count) * recipe.quarter_turns,
        (rng.random(count) < 0.5) & recipe.flips,
        np.where(coarse, steps[rng.integers(len(steps), size=count)], 1.0),
        colour,
        _squares(count, recipe, rng),
        *_noises(count, recipe, rng),
    )


def plain(count: int) -> Draws:
    """Nothing happens to any of ``count`` images."""
    rng = np.random.default_rng(0)
    nothing = AugmentRecipe(
        quarter_turns=False, flips=False, smallest_crop=1, stretch=1, brightness=0, contrast=0, saturation=0
    )
    return draw(count, nothing, rng)


def _boxes(count: int, recipe: AugmentRecipe, rng: np.random.Generator) -> NDArray[np.float64]:
    area = rng.uniform(recipe.smallest_crop, 1, count)
    ratio = np.exp(rng.uniform(-np.log(recipe.stretch), np.log(recipe.stretch), count))
    size = np.minimum(1, np.sqrt(np.stack([area * ratio, area / ratio], axis=1)))
    corner = rng.random((count, 2)) * (1 - size)
    return np.concatenate([corner, size], axis=1)


def _squares(count: int, recipe: AugmentRecipe, rng: np.random.Generator) -> NDArray[np.float64]:
    side = np.sqrt(rng.uniform(0, recipe.cutout_share, count)) * (rng.random(count) < recipe.cutout)
    corner = rng.random((count, 2)) * (1 - side)[:, None]
    return np.concatenate([corner, corner + side[:, None]], axis=1)


def _noises(
    count: int, recipe: AugmentRecipe, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if not recipe.noise:  # nothing is drawn, so that recipes from before there was noise draw what they drew
        return np.zeros(count), np.zeros(count, np.int64)
    noisy = rng.random(count) < recipe.noise
    return rng.uniform(0, recipe.noisiest, count) * noisy, rng.integers(2**62, size=count)


def changed(pixels: Tensor, draws: Draws, size: int) -> Tensor:
    """Change a batch as drawn.

    Args:
        pixels: ``(n, 3, S, S)`` uint8.
        draws: Of ``n`` images.
        size: Side of the result.

    Returns:
        ``(n, 3, size, size)`` float32, 0 to 255.
    """
    images = _coarsened(pixels.float().contiguous(), draws.scale)
    if (
        (draws.box != (0, 0, 1, 1)).any()
        or draws.quarters.any()
        or draws.flipped.any()
        or images.shape[2] != size
    ):
        images = _resampled(images, draws, size)
    if (draws.colour != 1).any():
        images = _coloured(images, torch.as_tensor(draws.colour, dtype=images.dtype, device=images.device))
    if (draws.hidden[:, 2] > draws.hidden[:, 0]).any():
        images = _painted(images, torch.as_tensor(draws.hidden, device=images.device))
    if draws.noise.any():
        images = _noisy(images, draws)
    return images


def _coarsened(images: Tensor, scale: NDArray[np.float64]) -> Tensor:
    side = images.shape[2]
    for level in np.unique(scale[scale < 1]):
        rows = torch.as_tensor(np.flatnonzero(scale == level), device=images.device)
        small = functional.interpolate(
            images[rows], size=max(1, round(side * level)), mode="bilinear", antialias=True
        )
        images[rows] = functional.interpolate(small, size=side, mode="bilinear")
    return images


def _resampled(images: Tensor, draws: Draws, size: int) -> Tensor:
    """Crop, mirror, turn and resize in one bilinear resampling."""
    theta = torch.as_tensor(_affine(draws), dtype=images.dtype, device=images.device)
    grid = functional.affine_grid(theta, [len(images), 3, size, size], align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _affine(draws: Draws) -> NDArray[np.float64]:
    """``(n, 2, 3)``: from places in the result, -1 to 1, to places in the source."""
    cosine = np.array([1, 0, -1, 0])[draws.quarters]
    sine = np.array([0, 1, 0, -1])[draws.quarters]
    mirror = np.where(draws.flipped, -1, 1)
    turn = np.stack([np.stack([mirror * cosine, -mirror * sine], 1), np.stack([sine, cosine], 1)], 1)
    corner, extent = draws.box[:, :2], draws.box[:, 2:]
    middle = 2 * corner + extent - 1
    return np.concatenate([turn * extent[:, :, None], middle[:, :, None]], axis=2)


def _coloured(images: Tensor, factors: Tensor) -> Tensor:
    """Brightness, contrast about the mean grey, saturation about each pixel's grey; kept within 0 to 255."""
    bright, contrast, saturation = (factors[:, column, None, None, None] for column in range(3))
    images = images * bright
    weights = torch.tensor(_GREY, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    grey = (images * weights).sum(dim=1, keepdim=True)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    # Both changes are straight lines, so they are applied as one: contrast, then saturation.
    grey_part = (1 - saturation) * (contrast * grey + (1 - contrast) * mean)
    return (
        images.mul_(saturation * contrast).add_(saturation * (1 - contrast) * mean + grey_part).clamp_(0, 255)
    )


def _painted(images: Tensor, hidden: Tensor) -> Tensor:
    size = images.shape[2]
    place = (torch.arange(size, device=images.device) + 0.5) / size
    across = (place >= hidden[:, 0, None]) & (place < hidden[:, 2, None])
    down = (place >= hidden[:, 1, None]) & (place < hidden[:, 3, None])
    inside = (down[:, :, None] & across[:, None, :])[:, None]
    return torch.where(inside, images.mean(dim=(2, 3), keepdim=True), images)


def _noisy(images: Tensor, draws: Draws) -> Tensor:
    """Gaussian noise, cut to 0 to 255 as a sensor's numbers are."""
    for row in np.flatnonzero(draws.noise):
        source = torch.Generator().manual_seed(int(draws.seed[row]))  # on the CPU: the same on any device
        noise = torch.randn(images[row].shape, generator=source).to(images.device)
        images[row] = (images[row] + 255 * float(draws.noise[row]) * noise).clamp_(0, 255)
    return images
