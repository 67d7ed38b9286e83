"""The train room: a recipe in, an encoder in a folder out.

::

    from landsift.train import fit, read_recipe
    recipe = read_recipe("ucm-captions", ["loop.epochs=5"])
    result = fit(recipe)
    print(result.score, result.encoder)

Recipes are data (``recipe.py``, ``reading.py``); methods are known by
:class:`landsift.models.matcher.Matcher` alone. Runs repeat to the
bit, and go on to the bit where they were interrupted.
"""

from __future__ import annotations

from landsift.train.fitting import FitResult, fit, run_folder
from landsift.train.ground import write_ground_photos
from landsift.train.logs import read_metrics
from landsift.train.reading import list_recipes, read_recipe, recipe_hash, recipe_of, recipe_text
from landsift.train.recipe import Recipe
from landsift.train.terms import TERMS
from landsift.train.trainer import TrainingProgress

__all__ = [
    "TERMS",
    "FitResult",
    "Recipe",
    "TrainingProgress",
    "fit",
    "list_recipes",
    "read_metrics",
    "read_recipe",
    "recipe_hash",
    "recipe_of",
    "recipe_text",
    "run_folder",
    "write_ground_photos",
]
