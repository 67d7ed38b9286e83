"""Image heads that keep small things: levels mixed by a multi-scale block, several resolutions, late words.

The pattern: take the maps of several stages, mix them (an option of one block), pool each level by attention,
put them side by side. With ``zoom`` an image is seen whole and in squares at a higher resolution, as S2 does
(Shi et al., ECCV 2024, arXiv 2403.13043): the squares' maps are put together and averaged back onto the grid
of the whole, beside its own. Knows towers, blocks and scores; no data sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import UsageError
from landsift.models.blocks.heads import unit
from landsift.models.blocks.late import PromptedPool, late_scores, one_bit
from landsift.models.blocks.multiscale import NECKS, build_neck
from landsift.models.blocks.pooling import AttentionPool
from landsift.models.blocks.trunk import grid_tokens
from landsift.models.blocks.words import TextStates
from landsift.models.features import Features
from landsift.models.methods.base import TowerMatcher, TowerOptions
from landsift.models.registry import MatcherSource, MatcherSpec, check_choices

__all__ = ["HEADS", "SPEC", "Pyramid", "PyramidOptions"]

HEADS = ("dot", "filip", "colbert", "prompted")
_ZOOMED = "zoomed."


@dataclass(frozen=True)
class PyramidOptions(TowerOptions):
    """A multi-scale image head.

    Attributes:
        block: How levels are mixed: of :data:`landsift.models.blocks.multiscale.NECKS`.
        width: Channels of the mixed maps.
        zoom: Squares a side that an image is also seen in, at ``input_size`` each; 1 for the whole alone.
        head: ``dot`` (one vector, for an index), ``filip`` or ``colbert`` (words and cells, to re-rank), or
            ``prompted`` (cells weighed by a mask that the text prompts, to re-rank).
        cells: Side of the grid of cells that heads other than ``dot`` keep of an image.
        bits: Of each number of a cell that is kept: 16, or 1 for its sign alone.
    """

    block: str = "fpn"
    width: int = 128
    zoom: int = 1
    head: str = "dot"
    cells: int = 7
    bits: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, {"block": tuple(NECKS), "head": HEADS})
        if self.zoom not in (1, 2, 3, 4) or self.bits not in (1, 16) or self.cells < 1:
            raise ValueError("zoom is 1 to 4, bits 1 or 16, cells 1 or more")


class Pyramid(TowerMatcher):
    """Levels mixed, pooled, side by side."""

    levels = ("c2", "c3", "c4")

    def __init__(self, options: PyramidOptions, source: MatcherSource) -> None:
        super().__init__(options, source)
        if options.head != "dot" and not self.texts.reads_words:
            raise UsageError(
                f"The head {options.head} looks at single words, which {options.text} does not show; "
                f"set model.options.text to gru, bigru or minilm."
            )
        self.input_size = options.input_size * options.zoom
        self.exact_index = options.head == "dot"
        views = 1 if options.zoom == 1 else 2
        channels = {level: views * count for level, count in self.images.channels.items()}
        self.neck = build_neck(options.block, channels, self.levels, options.width)
        self.pools = nn.ModuleList(AttentionPool(options.width) for _ in self.levels)
        self.head = nn.Linear(options.width * len(self.levels), options.dim)
        if options.head != "dot":
            self.cell_head = nn.Linear(options.width * len(self.levels), options.dim)
        if options.head == "prompted":
            self.prompted = PromptedPool()

    def lower(self, pixels: Tensor) -> dict[str, Tensor]:
        """The trunk up to the cut: of the whole, and of the squares it is also seen in."""
        zoom, side = self.options.zoom, self.options.input_size
        if zoom == 1:
            return self.images.lower(pixels)
        whole = functional.interpolate(
            pixels.float(), size=(side, side), mode="bilinear", antialias=True, align_corners=False
        )
        squares = self.images.lower(_squares(pixels, zoom))
        # An image's squares are one row, so that a cache and a batch hold one row an image.
        rows = {f"{_ZOOMED}{name}": x.unflatten(0, (len(pixels), zoom * zoom)) for name, x in squares.items()}
        return self.images.lower(whole) | rows

    def upper(self, maps: Mapping[str, Tensor]) -> Features:
        """The rest of the trunk, both resolutions on one grid, and the head."""
        plain = {name: x for name, x in maps.items() if not name.startswith(_ZOOMED)}
        levels = self.images.upper(plain)
        if self.options.zoom == 1:
            return self.image_head(levels)
        squares = {
            name.removeprefix(_ZOOMED): x.flatten(0, 1) for name, x in maps.items() if name not in plain
        }
        closer = {
            level: _joined_back(x, self.options.zoom, levels[level])
            for level, x in self.images.upper(squares).items()
        }
        return self.image_head({level: torch.cat([x, closer[level]], dim=1) for level, x in levels.items()})

    def image_head(self, maps: Mapping[str, Tensor]) -> Features:
        """A unit row; cells where the head looks at them."""
        mixed = self.neck(maps)
        pooled = [pool(grid_tokens(x)) for pool, x in zip(self.pools, mixed.values(), strict=True)]
        row = unit(self.head(torch.cat(pooled, dim=1)))
        if self.exact_index:
            return Features(row)
        grids = [grid_tokens(x, self.options.cells) for x in mixed.values()]
        cells = unit(self.cell_head(torch.cat(grids, dim=2)))
        return Features(row, one_bit(cells) if self.options.bits == 1 else cells)

    def text_head(self, states: TextStates) -> Features:
        """A unit row; words where the head looks at them."""
        row = unit(states.sentence)
        return Features(row) if self.exact_index else Features(row, unit(states.words), states.mask)

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Cosine of the rows; with cells and words, the mean of it and of the head's score."""
        rows = image.pooled @ text.pooled.T
        if self.exact_index:
            return rows
        cells, words, mask = image.tokens, text.tokens, text.mask
        assert cells is not None and words is not None and mask is not None
        if self.options.head == "prompted":
            return (rows + self.prompted(cells, text.pooled, words, mask)) / 2
        late = late_scores(self.options.head, cells, words, mask)
        if self.options.head == "colbert":  # a mean, so that long captions do not outweigh the rows
            late = late / mask.sum(dim=1)
        return (rows + late) / 2


def _squares(pixels: Tensor, zoom: int) -> Tensor:
    """``(n, 3, z * s, z * s)`` to ``(n * z * z, 3, s, s)``, row by row."""
    height, width = (length // zoom for length in pixels.shape[2:])
    parts = pixels.unflatten(3, (zoom, width)).unflatten(2, (zoom, height))
    return parts.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def _joined_back(x: Tensor, zoom: int, like: Tensor) -> Tensor:
    """Maps of squares put together as they lie in the image, averaged onto the grid of the whole."""
    parts = x.unflatten(0, (-1, zoom, zoom)).permute(0, 3, 1, 4, 2, 5)
    return functional.interpolate(parts.flatten(4).flatten(2, 3), size=like.shape[2:], mode="area")


SPEC = MatcherSpec(
    PyramidOptions, Pyramid, "Lin et al.: Feature Pyramid Networks. CVPR 2017; and those of the block"
)
