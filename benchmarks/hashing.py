"""Every hashing method on the same towers: trained by its recipe on half of a set, scored once on the rest.

``python -m benchmarks.hashing [NAME...] [--on SET] [--bits 16 32 64 128] [--seeds 0] [--set KEY=VALUE ...]``
trains what has no result yet and writes ``benchmarks/results/hashing/NAME-KbitsS.json`` each, beside the
coders that need no training (``coders``) and, on the official test split, the built-in encoder's codes
against its real vectors (``landsift-lite``). Frozen vectors are computed once. ``--page`` rewrites
``docs/hashing.md`` alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.jobs import TrainingJob
from benchmarks.record import RESULTS
from landsift.data import hashing_part, one_caption_each
from landsift.encoders import load_encoder
from landsift.errors import LandsiftError
from landsift.evaluate import encode_set
from landsift.evaluate.coders import CODERS, CanonicalSpace, Coder, OwnSigns, fit_coder
from landsift.evaluate.hashing import CodedPairs, recall_by_codes, score_directions
from landsift.files import replace_file
from landsift.models.checkpoint import read_matcher
from landsift.models.matcher import Matcher
from landsift.models.methods.hashing.base import HashMatcher
from landsift.models.registry import build_matcher, list_hashing
from landsift.provenance import provenance
from landsift.train import Recipe, fit, read_recipe, recipe_hash
from landsift.train.corpus import corpus_of
from landsift.train.images import PixelFeed, encode_images, map_feed, plain_batches
from landsift.train.pixels import PixelStore
from landsift.train.sources import cache_folder, load_set
from landsift.types import FloatArray

__all__ = ["Bench", "main"]

FOLDER = RESULTS / "hashing"
BITS = (16, 32, 64, 128)
METHODS = (*list_hashing(), "fsisr")
"""FSISR comes with the towers of the zoo, frozen, and is slower by what their maps are larger."""
OTHERS = ("coders", "landsift-lite")
SETS: dict[str, tuple[str, ...]] = {
    "ucm-captions": (),
    "rsicd-aid150": (
        'data.sets=[{name="rsicd-aid150", split="hashing-train"}]',
        'output.licence_note="Imagery and captions for academic use."',
    ),
}
"""What recipes are run on, and what that changes in them; the steps stay as many."""
_CPU = torch.device("cpu")
_COMMON = 128  # directions of the space that coders without training work in
_LITE = "landsift-lite"


@dataclass(frozen=True)
class Job(TrainingJob):
    """One run of a hashing method.

    Attributes:
        dataset: A key of ``SETS``.
        bits: Of its codes.
    """

    name: str
    dataset: str
    bits: int
    seed: int
    changes: tuple[str, ...]
    results: Path
    runs: Path

    family = "hashing"

    @property
    def title(self) -> str:
        """Name of its files."""
        return _title(self.name, self.dataset, self.bits, self.seed)

    @property
    def own_changes(self) -> tuple[str, ...]:
        """The set and the bits too."""
        return (*SETS[self.dataset], f"model.options.bits={self.bits}", *super().own_changes)


def _title(name: str, dataset: str, bits: int, seed: int) -> str:
    return f"{name}{f'-{dataset}' if SETS[dataset] else ''}-{bits}bits{seed}"


def _command(name: str, dataset: str, bits: int) -> str:
    return f"python -m benchmarks.hashing {name}{f' --on {dataset}' if SETS[dataset] else ''} --bits {bits}"


class Bench:
    """The parts of a set, and what frozen towers make of them.

    Args:
        recipe: Names the set and the cache.
    """

    def __init__(self, recipe: Recipe) -> None:
        row = recipe.data.sets[0]
        whole = load_set(replace(row, split="all"))
        self.recipe, self.name = recipe, row.name
        self.parts = {name: hashing_part(whole, f"hashing-{name}") for name in ("train", "query", "database")}
        self._images: dict[tuple[str, str], Any] = {}

    def images(self, matcher: Matcher, kind: str, part: str) -> Any:
        """What the frozen part of a method makes of the images of a part, computed once for each kind."""
        if (kind, part) not in self._images:
            data, recipe = self.parts[part], self.recipe
            cache = cache_folder(recipe.data.cache)
            corpus = corpus_of([data], [1.0])
            store = PixelStore(cache, matcher.input_size)
            pixels = PixelFeed(
                store, store.rows(corpus.images, corpus.names), matcher.input_size, recipe.augment
            )
            # Those of the training half are what training has computed already; the first view is read.
            views = recipe.data.views if part == "train" else 1
            seed = recipe.loop.seed
            self._images[kind, part] = map_feed(matcher, pixels, cache, views=views, seed=seed, device=_CPU)
        return self._images[kind, part]

    @torch.inference_mode()
    def rows(self, matcher: Matcher, kind: str, part: str) -> tuple[FloatArray, FloatArray, CodedPairs]:
        """Vectors of all images, all captions, and of pairs with one caption each."""
        data, one = self.parts[part], one_caption_each(self.parts[part])
        feed = self.images(matcher, kind, part)
        images = torch.cat([encode_images(matcher, rows).pooled for rows in plain_batches(feed, 64, _CPU)])
        captions = data.captions if part == "query" else one.captions
        texts = _texts(matcher, captions)
        image_of = data.image_of if part == "query" else one.image_of
        first = {pair: n for n, pair in enumerate(zip(image_of.tolist(), captions, strict=True))}
        chosen = (
            [first[row, text] for row, text in enumerate(one.captions)] if part == "query" else slice(None)
        )
        assert data.labels is not None
        return images.numpy(), texts, CodedPairs(images.numpy(), texts[chosen], data.labels)

    def scored(self, matcher: Matcher, kind: str, bits: int) -> dict[str, Any]:
        """A trained method's figures."""
        images, captions, queries = self.rows(matcher, kind, "query")
        database = self.rows(matcher, kind, "database")[2]
        coder, image_of = OwnSigns(bits), self.parts["query"].image_of
        return {
            "directions": score_directions(coder, queries, database),
            "recall": recall_by_codes(coder, images, captions, image_of),
        }

    @cached_property
    def common(self) -> dict[str, tuple[FloatArray, FloatArray, CodedPairs]]:
        """Frozen vectors in their canonical space, by part."""
        probe = _Vectors(self.recipe.model.options.get("features", "imagenet-minilm"))
        found = {part: probe.rows(self, part) for part in self.parts}
        train = found["train"][2]
        space = CanonicalSpace(train.images, train.texts, _COMMON)
        return {
            part: (
                space(images, "image"),
                space(captions, "text"),
                CodedPairs(space(pairs.images, "image"), space(pairs.texts, "text"), pairs.labels),
            )
            for part, (images, captions, pairs) in found.items()
        }

    def coded(self, name: str, bits: int) -> dict[str, Any]:
        """Figures of a coder without training, on the canonical space."""
        train, (images, captions, queries) = self.common["train"][2], self.common["query"]
        coder = fit_coder(name, bits, train.images, train.texts)
        return {
            "directions": score_directions(coder, queries, self.common["database"][2]),
            "recall": recall_by_codes(coder, images, captions, self.parts["query"].image_of),
        }


