"""The evaluation protocol: how long it takes to rank, resample and read, and how much memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.record import PEAK_MEMORY, save, timed
from landsift.data import load_dataset, read_images
from landsift.metrics import bootstrap_intervals, paired_bootstrap, retrieval_ranks, retrieval_report

SEED, DIM = 0, 512
RSICD_SIZE, RSITMD_SIZE = (1093, 5), (452, 5)
LARGE, LARGE_DIM = (100_000, 5), 64
SAMPLES = (10_000, 100_000)
DECODED = 2000

RANK_LARGE = """
import json, sys, time
import numpy as np
from landsift.metrics import retrieval_report
images, each, dim = map(int, sys.argv[1:])
random = np.random.default_rng(0)
vectors = random.standard_normal((images, dim), np.float32)
texts = np.repeat(vectors, each, 0) + 2 * random.standard_normal((images * each, dim), np.float32)
began = time.perf_counter()
report = retrieval_report(vectors, texts, np.repeat(np.arange(images), each))
seconds = time.perf_counter() - began
print(json.dumps({"seconds": round(seconds, 1), "peak_rss_mb": round(peak_mb()), "mR": float(report.mR)}))
"""

READ_TAR = """
import json, sys
from landsift.data import stream_dataset
count = sum(len(sample.captions) for sample in stream_dataset("rsteller", sys.argv[1]))
print(json.dumps([count, peak_mb()]))
"""


def run() -> None:
    """Measure and save."""
    figures: dict[str, Any] = {"ranking": _ranking(), "bootstrap": _bootstrap(), "tar": _tar()}
    figures["large"] = {"images": LARGE[0], "captions": LARGE[0] * LARGE[1], "dim": LARGE_DIM}
    figures["large"] |= json.loads(_child(RANK_LARGE, *map(str, (*LARGE, LARGE_DIM))))
    if root := os.environ.get("LANDSIFT_DATA"):
        figures["reading"] = _reading(Path(root))
    save("protocol", figures, seed=SEED)


def _vectors(images: int, each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(SEED)
    vectors = random.standard_normal((images, DIM), np.float32)
    texts = np.repeat(vectors, each, 0) + 4 * random.standard_normal((images * each, DIM), np.float32)
    return vectors, texts, np.repeat(np.arange(images), each)


def _ranking() -> dict[str, Any]:
    made = _vectors(*RSICD_SIZE)
    seconds = timed(lambda: retrieval_report(*made), 7)
    return {
        "images": len(made[0]),
        "captions": len(made[1]),
        "dim": DIM,
        "s": round(float(np.median(seconds)), 3),
    }


def _bootstrap() -> dict[str, Any]:
    images, texts, image_of = _vectors(*RSITMD_SIZE)
    first = retrieval_ranks(images, texts, image_of)
    second = retrieval_ranks(images, texts[:, ::-1].copy()[:, ::-1] * 1.01, image_of)
    one = timed(lambda: bootstrap_intervals(*first, image_of, resamples=1000), 5)
    two = timed(lambda: paired_bootstrap(first, second, image_of, resamples=1000), 5)
    return {
        "images": len(images),
        "captions": len(texts),
        "resamples": 1000,
        "intervals_s": round(float(np.median(one)), 3),
        "paired_s": round(float(np.median(two)), 3),
    }


def _tar() -> dict[str, Any]:
    """Peak memory of a process that reads a tar of few samples, and of one that reads ten times as many."""
    picture = BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "JPEG")
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in SAMPLES:
            place = Path(folder) / str(count)
            place.mkdir()
            _write_tar(place / "train-000000.tar", count, picture.getvalue())
            read, peak = json.loads(_child(READ_TAR, str(place)))
            assert read == count, read
            peaks[f"peak_rss_mb_{count}"] = round(peak, 1)
    return {"samples": list(SAMPLES), **peaks}


def _write_tar(path: Path, count: int, picture: bytes) -> None:
    import tarfile

    with tarfile.open(path, "w") as file:
        for number in range(count):
            for name, content in (("jpg", picture), ("txt", f"a field by road {number}".encode())):
                member = tarfile.TarInfo(f"{number:07d}.{name}")
                member.size = len(content)
                file.addfile(member, BytesIO(content))


def _reading(root: Path) -> dict[str, Any]:
    """Images per second through the reader, and of the decoder alone on the same bytes, on one thread."""
    found = load_dataset("rsicd-aid150", root / "rsicd_aid150", "train")
    paths = [Path(path) for path in found.images[:DECODED]]
    contents = [path.read_bytes() for path in paths]

    def decode() -> None:
        for content in contents:
            np.asarray(Image.open(BytesIO(content)).convert("RGB"))

    def read(workers: int) -> None:
        for _ in read_images(paths, workers):
            pass

    alone, reader, both = [], [], []
    for _ in range(5):  # in turns, so that they share the machine's moods
        for seconds, call in ((alone, decode), (reader, lambda: read(1)), (both, lambda: read(2))):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
    best = [DECODED / min(seconds) for seconds in (alone, reader, both)]
    return {
        "images": DECODED,
        "decoder_alone_per_s": round(best[0]),
        "reader_per_s": round(best[1]),
        "reader_two_threads_per_s": round(best[2]),
        "decode_share": round(best[1] / best[0], 3),
    }


def _child(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PEAK_MEMORY + code, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout
