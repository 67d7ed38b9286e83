"""One block with options: the ways to mix the levels of an image tower, by name. Knows necks only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from landsift.errors import UsageError
from landsift.models.blocks import pyramids, small_objects
from landsift.models.blocks.necks import Neck
from landsift.models.registry import one_of

__all__ = ["NECKS", "NeckCard", "build_neck"]


@dataclass(frozen=True)
class NeckCard:
    """A way to mix levels.

    Attributes:
        build: The block.
        paper: Whom it is from.
        source: What it was written from: of :data:`landsift.models.registry.SOURCES`; empty for no paper.
    """

    build: type[Neck]
    paper: str
    source: str = "paper"


_ABSTRACT = "abstract only"
NECKS: Mapping[str, NeckCard] = {
    "plain": NeckCard(pyramids.Plain, "no mixing", ""),
    "spp": NeckCard(pyramids.PyramidPooling, "He et al., ECCV 2014"),
    "aspp": NeckCard(pyramids.Atrous, "Chen et al., 2017, DeepLab v3"),
    "fpn": NeckCard(pyramids.FeaturePyramid, "Lin et al., CVPR 2017"),
    "panet": NeckCard(pyramids.PathAggregation, "Liu et al., CVPR 2018"),
    "libra": NeckCard(pyramids.LibraPyramid, "Pang et al., CVPR 2019"),
    "bifpn": NeckCard(pyramids.BidirectionalPyramid, "Tan et al., CVPR 2020"),
    "nas-fpn": NeckCard(pyramids.SearchedPyramid, "Ghiasi et al., CVPR 2019; Liu et al., ICLR 2019"),
    "trident": NeckCard(pyramids.Trident, "Li et al., ICCV 2019"),
    "snip": NeckCard(pyramids.ScaleNormalised, "Singh and Davis, CVPR 2018"),
    "efc": NeckCard(small_objects.InterlayerCorrelation, "Xiao et al., IEEE TGRS 2024", _ABSTRACT),
    "pbt": NeckCard(small_objects.BackgroundAware, "Yang et al., IEEE TGRS 2024", _ABSTRACT),
    "bafnet": NeckCard(small_objects.BoundaryAware, "Song et al., IEEE TGRS 2025", _ABSTRACT),
    "mwdpnet": NeckCard(small_objects.WeightedLevels, "Ma et al., Scientific Reports 2023", _ABSTRACT),
    "seb-yolo": NeckCard(small_objects.SpaceToDepth, "Hui et al., Sensors 2024", _ABSTRACT),
}
"""Exact name to what it is."""


def build_neck(name: str, channels: Mapping[str, int], levels: tuple[str, ...], width: int) -> Neck:
    """Make the block.

    Args:
        name: Of ``NECKS``.
        channels: Of each level.
        levels: At least two, from the finest to the coarsest.
        width: Channels of the maps that come out; a multiple of 8.

    Raises:
        UsageError: No such block, or a width or levels that cannot be.
    """
    if name not in NECKS:
        raise UsageError(f"There is no multi-scale block {name!r}; {one_of(name, list(NECKS))}")
    if width < 8 or width % 8:
        raise UsageError(f"A multi-scale block needs a width that is a multiple of 8; got {width}.")
    if len(levels) < 2:
        raise UsageError(f"A multi-scale block needs two levels or more; got {', '.join(levels) or 'none'}.")
    return NECKS[name].build(channels, levels, width)
