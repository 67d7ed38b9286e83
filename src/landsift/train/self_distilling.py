"""A model that learns from the mean of what it was after each pass: DSD's self-distillation.

Works for any method that has one vector for an image and one for a caption. Knows features and weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from landsift.errors import UsageError
from landsift.models import objectives
from landsift.models.batch import Batch, Moment
from landsift.models.blocks.momentum import MomentumWeights
from landsift.models.matcher import Matcher, SplitMatcher
from landsift.train.term import Encoded, Sizes, Term, positive, there

__all__ = ["SelfDistil", "SelfDistilOptions"]


@dataclass(frozen=True)
class SelfDistilOptions:
    """Learn from one's own past.

    Attributes:
        temperature: Of all softmaxes.
    """

    temperature: float = 0.07

    def __post_init__(self) -> None:
        positive("temperature", self.temperature)


class SelfDistil(Term):
    """Rank images and captions, within and across, as the mean of the past weights does.

    As in DSD-RSITR's released code: before each pass the teacher moves towards the student with a decay of
    ``1 - 1 / (passes + 1)``, which makes it the mean of the weights at the beginning of every pass; the
    divergences of image to text, text to image, image to image and text to text are averaged. There the
    weight is 10 times the share of the run that is done: ``weight = 10``, ``from_epoch = 1``, and
    ``ramp_epochs`` of all passes.
    """

    needs = frozenset({"text"})

    def __init__(self, options: SelfDistilOptions, sizes: Sizes) -> None:
        super().__init__(options, sizes)
        self.past = MomentumWeights()
        self._student: list[Matcher] = []  # a list, so that the student is not a part of its own loss

    def attach(self, matcher: Matcher) -> None:
        """Begin with the weights it starts from."""
        self._student = [matcher]
        self.past.track(matcher)

    def begin_epoch(self, moment: Moment) -> None:
        """Take the present weights into the mean."""
        self.past.decay = 1 - 1 / (moment.epoch + 1)
        self.past.update(self._student[0])

    def forward(self, found: Encoded) -> Tensor:
        """Mean of the four divergences."""
        image, text = self._taught(found.batch)
        if len(image) != len(found.image):
            raise UsageError(
                "[loss.self-distil] sees the images of its own process only; train in one process."
            )
        own_image = functional.normalize(found.image.pooled, dim=1)
        own_text = functional.normalize(there(found.text).pooled, dim=1)
        across = self._divergence(own_image, own_text, image, text)
        within = self._divergence(own_image, own_image, image, image)
        within = within + self._divergence(own_text, own_text, text, text)
        return (2 * across + within) / 4

    def _divergence(self, first: Tensor, second: Tensor, old_first: Tensor, old_second: Tensor) -> Tensor:
        scale = 1 / self.options.temperature
        return objectives.score_divergence(scale * first @ second.T, scale * old_first @ old_second.T)

    def _taught(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Unit vectors by the past weights: of the images, and of the captions."""
        student = self._student[0]
        with self.past.applied(student), torch.autocast(there(batch.text).tokens.device.type, enabled=False):
            if isinstance(batch.images, Mapping):
                image = cast(SplitMatcher, student).upper(batch.images)
            else:
                image = student.image_features(batch.images)
            text = student.text_features(there(batch.text))
        return functional.normalize(image.pooled.float(), dim=1), functional.normalize(
            text.pooled.float(), dim=1
        )
