"""Vectors of an image's cells from torch towers: what :mod:`landsift.encoders.cells` does for ONNX graphs.

Each cell of the last map goes alone through whatever makes a vector of the whole map. For a mean and linear
layers that is exact: the image's vector is the mean of its cells'. For pooling by attention it is the value
path alone, each cell listening to itself (Zhou et al., "Extract Free Dense Labels from CLIP", ECCV 2022), as
is the last layer of a vision transformer. Knows matchers; no scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from landsift.encoders.cells import CellEncoder
from landsift.encoders.pixels import check_pixels, fit_square
from landsift.models.clip.layers import ResidualLayer
from landsift.models.clip.matcher import ClipMatcher
from landsift.models.clip.resnet import ClipResNet
from landsift.models.clip.vision import VisionTower
from landsift.models.dual_matcher import DualMatcher
from landsift.models.encoder import TorchEncoder
from landsift.models.matcher import Matcher
from landsift.models.methods.base import TowerMatcher
from landsift.types import Encoder, EncoderCard, FloatArray, Pixels

__all__ = ["TorchCells", "cells_of_matcher", "torch_cells", "vision_cells"]

CellMaker = Callable[[Tensor], Tensor]
"""``(n, 3, H, W)`` RGB from 0 to 255 to ``(n, h, w, dim)``."""
_LAST = "c4"


def torch_cells(encoder: Encoder) -> CellEncoder | None:
    """An encoder of torch as one that shows its cells; None where its method has none of its own."""
    if not isinstance(encoder, TorchEncoder):
        return None
    make = cells_of_matcher(encoder.matcher)
    return None if make is None else TorchCells(encoder, make)


class TorchCells:
    """The image tower of a matcher, asked for its cells.

    Args:
        encoder: Whose tower it is.
        make: Of :func:`cells_of_matcher`.
    """

    def __init__(self, encoder: TorchEncoder, make: CellMaker) -> None:
        self._encoder, self._make = encoder, make

    @property
    def card(self) -> EncoderCard:
        """What this encoder is."""
        return self._encoder.card

    def encode_cells(self, images: Sequence[Pixels]) -> FloatArray:
        """As :class:`landsift.encoders.cells.CellEncoder` says; every image is a run of its own."""
        matcher = self._encoder.matcher
        device = next(matcher.parameters()).device
        grids = []
        with torch.inference_mode():
            for position, image in enumerate(images):
                square = fit_square(check_pixels(image, position), matcher.input_size, matcher.fit)
                pixels = torch.from_numpy(square.copy()).permute(2, 0, 1)[None].to(device)
                grids.append(self._make(pixels)[0].float().cpu().numpy())
        return np.stack(grids) if grids else np.empty((0, 1, 1, self.card.dim), np.float32)


def cells_of_matcher(matcher: Matcher) -> CellMaker | None:
    """How the cells of a matcher are made; None where they cannot be."""
    if isinstance(matcher, DualMatcher):
        return lambda pixels: _dual(matcher, pixels)
    if isinstance(matcher, ClipMatcher):
        return lambda pixels: _clip(matcher, pixels)
    if isinstance(matcher, TowerMatcher) and matcher.levels == (_LAST,):
        return lambda pixels: _single_cells(matcher, pixels)
    return None


def _dual(matcher: DualMatcher, pixels: Tensor) -> Tensor:
    maps = matcher.image_levels(pixels)["head"].permute(0, 2, 3, 1)
    return matcher.model.image_projection(maps)


def _single_cells(matcher: TowerMatcher, pixels: Tensor) -> Tensor:
    maps = matcher.images.upper(matcher.lower(pixels))[_LAST]
    n, channels, rows, columns = maps.shape
    single = maps.permute(0, 2, 3, 1).reshape(-1, channels, 1, 1)
    return matcher.image_head({_LAST: single}).pooled.reshape(n, rows, columns, -1)


def _clip(matcher: ClipMatcher, pixels: Tensor) -> Tensor:
    tower = matcher.model.image
    scaled = ((pixels / 255 - matcher.mean) / matcher.std).to(next(tower.parameters()).dtype)
    return _pooled_cells(tower, scaled) if isinstance(tower, ClipResNet) else vision_cells(tower, scaled)


def _pooled_cells(tower: ClipResNet, scaled: Tensor) -> Tensor:
    pool, maps = tower.attnpool, tower.grid(scaled)
    n, _, rows, columns = maps.shape
    cells = maps.flatten(2).transpose(1, 2) + pool.positional_embedding[1:]
    return pool.c_proj(pool.v_proj(cells)).reshape(n, rows, columns, -1)


def vision_cells(tower: VisionTower, scaled: Tensor) -> Tensor:
    """Standardised ``(n, bands, H, W)`` pixels to unit rows of the patches, ``(n, h, w, dim)``."""
    x = tower.embedded(scaled)
    *below, last = tower.layers
    for layer in below:
        x = layer(x)
    assert isinstance(last, ResidualLayer)
    x = _to_itself(last, x)
    side = scaled.shape[2] // tower.shape.patch
    if tower.pool is None:
        found = tower.projection(tower.norm_after(x[:, 1:]))
    else:
        found = tower.pool(tower.norm_after(x).flatten(0, 1)[:, None])
    return functional.normalize(found, dim=-1).reshape(len(scaled), side, -1, found.shape[-1])


def _to_itself(layer: ResidualLayer, x: Tensor) -> Tensor:
    """A layer in which each token attends to itself alone."""
    *_, value = layer.query_key_value(layer.norm1(x)).chunk(3, dim=-1)
    x = x + layer.attended(value)
    return x + layer.narrow(layer.activate(layer.widen(layer.norm2(x))))
