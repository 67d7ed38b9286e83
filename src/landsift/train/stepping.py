"""The gradient of one batch: encoded at once, or in chunks at the memory of one chunk.

In chunks (gradient caching; Gao et al., 2021, arXiv 2101.06983): encode all chunks without keeping what led
to them, take the loss of the joint features and its gradient for each feature, then encode each chunk again
and push its part of that gradient through. Knows models and losses; no optimiser and no data sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landsift.errors import TrainingError, UsageError
from landsift.models.batch import Batch
from landsift.models.features import Features, TextInput, joined
from landsift.models.matcher import Matcher
from landsift.models.registry import one_of
from landsift.train.gathering import Processes, gathered
from landsift.train.images import encode_images
from landsift.train.objective import Objective
from landsift.train.terms import Encoded

__all__ = ["PRECISIONS", "Stepper"]

PRECISIONS: Mapping[str, torch.dtype | None] = {
    "float32": None,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, eq=False)
class _Stream:
    """One kind of input of a batch, in chunks, and what encodes it."""

    chunks: list[Any]
    encode: Callable[[Any], Features]


class Stepper:
    """Computes gradients; leaves them in ``.grad``.

    Args:
        matcher: What is trained.
        objective: What it is trained for.
        precision: Of the towers: a key of ``PRECISIONS``.
        chunk: Images encoded at a time; 0 for the whole batch.
        processes: Who shares the batch.
        scaler: Scales losses in float16; None otherwise.

    Raises:
        UsageError: No such precision.
    """

    def __init__(
        self,
        matcher: Matcher,
        objective: Objective,
        *,
        precision: str = "float32",
        chunk: int = 0,
        processes: Processes | None = None,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            known = one_of(precision, list(PRECISIONS))
            raise UsageError(f"There is no loop.precision {precision!r}; {known}")
        self._matcher, self._objective = matcher, objective
        self._dtype, self._chunk = PRECISIONS[precision], chunk
        self._processes = processes or Processes()
        self._scaler = scaler

    def gradients(self, batch: Batch, share: float = 1.0) -> tuple[dict[str, float], Encoded]:
        """Add the gradient of a batch's loss to what the parameters have.

        Args:
            batch: The batch.
            share: Factor on the loss, for batches that are averaged.

        Returns:
            Value of each weighted term, and the features, cut off.

        Raises:
            TrainingError: A term is not a finite number; nothing was added.
        """
        streams = self._streams(batch)
        if not self._chunk:
            return self._direct(batch, streams, share)
        return self._cached(batch, streams, share)

    def critic_losses(self, encoded: Encoded) -> dict[str, Tensor]:
        """The losses of an adversarial method's critic, on features that are cut off."""
        if encoded.text is None:
            return {}
        return self._matcher.critic_losses(encoded.batch, encoded.image, encoded.text)

    def _direct(
        self, batch: Batch, streams: Mapping[str, _Stream], share: float
    ) -> tuple[dict[str, float], Encoded]:
        with self._autocast(batch):
            own = {
                name: joined([stream.encode(part) for part in stream.chunks])
                for name, stream in streams.items()
            }
        found = self._encoded(batch, {name: features.float() for name, features in own.items()})
        values = self._backward(found, share)
        return values, _cut_off(found)

    def _cached(
        self, batch: Batch, streams: Mapping[str, _Stream], share: float
    ) -> tuple[dict[str, float], Encoded]:
        leaves: dict[str, list[Features]] = {}
        states: dict[str, list[_RandomState]] = {}
        for name, stream in streams.items():
            leaves[name], states[name] = [], []
            for part in stream.chunks:
                states[name].append(_RandomState.now(batch.image_ids.device))
                with torch.no_grad(), self._autocast(batch):
                    features = stream.encode(part).float()
                leaves[name].append(_as_leaves(features))
        found = self._encoded(batch, {name: joined(parts) for name, parts in leaves.items()})
        values = self._backward(found, share)
        for name, stream in streams.items():
            for part, leaf, state in zip(stream.chunks, leaves[name], states[name], strict=True):
                with state.replayed(), self._autocast(batch):
                    again = stream.encode(part).float()
                _push(again, leaf)
        return values, _cut_off(found)

    def _streams(self, batch: Batch) -> dict[str, _Stream]:
        images = (
            len(next(iter(batch.images.values()))) if isinstance(batch.images, Mapping) else len(batch.images)
        )
        chunk = self._chunk or images

        def encode(inputs: Any) -> Features:
            return encode_images(self._matcher, inputs)

        found = {"image": _Stream(_cut(batch.images, chunk), encode)}
        if batch.text is not None:
            texts = math.ceil(chunk * len(batch.text) / images)
            found["text"] = _Stream(_cut(batch.text, texts), self._matcher.text_features)
        for name, inputs in (("view", batch.view), ("unpaired", batch.unpaired)):
            if inputs is not None:
                found[name] = _Stream(_cut(inputs, chunk), encode)
        return found

    def _encoded(self, batch: Batch, own: Mapping[str, Features]) -> Encoded:
        everyone = {name: gathered(features, self._processes) for name, features in own.items()}
        image, text = everyone["image"], everyone.get("text")
        if text is not None and self._matcher.scores_batches:
            similarity = self._matcher.similarity(image, text).float()
        else:
            similarity = image.pooled.new_zeros((0, 0))
        return Encoded(
            batch,
            image,
            text,
            everyone.get("view"),
            everyone.get("unpaired"),
            similarity,
            self._matcher.scale,
            self._matcher.bias,
        )

    def _backward(self, found: Encoded, share: float) -> dict[str, float]:
        terms = self._objective(found, self._matcher)
        values = _finite(terms)
        loss = share * torch.stack([value.float() for value in terms.values()]).sum()
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()
        return values

    def _autocast(self, batch: Batch) -> torch.autocast:
        kind = batch.image_ids.device.type
        return torch.autocast(kind, dtype=self._dtype or torch.bfloat16, enabled=self._dtype is not None)


