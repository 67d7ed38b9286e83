"""Recipes from TOML: found by name or path, built on one another, checked, and written out again.

Knows files and names of fields; not what the fields do.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from landsift.errors import UsageError
from landsift.models.registry import fitting, one_of
from landsift.toml import toml_text
from landsift.train.recipe import Recipe, TuneRecipe

__all__ = ["differences", "list_recipes", "read_recipe", "recipe_hash", "recipe_of", "recipe_text"]

_NOT_IN_HASH = ("name", "description", "output")
_NOT_IN_DATA = ("cache",)
"""Where computed things lie changes nothing in the weights either."""


def list_recipes() -> dict[str, str]:
    """The recipes that ship: name to description, in order of name."""
    found = _shipped()
    texts = {name: tomllib.loads(found[name].read_text("utf-8")) for name in sorted(found)}
    return {name: str(text.get("description", "")) for name, text in texts.items()}


def _shipped() -> dict[str, Traversable]:
    """Name, with ``/`` between folders, to file."""
    root = resources.files("landsift").joinpath("recipes")
    found: dict[str, Traversable] = {}
    pending = [("", root)]
    while pending:
        prefix, folder = pending.pop()
        for entry in folder.iterdir():
            if entry.is_dir():
                pending.append((f"{prefix}{entry.name}/", entry))
            elif entry.name.endswith(".toml"):
                found[prefix + entry.name.removesuffix(".toml")] = entry
    return found


def read_recipe(name_or_path: str | Path, assignments: Iterable[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        name_or_path: A name of :func:`list_recipes`, or a TOML file. Its key ``base`` names another recipe
            (a shipped one, or a file beside it) whose values hold where it says nothing.
        assignments: ``table.key=value`` each, the value as TOML or a bare word; the last one counts.

    Raises:
        UsageError: No such recipe, an unknown key, or a value that cannot be.
    """
    values = _read(str(name_or_path), None, ())
    for text in assignments:
        values = _merged(values, _assigned(text))
    return recipe_of(values)


def recipe_of(values: Mapping[str, Any]) -> Recipe:
    """Make a recipe from nested plain values.

    Raises:
        UsageError: An unknown key, or a value that cannot be; the message lists what is known.
    """
    made: Recipe = _made(Recipe, values, "The recipe")
    return made


def recipe_text(recipe: Recipe) -> str:
    """The whole recipe, defaults included, as TOML that :func:`read_recipe` reads back."""
    return toml_text(asdict(recipe))


def recipe_hash(recipe: Recipe) -> str:
    """16 hexadecimal digits over all that can change the weights: not over names, output and the cache."""
    kept = _deciding(recipe)
    text = json.dumps(kept, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(first: Recipe, second: Recipe) -> list[str]:
    """Names of the fields that decide the weights and differ, ``table.key`` each."""
    one, other = (_flat(_deciding(recipe)) for recipe in (first, second))
    names = sorted(one.keys() | other.keys())
    return [name for name in names if one.get(name) != other.get(name)]


def _deciding(recipe: Recipe) -> dict[str, Any]:
    """All that can change the weights, as plain values."""
    kept = {key: value for key, value in asdict(recipe).items() if key not in _NOT_IN_HASH}
    kept["augment"] = dict(recipe.augment.told())
    if recipe.model.tune == TuneRecipe():  # as if the table were not there: hashes outlive its coming
        kept["model"].pop("tune")
    return kept | {"data": {key: value for key, value in kept["data"].items() if key not in _NOT_IN_DATA}}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = list(value) if isinstance(value, tuple) else value
    return found


def _read(name: str, beside: Path | None, seen: tuple[str, ...]) -> dict[str, Any]:
    """The values of a recipe file laid over those of its base."""
    text, folder = _text_of(name, beside)
    if name in seen:
        raise UsageError(f"The recipe {name} is built on itself; take one base away.")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The recipe {name} is not TOML ({error}); mend that line.") from error
    base = values.pop("base", None)
    return values if base is None else _merged(_read(str(base), folder, (*seen, name)), values)


def _text_of(name: str, beside: Path | None) -> tuple[str, Path | None]:
    shipped = _shipped()
    if name in shipped:
        return shipped[name].read_text("utf-8"), None
    path = Path(name) if beside is None else beside / name
    if not path.is_file():
        raise UsageError(f"There is no recipe and no file called {name}; {one_of(name, sorted(shipped))}")
    try:
        return path.read_text("utf-8"), path.parent
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The recipe {path} cannot be read ({error}); check the file.") from error


def _merged(under: Any, over: Any) -> Any:
    """``over`` laid upon ``under``: tables key by key, a list's rows by number, all else replaced."""
    if isinstance(under, dict) and isinstance(over, dict):
        both = {key: _merged(under[key], over[key]) for key in under.keys() & over.keys()}
        return {**under, **over, **both}
    if isinstance(under, list) and isinstance(over, dict) and over and all(key.isdigit() for key in over):
        wrong = [key for key in over if int(key) >= len(under)]
        if wrong:
            raise UsageError(f"There is no row {wrong[0]} in a list of {len(under)}; rows count from 0.")
        return [_merged(row, over[str(n)]) if str(n) in over else row for n, row in enumerate(under)]
    return over


def _assigned(text: str) -> dict[str, Any]:
    """``a.b=c`` as nested values."""
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise UsageError(f"--set takes table.key=value, got {text!r}; for example --set loop.epochs=3")
    for written in (value, json.dumps(value, ensure_ascii=False)):
        try:
            return tomllib.loads(f"{key} = {written}")
        except tomllib.TOMLDecodeError:
            continue
    raise UsageError(f"--set cannot read the key {key!r}; write it as table.key, such as loop.epochs.")


def _made(kind: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """A dataclass from plain values, tables within tables."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{where} is a table; got {values!r}.")
    known = {entry.name: entry for entry in fields(kind)}
    for name in values:
        if name not in known:
            raise UsageError(f"{where} has no {name!r}; {one_of(name, list(known))}")
    found = {name: _value(known[name], value, where) for name, value in values.items()}
    try:
        return kind(**found)
    except ValueError as error:
        raise UsageError(f"{where}: {error}.") from error


def _value(entry: Any, value: Any, where: str) -> Any:
    place = f"[{entry.name}]" if where == "The recipe" else f"{where.rstrip(']')}.{entry.name}]"
    default = entry.default_factory() if callable(entry.default_factory) else entry.default
    if is_dataclass(default):
        return _made(type(default), value, place)
    if "of" in entry.metadata:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise UsageError(f"{place} is a list of tables; write [{place}] above each.")
        return tuple(_made(entry.metadata["of"], row, place) for row in value)
    if isinstance(default, Mapping):
        if not isinstance(value, Mapping):
            raise UsageError(f"{place} is a table; got {value!r}.")
        return dict(value)
    return fitting(value, default, place)
