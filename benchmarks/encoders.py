"""Images and texts a second of ViT-B/32 with random weights: ours, exported and transformers', turn by turn.

``python -m benchmarks encoders`` writes ``results/encoders.json``; ``python -m benchmarks.encoders --rounds 5
--folder DIR`` keeps the exported graphs in a folder. In each round every contender has its turn, in an order
that moves on by one, so that whatever else the machine does meets all alike; what is told are ratios within
a round, and processor seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.record import PEAK_MEMORY, save
from landsift import load_encoder
from landsift.encoders.runtimes import RUNTIMES
from landsift.errors import MissingDependency
from landsift.export import export_encoder
from landsift.models.checkpoint import write_matcher
from landsift.models.clip.matcher import ClipMatcher
from landsift.models.encoder import TorchEncoder
from landsift.models.registry import MatcherSource, build_matcher
from landsift.threads import available_threads
from landsift.toml import toml_text
from landsift.types import Encoder, EncoderCard, FloatArray

BATCH, SIDE, SEED, ROUNDS = 8, 224, 0, 6
WORDS = (
    "satellite",
    "photo",
    "many",
    "storage",
    "tanks",
    "and",
    "a",
    "long",
    "bridge",
    "near",
    "the",
    "river",
)
OPTIONS = {"architecture": "vit-b-32", "activation": "quickgelu"}
BASE = "transformers, float32, a batch"
SLOWEST = 4.0
"""A contender this many times slower than the base is measured once and no more."""

_OPEN_CLIP = (
    (r"^text\.projection\.weight$", "text_projection"),
    (r"^text\.words", "token_embedding"),
    (r"^text\.positions", "positional_embedding"),
    (r"^text\.norm_after", "ln_final"),
    (r"^text\.layers", "transformer.resblocks"),
    (r"^image\.projection\.weight$", "visual.proj"),
    (r"^image\.patches", "visual.conv1"),
    (r"^image\.class_token", "visual.class_embedding"),
    (r"^image\.positions", "visual.positional_embedding"),
    (r"^image\.norm_before", "visual.ln_pre"),
    (r"^image\.norm_after", "visual.ln_post"),
    (r"^image\.layers", "visual.transformer.resblocks"),
    (r"\.query_key_value\.", ".attn.in_proj_"),
    (r"\.attended\.", ".attn.out_proj."),
    (r"\.norm(\d)\.", r".ln_\1."),
    (r"\.widen\.", ".mlp.c_fc."),
    (r"\.narrow\.", ".mlp.c_proj."),
    (r"^log_scale$", "logit_scale"),
)

LOADING = """
import json, sys, time
import torch
import landsift.models.clip.opening
from landsift import load_encoder
def anonymous():
    return int(open("/proc/self/status").read().split("RssAnon:")[1].split()[0]) / 1024