def _cut(inputs: Any, size: int) -> list[Any]:
    """Inputs in chunks of at most ``size`` rows."""
    if isinstance(inputs, TextInput):
        return [inputs.rows(slice(n, n + size)) for n in range(0, len(inputs), size)]
    if isinstance(inputs, Mapping):
        count = len(next(iter(inputs.values())))
        return [{name: x[n : n + size] for name, x in inputs.items()} for n in range(0, count, size)]
    return list(inputs.split(size))


def _as_leaves(features: Features) -> Features:
    """Features that collect the gradient of the loss."""
    return features.replaced(
        {
            name: tensor.detach().requires_grad_(tensor.is_floating_point())
            for name, tensor in features.tensors().items()
        }
    )


def _push(again: Features, leaves: Features) -> None:
    """Send the gradient that the leaves collected through what made the features."""
    pairs = [
        (tensor, leaf.grad)
        for tensor, leaf in zip(again.tensors().values(), leaves.tensors().values(), strict=True)
        if tensor.requires_grad and leaf.grad is not None
    ]
    if pairs:
        torch.autograd.backward([tensor for tensor, _ in pairs], [gradient for _, gradient in pairs])


def _cut_off(found: Encoded) -> Encoded:
    def cut(features: Features | None) -> Features | None:
        return None if features is None else features.detach()

    return Encoded(
        found.batch,
        found.image.detach(),
        cut(found.text),
        cut(found.view),
        cut(found.unpaired),
        found.similarity.detach(),
    )


def _finite(terms: Mapping[str, Tensor]) -> dict[str, float]:
    """The terms as numbers.

    Raises:
        TrainingError: One of them is not finite.
    """
    numbers = torch.stack([value.detach().float() for value in terms.values()]).tolist()
    values = dict(zip(terms, numbers, strict=True))
    wrong = [name for name, value in values.items() if not math.isfinite(value)]
    if wrong:
        raise TrainingError(f"The loss term {wrong[0]} became {values[wrong[0]]}")
    return values


@dataclass(frozen=True, eq=False)
class _RandomState:
    """Where the generators of the CPU and of a device stand."""

    host: Tensor
    device: torch.device
    there: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> _RandomState:
        there = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(torch.get_rng_state(), device, there)

    def restore(self) -> None:
        torch.set_rng_state(self.host)
        if self.there is not None:
            torch.cuda.set_rng_state(self.there, self.device)

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Within it, random numbers come as they did then; afterwards as if nothing had been."""
        after = _RandomState.now(self.device)
        self.restore()
        try:
            yield
        finally:
            after.restore()
