"""From a training set to batches: which images and captions a step sees, and everything losses ask for.

What a batch holds is a function of seed, pass and number, so a run that was interrupted goes on with the very
batches it would have seen. Batches are fetched ahead in a thread. Knows no losses and no optimiser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landsift.errors import DatasetError, UsageError
from landsift.models.batch import Batch, Moment
from landsift.models.features import TextInput
from landsift.models.matcher import Matcher
from landsift.models.registry import one_of
from landsift.train.corpus import Corpus
from landsift.train.gathering import Processes
from landsift.train.images import ImageFeed
from landsift.train.recipe import Recipe
from landsift.train.sampling import SAMPLINGS, beside_neighbours, by_scene, shuffled
from landsift.train.wording import Drawn, Wording
from landsift.types import FloatArray, IntArray

__all__ = ["Feeder", "TrainingData"]

_ORDER, _DRAW = 0, 1
"""Streams of random numbers of a pass: one for its order, one for each batch."""
_AHEAD = 2


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What batches are made from.

    Attributes:
        corpus: Pictures and captions.
        images: The pictures' pixels or maps.
        unpaired: Pictures without captions; None unless a term asks for them.
        teacher_images: ``(N, D)`` vectors of the teacher; None without one.
        teacher_texts: ``(M, D)`` likewise.
        extras: ``(N, ...)`` values by name.
    """

    corpus: Corpus
    images: ImageFeed
    unpaired: ImageFeed | None = None
    teacher_images: FloatArray | None = None
    teacher_texts: FloatArray | None = None
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Fetched:
    """A batch on the host, its images not yet changed."""

    rows: IntArray
    drawn: Drawn
    positive: NDArray[np.bool_]
    text: TextInput | None
    images: Any
    view: Any
    unpaired: Any
    prior: FloatArray | None


