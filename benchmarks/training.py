"""The training engine against a plain PyTorch loop: the same towers, loss, optimiser and batch, in turns.

The plain loop has everything in memory, changes no image and keeps no books. What the engine does beside it
(reads and changes images, draws captions, marks what is right, logs) must hide behind the towers. Seconds on
the clock are disturbed by whatever else the machine does, so processor seconds of all threads count too.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import save
from landsift.models.objectives import info_nce
from landsift.models.registry import MatcherSource, build_matcher
from landsift.train import Recipe, TrainingProgress, fit, recipe_of
from landsift.train.feeding import Feeder
from landsift.train.preparing import Gathered, built, prepared
from landsift.types import RetrievalSet

IMAGES, STORED, BATCH, SEED = 640, 96, 32, 0
BLOCK, BLOCKS = 2, 10  # steps in a turn, and turns of each
MEMORY_EPOCHS = 8
FETCHED_WITHIN = 0.3  # seconds in which the next two batches are read
OPTIONS = {"start": "random", "input_size": 64, "text_layers": 2, "text_width": 128, "dim": 256}
WORDS = ("river", "harbor", "forest", "runway", "meadow", "roofs", "tanks", "road", "beach", "field")


def made_up(count: int, side: int) -> RetrievalSet:
    """Pictures of coarse noise with two captions each."""
    rng = np.random.default_rng(SEED)
    coarse = rng.integers(0, 256, (count, 8, 8, 3), np.uint8)
    images = [np.kron(picture, np.ones((side // 8, side // 8, 1), np.uint8)) for picture in coarse]
    texts = [
        f"a {' and a '.join(rng.choice(WORDS, 4))} in image {number}" for number in range(count) for _ in "ab"
    ]
    owners = np.repeat(np.arange(count), 2).astype(np.int64)
    return RetrievalSet("made-up", "train", images, [f"{n}.png" for n in range(count)], texts, owners)


def recipe(work: Path, epochs: int, steps: int) -> Recipe:
    return recipe_of(
        {
            "name": "bench",
            "data": {"cache": str(work / "cache"), "size": STORED},
            "model": {"name": "dual", "options": OPTIONS},
            "loop": {"epochs": epochs, "batch": BATCH, "steps_per_epoch": steps},
            "validation": {"share": 0.0},
            "output": {"folder": str(work / f"run-{epochs}-{steps}"), "every_minutes": 1000},
        }
    )


class PlainLoop:
    """What one would write in twenty lines."""

    def __init__(self, data: RetrievalSet) -> None:
        torch.manual_seed(SEED)
        self.model = build_matcher("dual", OPTIONS, MatcherSource(captions=data.captions)).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        side = OPTIONS["input_size"]
        self.pixels = (
            torch.from_numpy(np.stack(data.images)[:, :side, :side]).permute(0, 3, 1, 2).contiguous()
        )
        self.text = self.model.prepare(data.captions)
        self.right = torch.eye(BATCH, dtype=torch.bool)
        self.order = torch.randperm(len(self.pixels))

    def step(self, number: int) -> None:
        rows = self.order[torch.arange(number * BATCH, (number + 1) * BATCH) % len(self.order)]
        image = self.model.image_features(self.pixels[rows])
        text = self.model.text_features(self.text.rows(2 * rows))
        loss = info_nce(self.model.scale * self.model.similarity(image, text), self.right)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        loss.item()


class Turns:
    """Takes a block of plain steps after each block of the engine's, within the engine's progress call."""

    def __init__(self, plain: PlainLoop) -> None:
        self.plain = plain
        self.engine_took: list[tuple[float, float]] = []
        self.plain_took: list[tuple[float, float]] = []
        self._began = (0.0, 0.0)
        self._taken = 0

    def __call__(self, moment: TrainingProgress) -> None:
        if moment.phase != "training" or moment.done % BLOCK:
            return
        wall = time.perf_counter() - self._began[0]
        time.sleep(FETCHED_WITHIN)  # what is fetched ahead is the engine's work, so it counts as its own
        self.engine_took.append((wall, time.process_time() - self._began[1]))
        began = time.perf_counter(), time.process_time()
        for _ in range(BLOCK):
            self.plain.step(self._taken)
            self._taken += 1
        self.plain_took.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        self._began = time.perf_counter(), time.process_time()


def in_turns(work: Path, data: RetrievalSet) -> dict[str, Any]:
    """Images per second of both, and the median of the ratios of neighbouring blocks."""
    turns = Turns(PlainLoop(data))
    fit(recipe(work, 1, BLOCK * (BLOCKS + 1)), train=[data], progress=turns)
    # The first block of each warms up.
    engine, plain = np.array(turns.engine_took[1:]), np.array(turns.plain_took[1:])
    figures: dict[str, Any] = {}
    for column, name in enumerate(("clock", "processor")):
        ratios = plain[:, column] / engine[:, column]
        figures[name] = {
            "engine_images_per_s": round(BLOCK * BATCH / float(np.median(engine[:, column])), 1),
            "plain_images_per_s": round(BLOCK * BATCH / float(np.median(plain[:, column])), 1),
            "ratio": round(float(np.median(ratios)), 3),
            "ratios": [round(float(value), 3) for value in ratios],
        }
    return figures


def loader_alone(work: Path, data: RetrievalSet) -> dict[str, float]:
    """Images per second that are read and drawn, and that are changed too; no model."""
    chosen, device = recipe(work, 1, 60), torch.device("cpu")
    gathered = Gathered.by(chosen, [data], None)
    matcher = built(chosen, gathered.corpus)
    found, _ = prepared(chosen, gathered, matcher, frozenset({"text"}), device)
    feeder = Feeder(found, chosen, matcher, frozenset({"text"}))
    order = feeder.order(0, None)
    rates = {}
    for name, steps in (("read", 60), ("read_and_changed", 20)):
        began = time.perf_counter()
        for fetched in feeder.batches(0, order[:steps]):
            if name != "read":
                found.images.finish(fetched.images, device)
        rates[f"{name}_images_per_s"] = round(steps * BATCH / (time.perf_counter() - began))
    return rates


def memory(work: Path, data: RetrievalSet) -> list[int]:
    """Resident megabytes at the end of each pass."""
    found: dict[int, int] = {}

    def keep(moment: TrainingProgress) -> None:
        if moment.phase == "training":
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            found[moment.epoch] = round(pages * 4096 / 2**20)

    fit(recipe(work, MEMORY_EPOCHS, 3), train=[data], progress=keep)
    return [found[epoch] for epoch in sorted(found)]


def run() -> None:
    """Measure and save."""
    data = made_up(IMAGES, STORED)
    work = Path(tempfile.mkdtemp(prefix="landsift-bench-"))
    try:
        figures: dict[str, Any] = {"batch": BATCH, "input_size": OPTIONS["input_size"], "stored": STORED}
        figures |= {"threads": torch.get_num_threads(), "towers": in_turns(work, data)}
        figures["loader"] = loader_alone(work, data)
        figures["resident_mb"] = memory(work, data)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    save("training", figures, seed=SEED)
