"""From the sets a recipe names to retrieval sets, less what must not be trained on.

Knows the data room; no models and no pixels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from landsift.data import (
    HASHING_PARTS,
    ImagePair,
    exclusions_of,
    find_dataset,
    find_overlap,
    fingerprint,
    hashing_part,
    list_datasets,
    load_captions,
    load_changes,
    load_classes,
    load_dataset,
    one_caption_each,
    read_exclusions,
    without,
    write_exclusions,
)
from landsift.data.exclusions import Exclusions
from landsift.errors import UsageError
from landsift.files import cache_folder, write_whole
from landsift.train.recipe import DataRecipe, SetRecipe
from landsift.types import RetrievalSet

__all__ = ["load_set", "load_sets", "training_sets"]


def load_sets(rows: Sequence[SetRecipe]) -> list[RetrievalSet]:
    """Load each set of a recipe, its written exclusions applied.

    Raises:
        DatasetError: A set is absent, incomplete or malformed.
        UsageError: A set has neither a name of the table nor a folder.
    """
    return [load_set(row) for row in rows]


def load_set(row: SetRecipe) -> RetrievalSet:
    """Load one set of a recipe, its written exclusions applied."""
    found = _loaded(row)
    for path in row.exclude:
        found = without(found, read_exclusions(path))
    return found


def _loaded(row: SetRecipe) -> RetrievalSet:
    if row.captions:
        split = None if row.split == "all" else row.split
        images = row.root or Path(row.captions).parent
        return load_captions(images, row.captions, split, name=row.name or None)
    known = {name for found in list_datasets() for name in (found.name, *found.aliases)}
    if row.name in known and find_dataset(row.name).pairs is not None:
        return load_changes(row.name, _root_of(row), row.split, partial=row.partial).retrieval_set()
    if row.name in known and row.split in HASHING_PARTS:
        whole = load_dataset(row.name, _root_of(row), "all", partial=row.partial)
        return one_caption_each(hashing_part(whole, row.split))
    if row.name in known:
        return load_dataset(row.name, _root_of(row), row.split, partial=row.partial)
    if not row.root:
        raise UsageError(
            f"The recipe trains on {row.name!r}, which is no set of the table, and gives no root; "
            f"set data.sets.N.root to its folder, or see: landsift list datasets"
        )
    return load_classes(row.root, row.templates, name=row.name or None)


def _root_of(row: SetRecipe) -> Path:
    """The folder given, or the one under LANDSIFT_DATA that carries the set's name."""
    if row.root:
        return Path(row.root)
    base = os.environ.get("LANDSIFT_DATA")
    known = find_dataset(row.name)
    for name in (known.name, *known.aliases) if base else ():
        for spelling in (name, name.replace("-", "_")):
            if (candidate := Path(str(base)) / spelling).is_dir():
                return candidate
    if base and Path(base).is_dir():
        return Path(base)
    raise UsageError(
        f"The recipe needs {known.title}; set LANDSIFT_DATA to the folder that holds it, "
        f"or the recipe's root to its own folder"
    )


def training_sets(recipe: DataRecipe, rows: Sequence[SetRecipe]) -> tuple[list[RetrievalSet], dict[str, int]]:
    """Some of a recipe's sets without the pictures of the sets that are to be scored.

    Args:
        recipe: Says which those are, and where comparisons are kept.
        rows: The sets.

    Returns:
        The sets, and how many images of each pair ``trained | scored`` were left out.

    Raises:
        MissingDependency: ``keep_out`` is given and ImageHash is not installed.
        UsageError: ``keep_out`` is given for sets of two dates.
    """
    scored = [load_set(_row_of(name)) for name in recipe.keep_out]
    left_out: dict[str, int] = {}
    found: list[RetrievalSet] = []
    for trained in load_sets(rows):
        rest = trained
        for other in scored:
            if any(isinstance(image, ImagePair) for image in (*rest.images[:1], *other.images[:1])):
                raise UsageError(
                    f"data.keep_out compares single pictures, and {rest.name} or {other.name} holds pairs of "
                    f"dates; leave it empty, and train on the set's own train split"
                )
            listed = _overlap_list(other, rest, cache_folder(recipe.cache) / "overlap")
            if listed.images:
                left_out[f"{trained.name}/{trained.split} | {other.name}/{other.split}"] = len(listed.images)
                rest = without(rest, listed)
        found.append(rest)
    return found, left_out


def _row_of(name: str) -> SetRecipe:
    title, _, split = name.partition("/")
    return SetRecipe(name=title, split=split or "test")


def _overlap_list(scored: RetrievalSet, trained: RetrievalSet, folder: Path) -> Exclusions:
    """Pictures the two share, by perceptual hash; compared once and then read from ``folder``."""
    path = folder / f"{fingerprint(scored)[:16]}-{fingerprint(trained)[:16]}.json"
    if path.is_file():
        return read_exclusions(path)
    listed = exclusions_of(find_overlap(scored, trained), scored, trained, captions=None)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda partial: write_exclusions(partial, listed))
    return listed
