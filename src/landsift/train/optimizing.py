"""From a recipe's rates to an optimiser: parameter groups, schedules, averaged weights.

Knows parameters by name; no data and no losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from landsift.errors import UsageError
from landsift.models.registry import one_of
from landsift.train.recipe import OptimizerRecipe, ScheduleRecipe

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Average",
    "build_optimizer",
    "freeze",
    "longest_prefix",
    "rate_factor",
    "set_rates",
    "training_mode",
]


def longest_prefix(name: str, table: Iterable[str]) -> str | None:
    """The longest of the prefixes that a parameter's name starts with, or None."""
    return max((prefix for prefix in table if name.startswith(prefix)), key=len, default=None)


def freeze(module: nn.Module, prefixes: Iterable[str]) -> None:
    """Stop training the parameters whose names start with one of ``prefixes``.

    Raises:
        UsageError: A prefix that no parameter has.
    """
    names = [name for name, _ in module.named_parameters()]
    for prefix in prefixes:
        found = [name for name in names if name.startswith(prefix)]
        if not found:
            tops = sorted({".".join(name.split(".")[:2]) for name in names})
            raise UsageError(f"No parameter starts with {prefix!r} (model.freeze); {one_of(prefix, tops)}")
        for name in found:
            module.get_parameter(name).requires_grad_(False)


def training_mode(module: nn.Module) -> None:
    """Set a model to training, but leave batch norms of frozen parts with the statistics they have."""
    module.train()
    for part in module.modules():
        own = list(part.parameters(recurse=False))
        if (
            isinstance(part, nn.modules.batchnorm._BatchNorm)
            and own
            and not any(p.requires_grad for p in own)
        ):
            part.eval()


def build_optimizer(
    parameters: Mapping[str, nn.Parameter], depths: Mapping[str, int], recipe: OptimizerRecipe
) -> Optimizer:
    """An optimiser over all parameters that train, grouped by rate and decay.

    A parameter's rate is that of its longest prefix in ``rates``, else the recipe's, times ``layer_decay``
    for each step away from the output (Clark et al., 2020, arXiv 2003.10555, appendix A). Biases, norms and
    single numbers are not decayed.

    Args:
        parameters: By full name; those that do not train are passed over.
        depths: Distance from the output by prefix.
        recipe: Everything else.

    Raises:
        UsageError: No such optimiser, a prefix that no parameter has, or nothing that trains.
    """
    if recipe.name not in OPTIMIZERS:
        raise UsageError(f"There is no optimizer {recipe.name!r}; {one_of(recipe.name, list(OPTIMIZERS))}")
    for prefix in recipe.rates:
        if not any(name.startswith(prefix) for name in parameters):
            tops = sorted({".".join(name.split(".")[:2]) for name in parameters})
            raise UsageError(f"No parameter starts with {prefix!r} (optimizer.rates); {one_of(prefix, tops)}")
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        if parameter.requires_grad:
            groups.setdefault(_rates_of(name, parameter, depths, recipe), []).append(parameter)
    if not groups:
        raise UsageError("Everything is frozen, so there is nothing to train; shorten model.freeze.")
    rows = [
        {"params": members, "lr": rate, "peak": rate, "weight_decay": decay}
        for (rate, decay), members in groups.items()
    ]
    return OPTIMIZERS[recipe.name](rows, recipe)


def _rates_of(
    name: str, parameter: nn.Parameter, depths: Mapping[str, int], recipe: OptimizerRecipe
) -> tuple[float, float]:
    chosen = longest_prefix(name, recipe.rates)
    rate = recipe.rate if chosen is None else float(recipe.rates[chosen])
    part = longest_prefix(name, depths)
    depth = 0 if part is None else depths[part]
    return rate * recipe.layer_decay**depth, recipe.weight_decay if parameter.ndim > 1 else 0.0


# "fused": one pass over each parameter instead of nine; a fifth of a step where a language model trains.
OPTIMIZERS: Mapping[str, Callable[[list[dict[str, Any]], OptimizerRecipe], Optimizer]] = {
    "adamw": lambda rows, recipe: AdamW(rows, betas=(recipe.betas[0], recipe.betas[1]), fused=True),
    "adam": lambda rows, recipe: Adam(rows, betas=(recipe.betas[0], recipe.betas[1]), fused=True),
    "sgd": lambda rows, recipe: SGD(
        rows, lr=recipe.rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    ),
}


def rate_factor(step: int, steps: int, epoch: int, recipe: ScheduleRecipe) -> float:
    """What the peak rate is multiplied by.

    Args:
        step: Steps taken, from 0.
        steps: Of the whole run.
        epoch: Passes completed.
        recipe: The schedule.

    Raises:
        UsageError: No such schedule.
    """
    if recipe.name not in SCHEDULES:
        raise UsageError(f"There is no schedule {recipe.name!r}; {one_of(recipe.name, list(SCHEDULES))}")
    rise = round(steps * recipe.warm_up)
    if step < rise:
        return (step + 1) / rise
    done = (step - rise) / max(1, steps - rise)
    return SCHEDULES[recipe.name](done, epoch, recipe)


SCHEDULES: Mapping[str, Callable[[float, int, ScheduleRecipe], float]] = {
    "cosine": lambda done, epoch, r: r.least + (1 - r.least) * 0.5 * (1 + math.cos(math.pi * done)),
    "linear": lambda done, epoch, r: r.least + (1 - r.least) * (1 - done),
    "constant": lambda done, epoch, r: 1.0,
    "step": lambda done, epoch, r: r.factor ** sum(epoch >= milestone for milestone in r.milestones),
}


def set_rates(optimizer: Optimizer, factor: float) -> None:
    """Set every group's rate to ``factor`` times its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


class Average:
    """Exponentially averaged weights (Polyak and Juditsky, 1992): smoother than the last ones.

    Args:
        parameters: Those that train, by name.
        decay: Per step; 0 keeps no average.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.decay = decay
        self._live = {name: p for name, p in parameters.items() if p.requires_grad} if decay else {}
        self.kept: dict[str, Tensor] = {name: p.detach().clone() for name, p in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the present weights; young averages forget faster, or the start would linger.

        Args:
            step: Steps taken before this one.
        """
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(self.kept.values()), list(self._live.values()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it, the model has the averaged weights."""
        live = {name: parameter.data for name, parameter in self._live.items()}
        for name, parameter in self._live.items():
            parameter.data = self.kept[name]
        try:
            yield
        finally:
            for name, parameter in self._live.items():
                parameter.data = live[name]
