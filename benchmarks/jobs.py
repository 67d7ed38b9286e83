"""A training run of a benchmark: its recipe, its files, and whether its result is there already."""

from __future__ import annotations

import json
from pathlib import Path

from landsift.train import Recipe, read_recipe, recipe_hash

__all__ = ["TrainingJob"]


class TrainingJob:
    """One run; a subclass is a dataclass with these attributes, and says which recipes.

    Attributes:
        name: Of the recipe.
        seed: Of the run.
        changes: What differs from the shipped recipe, as ``table.key=value``.
        results: Folder of the results.
        runs: Folder of the runs.
    """

    name: str
    seed: int
    changes: tuple[str, ...]
    results: Path
    runs: Path

    family = ""
    """Folder of the recipes."""

    @property
    def title(self) -> str:
        """Name of its files."""
        return f"{self.name}-seed{self.seed}"

    @property
    def own_changes(self) -> tuple[str, ...]:
        """What this run sets beside ``changes``."""
        return (f"loop.seed={self.seed}", f'output.folder="{self.runs / self.title}"')

    @property
    def recipe(self) -> Recipe:
        """The recipe with the changes, in this run's folder."""
        return read_recipe(f"{self.family}/{self.name}", (*self.changes, *self.own_changes))

    @property
    def result(self) -> Path:
        """Where its result is written."""
        return self.results / f"{self.title}.json"

    def done(self) -> bool:
        """Whether the result of this very recipe is there."""
        if not self.result.is_file():
            return False
        return bool(json.loads(self.result.read_text("utf-8"))["recipe"]["hash"] == recipe_hash(self.recipe))
