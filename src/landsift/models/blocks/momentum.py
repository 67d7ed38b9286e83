"""Slow copies of weights and queues of remembered rows (B10). Knows parameters, rows and matchers; no method.

Both keep what they hold in buffers, so that checkpoints hold it too. With several processes each keeps the
rows of its own share of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.features import Features
from landsift.models.matcher import SplitMatcher
from landsift.models.objectives import queue_contrast

__all__ = ["MomentumContrast", "MomentumWeights", "Queue", "stilled"]


class MomentumWeights(nn.Module):
    """An exponentially averaged copy of the weights that train (He et al., 2020, MoCo, arXiv 1911.05722).

    Args:
        decay: Per step.
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        self.decay = decay

    def track(self, module: nn.Module) -> None:
        """Begin to follow the parameters that a module has now; once, when it is whole."""
        for name, parameter in module.named_parameters():
            self.register_buffer(_flat(name), parameter.detach().clone())

    def _pairs(self, module: nn.Module) -> Iterator[tuple[Tensor, nn.Parameter]]:
        held = dict(self.named_buffers())
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and _flat(name) in held:
                yield held[_flat(name)], parameter

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move a little towards the present weights."""
        for kept, parameter in self._pairs(module):
            kept.lerp_(parameter, 1 - self.decay)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Within it, the module has the averaged weights, is in ``eval`` mode and keeps no gradients."""
        pairs = list(self._pairs(module))
        live = [parameter.data for _, parameter in pairs]
        for kept, parameter in pairs:
            parameter.data = kept
        try:
            with torch.no_grad(), stilled(module):
                yield
        finally:
            for (_, parameter), data in zip(pairs, live, strict=True):
                parameter.data = data


def _flat(name: str) -> str:
    return name.replace(".", "__")


@contextmanager
def stilled(module: nn.Module) -> Iterator[None]:
    """Within it, a module and all its parts are in ``eval`` mode."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


class Queue(nn.Module):
    """The last rows that were added, the oldest replaced first.

    Args:
        size: Most rows it holds.
        dim: Of a row.
    """

    rows: Tensor
    added: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(size, dim))
        self.register_buffer("added", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def add(self, rows: Tensor) -> None:
        """Remember ``(n, dim)`` rows; of more than fit, the last ones."""
        size = len(self.rows)
        kept = rows[-size:]
        first = int(self.added) + len(rows) - len(kept)
        places = (first + torch.arange(len(kept), device=rows.device)) % size
        self.rows[places] = kept.to(self.rows.dtype)
        self.added += len(rows)

    def held(self) -> Tensor:
        """``(k, dim)`` what is remembered, in no order."""
        return self.rows[: int(self.added)]

    def unit_rows(self) -> Tensor:
        """What is remembered, scaled to length 1."""
        return functional.normalize(self.held(), dim=1)


class MomentumContrast(nn.Module):
    """Contrast of both directions with queues of what a slow copy of the matcher made (MoCo, as above).

    Args:
        size: Rows remembered of each side.
        dim: Of a row.
        decay: Of the slow copy, per step.
    """

    def __init__(self, size: int, dim: int, decay: float) -> None:
        super().__init__()
        self.image_queue, self.text_queue = Queue(size, dim), Queue(size, dim)
        self.momentum = MomentumWeights(decay)

    def track(self, matcher: SplitMatcher) -> None:
        """Begin to follow the weights of a matcher; once, when it is whole."""
        self.momentum.track(matcher)

    def forward(self, mine: Features, text: Features, wrong: Tensor, temperature: float) -> Tensor:
        """The contrast of captions with the images of their rows.

        The batch's own wrong answers count beside those remembered. The right ones are of the live weights:
        were only the slow copy's wrong, all rows could run away from it into one point.

        Args:
            mine, text: ``n`` rows each: the image of each caption, and the caption.
            wrong: ``(n, n)`` bool: which captions are wrong for the image of a row.
            temperature: Of the softmax.
        """
        queues = self.text_queue.held(), self.image_queue.held()
        shared = {"temperature": temperature}
        return queue_contrast(mine.pooled, text.pooled, queues[0], wrong=wrong, **shared) + queue_contrast(
            text.pooled, mine.pooled, queues[1], wrong=wrong.T, **shared
        )

    def remember(self, matcher: SplitMatcher, batch: Batch) -> None:
        """Move the slow copy, and remember what it makes of this batch."""
        self.momentum.update(matcher)
        if batch.text is None:
            return
        with self.momentum.applied(matcher):
            maps = batch.images if isinstance(batch.images, Mapping) else matcher.lower(batch.images)
            self.image_queue.add(matcher.upper(maps).pooled)
            self.text_queue.add(matcher.text_features(batch.text).pooled)
