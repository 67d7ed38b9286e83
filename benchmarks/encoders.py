"""Images and texts a second of ViT-B/32 with random weights: ours, exported and transformers', turn by turn.

``python -m benchmarks.encoders [--rounds 5]`` writes ``results/encoders.json``. Arms are timed one after the
other in each round, so that whatever else the machine does meets all of them alike; its load is written down.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.record import save
from landsift.errors import LandsiftError, MissingDependency
from landsift.models.checkpoint import write_matcher
from landsift.models.clip.matcher import ClipMatcher
from landsift.models.encoder import TorchEncoder
from landsift.models.registry import MatcherSource, build_matcher
from landsift.types import EncoderCard

BATCH, SIDE, SEED = 16, 224, 0
WORDS = [
    "a",
    "satellite",
    "photo",
    "of",
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
]
OPTIONS = {"architecture": "vit-b-32", "activation": "quickgelu"}
Arm = tuple[Callable[[], object], Callable[[], object]]


def run(rounds: int = 5) -> None:
    """Measure and save."""
    rng = np.random.default_rng(SEED)
    pictures = [rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(BATCH)]
    texts = [" ".join(rng.permutation(WORDS)[: 5 + number % 8]) for number in range(BATCH)]
    torch.manual_seed(SEED)
    matcher = build_matcher("clip", OPTIONS, MatcherSource()).eval()
    assert isinstance(matcher, ClipMatcher)
    with tempfile.TemporaryDirectory(prefix="landsift-bench-") as folder:
        arms = _arms(matcher, pictures, texts, Path(folder))
        before = os.getloadavg()
        figures = {
            "images_per_second": _rates({name: arm[0] for name, arm in arms.items()}, rounds),
            "texts_per_second": _rates({name: arm[1] for name, arm in arms.items()}, rounds),
            "loading": _loading(matcher, Path(folder)),
            "batch": BATCH,
            "rounds": rounds,
            "threads": torch.get_num_threads(),
            "load_before": before,
            "load_after": os.getloadavg(),
        }
    print(f"Wrote {save('encoders', figures, seed=SEED)}.")


def _arms(
    matcher: ClipMatcher, pictures: Sequence[np.ndarray], texts: Sequence[str], folder: Path
) -> dict[str, Arm]:
    """By name, what encodes the pictures and what encodes the texts."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    half = build_matcher("clip", OPTIONS, MatcherSource()).eval().bfloat16()
    card = EncoderCard("bench", matcher.dim, "0", SIDE, matcher.context_length, "none")
    encoder = TorchEncoder(card, matcher=matcher)
    found: dict[str, Arm] = {
        "ours, one by one": (lambda: encoder.encode_images(pictures), lambda: encoder.encode_texts(texts)),
        "ours, a batch": _torch_arm(matcher, pixels, texts),
        "ours, a batch, bfloat16": _torch_arm(half, pixels, texts),
    }
    found |= _transformers(pixels, matcher, texts)
    for storage in ("float32", "int8"):
        found |= _exported(matcher, storage, pictures, texts, folder)
    return found


def _torch_arm(matcher: Any, pixels: torch.Tensor, texts: Sequence[str]) -> Arm:
    @torch.inference_mode()
    def images() -> object:
        return matcher.image_features(pixels).pooled

    @torch.inference_mode()
    def words() -> object:
        return matcher.text_features(matcher.prepare(texts)).pooled

    return images, words


def _transformers(pixels: torch.Tensor, matcher: ClipMatcher, texts: Sequence[str]) -> dict[str, Arm]:
    """The same sizes by transformers; nothing where it is not installed."""
    try:
        from transformers import CLIPConfig, CLIPModel
    except ImportError:
        return {}
    model = CLIPModel(CLIPConfig()).eval()
    scaled = (pixels / 255 - matcher.mean) / matcher.std

    @torch.inference_mode()
    def images() -> object:
        return model.get_image_features(pixel_values=scaled)

    @torch.inference_mode()
    def words() -> object:
        prepared = matcher.prepare(texts)
        return model.get_text_features(input_ids=prepared.tokens, attention_mask=prepared.mask.long())

    return {"transformers, a batch": (images, words)}


def _exported(
    matcher: ClipMatcher, storage: Any, pictures: Sequence[np.ndarray], texts: Sequence[str], folder: Path
) -> dict[str, Arm]:
    """Through ONNX Runtime; nothing where the export's packages are not installed."""
    from landsift import load_encoder
    from landsift.export import export_encoder
    from landsift.toml import toml_text

    source = folder / "source"
    try:
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
        encoder = load_encoder(export_encoder(source, folder / storage, storage).folder)
    except MissingDependency as error:
        print(error, file=sys.stderr)
        return {}
    except LandsiftError as error:
        print(f"{storage}: {error}", file=sys.stderr)
        return {}
    arm = (lambda: encoder.encode_images(pictures), lambda: encoder.encode_texts(texts))
    return {f"ONNX Runtime, {storage}": arm}


def _rates(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Items a second of each, the median over the rounds, in which every one has its turn."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - began)
    return {name: round(BATCH / float(np.median(values)), 2) for name, values in seconds.items()}


def _loading(matcher: ClipMatcher, folder: Path) -> dict[str, float]:
    """Seconds, and megabytes of memory of its own, that loading safetensors of this size takes."""
    from landsift.models.clip.files import read_content
    from landsift.models.clip.model import build_empty

    path = folder / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in matcher.model.state_dict().items()}, path)
    before, began, spent = _own_megabytes(), time.perf_counter(), time.process_time()
    model = build_empty(matcher.model.architecture, "quickgelu")
    model.load_state_dict(dict(read_content(path)), assign=True)
    return {
        "wall_s": round(time.perf_counter() - began, 3),
        "processor_s": round(time.process_time() - spent, 3),
        "own_mb": round(_own_megabytes() - before, 1),
        "file_mb": round(path.stat().st_size / 2**20, 1),
    }


def _own_megabytes() -> float:
    """Memory of this process that no file backs."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoders", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    run(parser.parse_args().rounds)