class Feeder:
    """Makes the batches of a run.

    Args:
        data: What they are made from.
        recipe: How.
        matcher: Prepares captions.
        needs: What the loss terms ask for beside images.
        processes: Which share of each batch is read here.

    Raises:
        UsageError: A batch that the processes cannot share, or an unknown way of sampling.
        DatasetError: Too little data for any contrast.
    """

    def __init__(
        self,
        data: TrainingData,
        recipe: Recipe,
        matcher: Matcher,
        needs: frozenset[str],
        processes: Processes | None = None,
    ) -> None:
        if recipe.data.sampling not in SAMPLINGS:
            known = one_of(recipe.data.sampling, SAMPLINGS)
            raise UsageError(f"There is no data.sampling {recipe.data.sampling!r}; {known}")
        self.data, self._recipe, self._matcher, self._needs = data, recipe, matcher, needs
        self._processes = processes or Processes()
        self._wording = Wording(data.corpus, recipe.text)
        self._pass = max(1, round(data.corpus.weights.sum()))
        self.size = self._batch_size()
        self.steps = recipe.loop.steps_per_epoch or max(1, self._pass // self.size // recipe.loop.accumulate)

    def _batch_size(self) -> int:
        """Images of a batch: the recipe's, or all there are, in equal shares for all processes."""
        asked, count, images = self._recipe.loop.batch, self._processes.count, len(self.data.corpus)
        if asked % count:
            raise UsageError(
                f"A batch of {asked} cannot be shared by {count} processes; set loop.batch to a multiple."
            )
        size = min(asked, self._pass) // count * count
        if images < 2 or size < 2:
            raise DatasetError(
                f"The training set holds {images} image{'s' * (images != 1)} with captions, and a batch "
                f"{size}; there is nothing to tell apart, so give at least two images and loop.batch = 2."
            )
        if self._recipe.text.per_image and len(np.unique(self.data.corpus.groups)) < 2:
            raise DatasetError(
                "All captions of the training set read the same, so there is nothing to tell apart; "
                "give captions that differ."
            )
        return size

    def order(self, epoch: int, near: IntArray | None) -> IntArray:
        """Which images the batches of a pass show: ``(batches, size)`` row numbers.

        Args:
            epoch: Number of the pass.
            near: ``(N, k)`` images that each is taken for, for hard sampling; None before any is known.
        """
        rng = np.random.default_rng([self._recipe.loop.seed, epoch, _ORDER])
        batches = self.steps * self._recipe.loop.accumulate
        parts: list[IntArray] = []
        while sum(map(len, parts)) < batches * self.size:
            parts.append(self._pass_order(rng, near))
        return np.concatenate(parts)[: batches * self.size].reshape(batches, self.size)

    def _pass_order(self, rng: np.random.Generator, near: IntArray | None) -> IntArray:
        corpus, sampling = self.data.corpus, self._recipe.data.sampling
        if sampling == "scenes":
            return by_scene(corpus.labels, corpus.weights, rng)
        order = shuffled(corpus.weights, rng)
        return order if sampling == "shuffle" or near is None else beside_neighbours(order, near)

    def batches(self, epoch: int, order: IntArray, first: int = 0) -> Iterator[_Fetched]:
        """The batches of a pass from number ``first`` on, fetched ahead in a thread.

        Args:
            epoch: Number of the pass.
            order: Of :meth:`order`.
            first: Number of the first batch.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="landsift-feed") as pool:
            ahead = [
                pool.submit(self._fetch, epoch, n, order[n])
                for n in range(len(order))[first : first + _AHEAD]
            ]
            for number in range(first, len(order)):
                fetched = ahead.pop(0).result()
                if number + _AHEAD < len(order):
                    ahead.append(pool.submit(self._fetch, epoch, number + _AHEAD, order[number + _AHEAD]))
                yield fetched

    def _fetch(self, epoch: int, number: int, rows: IntArray) -> _Fetched:
        rng = np.random.default_rng([self._recipe.loop.seed, epoch, _DRAW, number])
        drawn = self._wording.draw(rows, rng)
        share = self._processes.share(len(rows))
        images = self.data.images.fetch(rows, share, rng)
        view = self.data.images.fetch(rows, share, rng) if "view" in self._needs else None
        return _Fetched(
            rows,
            drawn,
            self._wording.positive(rows, drawn),
            self._prepared(drawn, share),
            images,
            view,
            self._fetch_unpaired(rng),
            self._wording.prior(rows, drawn) if "prior" in self._needs else None,
        )

    def _prepared(self, drawn: Drawn, share: slice) -> TextInput | None:
        count = self._recipe.text.per_image
        if not count:
            return None
        return self._matcher.prepare(drawn.texts[share.start * count : share.stop * count])

    def _fetch_unpaired(self, rng: np.random.Generator) -> Any:
        pool = self.data.unpaired
        if pool is None or "unpaired" not in self._needs:
            return None
        count = min(self._recipe.data.unpaired_per_step, len(pool)) // self._processes.count
        rows = rng.choice(len(pool), size=count * self._processes.count, replace=False).astype(np.int64)
        return pool.fetch(rows, self._processes.share(len(rows)), rng)

    def finish(self, fetched: _Fetched, device: torch.device, moment: Moment) -> Batch:
        """Put a batch onto a device, and change its images as drawn."""
        rows, drawn, feed = fetched.rows, fetched.drawn, self.data.images

        def sent(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device, non_blocking=True)

        return Batch(
            images=feed.finish(fetched.images, device),
            image_ids=sent(rows),
            labels=sent(self.data.corpus.labels[rows]),
            text=None if fetched.text is None else fetched.text.to(device),
            captions=drawn.texts,
            caption_ids=sent(drawn.caption_ids),
            image_row=sent(drawn.image_row),
            positive=sent(fetched.positive),
            view=None if fetched.view is None else feed.finish(fetched.view, device),
            unpaired=self._finished_unpaired(fetched, device),
            prior=None if fetched.prior is None else sent(fetched.prior),
            teacher_images=self._teacher(self.data.teacher_images, rows, sent),
            teacher_texts=self._teacher(self.data.teacher_texts, drawn.caption_ids, sent),
            extras={name: sent(values[rows]) for name, values in self.data.extras.items()},
            moment=moment,
        )

    def _finished_unpaired(self, fetched: _Fetched, device: torch.device) -> Any:
        if fetched.unpaired is None or self.data.unpaired is None:
            return None
        return self.data.unpaired.finish(fetched.unpaired, device)

    @staticmethod
    def _teacher(vectors: FloatArray | None, rows: IntArray, sent: Any) -> Tensor | None:
        """The teacher's vectors of some rows; zeros where there is no such row."""
        if vectors is None:
            return None
        found: Tensor = sent(np.where(rows[:, None] >= 0, vectors[np.maximum(rows, 0)], 0).astype(np.float32))
        return found
