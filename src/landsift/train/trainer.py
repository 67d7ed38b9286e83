"""The loop: steps, passes, validation, checkpoints, and going on where a run was interrupted.

Knows the parts by what they do; where data, model and recipe come from is :mod:`landsift.train.fitting`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from landsift.errors import TrainingError
from landsift.models.batch import Moment
from landsift.models.blocks.lora import folded
from landsift.models.checkpoint import write_matcher
from landsift.models.matcher import Matcher
from landsift.train.cards import Facts, card_fields, write_card
from landsift.train.feeding import Feeder
from landsift.train.folders import replace_folder
from landsift.train.gathering import Processes
from landsift.train.logs import METRICS_FILE, EventLog, write_metrics
from landsift.train.memory import Memory
from landsift.train.objective import Objective
from landsift.train.optimizing import Average, build_optimizer, rate_factor, set_rates, training_mode
from landsift.train.recipe import Recipe
from landsift.train.state import Position, pack, read_state, unpack, write_state
from landsift.train.stepping import Stepper
from landsift.train.terms import Encoded
from landsift.train.validating import ValidationSet, mean_recall

__all__ = ["BEST", "LAST", "Trainer", "TrainingProgress"]

BEST, LAST = "best", "last"
_BEGINNING = 1
"""Tells the random numbers at the beginning of a pass from those of a step."""


@dataclass(frozen=True)
class TrainingProgress:
    """How far a run is.

    Attributes:
        phase: What is being done: ``training``, ``validating``, or what is being prepared.
        done: Steps taken, or things prepared.
        total: Steps or things in all.
        epoch: The present pass, from 1; 0 while preparing.
        epochs: Of the whole run.
        terms: Value of each weighted loss term in the last step.
        images_per_second: Of the present pass, loading included.
        seconds_left: Expected, validations left out; None before the first step.
        scores: Of the last validation.
    """

    phase: str
    done: int
    total: int
    epoch: int = 0
    epochs: int = 0
    terms: Mapping[str, float] = field(default_factory=dict)
    images_per_second: float = 0.0
    seconds_left: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


class Trainer:
    """A run between two steps: model, losses, optimiser, averages and where it stands.

    Args:
        matcher: What is trained, on its device.
        objective: What for, on the same device.
        feeder: Makes the batches.
        validation: What the best weights are chosen by; none keeps the last.
        recipe: How.
        folder: Where the run is written.
        facts: For the cards.
        device: Where it is computed.
        processes: Who shares the batches.
        progress: Told how far it is, after every step.
    """

    def __init__(
        self,
        matcher: Matcher,
        objective: Objective,
        feeder: Feeder,
        validation: Sequence[ValidationSet],
        recipe: Recipe,
        folder: Path,
        facts: Facts,
        device: torch.device,
        processes: Processes | None = None,
        progress: Callable[[TrainingProgress], None] | None = None,
    ) -> None:
        self.matcher, self.objective, self.feeder = matcher, objective, feeder
        self.validation, self.recipe, self.folder = tuple(validation), recipe, folder
        self.facts, self.device = facts, device
        self.processes = processes or Processes()
        self.position = Position()
        self._tell = progress or (lambda moment: None)
        named = {name: p for name, p in matcher.named_parameters() if not name.startswith("critic.")}
        self._average = Average(named, recipe.loop.average)
        named |= {f"loss.{name}": parameter for name, parameter in objective.named_parameters()}
        self._trained = [parameter for parameter in named.values() if parameter.requires_grad]
        self._optimizer = build_optimizer(named, matcher.depths(), recipe.optimizer)
        self._critic = None if matcher.critic is None else _critic_optimizer(matcher.critic, recipe)
        half = recipe.loop.precision == "float16"
        self._scaler = torch.amp.GradScaler(device.type) if half else None
        self._stepper = Stepper(
            matcher,
            objective,
            precision=recipe.loop.precision,
            chunk=recipe.loop.chunk,
            processes=self.processes,
            scaler=self._scaler,
        )
        hard = recipe.data.sampling == "hard"
        self._memory = Memory(len(feeder.data.corpus), matcher.dim) if hard else None
        self._near: Any = None
        self._events = EventLog(None)
        self._saved = time.monotonic()
        self._scores: Mapping[str, float] = {}

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.feeder.steps * self.recipe.loop.epochs

    def train(self) -> bool:
        """Train to the end.

        Returns:
            Whether it stopped early because validation did not improve.

        Raises:
            TrainingError: A loss or a gradient is not finite; the last good checkpoint stays.
            DiskFull: A checkpoint could not be written; the one before stays.
        """
        epochs = self.recipe.loop.epochs
        if self.recipe.output.tensorboard and self.processes.first:
            self._events = EventLog(self.folder / "events", self.position.step + 1)
        while self.position.epoch < epochs and not self._waited_enough():
            self._pass()
        if self.position.best is None:
            self._save_best()
        self._events.close()
        return self.position.epoch < epochs

    def _waited_enough(self) -> bool:
        patience = self.recipe.validation.patience
        return 0 < patience <= self.position.waited

    def _pass(self) -> None:
        """One pass from where it stands, its validation and its checkpoint."""
        epoch, first = self.position.epoch, self.position.batch
        if first == 0:
            torch.manual_seed(_seed_of(self.recipe.loop.seed, epoch, 0, 0, _BEGINNING))
            self.matcher.begin_epoch(self._moment())
            self.objective.begin_epoch(self._moment())
            if self._memory is not None and epoch > 0:
                self._near = self._memory.neighbours(self.recipe.data.neighbours)
        training_mode(self.matcher)
        self.objective.train()
        order = self.feeder.order(epoch, self._near)
        accumulate = self.recipe.loop.accumulate
        fetched = self.feeder.batches(epoch, order, first)
        clock = _Clock(self.steps - self.position.step)
        for batch in range(first, len(order), accumulate):
            started = time.perf_counter()
            values = self._step(list(islice(fetched, accumulate)))
            clock.tick(accumulate * self.feeder.size, time.perf_counter() - started)
            self._step_done(batch + accumulate, values, clock)
        self._pass_done(clock)

    def _step(self, parts: Sequence[Any]) -> dict[str, float]:
        """Average the gradients of some batches, and move the weights."""
        self._optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for number, fetched in enumerate(parts):
            torch.manual_seed(
                _seed_of(self.recipe.loop.seed, self.position.step, number, self.processes.rank)
            )
            batch = self.feeder.finish(fetched, self.device, self._moment())
            with self._explained():
                values, encoded = self._stepper.gradients(batch, 1 / len(parts))
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value / len(parts)
            if self._memory is not None:
                self._memory.update(encoded)
            self._move_critic(encoded)
        self.processes.mean_gradients(self._trained)
        self._move()
        self._average.update(self.position.step)
        self.matcher.after_step(batch)
        return sums

    def _move(self) -> None:
        epoch, recipe = self.position.epoch, self.recipe
        set_rates(self._optimizer, rate_factor(self.position.step, self.steps, epoch, recipe.schedule))
        if self._scaler is not None:
            self._scaler.unscale_(self._optimizer)
        norm = nn.utils.clip_grad_norm_(self._trained, recipe.optimizer.clip or float("inf"))
        if self._scaler is not None:
            # It leaves a step out whose gradient overflowed, and scales less from then on.
            self._scaler.step(self._optimizer)
            self._scaler.update()
            return
        with self._explained():
            if not torch.isfinite(norm):
                raise TrainingError(f"The gradient became {norm.item()}, though the loss did not")
        self._optimizer.step()

    def _move_critic(self, encoded: Encoded) -> None:
        if self._critic is None:
            return
        self._critic.zero_grad(set_to_none=True)
        losses = self._stepper.critic_losses(encoded)
        if losses:
            torch.stack(list(losses.values())).sum().backward()
            self.processes.mean_gradients(p for group in self._critic.param_groups for p in group["params"])
            self._critic.step()
        self._critic.zero_grad(set_to_none=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Add where a run stood, and what is left of it, to what stopped it."""
        try:
            yield
        except TrainingError as error:
            last = self.folder / LAST
            kept = f"{last} holds the last good weights" if last.is_dir() else "there was no checkpoint yet"
            raise TrainingError(
                f"{str(error).rstrip('.')} in step {self.position.step + 1} (pass "
                f"{self.position.epoch + 1}), so training stopped; {kept}: lower optimizer.rate or raise "
                f"schedule.warm_up, and start anew"
            ) from error

    def _moment(self) -> Moment:
        return Moment(self.position.step, self.steps, self.position.epoch, self.recipe.loop.epochs)

    def _step_done(self, batch: int, values: Mapping[str, float], clock: _Clock) -> None:
        sums = {name: self.position.sums.get(name, 0.0) + value for name, value in values.items()}
        self.position = replace(
            self.position,
            batch=batch,
            step=self.position.step + 1,
            seconds=self.position.seconds + clock.last,
            sums=dict(self.position.sums) | sums,
        )
        self._events.add({f"loss/{name}": value for name, value in values.items()}, self.position.step)
        self._say("training", values, clock)
        minutes = (time.monotonic() - self._saved) / 60
        if self.processes.told(minutes >= self.recipe.output.every_minutes) and batch < self._batches:
            self._save_last()

    @property
    def _batches(self) -> int:
        return self.feeder.steps * self.recipe.loop.accumulate

    def _pass_done(self, clock: _Clock) -> None:
        sums, steps = self.position.sums, self.feeder.steps
        row: dict[str, float] = {"epoch": self.position.epoch + 1, "step": self.position.step}
        row |= {name: value / steps for name, value in sums.items()}
        row |= {"loss": sum(sums.values()) / steps, "rate": self._optimizer.param_groups[0]["lr"]}
        row["images_per_second"] = clock.rate
        self.position = replace(self.position, epoch=self.position.epoch + 1, batch=0, sums={})
        row |= self._validated(clock)
        row["seconds"] = self.position.seconds
        self.position = replace(self.position, history=(*self.position.history, row))
        if self.processes.first:
            write_metrics(self.folder / METRICS_FILE, self.position.history)
        self._events.add({f"epoch/{name}": value for name, value in row.items()}, self.position.step)
        self._save_last()

    def _validated(self, clock: _Clock) -> dict[str, float]:
        """The scores of this pass, if it is one to be validated; keeps the weights if they are the best."""
        epoch, every = self.position.epoch, self.recipe.validation.every
        if not self.validation or (epoch % every and epoch < self.recipe.loop.epochs):
            return {}
        self._say("validating", {}, clock)
        started = time.perf_counter()
        scores: dict[str, float] = {}
        if self.processes.first:
            with self._average.applied():
                scores = mean_recall(self.matcher, self.validation, self.device)
        scores = self.processes.told(scores)
        self._scores = scores
        seconds = self.position.seconds + time.perf_counter() - started
        best = self.position.best
        if best is None or scores["mR"] > best:
            self.position = replace(
                self.position, seconds=seconds, best=scores["mR"], best_epoch=epoch, waited=0
            )
            self._save_best()
        else:
            self.position = replace(self.position, seconds=seconds, waited=self.position.waited + 1)
        return scores

    def _say(self, phase: str, values: Mapping[str, float], clock: _Clock) -> None:
        if self.processes.first:
            self._tell(
                TrainingProgress(
                    phase,
                    self.position.step,
                    self.steps,
                    min(self.position.epoch + 1, self.recipe.loop.epochs),
                    self.recipe.loop.epochs,
                    dict(values),
                    clock.rate,
                    clock.left,
                    self._scores,
                )
            )

    def _save_best(self) -> None:
        if self.processes.first:
            replace_folder(self.folder / BEST, self._write_weights)
        self.processes.wait()

    def _save_last(self) -> None:
        if self.processes.first:
            replace_folder(self.folder / LAST, self._write_all)
        self.processes.wait()
        self._saved = time.monotonic()

    def _write_weights(self, folder: Path) -> None:
        model = self.recipe.model
        with self._average.applied():
            # What is kept is the method as it was: no reader needs to know of adapters.
            table = write_matcher(folder, folded(self.matcher), model.name, model.options)
        scores = {name: {"mR": value} for name, value in self._scores.items() if name != "mR"}
        write_card(folder, card_fields(self.recipe, self.matcher, self.facts, scores), table)

    def _write_all(self, folder: Path) -> None:
        self._write_weights(folder)
        others: dict[str, Tensor] = {f"average/{name}": value for name, value in self._average.kept.items()}
        if self._memory is not None:
            others |= self._memory.state()
        if self._near is not None:
            others["near"] = torch.from_numpy(self._near)
        tensors, plain = pack(*self._parts(), others)
        note = {"scaler": self._scaler.state_dict() if self._scaler else {}, "scores": dict(self._scores)}
        write_state(folder, tensors, plain, self.position, note)

    def _parts(self) -> tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]:
        optimizers = {"optimizer": self._optimizer}
        if self._critic is not None:
            optimizers["critic-optimizer"] = self._critic
        return {"matcher": self.matcher, "objective": self.objective}, optimizers

    def resume(self) -> bool:
        """Go back to the last checkpoint of the folder.

        Returns:
            Whether there was one.

        Raises:
            TrainingError: It cannot be read, or is of another model.
        """
        if not (self.folder / LAST).is_dir():
            return False
        tensors, plain, self.position, note = read_state(self.folder / LAST)
        unpack(tensors, plain, *self._parts())
        for name, kept in self._average.kept.items():
            kept.copy_(tensors[f"average/{name}"])
        if self._memory is not None:
            self._memory.restore(tensors)
        self._near = tensors["near"].numpy() if "near" in tensors else None
        if self._scaler is not None:
            self._scaler.load_state_dict(note["scaler"])
        self._scores = note["scores"]
        return True


def _critic_optimizer(critic: nn.Module, recipe: Recipe) -> AdamW:
    return AdamW(critic.parameters(), lr=recipe.optimizer.critic_rate, betas=(0.5, 0.9))


def _seed_of(*numbers: int) -> int:
    """A seed that depends on all of the numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


class _Clock:
    """How fast steps are, and how long the rest takes.

    Args:
        steps: Still to be taken.
    """

    def __init__(self, steps: int) -> None:
        self._left, self._images, self._seconds, self._steps = steps, 0, 0.0, 0
        self.last = 0.0

    def tick(self, images: int, seconds: float) -> None:
        """A step of so many images took so long."""
        self._images, self._seconds, self._steps = (
            self._images + images,
            self._seconds + seconds,
            self._steps + 1,
        )
        self.last = seconds

    @property
    def rate(self) -> float:
        """Images per second."""
        return self._images / self._seconds if self._seconds else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that the other steps will take."""
        return (self._left - self._steps) * self._seconds / self._steps if self._steps else None