class _Vectors:
    """The frozen vectors themselves, by way of a method that has the same towers."""

    def __init__(self, features: str) -> None:
        found = build_matcher("djsrh", {"features": features})
        assert isinstance(found, HashMatcher)
        self._matcher = found

    def rows(self, bench: Bench, part: str) -> tuple[FloatArray, FloatArray, CodedPairs]:
        """As :meth:`Bench.rows`, uncoded."""
        data, one = bench.parts[part], one_caption_each(bench.parts[part])
        feed = bench.images(self._matcher, "frozen", part)
        pooled = torch.cat([maps["pooled"] for maps in plain_batches(feed, 256, _CPU)])  # type: ignore[call-overload]
        images = functional.normalize(pooled, dim=1).numpy()
        texts = {
            name: self._matcher.prepare(found.captions).extras["sentence"].numpy()
            for name, found in (("all", data if part == "query" else one), ("one", one))
        }
        assert data.labels is not None
        return images, texts["all"], CodedPairs(images, texts["one"], data.labels)


def _texts(matcher: Matcher, captions: Sequence[str]) -> FloatArray:
    """Vectors of captions; equal ones are read once."""
    different = list(dict.fromkeys(captions))
    parts = [different[n : n + 128] for n in range(0, len(different), 128)]
    rows = torch.cat([matcher.text_features(matcher.prepare(part)).pooled for part in parts])
    place = {text: row for row, text in enumerate(different)}
    found: FloatArray = rows.numpy()[[place[text] for text in captions]]
    return found


