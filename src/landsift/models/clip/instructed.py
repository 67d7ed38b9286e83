"""PIR-CLIP: a CLIP whose image tower is led by an instruction, one more token from a second, frozen tower.

PriorCLIP (Pan, Ma, Bai: arXiv 2405.10160), after the released code, of which two habits are kept where
``released`` is set: what counts as a patch's rank is its place in the list of sorted indices, and patches are
scaled to length 1 along the tokens and not along the channels. Trained with the affiliation loss (recipe
``pir-clip``). Deviates: the scene classifier that instructs is any ResNet in torchvision's layout, for the
authors' own was trained on AID and comes with no package. Knows the model; no files and no losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import UsageError
from landsift.models.clip.matcher import SPEC as CLIP
from landsift.models.clip.matcher import ClipMatcher, ClipOptions
from landsift.models.clip.vision import VisionTower
from landsift.models.features import Features
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard, one_of
from landsift.models.resnet import RESNET_SIZES, ResNet, load_resnet, standardise_pixels

__all__ = ["POOLINGS", "SPEC", "InstructedClip", "InstructedOptions", "believed"]

POOLINGS = ("instruction", "class")
"""Which token becomes the image's vector."""


@dataclass(frozen=True)
class InstructedOptions(ClipOptions):
    """A CLIP and what instructs it.

    Attributes:
        instructor: Tower that the instruction comes from: a key of
            :data:`landsift.models.resnet.RESNET_SIZES`.
        instructor_start: ``random``, or a file of weights in torchvision's layout: of a scene classifier.
        pool: Which token becomes the image's vector: ``instruction``, as in the release, or ``class``.
        released: Ranks and scaling as in the release; False for those that its text describes.
    """

    instructor: str = "resnet50"
    instructor_start: str = "random"
    pool: str = "instruction"
    released: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, known in (
            ("instructor", self.instructor, list(RESNET_SIZES)),
            ("pool", self.pool, POOLINGS),
        ):
            if value not in known:
                raise ValueError(f"{name}: there is no {value!r}; {one_of(value, known)}")


def believed(tokens: Tensor, instruction: Tensor, released: bool = True) -> Tensor:
    """Tokens weighed by how far the instruction believes in them.

    Args:
        tokens: ``(n, length, width)``.
        instruction: ``(n, width)``.
        released: As in the released code: a token's rank is read from the list of sorted indices, and length
            1 is along the tokens. False: its place in the order, and along the channels.

    Returns:
        ``(n, length, width)``: ``normalise(x belief + x / sqrt(rank + 1))``, belief the softmax over tokens
        of their inner product with the instruction.
    """
    agreement = (tokens @ instruction[:, :, None])[:, :, 0]
    length = agreement.shape[1]
    order = agreement.topk(length, dim=1).indices  # exporters know no argsort
    places = torch.arange(length, device=order.device).expand_as(order)
    rank = order if released else torch.zeros_like(order).scatter(1, order, places)
    weight = agreement.softmax(dim=1) + (rank + 1).to(tokens.dtype).rsqrt()
    return functional.normalize(tokens * weight[:, :, None], dim=1 if released else 2)


class InstructedClip(ClipMatcher):
    """A CLIP with an instructor.

    Args:
        base: The CLIP; its parts are taken over.
        options: How it is instructed.

    Raises:
        UsageError: Its image tower has no class token, or reads other bands than red, green and blue.
    """

    def __init__(self, base: ClipMatcher, options: InstructedOptions) -> None:
        super().__init__(base.model, base.tokens, base.facts)
        image = base.model.image
        if not isinstance(image, VisionTower) or image.class_token is None or image.shape.channels != 3:
            raise UsageError(
                "An instruction joins the tokens of a CLIP ViT; start from one, such as vit-b-32."
            )
        self.options = options
        self.instructor = _instructor(options)
        self.instruct = nn.Linear(self.instructor.channels[-1], image.shape.width)

    def image_features(self, pixels: Tensor) -> Features:
        """``(n, 3, H, W)`` RGB from 0 to 255 to unit rows."""
        image = self.model.image
        assert isinstance(image, VisionTower)
        x = image.embedded(((pixels / 255 - self.mean) / self.std).to(self._dtype))
        instruction = self.instruct(self._seen(pixels).to(x.dtype))
        x = torch.cat([instruction[:, None], believed(x, instruction, self.options.released)], dim=1)
        for layer in image.layers:
            x = layer(x)
        first = POOLINGS.index(self.options.pool)
        return Features(functional.normalize(image.pooled(x[:, first:]).float(), dim=1))

    def _seen(self, pixels: Tensor) -> Tensor:
        """``(n, channels)``: what the instructor sees, the mean of its last map."""
        if not any(parameter.requires_grad for parameter in self.instructor.parameters()):
            self.instructor.eval()
        x = standardise_pixels(pixels.float()).to(self._dtype)
        for stage in self.instructor.stages():
            x = stage(x)
        return torch.mean(x, dim=(2, 3))

    def depths(self) -> dict[str, int]:
        """Of the CLIP; the instructor lies below all of it."""
        found = super().depths()
        return found | {"instructor": max(found.values()) + 1}


def _instructor(options: InstructedOptions) -> ResNet:
    if options.instructor_start == "random":
        return ResNet(options.instructor)
    return load_resnet(Path(options.instructor_start), options.instructor)


def _build(options: InstructedOptions, source: MatcherSource) -> InstructedClip:
    plain: Mapping[str, Any] = {name: getattr(options, name) for name in ClipOptions.__dataclass_fields__}
    base = CLIP.build(ClipOptions(**plain), source)
    assert isinstance(base, ClipMatcher)
    return InstructedClip(base, _unread(options) if source.files else options)


def _unread(options: InstructedOptions) -> InstructedOptions:
    """A checkpoint brings the instructor's weights itself."""
    return replace(options, instructor_start="random")


SPEC = MatcherSpec(
    InstructedOptions,
    _build,
    "Pan, Ma, Bai: PIR-CLIP. arXiv 2405.10160",
    MethodCard("PIR-CLIP", 2024, "dot", "code read", stands_in="scene classifier"),
)
