"""From fitted weights to what ships: files, card, and the measurements behind its numbers.

Knows no training. Everything is measured through the run time, on the exported files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from landsift.encoders import load_encoder
from landsift.encoders.cards import (
    CARD_NAME,
    FILE_NAMES,
    IMAGE_FILE,
    TEXT_FILE,
    TOKENIZER_FILE,
    combined_hash,
    sha256_of,
)
from landsift.export import image_graph, store_small, text_graph, write_graph
from landsift.models.dual import DualEncoder
from landsift.models.dual_matcher import DualMatcher
from landsift.provenance import provenance
from landsift.toml import toml_text
from training.measure import (
    VALIDATION_SET,
    image_rates,
    load_sets,
    rounding_cost,
    test_scores,
    text_rates,
)

__all__ = ["measured", "publish", "write_encoder", "write_results"]


def write_encoder(
    model: DualEncoder, tokenizer_json: str, folder: Path, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Export the towers and the tokenizer, with a card, so that ``load_encoder`` takes the folder.

    Args:
        model: Fitted; left unchanged.
        tokenizer_json: Of its text tower.
        folder: Made if absent.
        about: The fields of the card that do not depend on the files.

    Returns:
        All fields of the card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_graph(store_small(image_graph(model, about["input_size"]), "mixed"), folder / IMAGE_FILE)
    write_graph(store_small(text_graph(model), "int8"), folder / TEXT_FILE)
    (folder / TOKENIZER_FILE).write_text(tokenizer_json, encoding="utf-8")
    hashes = {name: sha256_of(folder / name) for name in FILE_NAMES}
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": value} for name, value in hashes.items()
    }
    card = {**about, "weights_sha256": combined_hash(hashes), "files": files}
    (folder / CARD_NAME).write_text(toml_text(card), encoding="utf-8")
    return card


def measured(folder: Path, matcher: DualMatcher, root: Path) -> dict[str, Any]:
    """What rounding costs on validation, the scores of the one look at the test sets, and speeds.

    Args:
        folder: As :func:`write_encoder` left it.
        matcher: What it was exported from; its batch norms get folded.
        root: The folder of the data sets.
    """
    encoder = load_encoder(folder)
    (pairs,) = load_sets(root, [VALIDATION_SET], "val")
    return {
        "rounding": rounding_cost(encoder, matcher, pairs),
        "scores": test_scores(encoder, root),
        "speed": image_rates(encoder, matcher, pairs) | text_rates(encoder, pairs.captions),
    }


def publish(folder: Path, home: Path, card: Mapping[str, Any]) -> None:
    """Copy an encoder's files into the package at ``home`` and put its card beside the others."""
    weights = home / "weights" / card["name"]
    weights.mkdir(parents=True, exist_ok=True)
    for name in FILE_NAMES:
        shutil.copyfile(folder / name, weights / name)
    (home / "cards").mkdir(exist_ok=True)
    (home / "cards" / f"{card['name']}.toml").write_text(toml_text(card), encoding="utf-8")


def write_results(path: Path, result: Mapping[str, Any], command: str, seed: int) -> None:
    """Write measurements with where they come from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {**result, "provenance": provenance(command, seed=seed, packages=("tokenizers", "pillow"))}
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
