"""What LEVIR-CC's captions alone say: how often they repeat, and the marks of a captioner's scores.

Captions that several pairs share bound strict text-to-change scores. A person's caption against the other
four, and one sentence for all pairs, are the marks; METEOR is left out, for the figures not to hang on Java.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.change_page import write_page
from benchmarks.record import save
from landsift.captions import normalise_caption
from landsift.data import ChangeSet, load_changes
from landsift.evaluate import false_negative_facts
from landsift.metrics import caption_scores

SPLITS = ("train", "val", "test")


def data_folder() -> Path:
    """The folder of real data."""
    return Path(os.environ["LANDSIFT_DATA"])


def captions() -> dict[str, Any]:
    """Facts of every split, and the marks of captioning on test."""
    whole = load_changes("levir-cc", data_folder() / "levir_cc", "all", captions_only=True)
    named = np.array([pair.split for pair in whole.pairs])
    splits = {split: replace(whole.chosen(np.flatnonzero(named == split)), split=split) for split in SPLITS}
    test, train = splits["test"], splits["train"]
    changed = test.only_changed()
    often = Counter(normalise_caption(text) for text in train.only_changed().captions).most_common(1)[0][0]
    same = "the scene is the same as before"
    return {
        "facts": {split: false_negative_facts(found) for split, found in splits.items()},
        "marks": {
            "a person, all pairs": _person(test),
            "a person, changed pairs": _person(changed),
            f'always "{same}", all pairs': _constant(test, same),
            f'always "{often}", all pairs': _constant(test, often),
            f'always "{often}", changed pairs': _constant(changed, often),
            "always right whether, never what, all pairs": _flags_alone(test, same, often),
        },
    }


def _person(found: ChangeSet) -> dict[str, float]:
    """The first caption of each pair against its other four."""
    pairs = [pair for pair in found.pairs if len(pair.captions) > 1]
    return caption_scores(
        [pair.captions[0] for pair in pairs],
        [pair.captions[1:] for pair in pairs],
        changed=[pair.changed is not False for pair in pairs],
        meteor=False,
    ).as_dict()


def _constant(found: ChangeSet, text: str) -> dict[str, float]:
    return _written(found, [text] * len(found))


def _flags_alone(found: ChangeSet, same: str, often: str) -> dict[str, float]:
    return _written(found, [often if changed else same for changed in found.changed])


def _written(found: ChangeSet, texts: Sequence[str]) -> dict[str, float]:
    truths = [pair.captions for pair in found.pairs]
    return caption_scores(texts, truths, changed=found.changed, meteor=False).as_dict()


def run() -> None:
    """Measure, store, and write the tables of the page."""
    save("change_captions", captions())
    print(f"Wrote {write_page()}.")
