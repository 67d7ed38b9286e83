"""Small stand-ins for the tests of training: coloured pictures, captions, and a method that learns them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.batch import Batch
from landsift.models.features import Features, TextInput
from landsift.models.matcher import SplitMatcher
from landsift.models.registry import MatcherSource, MatcherSpec
from landsift.train import Recipe, recipe_of
from landsift.types import RetrievalSet

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 190, 60),
    "blue": (40, 60, 220),
    "yellow": (220, 210, 50),
    "white": (240, 240, 240),
    "black": (20, 20, 20),
}
PLACES = ("field", "roof", "lake")
SIDE = 16


def picture(colour: str, place: str, seed: int) -> np.ndarray:
    """A noisy picture of a colour; what it shows is a bright bar at the top, middle or bottom."""
    rng = np.random.default_rng(seed)
    pixels = np.array(COLOURS[colour]) * 0.7 + rng.integers(0, 40, (SIDE, SIDE, 3))
    row = PLACES.index(place) * (SIDE // 3)
    pixels[row : row + SIDE // 3] += 70
    return pixels.clip(0, 255).astype(np.uint8)


def coloured_set(
    count: int, seed: int = 0, *, split: str = "train", captions: int = 2, name: str = "colours"
) -> RetrievalSet:
    """``count`` pictures with captions; the scene class is what they show."""
    kinds = [(colour, place) for place in PLACES for colour in COLOURS]
    chosen = [kinds[number % len(kinds)] for number in range(count)]
    wordings = ("a {} {}", "there is a {} {} here", "{} {} seen from above")
    texts = [wordings[n % 3].format(*kind) for kind in chosen for n in range(captions)]
    return RetrievalSet(
        name,
        split,
        [picture(*kind, 1000 * seed + number) for number, kind in enumerate(chosen)],
        [f"{number:03d}.png" for number in range(count)],
        texts,
        np.repeat(np.arange(count), captions).astype(np.int64),
        np.array([PLACES.index(place) for _, place in chosen], np.int64),
        PLACES,
    )


def write_set(data: RetrievalSet, images: Path, captions: Path, heading: str = "caption") -> None:
    """Pictures into the folder ``images``, captions into a table of ``filename`` and ``heading``."""
    images.mkdir()
    for name, pixels in zip(data.image_names, data.images, strict=True):
        Image.fromarray(pixels).save(images / name)
    with captions.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["filename", heading])
        owners = zip(data.image_of, data.captions, strict=True)
        rows.writerows((data.image_names[image], text) for image, text in owners)


@dataclass(frozen=True)
class SmallOptions:
    """Options of the small matcher."""

    dim: int = 16
    dropout: float = 0.0
    norm: bool = False
    word: str = ""
    explode_at: int = -1
    exact: bool = True
    critic: bool = False


class SmallMatcher(SplitMatcher):
    """A patch embedding and a bag of words."""

    input_size, context_length = SIDE, 12

    def __init__(self, options: SmallOptions, words: Sequence[str]) -> None:
        super().__init__()
        self.options, self.words = options, tuple(words)
        self.dim, self.exact_index = options.dim, options.exact
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.norm = nn.BatchNorm2d(8) if options.norm else nn.Identity()
        self.image_head = nn.Sequential(
            nn.Flatten(), nn.Dropout(options.dropout), nn.Linear(8 * 16, options.dim)
        )
        self.embedding = nn.Embedding(len(words) + 2, 24, padding_idx=0)
        self.text_head = nn.Linear(24, options.dim)
        self.register_buffer("steps_seen", torch.zeros((), dtype=torch.int64))
        if options.critic:
            self.critic = nn.Linear(options.dim, 1)

    def prepare(self, captions: Sequence[str]) -> TextInput:
        number = {word: place + 2 for place, word in enumerate(self.words)}
        rows = [[number.get(word, 1) for word in text.split()][: self.context_length] for text in captions]
        tokens = torch.zeros(len(rows), max(map(len, rows), default=1), dtype=torch.int64)
        for place, row in enumerate(rows):
            tokens[place, : len(row)] = torch.tensor(row)
        return TextInput(tokens, tokens > 0)

    def lower(self, pixels: Tensor) -> dict[str, Tensor]:
        return {"patches": self.norm(self.patches(pixels.float() / 128 - 1))}

    def upper(self, maps: Mapping[str, Tensor]) -> Features:
        x = functional.relu(maps["patches"])
        return Features(functional.normalize(self.image_head(x), dim=1), x.flatten(2).transpose(1, 2))

    def text_features(self, text: TextInput) -> Features:
        words = self.embedding(text.tokens)
        mean = (words * text.mask[:, :, None]).sum(dim=1) / text.mask.sum(dim=1, keepdim=True)
        return Features(functional.normalize(self.text_head(mean), dim=1), words, text.mask)

    def own_losses(
        self, batch: Batch, image: Features, text: Features, similarity: Tensor
    ) -> dict[str, Tensor]:
        found = {}
        if batch.moment.step == self.options.explode_at:
            found["explosion"] = image.pooled.sum() * torch.nan
        if self.critic is not None:
            found["fooling"] = 0.01 * functional.softplus(-self.critic(text.pooled)).mean()
        return found

    def critic_losses(self, batch: Batch, image: Features, text: Features) -> dict[str, Tensor]:
        real, made = self.critic(image.pooled), self.critic(text.pooled)
        return {"critic": functional.softplus(-real).mean() + functional.softplus(made).mean()}

    def after_step(self, batch: Batch) -> None:
        self.steps_seen += 1

    def depths(self) -> dict[str, int]:
        return {"patches": 2, "norm": 2, "embedding": 1}

    def files(self) -> dict[str, bytes]:
        return {"words.json": json.dumps(self.words).encode()}


def build(options: SmallOptions, source: MatcherSource) -> SmallMatcher:
    """From the captions' words, or from the words of a checkpoint."""
    if source.files:
        return SmallMatcher(options, json.loads(source.files["words.json"]))
    return SmallMatcher(options, sorted({word for text in source.captions for word in text.split()}))


SPEC = MatcherSpec(SmallOptions, build, "nobody")


def recipe(folder: object, **tables: object) -> Recipe:
    """A recipe for the small matcher, written under ``folder``; ``loop__epochs=3`` sets ``loop.epochs``."""
    values: dict[str, dict[str, object]] = {
        "data": {"cache": f"{folder}/cache"},
        "model": {"name": "small:SPEC"},
        "loop": {"epochs": 2, "batch": 12, "threads": 1, "device": "cpu"},
        "optimizer": {"rate": 1e-2},
        "output": {"folder": f"{folder}/run"},
    }
    for key, value in tables.items():
        table, _, name = key.partition("__")
        if name:
            values.setdefault(table, {})[name] = value
        else:
            values[table] = value  # type: ignore[assignment]
    return recipe_of({"name": "small", **values})