def run_job(job: Job, bench: Bench) -> dict[str, Any]:
    """Train a method, score it, write its result; the run's folder is taken away again.

    Raises:
        LandsiftError: Data or weights are absent, or training failed.
    """
    began = time.perf_counter()
    command = _command(job.name, job.dataset, job.bits)
    found = fit(job.recipe, resume=True, command=command)
    matcher = read_matcher(found.encoder)
    kind = "frozen" if isinstance(matcher, HashMatcher) else job.name
    figures = bench.scored(matcher, kind, job.bits)
    supervised = isinstance(matcher, HashMatcher) and matcher.supervised
    result = {
        "method": job.name,
        "supervised": supervised or job.name == "fsisr",
        "dataset": bench.name,
        "bits": job.bits,
        "seed": job.seed,
        "recipe": {"hash": recipe_hash(job.recipe), "changes": list(job.changes)},
        "seconds": round(found.history[-1]["seconds"], 1),
        "parameters": sum(p.numel() for p in matcher.parameters() if p.requires_grad),
        **figures,
    }
    _write(job.result, result, command, job.seed)
    shutil.rmtree(job.recipe.output.folder)
    print(f"{job.title}: {_told(figures)}, {time.perf_counter() - began:.0f} s", flush=True)
    return result


def run_coders(bench: Bench, bits: Sequence[int], results: Path) -> None:
    """The coders that need no training."""
    for count in bits:
        for name in CODERS:
            path = results / f"{_title(name, bench.name, count, 0)}.json"
            if path.is_file():
                continue
            figures = bench.coded(name, count)
            result = {
                "method": name,
                "dataset": bench.name,
                "bits": count,
                "seed": 0,
                "coder": True,
                **figures,
            }
            _write(path, result, _command(name, bench.name, count), 0)
            print(f"{name} of {count} bits: {_told(figures)}", flush=True)


def run_lite(results: Path, bits: int = 128) -> None:
    """The built-in encoder on the official test split: codes, codes then real vectors, real vectors.

    Coders are fitted to the val split, which the encoder has not seen either.
    """
    path = results / "landsift-lite.json"
    if path.is_file():
        return
    encoder = load_encoder(_LITE)
    row = read_recipe("hashing/base").data.sets[0]
    val, test = (load_set(replace(row, split=split)) for split in ("val", "test"))
    fitted, (images, captions) = encode_set(encoder, val), encode_set(encoder, test)
    found: dict[str, Any] = {}
    for name in CODERS:
        coder: Coder = fit_coder(name, bits, *fitted)
        recall = recall_by_codes(coder, images, captions, test.image_of)
        found[name] = {kind: recall[kind]["mR"] for kind in ("codes", "reranked", "float")}
        found[name]["shortlist"] = recall["shortlist"]
    result = {"encoder": _LITE, "dataset": row.name, "bits": bits, "coders": found}
    _write(path, result, f"python -m benchmarks.hashing {_LITE}", 0)
    print(f"{_LITE}: {json.dumps(found)}", flush=True)


def _told(figures: dict[str, Any]) -> str:
    means = [figures["directions"][name]["mean_ap"]["map_first_k_relevant"] for name in ("i2t", "t2i")]
    codes = figures["recall"]["codes"]["mR"]
    return f"mAP@20 i2t {means[0]:.3f}, t2i {means[1]:.3f}, mR {codes:.1f}"


def _write(path: Path, result: dict[str, Any], command: str, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = result | {"provenance": provenance(command, seed=seed)}
    replace_file(path, (json.dumps(_rounded(whole), indent=1) + "\n").encode())


def _rounded(value: Any) -> Any:
    """The same with at most six digits after the point, so that files stay small."""
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return round(float(value), 6) if isinstance(value, float | np.floating) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what has no result yet; a failing run is reported and the others go on."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hashing", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="methods, coders, landsift-lite; all of them without any"
    )
    parser.add_argument("--on", choices=SETS, default="ucm-captions", help="train and score on this set")
    parser.add_argument("--bits", type=int, nargs="+", default=list(BITS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--results", type=Path, default=FOLDER)
    parser.add_argument("--runs", type=Path, default=Path("runs/hashing"))
    parser.add_argument("--page", action="store_true", help="only rewrite docs/hashing.md")
    given = parser.parse_args(arguments)
    failed = 0 if given.page else _run(given)
    if given.page or given.results == FOLDER:
        from benchmarks.hashing_page import write_hashing

        print(f"Wrote {write_hashing()}.")
    return int(failed > 0)


def _run(given: argparse.Namespace) -> int:
    """How many runs failed."""
    names = given.names or [*OTHERS, *METHODS]
    if "landsift-lite" in names:
        run_lite(given.results)
    bench = Bench(read_recipe("hashing/base", (*SETS[given.on], *given.changes)))
    if "coders" in names:
        run_coders(bench, given.bits, given.results)
    failed = 0
    for seed in given.seeds:
        for bits in given.bits:
            for name in (name for name in names if name not in OTHERS):
                job = Job(name, given.on, bits, seed, tuple(given.changes), given.results, given.runs)
                if job.done():
                    continue
                try:
                    run_job(job, bench)
                except LandsiftError as error:
                    print(f"{job.title}: {error}", file=sys.stderr, flush=True)
                    failed += 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
