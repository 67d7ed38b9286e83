"""A small world for the tests of hashing methods: frozen towers that are a few sums, eight pairs, a batch."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import numpy as np
import torch
from zoo import CAPTIONS, CLASSES, pictures

from landsift.models.batch import Batch, Moment
from landsift.models.blocks import frozen
from landsift.models.blocks.frozen import FrozenPair
from landsift.models.matcher import Matcher
from landsift.models.registry import MatcherSource, build_matcher
from landsift.train.reading import read_recipe

SMALL = {"features": "toy", "bits": 16, "hidden": 32}
SHRUNK = {"semantic": 16, "middle": 16, "width": 16, "concepts": 3, "categories": 5, "clean": 0.6}
"""Widths of single methods, where they have them."""


class ToyPair(FrozenPair):
    """Colours on a grid of three by three, and words by their letters."""

    image_width, text_width = 12, 10
    level_widths: ClassVar = {"c2": 6, "c3": 3}
    local = True
    input_size, context_length = 64, 32
    read_so_far = 0

    @property
    def sha256(self) -> str:
        return "toy"

    def look(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        x = pixels.float() / 255
        grid = torch.nn.functional.adaptive_avg_pool2d(x, 3).flatten(2).transpose(1, 2)
        cells = torch.cat([grid, grid.square(), grid.sqrt(), torch.sin(9 * grid)], dim=2)
        both = torch.cat([grid.mean(dim=1), grid.amax(dim=1)], dim=1)
        return {"pooled": cells.mean(dim=1) + cells[:, 0], "cells": cells, "c2": both, "c3": grid[:, 4]}

    def read_one(self, caption: str) -> dict[str, torch.Tensor]:
        self.read_so_far += 1
        words = torch.stack([self._word(word) for word in caption.split()])
        return {"words": words, "sentence": words.mean(dim=0)}

    def _word(self, word: str) -> torch.Tensor:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        return torch.from_numpy(np.random.default_rng(seed).standard_normal(self.text_width)).float()


def toy_towers(monkeypatch: Any) -> ToyPair:
    """Make ``features = "toy"`` known for a test."""
    frozen.frozen_pair.cache_clear()
    made = ToyPair()
    monkeypatch.setitem(frozen.PAIRS, "toy", lambda: made)
    return made


def small_options(name: str) -> dict[str, Any]:
    """The options of a method's recipe, with tiny widths."""
    from landsift.models.registry import full_options

    given = dict(read_recipe(f"hashing/{name}").model.options) | SMALL
    known = full_options(name, given)
    return given | {key: value for key, value in SHRUNK.items() if key in known}


def source() -> MatcherSource:
    return MatcherSource(CAPTIONS, len(CAPTIONS), CLASSES)


def small_hash(name: str, seed: int = 0, **options: Any) -> Matcher:
    """A hashing method with tiny towers, in ``eval`` mode."""
    torch.manual_seed(seed)
    return build_matcher(name, small_options(name) | options, source()).eval()


def hash_batch(matcher: Matcher, name: str, moment: Moment, **fields: Any) -> Batch:
    """The eight pairs as one step, each caption as often as the recipe draws it."""
    count, times = len(CAPTIONS), read_recipe(f"hashing/{name}").text.per_image
    captions = tuple(text for text in CAPTIONS for _ in range(times))
    order = torch.arange(count).repeat_interleave(times)
    maps = matcher.lower(pictures())
    values: dict[str, Any] = {
        "images": maps,
        "image_ids": torch.arange(count),
        "labels": torch.arange(count) % len(CLASSES),
        "text": matcher.prepare(captions),
        "captions": captions,
        "caption_ids": order,
        "image_row": order,
        "positive": torch.arange(count)[:, None] == order[None],
        "view": matcher.lower(pictures().flip(3)),
        "moment": moment,
    }
    return Batch(**(values | fields))