before, own, began, spent = peak_mb(), anonymous(), time.perf_counter(), time.process_time()
encoder = load_encoder("remoteclip-vit-b-32@" + sys.argv[1])
found = {"wall_s": time.perf_counter() - began, "processor_s": time.process_time() - spent}
found |= {"own_mb": anonymous() - own, "peak_over_before_mb": peak_mb() - before}
print(json.dumps({name: round(value, 3) for name, value in found.items()}))
"""


@dataclass(frozen=True)
class Contender:
    """Something that encodes.

    Attributes:
        images: Encodes the pictures.
        texts: Encodes the texts.
    """

    images: Callable[[], FloatArray]
    texts: Callable[[], FloatArray]


def run(rounds: int = ROUNDS, folder: str | None = None) -> None:
    """Measure and save."""
    torch.set_num_threads(available_threads())
    rng = np.random.default_rng(SEED)
    pictures = [rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(BATCH)]
    texts = [" ".join(rng.permutation(WORDS)[: 5 + number % 8]) for number in range(BATCH)]
    torch.manual_seed(SEED)
    matcher = build_matcher("clip", OPTIONS, MatcherSource()).eval()
    assert isinstance(matcher, ClipMatcher)
    with tempfile.TemporaryDirectory(prefix="landsift-bench-") as fresh:
        place = Path(folder or fresh)
        found = _contenders(matcher, pictures, texts, place)
        before = os.getloadavg()
        figures = {
            "images": _race({name: one.images for name, one in found.items()}, rounds),
            "texts": _race({name: one.texts for name, one in found.items()}, rounds),
            "loading": _loading(matcher, place),
            "base": BASE,
            "batch": BATCH,
            "rounds": rounds,
            "threads": torch.get_num_threads(),
            "load_before": before,
            "load_after": os.getloadavg(),
        }
    print(f"Wrote {save('encoders', figures, seed=SEED)}.")


# -- who takes part ------------------------------------------------------------------------------------------


def _contenders(
    matcher: ClipMatcher, pictures: Sequence[np.ndarray], texts: Sequence[str], folder: Path
) -> dict[str, Contender]:
    found = _transformers(matcher, pictures, texts)
    card = EncoderCard("bench", matcher.dim, "0", SIDE, matcher.context_length, "none")
    half = build_matcher("clip", OPTIONS, MatcherSource()).eval()
    half.load_state_dict(matcher.state_dict())
    for name, model in (("float32", matcher), ("bfloat16", half.bfloat16())):
        found[f"torch, {name}"] = _encoding(TorchEncoder(card, matcher=model), pictures, texts)
    for storage in ("float32", "int8"):
        for runtime in RUNTIMES:
            title = f"{'ONNX Runtime' if runtime == RUNTIMES[0] else 'OpenVINO'}, {storage}"
            try:
                encoder = load_encoder(_graphs(matcher, storage, runtime, folder), runtime=runtime)
            except MissingDependency as error:
                print(f"{title}: {error}", file=sys.stderr)
                continue
            found[title] = _encoding(encoder, pictures, texts)
    return found


def _encoding(encoder: Encoder, pictures: Sequence[np.ndarray], texts: Sequence[str]) -> Contender:
    return Contender(lambda: encoder.encode_images(pictures), lambda: encoder.encode_texts(texts))


def _transformers(
    matcher: ClipMatcher, pictures: Sequence[np.ndarray], texts: Sequence[str]
) -> dict[str, Contender]:
    """The same sizes by transformers, its pixels scaled beforehand; nothing where it is not installed."""
    try:
        from transformers import CLIPConfig, CLIPModel
    except ImportError as error:
        print(f"transformers: {error}", file=sys.stderr)
        return {}
    model = CLIPModel(CLIPConfig()).eval()
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    scaled = (pixels / 255 - matcher.mean) / matcher.std

    @torch.inference_mode()
    def images() -> FloatArray:
        return _rows(model.get_image_features(pixel_values=scaled))

    @torch.inference_mode()
    def words() -> FloatArray:
        prepared = matcher.prepare(texts)
        return _rows(model.get_text_features(input_ids=prepared.tokens, attention_mask=prepared.mask.long()))

    return {BASE: Contender(images, words)}


def _rows(output: Any) -> FloatArray:
    found: FloatArray = getattr(output, "pooler_output", output).numpy()
    return found


def _graphs(matcher: ClipMatcher, storage: Any, runtime: str, folder: Path) -> Path:
    """The exported encoder; made if it is not there yet."""
    source = folder / "source"
    if not source.exists():
        source.mkdir()
        card = {
            "name": "bench",
            "backend": "torch",
            "dim": matcher.dim,
            "input_size": SIDE,
            "context_length": matcher.context_length,
            "licence": "none",
            "weights_sha256": "0",
            "files": write_matcher(source, matcher, "clip", OPTIONS),
        }
        (source / "card.toml").write_text(toml_text(card), encoding="utf-8")
    made = folder / storage
    if not made.exists():
        export_encoder(source, made, storage)
    return made


# -- the race ------------------------------------------------------------------------------------------------


def _race(calls: Mapping[str, Callable[[], FloatArray]], rounds: int) -> dict[str, dict[str, Any]]:
    """Turn by turn; the first round warms up, and the second shows who is too slow to wait for."""
    wall: dict[str, list[float]] = {name: [] for name in calls}
    processor: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            began, spent = time.perf_counter(), time.process_time()
            calls[name]()
            wall[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - spent)
        if number == 1:
            names = [name for name in names if processor[name][1] < SLOWEST * processor[BASE][1]]
    whole = calls["torch, float32"]()
    return {
        name: _figures(wall[name], processor[name], wall[BASE], processor[BASE])
        | {"least_cosine": None if name == BASE else _cosine(whole, calls[name]())}
        for name in calls
    }


def _figures(
    wall: list[float], processor: list[float], base_wall: list[float], base_processor: list[float]
) -> dict[str, Any]:
    """Medians, and quartiles of what a round gives beside the base of the same round."""
    some = slice(1, None)
    ratios = np.array(base_wall[: len(wall)][some]) / wall[some]
    by_processor = np.array(base_processor[: len(wall)][some]) / processor[some]
    return {
        "per_second": round(BATCH / float(np.median(wall[some])), 2),
        "ratio": [round(float(value), 2) for value in np.quantile(ratios, (0.25, 0.5, 0.75))],
        "processor_ms": round(1000 * float(np.median(processor[some])) / BATCH, 1),
        "processor_ratio": [round(float(value), 2) for value in np.quantile(by_processor, (0.25, 0.5, 0.75))],
        "turns": len(wall[some]),
    }


def _cosine(one: FloatArray, other: FloatArray) -> float:
    return round(float((one * other).sum(axis=1).min()), 6)


def _loading(matcher: ClipMatcher, folder: Path) -> dict[str, Any]:
    """What ``load_encoder`` takes for a safetensors file, its hash and all, in a process of its own."""
    path = folder / "weights.safetensors"
    state = matcher.model.state_dict()
    turned = {
        name: state[name].T.contiguous() for name in ("image.projection.weight", "text.projection.weight")
    }
    save_file({_as_published(name): tensor.contiguous() for name, tensor in (state | turned).items()}, path)
    command = [sys.executable, "-c", PEAK_MEMORY + LOADING, str(path)]
    runs = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    middle: dict[str, Any] = sorted(runs, key=lambda one: one["wall_s"])[len(runs) // 2]
    size = round(path.stat().st_size / 2**20, 1)
    path.unlink()
    return middle | {"file_mb": size}


def _as_published(name: str) -> str:
    """What open_clip calls a weight."""
    for own, theirs in _OPEN_CLIP:
        name = re.sub(own, theirs, name)
    return name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoders", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--folder", default=None, help="keep exported graphs here")
    given = parser.parse_args()
    run(given.rounds, given.folder)
