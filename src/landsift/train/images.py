"""Where a step's images come from: decoded squares that are changed anew, or maps computed beforehand.

Fetching is host work that can be done ahead in a thread; finishing is device work. Knows stores and tensors;
no captions.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor, nn

from landsift.errors import GalleryDamaged, UsageError
from landsift.files import ColumnFolder
from landsift.models.features import Features
from landsift.models.matcher import Matcher, SplitMatcher
from landsift.train.augment import Draws, changed, draw, plain
from landsift.train.folders import full_disk_told
from landsift.train.pixels import OTHER_DISK, PixelStore, Progress
from landsift.train.recipe import AugmentRecipe
from landsift.types import IntArray, Pixels

__all__ = ["ImageFeed", "ImageInput", "MapFeed", "PixelFeed", "encode_images", "map_feed", "plain_batches"]

ImageInput: TypeAlias = Tensor | Mapping[str, Tensor]
"""Pixels, or maps by name."""

_MAPS_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class _FetchedPixels:
    pixels: Pixels
    draws: Draws


class ImageFeed(ABC):
    """Images of one training or validation set.

    Attributes:
        channels_last: Give maps of pixels with channels last in memory.
    """

    channels_last: bool = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def fetch(self, rows: IntArray, part: slice, rng: np.random.Generator | None) -> Any:
        """Read some images of a step.

        Args:
            rows: The images of the whole step; what is drawn is drawn for all of them.
            part: Those to read.
            rng: Draws how they are changed; None for the images as they are.
        """

    @abstractmethod
    def finish(self, fetched: Any, device: torch.device) -> ImageInput:
        """Put what was fetched onto a device and change it as drawn."""


class PixelFeed(ImageFeed):
    """Decoded squares, changed each time they are drawn; the pictures of a pair are changed alike.

    Args:
        store: Where they are.
        rows: ``(N,)`` row of each image in the store, or ``(N, dates)`` rows of each place's pictures.
        size: Side in pixels of what the model sees.
        recipe: How they are changed.
    """

    def __init__(self, store: PixelStore, rows: IntArray, size: int, recipe: AugmentRecipe) -> None:
        self.store, self.rows, self.size, self.recipe = store, rows, size, recipe

    def __len__(self) -> int:
        return len(self.rows)

    def fetch(self, rows: IntArray, part: slice, rng: np.random.Generator | None) -> _FetchedPixels:
        """Squares, and what happens to them."""
        draws = plain(len(rows)) if rng is None else draw(len(rows), self.recipe, rng)
        places = np.repeat(np.arange(len(rows))[part], self._dates)
        return _FetchedPixels(self.store.read(self.rows[rows[part]].ravel()), draws.rows(places))

    def finish(self, fetched: _FetchedPixels, device: torch.device) -> Tensor:
        """``(n, 3, size, size)`` float32, 0 to 255; of pairs ``(n, 3 * dates, size, size)``."""
        pixels = torch.from_numpy(fetched.pixels).to(device, non_blocking=True).permute(0, 3, 1, 2)
        found = changed(pixels, fetched.draws, self.size)
        if self._dates > 1:
            found = found.unflatten(0, (-1, self._dates)).flatten(1, 2)
        return _laid_out(found, self.channels_last)

    @property
    def channels(self) -> int:
        """Of what the model is given: three a date."""
        return 3 * self._dates

    @property
    def _dates(self) -> int:
        return 1 if self.rows.ndim == 1 else self.rows.shape[1]


class MapFeed(ImageFeed):
    """Outputs of the frozen part of an image tower, one of a few views at random.

    Args:
        columns: ``(N, views, ...)`` arrays by name; the first view is the image as it is.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        self.columns = columns
        first = next(iter(columns.values()))
        self._count, self._views = first.shape[:2]

    def __len__(self) -> int:
        return int(self._count)

    def fetch(self, rows: IntArray, part: slice, rng: np.random.Generator | None) -> dict[str, NDArray[Any]]:
        """One view of each image."""
        views = np.zeros(len(rows), np.int64) if rng is None else rng.integers(self._views, size=len(rows))
        return {name: column[rows[part], views[part]] for name, column in self.columns.items()}

    def finish(self, fetched: dict[str, NDArray[Any]], device: torch.device) -> dict[str, Tensor]:
        """Maps in full precision."""
        found = {name: torch.from_numpy(rows).to(device).float() for name, rows in fetched.items()}
        return {name: _laid_out(tensor, self.channels_last) for name, tensor in found.items()}


def _laid_out(tensor: Tensor, channels_last: bool) -> Tensor:
    if channels_last and tensor.ndim == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor


def encode_images(matcher: Matcher, images: ImageInput) -> Features:
    """Features of pixels or of maps."""
    if isinstance(images, Tensor):
        return matcher.image_features(images)
    return _split(matcher).upper(images)


def _split(matcher: Matcher) -> SplitMatcher:
    if not isinstance(matcher, SplitMatcher):
        raise UsageError(
            f"{type(matcher).__name__} has no frozen lower part to compute once; set data.maps to false."
        )
    return matcher


