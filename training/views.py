"""Augmented views of training images, and the tower's lower features of them, cached on disk.

The lower half of the image tower stays as ImageNet left it, so its output for a fixed set of views per
image is computed once and read from a memory-mapped file in every epoch. Knows no captions and no losses.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from landsift.data.images import read_image
from landsift.encoders.pixels import resize_square
from landsift.models.towers import EfficientNetLite, normalise_pixels
from landsift.types import Pixels

__all__ = ["ViewPlan", "augmented", "cached_features"]

_BATCH = 32


@dataclass(frozen=True)
class ViewPlan:
    """Which views of each image are taken.

    Attributes:
        count: Views per image; the first is the image as it is searched, the others are augmented.
        size: Side of the square the tower sees.
        smallest_crop: Least share of the image's area in a view.
        stretch: Largest aspect ratio of a crop.
        colour: Largest relative change of brightness, contrast and saturation.
        coarse: Share of views that are first reduced, as if the ground sampling distance were larger.
        coarsest: Smallest side in pixels of a reduced view.
        cut: Number of tower blocks below the cached features.
        seed: Seed of the random choices.
    """

    count: int = 5
    size: int = 224
    smallest_crop: float = 0.5
    stretch: float = 1.25
    colour: float = 0.25
    coarse: float = 0.3
    coarsest: int = 56
    cut: int = 8
    seed: int = 0


def augmented(pixels: Pixels, plan: ViewPlan, rng: np.random.Generator) -> Pixels:
    """One random view: crop, coarsen, quarter turns and flips, colour. Returns ``(size, size, 3)`` uint8."""
    image = Image.fromarray(pixels)
    image = image.crop(_crop_box(image.size, plan, rng))
    side = plan.size
    if rng.random() < plan.coarse:
        coarse = int(rng.integers(plan.coarsest, side))
        image = image.resize((coarse, coarse), Image.Resampling.BICUBIC)
    image = image.resize((side, side), Image.Resampling.BICUBIC)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(1 + rng.uniform(-plan.colour, plan.colour))
    turned = np.rot90(np.asarray(image), k=int(rng.integers(4)))
    return np.ascontiguousarray(turned[:, ::-1] if rng.random() < 0.5 else turned)


def _crop_box(
    size: tuple[int, int], plan: ViewPlan, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    share = rng.uniform(plan.smallest_crop, 1)
    ratio = np.exp(rng.uniform(-np.log(plan.stretch), np.log(plan.stretch)))
    width = min(1.0, float(np.sqrt(share * ratio))) * size[0]
    height = min(1.0, float(np.sqrt(share / ratio))) * size[1]
    left, top = rng.uniform(0, size[0] - width), rng.uniform(0, size[1] - height)
    return left, top, left + width, top + height


def cached_features(
    images: Sequence[Path],
    plan: ViewPlan,
    tower: EfficientNetLite,
    folder: Path,
    say: Callable[[str], None] = print,
) -> NDArray[np.float16]:
    """Features of every view of every image below ``plan.cut``, computed once and memory-mapped after.

    The file's name is a hash of the image list and the plan; a run that was stopped starts it again.

    Returns:
        ``(n, count, channels, h, w)`` float16, read-only.
    """
    key = json.dumps([asdict(plan), tower.size, [str(path) for path in images]])
    path = folder / f"features-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".partial")
        _write_features(images, plan, tower, unfinished, say)
        unfinished.replace(path)
    features: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return features


def _write_features(
    images: Sequence[Path], plan: ViewPlan, tower: EfficientNetLite, path: Path, say: Callable[[str], None]
) -> None:
    with torch.inference_mode():
        shape = tower.bottom(torch.zeros(1, 3, plan.size, plan.size), plan.cut).shape[1:]
        out = np.lib.format.open_memmap(
            path, mode="w+", dtype=np.float16, shape=(len(images), plan.count, *shape)
        )
        done = 0
        for views in _batches_of_views(images, plan):
            batch = normalise_pixels(torch.from_numpy(views).permute(0, 3, 1, 2).float())
            features = tower.bottom(batch.contiguous(memory_format=torch.channels_last), plan.cut)
            count = len(views) // plan.count
            out[done : done + count] = features.numpy().reshape(count, plan.count, *shape)
            done += count
            if done // 500 > (done - count) // 500:
                say(f"  views of {done} of {len(images)} images")
        out.flush()


def _batches_of_views(images: Sequence[Path], plan: ViewPlan) -> Iterator[Pixels]:
    """All views of a few images at a time, ``(few * count, size, size, 3)``, drawn one batch ahead."""
    few = max(1, _BATCH // plan.count)
    starts = range(0, len(images), few)

    def draw(start: int) -> Pixels:
        numbers = range(start, min(start + few, len(images)))
        return np.concatenate([_views(images[number], plan) for number in numbers])

    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(draw, start) for start in starts[:2]]
        for start in starts:
            views = ahead.pop(0).result()
            if start + 2 * few < len(images):
                ahead.append(pool.submit(draw, start + 2 * few))
            yield views


def _views(path: Path, plan: ViewPlan) -> Pixels:
    """``(count, size, size, 3)``; the random choices depend on the image's name and the seed alone."""
    pixels = read_image(path)
    rng = np.random.default_rng([plan.seed, zlib.crc32("/".join(path.parts[-2:]).encode())])
    rest = [augmented(pixels, plan, rng) for _ in range(plan.count - 1)]
    return np.stack([resize_square(pixels, plan.size), *rest])
