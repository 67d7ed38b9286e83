"""Do images without captions help where captions are few? The shipped recipes on an eighth of UCM-Captions.

Every arm is a recipe that ships with the same small settings, so that what is measured is what users run.
There is nothing to choose: every arm has the same number of passes, and its last weights are scored on test.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import save
from landsift import load_encoder
from landsift.data import load_dataset
from landsift.evaluate import encode_set
from landsift.metrics import Difference, Ranks, bootstrap_intervals, paired_bootstrap, retrieval_ranks
from landsift.train import FitResult, fit, read_recipe
from landsift.types import RetrievalSet

SEEDS = (0, 1)
CAPTIONED, CLASSES = 10, 21  # images of each class that keep their captions
SIDE, VIEWS, EPOCHS, PRE_EPOCHS, CUT = 64, 3, 8, 3, 14
UCM, EUROSAT = '{name="ucm-captions", split="train"}', '{name="eurosat-150", split="all"}'
ARMS = {
    "captions alone": (),
    "S-CLIP, the other UCM images": ("s-clip", UCM),
    "S-CLIP, EuroSAT": ("s-clip", EUROSAT),
    "SimCLR first, on all UCM images": ("simclr", UCM),
    "VICReg first, on all UCM images": ("vicreg", UCM),
}
BLOCKS = (f"model.image_tower.blocks.{number}." for number in range(CUT))
FROZEN = ["model.image_tower.stem", *BLOCKS, "model.text_tower"]


def few(data: RetrievalSet, seed: int) -> RetrievalSet:
    """The same number of images of each class, with their captions."""
    rng = np.random.default_rng(seed)
    labels = np.asarray(data.labels)
    rows = [
        rng.permutation(np.flatnonzero(labels == label))[:CAPTIONED]
        for label in np.unique(labels[labels >= 0])
    ]
    return data.chosen(np.sort(np.concatenate(rows)).astype(np.int64))


def settings(work: Path, name: str, seed: int, *more: str) -> list[str]:
    """What all arms share, as one would type it after ``--set``."""
    return [
        f"model.options.input_size={SIDE}",
        f"model.options.cut={CUT}",
        f"model.freeze={FROZEN}",
        f"data.views={VIEWS}",
        "data.maps=true",
        f'data.cache="{work}/cache"',
        f'output.folder="{work}/{name.replace(" ", "-")}-{seed}"',
        f"loop.seed={seed}",
        "loop.threads=1",
        "loop.chunk=0",
        "loop.channels_last=true",
        "validation.sets=[]",
        "validation.share=0.0",
        *more,
    ]


def pretrained(work: Path, recipe: str, images: str) -> FitResult:
    """Image-only training, once for all seeds."""
    chosen = settings(work, recipe, 0, f"data.sets=[{images}]", f"loop.epochs={PRE_EPOCHS}", "loop.batch=128")
    chosen.append('data.keep_out=["ucm-captions/val", "ucm-captions/test"]')
    return fit(read_recipe(recipe, chosen), resume=True)


def trained(work: Path, arm: str, train: RetrievalSet, seed: int) -> FitResult:
    """One arm with one seed."""
    method, images = ARMS[arm] or ("", "")
    base = "s-clip" if method == "s-clip" else "ucm-captions"
    chosen = settings(work, arm, seed, f"loop.epochs={EPOCHS}", "loop.batch=42", "text.per_image=1")
    chosen.append("loop.average=0.9")
    if method == "s-clip":
        chosen += [f"data.unpaired=[{images}]", "data.unpaired_per_step=42"]
    elif method:
        chosen.append(f'model.start="{pretrained(work, method, images).encoder}"')
    return fit(read_recipe(base, chosen), train=[train], resume=True)


def ranked(result: FitResult, test: RetrievalSet) -> tuple[Ranks, Ranks]:
    """Ranks of the test split, image to text and text to image."""
    images, texts = encode_set(load_encoder(result.encoder, threads=1), test)
    return retrieval_ranks(images, texts, test.image_of)


def summary(
    runs: Sequence[tuple[Ranks, Ranks]], base: Sequence[tuple[Ranks, Ranks]], test: RetrievalSet
) -> dict[str, Any]:
    """Test mR of each seed, and its gain over captions alone with a paired bootstrap interval."""
    scores = [bootstrap_intervals(*run, test.image_of)["mR"].value for run in runs]
    gains = [paired_bootstrap(other, run, test.image_of)["mR"] for run, other in zip(runs, base, strict=True)]
    return {
        "test_mR": [round(score, 2) for score in scores],
        "mean_test_mR": round(float(np.mean(scores)), 2),
        "gains": [[round(value, 2) for value in (gain.value, gain.low, gain.high)] for gain in gains],
        "verdict": verdict(gains),
    }


def verdict(gains: Sequence[Difference]) -> str:
    """An arm helps or harms only if the interval of every seed says so."""
    if min(gain.low for gain in gains) > 0:
        return "helps"
    return "harms" if max(gain.high for gain in gains) < 0 else "no measurable difference"


def measured(work: Path, root: Path, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """Every arm with every seed."""
    whole = load_dataset("ucm-captions", root / "ucm_captions", "train")
    test = load_dataset("ucm-captions", root / "ucm_captions", "test")
    runs: dict[str, list[tuple[Ranks, Ranks]]] = {arm: [] for arm in ARMS}
    for seed in seeds:
        train = few(whole, seed)
        for arm in ARMS:
            print(f"  seed {seed}, {arm} ...", flush=True)
            runs[arm].append(ranked(trained(work, arm, train, seed), test))
    base = runs["captions alone"]
    return {
        "captioned_images": CAPTIONED * CLASSES,
        "input_size": SIDE,
        "epochs": EPOCHS,
        "pretraining_epochs": PRE_EPOCHS,
        "seeds": list(seeds),
        "arms": {arm: summary(found, base, test) for arm, found in runs.items()},
    }


def run() -> None:
    """Measure and save."""
    root = os.environ.get("LANDSIFT_DATA")
    if not root:
        print("  LANDSIFT_DATA is not set: the use of images without captions is not measured.")
        return
    work = Path(tempfile.mkdtemp(prefix="landsift-bench-"))
    try:
        save("semi_supervised", measured(work, Path(root)), seed=SEEDS[0])
    finally:
        shutil.rmtree(work, ignore_errors=True)