def map_feed(
    matcher: Matcher,
    feed: PixelFeed,
    folder: Path,
    *,
    views: int,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> MapFeed:
    """Compute the frozen part for ``views`` views of each image, or read it from where it was kept.

    Args:
        matcher: Whose lower part is frozen; left in ``eval`` mode.
        feed: The images.
        folder: Where maps are kept; a computation that was stopped goes on where it was.
        views: The first is the image as it is, the others are changed.
        seed: Of the changes.
        device: Where it is computed.
        progress: Told how far it is.

    Raises:
        UsageError: The method has no lower part, or it is not frozen.
        DiskFull: No space left.
    """
    matcher.eval()
    lower, weights, probe = _frozen_lower(matcher, feed.size, feed.channels, device)
    key = _key_of(weights, probe, feed, views, seed)
    place = folder / f"maps-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_suffix(".lock")):
        done = _rows_there(place)
        for first in range(done, len(feed), _MAPS_AT_ONCE):
            rows = np.arange(first, min(first + _MAPS_AT_ONCE, len(feed)))
            found = _maps(lower, feed, rows, views, seed, device)
            spec = {name: ("<f2", column.shape[1:]) for name, column in found.items()}
            with full_disk_told(f"for maps in {place}", OTHER_DISK):
                (ColumnFolder.append if first else ColumnFolder.write)(place, spec, [found], {"key": key})
            if progress:
                progress("computing the frozen part", int(rows[-1]) + 1, len(feed))
    return MapFeed(ColumnFolder(place).columns)


def _rows_there(place: Path) -> int:
    try:
        return ColumnFolder(place).count
    except GalleryDamaged:
        return 0


def _frozen_lower(
    matcher: Matcher, size: int, channels: int, device: torch.device
) -> tuple[Callable[[Tensor], dict[str, Tensor]], dict[str, Tensor], dict[str, Tensor]]:
    """The lower part, its weights, and what it makes of a picture that is always the same."""
    split, passed = _split(matcher), list[nn.Module]()
    ramp = torch.arange(channels * size * size, device=device).view(1, channels, size, size) % 251
    hooks = [
        module.register_forward_hook(lambda module, *_: passed.append(module)) for module in split.modules()
    ]
    try:
        probe = split.lower(ramp.float())
    finally:
        for hook in hooks:
            hook.remove()
    if any(tensor.requires_grad for tensor in probe.values()):
        raise UsageError(
            "data.maps needs the lower part of the image tower to be frozen; name it under model.freeze, "
            "or set data.maps to false."
        )
    numbers = {id(weight) for module in passed for weight in module.parameters()}
    weights: dict[str, Tensor] = {
        name: weight for name, weight in split.named_parameters() if id(weight) in numbers
    }
    return split.lower, weights, probe


def _key_of(
    weights: Mapping[str, Tensor], probe: Mapping[str, Tensor], feed: PixelFeed, views: int, seed: int
) -> str:
    """A hash over all that the maps depend on: frozen weights, what they give, pictures, changes.

    Statistics of batch norms, a method's options, where it is cut: all show in what the frozen part makes of
    one picture, so methods that share that part share its maps. Of that, mean and spread count, to four
    digits: single numbers differ in the last ones with the number of threads.
    """
    digest = hashlib.sha256()
    for name, tensor in weights.items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    for name, tensor in sorted(probe.items()):
        spread, mean = torch.std_mean(tensor.double(), correction=0)
        digest.update(f"{name} {tuple(tensor.shape)} {float(mean):.4g} {float(spread):.4g}".encode())
    changes = [views, seed, feed.recipe.told()] if views > 1 else [views]
    pictures = [feed.store.signature(feed.rows.ravel()), feed.size, feed.store.size, *changes]
    if feed.store.fit != "squash":  # squashed is what maps of old caches are of
        pictures.append(feed.store.fit)
    digest.update(repr(pictures).encode())
    return digest.hexdigest()[:16]


def _maps(
    lower: Callable[[Tensor], dict[str, Tensor]],
    feed: PixelFeed,
    rows: IntArray,
    views: int,
    seed: int,
    device: torch.device,
) -> dict[str, NDArray[Any]]:
    """``(n, views, ...)`` float16 by name."""
    parts = []
    with torch.inference_mode():
        for view in range(views):
            rng = np.random.default_rng([seed, int(rows[0]), view]) if view else None
            fetched = feed.fetch(rows, slice(None), rng)
            parts.append(lower(feed.finish(fetched, device)))
    return {
        name: torch.stack([part[name] for part in parts], dim=1).half().cpu().contiguous().numpy()
        for name in parts[0]
    }


def plain_batches(feed: ImageFeed, at_once: int, device: torch.device) -> Iterator[ImageInput]:
    """All images as they are, ``at_once`` at a time."""
    for first in range(0, len(feed), at_once):
        rows = np.arange(first, min(first + at_once, len(feed)))
        yield feed.finish(feed.fetch(rows, slice(None), None), device)
