"""The whole loss of a recipe: named terms with weights that may start late, and the method's own.

Knows terms; no data and no optimiser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from torch import Tensor, nn

from landsift.errors import UsageError
from landsift.models.batch import Moment
from landsift.models.matcher import Matcher
from landsift.models.registry import checked_options, one_of
from landsift.train.terms import Encoded, Sizes, Term, build_term, term_options

__all__ = ["Objective", "Weighting", "full_table"]

_OWN = "own"


@dataclass(frozen=True)
class Weighting:
    """How much a term counts, and from when.

    Attributes:
        weight: Factor on the term; 0 leaves it out.
        from_epoch: First pass it counts in, from 0.
        ramp_epochs: Passes over which its weight rises from 0.
    """

    weight: float = 1.0
    from_epoch: int = 0
    ramp_epochs: int = 0

    def at(self, moment: Moment) -> float:
        """The weight at a moment of the run."""
        since = moment.epoch - self.from_epoch
        if since < 0:
            return 0.0
        return self.weight * min(1.0, (since + 1) / self.ramp_epochs) if self.ramp_epochs else self.weight


def full_table(table: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """A recipe's ``[loss]`` with every option and weighting of each term, defaults filled in.

    Raises:
        UsageError: No such term, or no such option.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, values in table.items():
        if not isinstance(values, Mapping):
            raise UsageError(f"[loss.{name}] is a table; write {name}.weight = {values!r}.")
        if name == _OWN:
            found[name] = {key: float(value) for key, value in values.items()}
            continue
        when, given = _parted(values)
        weighting = checked_options(Weighting, when, f"[loss.{name}]")
        found[name] = asdict(weighting) | asdict(term_options(name, given))
    return found


def _parted(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What says when a term counts, and the term's own options."""
    names = {entry.name for entry in fields(Weighting)}
    when = {name: value for name, value in values.items() if name in names}
    return when, {name: value for name, value in values.items() if name not in names}


class Objective(nn.Module):
    """The terms of a recipe.

    Args:
        table: The recipe's ``[loss]``: options and weighting of each term by name; ``own`` holds factors on
            the method's own terms.
        sizes: Lengths of the vectors that terms meet.

    Raises:
        UsageError: No such term or option, or nothing with a weight.
    """

    def __init__(self, table: Mapping[str, Mapping[str, Any]], sizes: Sizes) -> None:
        super().__init__()
        table = full_table(table)
        self.own_weights = table.pop(_OWN, {})
        self.weightings: dict[str, Weighting] = {}
        self._terms: dict[str, Term] = {}
        for name, values in table.items():
            when, given = _parted(values)
            if when["weight"]:
                self.weightings[name] = Weighting(**when)
                self._terms[name] = build_term(name, given, sizes)
        self.terms = nn.ModuleDict(self._terms)

    @property
    def needs(self) -> frozenset[str]:
        """What the terms must be given beside images."""
        return frozenset().union(*(term.needs for term in self._terms.values()))

    def check(self, matcher: Matcher) -> None:
        """Refuse an objective that could never train this method.

        Raises:
            UsageError: No term at all, or terms that need scores of a method that gives none.
        """
        has_own = type(matcher).own_losses is not Matcher.own_losses
        if not self._terms and not has_own:
            raise UsageError("The recipe has no loss term with a weight; name one, such as [loss.info-nce].")
        if not has_own and not any(weighting.at(Moment()) for weighting in self.weightings.values()):
            raise UsageError("No loss term counts in the first pass; set from_epoch = 0 for one of them.")
        if "scores" in self.needs and not matcher.scores_batches:
            names = [name for name, term in self._terms.items() if "scores" in term.needs]
            raise UsageError(
                f"This method does not score whole batches, so [loss.{names[0]}] has nothing to work on; "
                f"leave it out and use the method's own terms."
            )

    def attach(self, matcher: Matcher) -> None:
        """Show the terms what they will train, once, when it is whole and on its device."""
        for term in self._terms.values():
            term.attach(matcher)

    def begin_epoch(self, moment: Moment) -> None:
        """Called before the first step of each pass."""
        for term in self._terms.values():
            term.begin_epoch(moment)

    def forward(self, found: Encoded, matcher: Matcher) -> dict[str, Tensor]:
        """Every term that counts at this moment, times its weight, by name."""
        values = {}
        for name, term in self._terms.items():
            weight = self.weightings[name].at(found.batch.moment)
            if weight:
                values[name] = weight * term(found)
        if found.text is None:
            return values
        own = matcher.own_losses(found.batch, found.image, found.text, found.similarity)
        return values | self._weighted(own)

    def _weighted(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        for name in self.own_weights:
            if name not in own:
                raise UsageError(
                    f"The method has no term of its own named {name!r}; {one_of(name, list(own))}"
                )
        clash = sorted(set(own) & set(self._terms))
        if clash:
            raise UsageError(
                f"Both the recipe and the method have a term {clash[0]!r}; take it out of [loss]."
            )
        kept = {name: value * self.own_weights.get(name, 1.0) for name, value in own.items()}
        return {name: value for name, value in kept.items() if self.own_weights.get(name, 1.0)}
