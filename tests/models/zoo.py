"""A small world for the tests of methods: eight pictures with captions, tiny towers, a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from landsift.models.batch import Batch, Moment
from landsift.models.matcher import Matcher, SplitMatcher
from landsift.models.registry import MatcherSource, build_matcher
from landsift.train.optimizing import freeze
from landsift.train.reading import read_recipe

SIDE = 64
CAPTIONS = (
    "two planes stand beside a large runway",
    "a river",
    "many red roofs are in the dense residential area",
    "green farmland with some straight roads",
    "a playground and a football field near white buildings",
    "the blue lake is surrounded by dark trees",
    "boats lie in the harbor",
    "a viaduct with several lanes crosses the desert",
)
CLASSES = ("airport", "water", "homes", "fields")
SMALL = {
    "image": "resnet-mini",
    "image_start": "random",
    "cut": "c3",  # of random weights the last stage has to learn too
    "text_start": "random",
    "word_width": 24,
    "dim": 32,
    "dropout": 0.0,
    "input_size": SIDE,
}
"""Towers that fit into a test."""


def pictures(count: int = 8, seed: int = 0) -> torch.Tensor:
    """``(count, 3, SIDE, SIDE)`` uint8: coloured noise with a bright block somewhere."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (count, 3, SIDE, SIDE)) + rng.integers(0, 120, (count, 3, 1, 1))
    for number in range(count):
        top, left = rng.integers(0, SIDE // 2, 2)
        pixels[number, :, top : top + SIDE // 2, left : left + SIDE // 2] += rng.integers(0, 75, (3, 1, 1))
    return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8))


# All wrong pairs of eight push MTFN's probabilities to where they have no slope; the hardest do not.
_OF_METHOD: Mapping[str, dict[str, Any]] = {"mtfn": {"reduce": "hardest"}}


def small_options(name: str) -> dict[str, Any]:
    """The options of a method's recipe, with tiny towers."""
    given = dict(read_recipe(f"methods/{name}").model.options)
    return given | SMALL | _OF_METHOD.get(name, {})


def small_method(name: str, seed: int = 0, **options: Any) -> Matcher:
    """A method with tiny towers, in ``eval`` mode."""
    torch.manual_seed(seed)
    source = MatcherSource(CAPTIONS, len(CAPTIONS), CLASSES)
    return build_matcher(name, small_options(name) | options, source).eval()


def frozen_maps(name: str, matcher: Matcher) -> dict[str, torch.Tensor]:
    """Freeze what the method's recipe freezes, and compute it for the eight pictures."""
    freeze(matcher, read_recipe(f"methods/{name}").model.freeze)
    assert isinstance(matcher, SplitMatcher)
    with torch.no_grad():
        return matcher.lower(pictures())


def batch_of(matcher: Matcher, images: Any, moment: Moment | None = None, **fields: Any) -> Batch:
    """The eight pairs as one step."""
    count = len(CAPTIONS)
    values: Mapping[str, Any] = {
        "images": images,
        "image_ids": torch.arange(count),
        "labels": torch.arange(count) % len(CLASSES),
        "text": matcher.prepare(CAPTIONS),
        "captions": CAPTIONS,
        "caption_ids": torch.arange(count),
        "image_row": torch.arange(count),
        "positive": torch.eye(count, dtype=torch.bool),
        "view": images,
        "teacher_images": torch.nn.functional.one_hot(torch.arange(count), 8).float(),
        "teacher_texts": torch.nn.functional.one_hot(torch.arange(count), 8).float(),
        "moment": moment or Moment(95, 100, 28, 30),
    }
    return Batch(**(dict(values) | fields))
