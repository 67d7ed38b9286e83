"""Sentence templates for zero-shot classification, as the families of models published them.

Knows ``templates.toml`` only; encoding the sentences is the caller's business.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from landsift.captions import class_words
from landsift.errors import UsageError

__all__ = ["Templates", "find_templates", "list_templates"]


@dataclass(frozen=True)
class Templates:
    """One family's way of turning class names into sentences.

    Attributes:
        name: Exact name.
        source: Who published it.
        templates: Sentences with ``{}`` for the class name.
        average: ``normalised`` or ``raw``: how the family joins the vectors of its templates.
        classes: Names used instead of a set's own, by set.
    """

    name: str
    source: str
    templates: tuple[str, ...]
    average: str
    classes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def sentences(self, class_names: Sequence[str], dataset: str = "") -> list[list[str]]:
        """The sentences of each class.

        Args:
            class_names: As the set has them; ``AnnualCrop`` is read as "annual crop".
            dataset: Name of the set, for families with names of their own for its classes.

        Returns:
            One list per class, one sentence per template.
        """
        own = next((names for key, names in self.classes.items() if dataset.startswith(key)), {})
        words = [own.get(name, class_words(name)) for name in class_names]
        return [[template.replace("{}", name) for template in self.templates] for name in words]


@cache
def list_templates() -> tuple[Templates, ...]:
    """All families, in order of name."""
    text = resources.files("landsift.data").joinpath("templates.toml").read_text("utf-8")
    return tuple(
        Templates(name, row["source"], tuple(row["templates"]), row["average"], row.get("classes", {}))
        for name, row in sorted(tomllib.loads(text).items())
    )


def find_templates(name: str) -> Templates:
    """Look a family up by its exact name.

    Raises:
        UsageError: No such family; the message lists them.
    """
    for family in list_templates():
        if family.name == name:
            return family
    names = ", ".join(family.name for family in list_templates())
    raise UsageError(f"There are no templates named {name!r}; choose one of {names}.")
