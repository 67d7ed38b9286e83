"""What frozen towers hold at several depths, pooled, for every image and caption. Knows no heads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from landsift.models.matcher import LeveledMatcher
from landsift.train.images import ImageFeed, ImageInput, plain_batches

__all__ = ["IMAGE_POOLINGS", "TEXT_POOLINGS", "Pooled", "image_levels", "level_milliseconds", "text_levels"]

IMAGE_POOLINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda maps: maps.mean(dim=(2, 3)),
    "max": lambda maps: maps.amax(dim=(2, 3)),
}
TEXT_POOLINGS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": lambda x, mask: (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1),
    "max": lambda x, mask: x.masked_fill(~mask[:, :, None], -torch.inf).amax(1),
    "first": lambda x, mask: x[:, 0],
}
_TEXTS_AT_ONCE = 128


@dataclass(frozen=True, eq=False)
class Pooled:
    """Pooled features of one set.

    Attributes:
        rows: ``(n, width)`` float32 by level and pooling.
        levels: Names of the levels, from the lowest to the highest.
    """

    rows: Mapping[tuple[str, str], Tensor]
    levels: tuple[str, ...]

    def of(self, levels: Iterable[str], pooling: str) -> Tensor:
        """``(n, sum of widths)`` of some levels side by side."""
        return torch.cat([self.rows[level, pooling] for level in levels], dim=1)


@torch.inference_mode()
def image_levels(
    matcher: LeveledMatcher, feed: ImageFeed, device: torch.device, tell: Callable[[int], None]
) -> Pooled:
    """Pool every level of every image.

    Args:
        matcher: In ``eval`` mode.
        feed: Images.
        device: Where the matcher is.
        tell: Told how many are done.
    """
    parts: list[dict[tuple[str, str], Tensor]] = []
    names: tuple[str, ...] = ()
    done = 0
    for pixels in plain_batches(feed, 32, device):
        found = matcher.image_levels(_pixels(pixels))
        names = tuple(found)
        parts.append(
            {
                (level, name): pool(maps).float().cpu()
                for level, maps in found.items()
                for name, pool in IMAGE_POOLINGS.items()
            }
        )
        done += len(next(iter(found.values())))
        tell(done)
    return _joined(parts, names)


@torch.inference_mode()
def text_levels(matcher: LeveledMatcher, texts: Sequence[str], device: torch.device) -> Pooled:
    """Pool every level of every text."""
    parts: list[dict[tuple[str, str], Tensor]] = []
    names: tuple[str, ...] = ()
    for first in range(0, len(texts), _TEXTS_AT_ONCE):
        text = matcher.prepare(texts[first : first + _TEXTS_AT_ONCE]).to(device)
        found = matcher.text_levels(text)
        names = tuple(found)
        parts.append(
            {
                (level, name): pool(states, text.mask).float().cpu()
                for level, states in found.items()
                for name, pool in TEXT_POOLINGS.items()
            }
        )
    return _joined(parts, names)


def _joined(parts: Sequence[Mapping[tuple[str, str], Tensor]], names: tuple[str, ...]) -> Pooled:
    return Pooled({key: torch.cat([part[key] for part in parts]).clone() for key in parts[0]}, names)


@torch.inference_mode()
def level_milliseconds(
    matcher: LeveledMatcher, levels: Sequence[str], device: torch.device, images: int = 8
) -> dict[str, float]:
    """Milliseconds for one image from pixels to each level: the best of three runs of a few images."""
    pixels = torch.zeros(images, 3, matcher.input_size, matcher.input_size, device=device)
    found = {}
    for level in levels:
        best = float("inf")
        for _ in range(4):  # the first one warms up
            started = time.perf_counter()
            matcher.image_levels(pixels, level)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            best = min(best, time.perf_counter() - started)
        found[level] = 1000 * best / images
    return found


def _pixels(found: ImageInput) -> Tensor:
    if not isinstance(found, Tensor):
        raise AssertionError("a search prepares pixels, not maps")
    return found
