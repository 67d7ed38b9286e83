"""The search: optuna proposes heads, each is trained and scored, and the front is kept.

Knows recipes, levels and heads; no method by name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landsift.captions import style_captions
from landsift.errors import UsageError, need
from landsift.files import replace_file
from landsift.metrics import retrieval_report
from landsift.models.matcher import LeveledMatcher
from landsift.train.fitting import resolved
from landsift.train.preparing import Gathered, built, prepared
from landsift.train.recipe import Recipe
from landsift.train.trainer import TrainingProgress
from landsift.train.tuning.heads import STORAGES, Head, HeadPlan, bytes_per_image, stored, train_head
from landsift.train.tuning.levels import (
    IMAGE_POOLINGS,
    TEXT_POOLINGS,
    Pooled,
    image_levels,
    level_milliseconds,
    text_levels,
)
from landsift.types import IntArray, RetrievalSet

__all__ = ["Trial", "Tuned", "front", "tune"]

_DIMS, _WIDTHS = (32, 64, 128, 256, 384), (0, 256, 512)
_STEPS = 150


@dataclass(frozen=True)
class Trial:
    """One setting and what it gave.

    Attributes:
        levels: Image levels it reads, lowest first.
        image_pooling: How their maps are pooled.
        text_level: Text level it reads.
        text_pooling: How its states are pooled.
        plan: Its head.
        mR: Mean over the validation sets, percent, on vectors as they are stored.
        bytes: An index holds for one image.
        ms: From the pixels of one image to the highest level it reads.
        gates: How far the gate of each level is open; empty without gates.
        seconds: It took to train and score.
    """

    levels: tuple[str, ...]
    image_pooling: str
    text_level: str
    text_pooling: str
    plan: HeadPlan
    mR: float
    bytes: int
    ms: float
    gates: tuple[float, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        trials: All, in the order they were tried.
        best: Those that no other beats in mR, bytes and milliseconds at once, best mR first.
        sets: ``name/split`` of the validation sets.
    """

    trials: tuple[Trial, ...]
    best: tuple[Trial, ...]
    sets: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def save(self, path: str | Path) -> None:
        """Write every trial as JSON."""
        replace_file(path, (json.dumps(self.as_dict(), indent=1) + "\n").encode())

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headings and rows of the front."""
        headings = [
            "mR",
            "bytes",
            "ms",
            "levels",
            "pooling",
            "text",
            "dim",
            "hidden",
            "temperature",
            "stored as",
        ]
        rows = [
            [
                f"{trial.mR:.2f}",
                str(trial.bytes),
                f"{trial.ms:.2f}",
                " + ".join(trial.levels),
                trial.image_pooling,
                f"{trial.text_level}, {trial.text_pooling}",
                str(trial.plan.dim),
                str(trial.plan.width or "-"),
                f"{trial.plan.temperature:.3f}",
                trial.plan.storage,
            ]
            for trial in self.best
        ]
        return headings, rows

    def sentences(self) -> list[str]:
        """What the front says, in words."""
        top = self.best[0]
        lines = [
            f"Validated on {', '.join(self.sets)}; heads on frozen towers, so full training can do better."
        ]
        near = min((t for t in self.best if t.mR >= 0.95 * top.mR), key=lambda trial: trial.bytes)
        if near is not top:
            lines.append(
                f"{near.bytes} bytes an image keep {100 * near.mR / max(top.mR, 1e-9):.0f} % of the best mR, "
                f"which takes {top.bytes}."
            )
        return lines


def front(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The trials that no other is at least as good as in everything and better in something.

    Returns:
        Best mR first.
    """

    def beats(other: Trial, trial: Trial) -> bool:
        ours, theirs = (trial.mR, -trial.bytes, -trial.ms), (other.mR, -other.bytes, -other.ms)
        return all(b >= a for a, b in zip(ours, theirs, strict=True)) and theirs != ours

    kept = [trial for trial in trials if not any(beats(other, trial) for other in trials)]
    return tuple(sorted(kept, key=lambda trial: (-trial.mR, trial.bytes, trial.ms)))


