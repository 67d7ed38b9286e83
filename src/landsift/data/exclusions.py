"""A written list of training images to leave out because a set to be scored on holds them too.

The list names the two sets by hash, so it cannot be applied to others by mistake. Knows JSON and sets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from landsift.data.fingerprint import fingerprint
from landsift.data.layouts import read_json
from landsift.data.overlap import Overlap
from landsift.errors import DatasetError
from landsift.types import RetrievalSet

__all__ = ["Exclusions", "exclusions_of", "read_exclusions", "without", "write_exclusions"]

_FORMAT = "landsift-exclusions/1"


@dataclass(frozen=True)
class Exclusions:
    """Images of one set to leave out of training when another is scored.

    Attributes:
        evaluated: ``name/split`` of the set to be scored.
        evaluated_sha256: Its fingerprint.
        trained: ``name/split`` of the set to train on.
        trained_sha256: Its fingerprint.
        rule: What was compared, with thresholds, for people and records.
        images: Image name of the training set to the reason.
    """

    evaluated: str
    evaluated_sha256: str
    trained: str
    trained_sha256: str
    rule: str
    images: Mapping[str, str] = field(default_factory=dict)


def exclusions_of(
    found: Overlap, evaluated: RetrievalSet, trained: RetrievalSet, *, captions: int | None = 2
) -> Exclusions:
    """Turn an overlap into a list.

    Args:
        found: Of the same two sets.
        evaluated: The set to be scored.
        trained: The set to train on.
        captions: Leave out images that share at least as many distinct captions with one image of the set
            to be scored; None to go by pictures only.
    """
    images: dict[str, str] = {}
    for picture in found.pictures or ():
        images.setdefault(
            picture.trained, f"same picture as {picture.evaluated} (pHash distance {picture.distance})"
        )
    for pair in found.shared:
        if captions is not None and pair.captions >= captions:
            images.setdefault(pair.trained, f"{pair.captions} captions of {pair.evaluated}")
    rules = ["perceptual hash"] if found.pictures is not None else []
    rules += [f"at least {captions} equal captions"] if captions is not None else []
    return Exclusions(
        found.evaluated,
        fingerprint(evaluated),
        found.trained,
        fingerprint(trained),
        ", or ".join(rules) or "nothing",
        images,
    )


def write_exclusions(path: str | Path, exclusions: Exclusions) -> None:
    """Write the list as JSON, images in order of name."""
    content: dict[str, Any] = {"format": _FORMAT, **asdict(exclusions)}
    content["images"] = dict(sorted(exclusions.images.items()))
    Path(path).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_exclusions(path: str | Path) -> Exclusions:
    """Read a list.

    Raises:
        DatasetError: Absent, malformed, or no list of this kind.
    """
    content = read_json(Path(path))
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
        raise DatasetError(f"{path} is no list of exclusions; make one with: landsift datasets overlap.")
    try:
        return Exclusions(**content)
    except TypeError as error:
        raise DatasetError(f"{path} lacks fields of a list of exclusions ({error}); make it anew.") from error


def without(trained: RetrievalSet, exclusions: Exclusions) -> RetrievalSet:
    """The training set less the listed images and their captions; its name says so.

    Raises:
        DatasetError: The list was made for other images or captions, or would leave nothing.
    """
    if fingerprint(trained) != exclusions.trained_sha256:
        raise DatasetError(
            f"The exclusions were made for {exclusions.trained} with other contents than "
            f"{trained.name}/{trained.split}; make them anew for this copy."
        )
    keep = np.array([name not in exclusions.images for name in trained.image_names], bool)
    if not keep.any():
        raise DatasetError(f"The exclusions leave no image of {trained.name}; check their thresholds.")
    return trained.chosen(np.flatnonzero(keep), f"{trained.name} without {exclusions.evaluated}")
