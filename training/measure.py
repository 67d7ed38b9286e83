"""What an exported encoder scores and how fast it is, measured on the files that ship.

Knows no training.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from landsift.data import load_dataset, read_images
from landsift.encoders.cards import folder_of
from landsift.encoders.pixels import resize_square
from landsift.evaluate import evaluate, zero_shot
from landsift.metrics import retrieval_report
from landsift.models.dual_matcher import DualMatcher
from landsift.types import Encoder, FloatArray, Pixels, RetrievalSet

__all__ = ["VALIDATION_SET", "image_rates", "load_sets", "rounding_cost", "test_scores", "text_rates"]

TEST_SETS = ("ucm-captions", "rsicd-aid150")
VALIDATION_SET = "rsicd-aid150"
ZERO_SHOT_SET, ZERO_SHOT_FOLDER = "eurosat-150", "eurosat_150"
ZERO_SHOT_TEMPLATES = ("remoteclip", "clip")
_BATCH = 32


def load_sets(root: Path, names: Sequence[str], split: str) -> list[RetrievalSet]:
    """The named sets under ``root``, one split of each."""
    return [load_dataset(name, root, split) for name in names]


def test_scores(encoder: Encoder, root: Path) -> dict[str, dict[str, float]]:
    """The one look at the test sets: recalls, and the accuracy of choosing EuroSAT's class by its name.

    Args:
        encoder: Loaded from exported files.
        root: The folder of the data sets.

    Returns:
        Set to score to percent, ties by expectation.
    """
    scores = {}
    for found in load_sets(root, TEST_SETS, "test"):
        strict = evaluate(encoder, found).scores["strict"]
        scores[f"{found.name}/test"] = {
            key: round(value, 2) for key, value in strict.items() if key.startswith("mR") or "_R@" in key
        }
    labelled = load_dataset(ZERO_SHOT_SET, root / ZERO_SHOT_FOLDER, "all")
    for templates in ZERO_SHOT_TEMPLATES:
        report = zero_shot(encoder, labelled, templates=templates)
        accuracy = round(report.scores["accuracy"], 2)
        scores[f"{ZERO_SHOT_SET}/zero-shot, {templates} templates"] = {"accuracy": accuracy}
    return scores


def rounding_cost(encoder: Encoder, matcher: DualMatcher, pairs: RetrievalSet) -> dict[str, float]:
    """What storing small weights costs: mR before and after on a validation set, and the least cosines.

    Args:
        encoder: The exported files.
        matcher: What they were exported from, in float32.
        pairs: A validation set.
    """
    images = list(read_images(pairs.images))
    texts = list(dict.fromkeys(pairs.captions))
    before = _torch_images(matcher, images), _torch_texts(matcher, texts)
    after = encoder.encode_images(images), encoder.encode_texts(texts)
    place = {text: row for row, text in enumerate(texts)}
    rows = [place[text] for text in pairs.captions]
    cost = {
        f"{when}_mR": round(float(retrieval_report(found[0], found[1][rows], pairs.image_of).mR), 2)
        for when, found in (("float32", before), ("stored", after))
    }
    for kind, full, rounded in zip(("image", "text"), before, after, strict=True):
        cost[f"least_{kind}_cosine"] = round(float((full * rounded).sum(1).min()), 5)
    return cost


@torch.inference_mode()
def _torch_images(matcher: DualMatcher, images: Sequence[Pixels]) -> FloatArray:
    """Unit rows by torch in float32, in batches."""
    rows, size = [], matcher.input_size
    for first in range(0, len(images), _BATCH):
        squares = np.stack([resize_square(image, size) for image in images[first : first + _BATCH]])
        rows.append(matcher.image_features(torch.from_numpy(squares).permute(0, 3, 1, 2)).pooled.numpy())
    return np.concatenate(rows)


@torch.inference_mode()
def _torch_texts(matcher: DualMatcher, texts: Sequence[str]) -> FloatArray:
    rows: FloatArray = matcher.text_features(matcher.prepare(texts)).pooled.numpy()
    return rows


def image_rates(
    encoder: Encoder, matcher: DualMatcher, pairs: RetrievalSet, count: int = 256
) -> dict[str, float]:
    """Images per second through the run time and through the same towers in torch float32, in turns.

    Both start from decoded pixels and include resizing; torch runs in batches of 32 with folded batch norm.
    """
    images = list(read_images(pairs.images[:count]))
    matcher = matcher.eval()
    matcher.model.image_tower.fold_batch_norm()
    ours, theirs = _rates(
        len(images),
        lambda: encoder.encode_images(images),
        lambda: _torch_images(matcher, images),
    )
    ratio = round(ours / theirs, 2)
    return {"onnx_images_per_second": ours, "torch_images_per_second": theirs, "ratio": ratio}


def text_rates(encoder: Encoder, texts: Sequence[str]) -> dict[str, float]:
    """Different texts per second, and what a fresh process needs until it has its first query's vector."""
    different = list(dict.fromkeys(texts))[:512]
    (rate,) = _rates(len(different), lambda: encoder.encode_texts(different))
    folder = str(folder_of(encoder.card).resolve())
    program = (
        "import time; started = time.perf_counter()\n"
        "from landsift.encoders import load_encoder\n"
        f"load_encoder({folder!r}).encode_texts(['an airport with planes'])\n"
        "print(time.perf_counter() - started)"
    )
    cold = [float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(5)]
    seconds = round(float(np.median(cold)), 3)
    return {"texts_per_second": rate, "first_text_in_a_fresh_process_seconds": seconds}


def _rates(count: int, *runs: Callable[[], object]) -> list[float]:
    """Best rate of each of several ways, run in turns so that they share the machine's moods."""
    for run in runs:
        run()
    best = [0.0] * len(runs)
    for _ in range(3):
        for number, run in enumerate(runs):
            started = time.perf_counter()
            run()
            best[number] = max(best[number], count / (time.perf_counter() - started))
    return [round(rate, 1) for rate in best]
