"""Whether an encoder has seen the pictures it is to be scored on.

Knows the table of sets and the names an encoder card lists; compares no images (:mod:`landsift.data.overlap`
does).
"""

from __future__ import annotations

from collections.abc import Sequence

from landsift.data.catalog import find_dataset, list_datasets
from landsift.data.dataset import Dataset

__all__ = ["leakage"]


def leakage(trained_on: Sequence[str], name: str, split: str) -> list[str]:
    """Say how an encoder's training sets bear on a set to be scored.

    Args:
        trained_on: Of the encoder card, each ``name/split`` or a name alone; unknown names are passed over.
        name: The set to be scored.
        split: Its split.

    Returns:
        Sentences, gravest first; none if the encoder has seen nothing of the set as far as is known.

    Raises:
        UsageError: No such set to be scored.
    """
    row = find_dataset(name)
    found = sorted(filter(None, (_judged(entry, row, split) for entry in trained_on)))
    return [sentence for _, sentence in found]


def _judged(entry: str, row: Dataset, split: str) -> tuple[int, str] | None:
    """Gravity, 0 the gravest, and a sentence on one training set."""
    trained_name, _, trained_split = entry.partition("/")
    trained = next((r for r in list_datasets() if trained_name in (r.name, *r.aliases)), None)
    if trained is None:
        return None
    if trained.name == row.name and (not trained_split or split in (trained_split, "all")):
        return 0, f"Trained on {entry}, which is or holds the split scored here: not a test."
    if trained.name == row.name:
        return 2, f"Trained on this set ({entry})."
    if trained.name in row.shares:
        return (
            1,
            f"Trained on {entry}, which shares pictures with {row.name}; compare them with an overlap list.",
        )
    return None
