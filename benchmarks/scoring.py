"""Scoring every pair of a test set the size of RSICD's, encoded once: what each kind of head costs.

Weights are random, which costs the same. Features of 64 images and of 256 captions stand for all, which costs
the same too; captions are real where ``LANDSIFT_DATA`` is set, as their lengths matter.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import save, timed
from landsift.data import load_dataset
from landsift.models.encoder import score_features
from landsift.models.features import Features
from landsift.models.matcher import Matcher
from landsift.models.registry import MatcherSource, build_matcher
from landsift.train import read_recipe

METHODS = ("vsepp", "sirs", "amfmn-soft", "amfmn-fusion", "mcrn", "scan-t2i", "scan-i2t")
IMAGES, CAPTIONS, SEED = 1093, 5465, 0
_IMAGES_MADE, _CAPTIONS_MADE = 64, 256
_REPEATS, _LONG_S = 5, 5.0


@torch.inference_mode()
def run() -> None:
    """Measure and save."""
    captions, origin = _captions()
    rows = {name: _scored(_matcher(name, captions), captions) for name in METHODS}
    words = sum(len(caption.split()) for caption in captions) / len(captions)
    figures = {"images": IMAGES, "captions": CAPTIONS, "words": round(words, 1), "of": origin}
    save("scoring", figures | {"threads": torch.get_num_threads(), "methods": rows}, seed=SEED)


def _captions() -> tuple[list[str], str]:
    chosen = random.Random(SEED)
    if root := os.environ.get("LANDSIFT_DATA"):
        found = load_dataset("rsicd-aid150", Path(root) / "rsicd_aid150", "val")
        return chosen.sample(list(dict.fromkeys(found.captions)), _CAPTIONS_MADE), "RSICD, AID pictures, val"
    made = [
        " ".join(chosen.choices(("green", "field"), k=chosen.randint(5, 18))) for _ in range(_CAPTIONS_MADE)
    ]
    return made, "made up, 5 to 18 words"


def _matcher(name: str, captions: list[str]) -> Matcher:
    torch.manual_seed(SEED)
    options = dict(read_recipe(f"methods/{name}").model.options)
    options |= {"image_start": "random", "text_start": "random"}
    return build_matcher(name, options, MatcherSource(captions, _IMAGES_MADE)).eval()


def _scored(matcher: Matcher, captions: list[str]) -> dict[str, Any]:
    """Median seconds, or those of the one run where it is long, and what that is for a thousand pairs."""
    shape = (_IMAGES_MADE, 3, matcher.input_size, matcher.input_size)
    image = matcher.image_features(torch.randint(0, 256, shape, dtype=torch.uint8))
    text = matcher.text_features(matcher.prepare(captions))
    images, texts = _repeated(image, IMAGES), _repeated(text, CAPTIONS)

    def score() -> None:
        score_features(matcher, images, texts)

    seconds = timed(score, 1, warm_up=0)
    if seconds[0] < _LONG_S:
        seconds = timed(score, _REPEATS)
    median = sorted(seconds)[len(seconds) // 2]
    return {"s": round(median, 3), "ms_per_1000_pairs": round(1e6 * median / IMAGES / CAPTIONS, 4)}


def _repeated(features: Features, count: int) -> Features:
    return features.rows(torch.arange(count) % len(features))
