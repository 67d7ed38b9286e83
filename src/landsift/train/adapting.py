"""How much of a model trains: all of it, its last layers, its heads, or low-rank adapters.

Works on any matcher, by the distances from the output that it tells (``Matcher.depths``). Knows parameters by
name; no data and no losses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from landsift.errors import UsageError
from landsift.models.blocks.lora import adapt, matrices
from landsift.models.matcher import Matcher
from landsift.models.registry import one_of
from landsift.train.optimizing import longest_prefix
from landsift.train.recipe import TuneRecipe

__all__ = ["TUNINGS", "apply_tuning", "share_of"]


def apply_tuning(matcher: Matcher, recipe: TuneRecipe) -> None:
    """Freeze what is not to be tuned, and add adapters where they are asked for, in place.

    What is frozen already stays so, and takes no adapters.

    Raises:
        UsageError: No such way of tuning, a name that no parameter has, or nothing left that trains.
    """
    if recipe.name not in TUNINGS:
        raise UsageError(
            f"There is no way of tuning named {recipe.name!r} (model.tune); "
            f"{one_of(recipe.name, list(TUNINGS))}"
        )
    for prefix in recipe.also:
        if not any(name.startswith(prefix) for name, _ in matcher.named_parameters()):
            tops = sorted({".".join(name.split(".")[:2]) for name, _ in matcher.named_parameters()})
            raise UsageError(f"No parameter starts with {prefix!r} (model.tune.also); {one_of(prefix, tops)}")
    TUNINGS[recipe.name](matcher, recipe)


def share_of(matcher: Matcher) -> tuple[int, int]:
    """How many numbers of a matcher train, and how many it has."""
    sizes = [(p.numel(), p.requires_grad) for p in matcher.parameters()]
    return sum(size for size, trains in sizes if trains), sum(size for size, _ in sizes)


def _full(matcher: Matcher, recipe: TuneRecipe) -> None:
    """All that is not frozen trains."""


def _last_layers(matcher: Matcher, recipe: TuneRecipe) -> None:
    _keep_near(matcher, recipe, recipe.layers)


def _linear_probe(matcher: Matcher, recipe: TuneRecipe) -> None:
    _keep_near(matcher, recipe, 0)


def _keep_near(matcher: Matcher, recipe: TuneRecipe, most: int) -> None:
    """Train what is at most so many layers away from the output."""
    depths = {name: _depth(name, matcher.depths()) for name, _ in matcher.named_parameters()}
    if not any(depths.values()):
        raise UsageError(
            "This method does not tell how deep its layers lie, so none can be chosen by depth; "
            "freeze parts by model.freeze, or use lora."
        )
    for name, parameter in _training(matcher).items():
        parameter.requires_grad_(depths[name] <= most or _listed(name, recipe))


def _low_rank(matcher: Matcher, recipe: TuneRecipe) -> None:
    live = _training(matcher)
    chosen = [
        name
        for name, _, _ in matrices(matcher)
        if name in live and not _listed(name, recipe) and _fits(name, live[name], recipe)
    ]
    if not chosen:
        raise UsageError(
            f"No weight takes an adapter of rank {recipe.rank}: all are frozen, too small, or not among the "
            f"targets {list(recipe.targets)}; change model.tune."
        )
    for name, parameter in live.items():
        parameter.requires_grad_(_listed(name, recipe))
    adapt(matcher, recipe.rank, recipe.scale, chosen)


def _fits(name: str, weight: nn.Parameter, recipe: TuneRecipe) -> bool:
    """Whether a weight is named, and is large enough for an adapter to be smaller than it."""
    rows, columns = len(weight), weight[0].numel()
    smaller = recipe.rank * (rows + columns) < rows * columns
    return smaller and (not recipe.targets or any(part in name for part in recipe.targets))


def _training(matcher: Matcher) -> dict[str, nn.Parameter]:
    """What trains so far; an adversarial method's critic is trained apart."""
    return {
        name: parameter
        for name, parameter in matcher.named_parameters()
        if parameter.requires_grad and not name.startswith("critic.")
    }


def _listed(name: str, recipe: TuneRecipe) -> bool:
    return any(name.startswith(prefix) for prefix in recipe.also)


def _depth(name: str, depths: Mapping[str, int]) -> int:
    part = longest_prefix(name, depths)
    return 0 if part is None else depths[part]


TUNINGS: Mapping[str, Callable[[Matcher, TuneRecipe], None]] = {
    "full": _full,
    "last-layers": _last_layers,
    "linear-probe": _linear_probe,
    "lora": _low_rank,
}
"""Exact name to what it does."""