def tune(
    recipe: Recipe,
    *,
    trials: int = 40,
    steps: int = _STEPS,
    train: Sequence[RetrievalSet] | None = None,
    validation: Sequence[RetrievalSet] | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Tuned:
    """Search for heads on the frozen towers of a recipe's model, by NSGA-II (Deb et al., 2002).

    Args:
        recipe: Its sets, its model and its seed are used.
        trials: How many settings are tried.
        steps: A head is trained for.
        train: Sets to train on instead of the recipe's.
        validation: Sets to score by instead of the recipe's.
        progress: Told how far it is.

    Raises:
        UsageError: The recipe's method does not show its levels, or there is nothing to score by.
        MissingDependency: optuna is not installed.
    """
    optuna = need("optuna", extra="train")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tell = progress or (lambda moment: None)
    # A search needs pixels and the sets alone, whatever the recipe's training would need.
    plain = replace(recipe, data=replace(recipe.data, maps=False, teacher=(), extras={}, unpaired=()))
    bench = _Bench.of(resolved(plain), train, validation, steps, tell)
    found: list[Trial] = []

    def objective(trial: Any) -> tuple[float, int, float]:
        made = bench.tried(trial, recipe.loop.seed)
        found.append(made)
        tell(TrainingProgress("trying heads", len(found), trials, scores={"mR": max(t.mR for t in found)}))
        return made.mR, made.bytes, made.ms

    sampler = optuna.samplers.NSGAIISampler(
        seed=recipe.loop.seed, population_size=max(4, min(20, trials // 3))
    )
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"], sampler=sampler)
    study.optimize(objective, n_trials=trials)
    return Tuned(tuple(found), front(found), bench.titles)


@dataclass(frozen=True, eq=False)
class _Side:
    """Pooled features of one set's images and captions."""

    images: Pooled
    texts: Pooled
    image_of: IntArray


@dataclass(frozen=True, eq=False)
class _Bench:
    """Everything a trial needs, computed once."""

    train: _Side
    groups: Tensor
    judged: tuple[_Side, ...]
    titles: tuple[str, ...]
    milliseconds: Mapping[str, float]
    steps: int

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        train: Sequence[RetrievalSet] | None,
        validation: Sequence[RetrievalSet] | None,
        steps: int,
        tell: Callable[[TrainingProgress], None],
    ) -> _Bench:
        gathered = Gathered.by(recipe, train, validation)
        if not gathered.validation:
            raise UsageError(
                "There is nothing to score heads by; name sets under [validation], or give a share."
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.loop.seed)
            matcher = built(recipe, gathered.corpus)
        if not isinstance(matcher, LeveledMatcher):
            raise UsageError(
                f"The method {recipe.model.name} does not show the levels of its towers, so heads on them "
                f"cannot be searched; use dual."
            )
        device = torch.device(recipe.loop.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        matcher = matcher.to(device).eval()

        def say(what: str, done: int, total: int) -> None:
            tell(TrainingProgress(what, done, total))

        data, sets = prepared(recipe, gathered, matcher, frozenset(), device, say)
        corpus = gathered.corpus
        of_train = np.repeat(np.arange(len(corpus)), np.diff(corpus.start)).astype(np.int64)

        def side(feed: Any, captions: Sequence[str], image_of: IntArray) -> _Side:
            found = image_levels(
                matcher, feed, device, lambda done: say("computing features", done, len(feed))
            )
            texts = style_captions(captions, recipe.text.style)
            return _Side(found, text_levels(matcher, texts, device), image_of)

        own = side(data.images, corpus.captions, of_train)
        judged = tuple(side(found.images, found.data.captions, found.data.image_of) for found in sets)
        return cls(
            own,
            torch.from_numpy(corpus.groups),
            judged,
            tuple(found.title for found in sets),
            level_milliseconds(matcher, own.images.levels, device),
            steps,
        )

    def tried(self, trial: Any, seed: int) -> Trial:
        """Train and score what optuna proposes."""
        started = time.perf_counter()
        levels, pooling = (
            self._proposed_levels(trial),
            trial.suggest_categorical("pooling", list(IMAGE_POOLINGS)),
        )
        text_level = trial.suggest_categorical("text level", list(self.train.texts.levels))
        text_pooling = trial.suggest_categorical("text pooling", list(TEXT_POOLINGS))
        plan = self._proposed_plan(trial)
        head = train_head(
            self.train.images.of(levels, pooling),
            self.train.texts.of([text_level], text_pooling),
            torch.from_numpy(self.train.image_of),
            self.groups,
            [self.train.images.rows[level, pooling].shape[1] for level in levels],
            plan,
            seed,
        )
        scores = [
            _score(
                head,
                side.images.of(levels, pooling),
                side.texts.of([text_level], text_pooling),
                side.image_of,
            )
            for side in self.judged
        ]
        return Trial(
            levels,
            pooling,
            text_level,
            text_pooling,
            plan,
            float(np.mean(scores)),
            bytes_per_image(plan),
            self.milliseconds[levels[-1]],
            tuple(head.open_gates().tolist()) if plan.gates else (),
            time.perf_counter() - started,
        )

    def _proposed_levels(self, trial: Any) -> tuple[str, ...]:
        """At least one; the highest if all are turned down."""
        names = self.train.images.levels
        chosen = [name for name in names if trial.suggest_categorical(f"level {name}", [True, False])]
        return tuple(chosen) or names[-1:]

    def _proposed_plan(self, trial: Any) -> HeadPlan:
        return HeadPlan(
            dim=trial.suggest_categorical("dim", list(_DIMS)),
            width=trial.suggest_categorical("hidden width", list(_WIDTHS)),
            temperature=trial.suggest_float("temperature", 0.02, 0.2, log=True),
            storage=trial.suggest_categorical("storage", list(STORAGES)),
            gates=trial.suggest_categorical("gates", [0.0, 0.1]),
            steps=self.steps,
        )


@torch.inference_mode()
def _score(head: Head, images: Tensor, texts: Tensor, image_of: IntArray) -> float:
    """mR in percent, of vectors as they are stored."""
    rows = [stored(side, head.plan.storage).numpy() for side in (head.images(images), head.texts(texts))]
    return float(retrieval_report(rows[0], rows[1], image_of).mR)
