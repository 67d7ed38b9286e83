"""CLIP's vision transformers as trunks (block B1): the patches' states after each quarter of the layers, as
maps.

All four maps lie on one grid. A name says the activation too, for weights do not: ``clip-vit-b-32`` is GELU's
(LAION and kin), ``clip-vit-b-32-quickgelu`` that of OpenAI, RemoteCLIP and GeoRSCLIP. Knows towers and where
encoders come from; no text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from landsift.errors import UsageError
from landsift.models.clip.matcher import CLIP_MEAN, CLIP_STD
from landsift.models.clip.model import build_empty
from landsift.models.clip.shapes import ARCHITECTURES
from landsift.models.clip.vision import VisionTower

__all__ = ["QUARTERS", "VISION_TOWERS", "VisionTrunk", "vision_trunk"]

QUARTERS = ("c1", "c2", "c3", "c4")
VISION_TOWERS: Mapping[str, tuple[str, str]] = {
    f"clip-{architecture}{suffix}": (architecture, activation)
    for architecture in ("vit-b-32", "vit-b-16", "vit-l-14", "vit-l-14-336", "vit-h-14")
    for suffix, activation in (("", "gelu"), ("-quickgelu", "quickgelu"))
}
"""Name of a tower to its architecture and activation."""
_TOKENS, _PIXELS = "tokens", "pixels"


class _Quarter(nn.Module):
    """Some layers; the first quarter makes the patches, the last normalises what comes out."""

    def __init__(
        self, layers: Sequence[nn.Module], before: VisionTower | None, after: nn.Module | None
    ) -> None:
        super().__init__()
        self.before, self.layers, self.after = before, nn.ModuleList(layers), after

    def forward(self, x: Tensor) -> Tensor:
        """Standardised pixels, or states ``(n, length, width)``, to states."""
        if self.before is not None:
            x = self.before.embedded(x)
        for layer in self.layers:
            x = layer(x)
        return x if self.after is None else self.after(x)


class VisionTrunk(nn.Module):
    """Four quarters of a vision transformer; those up to ``cut`` are the lower part.

    The same as :class:`landsift.models.blocks.trunk.Trunk` to a method.

    Args:
        tower: Taken apart.
        cut: Last level of the lower part, or ``none``.
        levels: What the method reads; quarters above the highest of them are left out.
        input_size: Side in pixels of the squares.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, tower: VisionTower, cut: str, levels: Sequence[str], input_size: int) -> None:
        super().__init__()
        shape = tower.shape
        needed = max(QUARTERS.index(level) for level in levels) + 1
        self.lower_count = min(QUARTERS.index(cut) + 1 if cut in QUARTERS else 0, needed)
        self.levels, self.side = tuple(levels), input_size // shape.patch
        quarters = _quarters(tower)[:needed]
        self.frozen = nn.ModuleList(quarters[: self.lower_count])
        self.trained = nn.ModuleList(quarters[self.lower_count :])
        self.channels = dict.fromkeys(QUARTERS, shape.width)
        self.sides = dict.fromkeys(QUARTERS, self.side)
        self.register_buffer("mean", torch.tensor(CLIP_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(CLIP_STD).reshape(1, 3, 1, 1), persistent=False)

    def lower(self, pixels: Tensor) -> dict[str, Tensor]:
        """``(n, 3, H, W)`` RGB from 0 to 255 to the maps of the lower part, and the states to go on from."""
        if not any(parameter.requires_grad for parameter in self.frozen.parameters()):
            self.frozen.eval()
        x = (pixels.float() / 255 - self.mean) / self.std
        return self._run(x, self.frozen, 0) if len(self.frozen) else {_PIXELS: x}

    def upper(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The maps that the method reads."""
        found = dict(maps)
        if len(self.trained):
            x = found[_TOKENS] if _TOKENS in found else found[_PIXELS]
            found |= self._run(x, self.trained, self.lower_count)
        return {level: found[level] for level in self.levels}

    def _run(self, x: Tensor, quarters: nn.ModuleList, first: int) -> dict[str, Tensor]:
        found = {}
        for level, quarter in zip(QUARTERS[first:], quarters, strict=False):
            x = quarter(x)
            found[level] = x[:, 1:].transpose(1, 2).reshape(len(x), -1, self.side, self.side)
        return found | {_TOKENS: x}


def _quarters(tower: VisionTower) -> list[_Quarter]:
    """A tower taken apart: each of its weights lies in one quarter."""
    layers = list(tower.layers)
    ends = [round(len(layers) * part / len(QUARTERS)) for part in range(len(QUARTERS) + 1)]
    parts = [layers[ends[number] : ends[number + 1]] for number in range(len(QUARTERS))]
    norm = tower.norm_after
    tower.layers, tower.norm_after, tower.projection = nn.ModuleList(), nn.Identity(), nn.Identity()
    return [
        _Quarter(part, tower if number == 0 else None, norm if number == len(parts) - 1 else None)
        for number, part in enumerate(parts)
    ]


def vision_trunk(
    name: str, *, start: str, cut: str, levels: Sequence[str], input_size: int, empty: bool = False
) -> VisionTrunk:
    """Make a trunk of a vision transformer.

    Args:
        name: Of :data:`VISION_TOWERS`.
        start: ``random``, ``pretrained`` (OpenAI's or LAION's weights by the activation), or an encoder of
            the CLIP family: a name, ``NAME@WEIGHTS``, a folder or an ``hf-hub:`` name.
        cut: ``c2``, ``c3``, ``c4`` or ``none``.
        levels: What the method reads.
        input_size: Side in pixels of the squares; positions are bent to it.
        empty: Weights are read into it afterwards, so none are loaded.

    Raises:
        UsageError: The encoder to start from is of another architecture or activation, or the size is odd.
        EncoderError: Its weights cannot be had.
    """
    architecture, activation = VISION_TOWERS[name]
    shape = ARCHITECTURES[architecture]
    if input_size % shape.image.patch:
        raise UsageError(
            f"{name} cuts patches of {shape.image.patch} pixels; make input_size a multiple of it."
        )
    if start == "random" or empty:
        tower = VisionTower(shape.image, activation, shape.dim)
        tower.initialise()
    else:
        own = f"clip-{architecture}" if activation == "quickgelu" else f"laion-{architecture}"
        tower = _loaded(own if start == "pretrained" else start, name, build_empty(shape, activation).image)
    return VisionTrunk(tower, cut, levels, input_size)


def _loaded(start: str, name: str, wanted: nn.Module) -> VisionTower:
    """The image tower of an encoder, where it is the one that ``name`` names."""
    from landsift.models.clip.opening import open_matcher

    model = open_matcher(start).model
    fits = isinstance(model.image, VisionTower) and {
        key: tensor.shape for key, tensor in model.image.state_dict().items()
    } == {key: tensor.shape for key, tensor in wanted.state_dict().items()}
    if not fits or model.activate != VISION_TOWERS[name][1]:
        raise UsageError(
            f"{start} is {model.architecture.title} with {model.activate}, which is not {name}; set "
            f"model.options.image to its own tower, one of {', '.join(VISION_TOWERS)}."
        )
    assert isinstance(model.image, VisionTower)
    return model.image
