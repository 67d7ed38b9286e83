"""One training step's images and captions, and which of them belong together.

Knows no files and no models; the train room fills it, losses and methods read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from landsift.models.features import TextInput

__all__ = ["Batch", "Moment"]


@dataclass(frozen=True, slots=True)
class Moment:
    """How far training is.

    Attributes:
        step: Steps taken before this one, from 0.
        steps: Steps of the whole run.
        epoch: Passes before this one, from 0.
        epochs: Passes of the whole run.
    """

    step: int = 0
    steps: int = 1
    epoch: int = 0
    epochs: int = 1


@dataclass(frozen=True, eq=False)
class Batch:
    """``I`` images and ``T`` captions of one step.

    With several processes every array describes the joint batch, except ``images``, ``text``, ``view`` and
    ``unpaired``, which hold the share that this process encodes.

    Attributes:
        images: ``(I, 3, H, W)`` pixels, RGB 0 to 255; or maps by name where the frozen part was computed
            beforehand.
        image_ids: ``(I,)`` int64 rows of the training set.
        labels: ``(I,)`` int64 scene class of each image, -1 where unknown.
        text: The captions as the text tower reads them; None in image-only training.
        captions: The T captions in words.
        caption_ids: ``(T,)`` int64 caption of the training set, -1 for a text made on the spot.
        image_row: ``(T,)`` int64; the image of this batch that each caption was drawn for.
        positive: ``(I, T)`` bool; True where the caption was drawn for the image or for the same picture, or
            where the image has a caption of the same wording. What is True is never a negative.
        view: A second, independently changed view of ``images``; None unless a loss asks for it.
        unpaired: ``(U, 3, H, W)`` images without captions, or their maps; None unless a loss asks for them.
        prior: ``(I, T)`` float32, 0 to 1: how much each caption has in common with the captions of each
            image; None unless a loss asks for it.
        teacher_images: ``(I, D)`` vectors of the teacher; None without one.
        teacher_texts: ``(T, D)`` likewise; rows of texts made on the spot are zero.
        extras: Values a recipe attaches to images, ``(I, ...)`` each, by name.
        moment: How far training is.
    """

    images: Tensor | Mapping[str, Tensor]
    image_ids: Tensor
    labels: Tensor
    text: TextInput | None
    captions: tuple[str, ...]
    caption_ids: Tensor
    image_row: Tensor
    positive: Tensor
    view: Tensor | Mapping[str, Tensor] | None = None
    unpaired: Tensor | Mapping[str, Tensor] | None = None
    prior: Tensor | None = None
    teacher_images: Tensor | None = None
    teacher_texts: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    moment: Moment = field(default_factory=Moment)

    def __len__(self) -> int:
        return len(self.image_ids)
