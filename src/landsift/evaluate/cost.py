"""What an encoder costs: parameters, operations, time to encode, memory, bytes to keep, time to search.

Knows encoders and scorers of pairs by their protocols; only the counting of parameters and operations asks
what runs them. Times are of the machine at hand, with whatever else it does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from landsift.data import read_images
from landsift.encoders.cards import backend_of
from landsift.errors import UsageError
from landsift.evaluate.peak import peak_memory
from landsift.evaluate.report import Report
from landsift.evaluate.retrieval import describe_dataset, describe_model, seen_before
from landsift.index import FlatIndex
from landsift.provenance import provenance
from landsift.threads import available_threads
from landsift.types import Encoder, EncoderCard, FloatArray, PairScorer, Pixels, RetrievalSet

__all__ = ["evaluate_cost", "index_times", "latencies"]

_WARM_UP = 3
_QUERIES = 100
_BYTES = 2  # of a number, as galleries and indexes keep it
_BY_ONNX = "operations are two for each multiplication with addition in convolutions and matrix products, \
counted from the shapes of one run of the ONNX graph"
_BY_TORCH = "operations are two for each multiplication with addition in convolutions, matrix products and \
attention, counted by torch"


def evaluate_cost(
    model: Encoder | PairScorer,
    data: RetrievalSet,
    *,
    source: str | None = None,
    images: int = 32,
    index_rows: int = 100_000,
    command: str = "",
) -> Report:
    """Measure what an encoder, or a scorer of pairs, costs on pictures and captions of a set.

    Args:
        model: Any.
        data: Its first pictures and captions are encoded; class names stand in where it has no captions.
        source: Name or folder of the model, for a process of its own that measures memory; None for none.
        images: Pictures, and captions, that times are taken on.
        index_rows: Rows of the index that is timed: the set's vectors, repeated with a little noise.
        command: Recorded in the provenance.

    Returns:
        A report of the task ``cost``. Scores: ``parts`` (``image`` and ``text``, or ``pair`` too) with
        ``parameters``, ``flops``, ``p50_ms``, ``p95_ms`` and ``per_second`` where these are known;
        ``parameters``, ``counted``, ``bytes_per_image``, ``code_bytes``, ``peak`` and ``index``.

    Raises:
        UsageError: The set has no pictures or no words.
        MissingDependency: What counts operations is not installed.
        EncoderError: The process that measures memory failed.
    """
    words = list(dict.fromkeys(data.captions or data.class_names))[:images]
    pictures = list(islice(read_images(data.images[:images]), images))
    if not words or not pictures:
        raise UsageError(f"{data.name} has no pictures, or no words; give a set with both to measure cost on")
    counts, counted = _counts(model, words[len(words) // 2])
    own = int(model.card.extra.get("code_bits", 0))
    if isinstance(model, Encoder):
        times, index = _encoder_times(model, pictures, words, index_rows)
        kept = model.card.dim
    else:
        times, index = {"pair": _pair_times(model, pictures, words)}, None
        kept = _kept(model)
    parts = {name: {**counts.get(name, {}), **times.get(name, {})} for name in ("image", "text", *times)}
    return Report(
        task="cost",
        model=describe_model(model.card),
        dataset=describe_dataset(data),
        protocol={"images": len(pictures), "captions": len(words), "threads": available_threads()},
        scores={
            "parts": parts,
            "parameters": _total(counts),
            "counted": counted,
            "bytes_per_image": _BYTES * kept,
            "code_bytes": own // 8,
            "peak": None if source is None else peak_memory(source, images),
            "index": index,
        },
        leakage=seen_before(model.card, data),
        provenance=provenance(command),
    )


def latencies(call: Callable[[Any], object], items: Sequence[Any]) -> dict[str, float]:
    """``p50_ms`` and ``p95_ms`` of one call for each item, after a few that warm up."""
    for item in items[:_WARM_UP]:
        call(item)
    seconds = []
    for item in items:
        began = time.perf_counter()
        call(item)
        seconds.append(time.perf_counter() - began)
    p50, p95 = 1000 * np.percentile(seconds, (50, 95))
    return {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3)}


def index_times(vectors: FloatArray, queries: FloatArray, rows: int, k: int = 10) -> dict[str, float]:
    """Seconds to build an exact index, and milliseconds of a query.

    Args:
        vectors: ``(n, dim)`` rows, repeated with a little noise until there are enough.
        queries: ``(q, dim)``, asked one by one.
        rows: Of the index.
        k: Matches asked for.
    """
    rng = np.random.default_rng(0)
    many = vectors[np.arange(rows) % len(vectors)]
    many = many + rng.normal(0, 0.01, many.shape).astype(np.float32)
    began = time.perf_counter()
    index = FlatIndex(vectors.shape[1])
    index.add(many)
    built = time.perf_counter() - began
    asked = [queries[place % len(queries)][None] for place in range(_QUERIES)]
    return {
        "rows": rows,
        "build_s": round(built, 4),
        **latencies(lambda query: index.search(query, min(k, rows)), asked),
    }


def _encoder_times(
    encoder: Encoder, pictures: Sequence[Pixels], words: Sequence[str], rows: int
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    times = {
        "image": latencies(lambda one: encoder.encode_images([one]), pictures),
        "text": latencies(lambda one: encoder.encode_texts([one]), words),
    }
    times["image"]["per_second"] = _rate(lambda: encoder.encode_images(pictures), len(pictures))
    times["text"]["per_second"] = _rate(lambda: encoder.encode_texts(words), len(words))
    return times, index_times(encoder.encode_images(pictures), encoder.encode_texts(words), rows)


def _pair_times(scorer: PairScorer, pictures: Sequence[Pixels], words: Sequence[str]) -> dict[str, float]:
    """Of judging one picture with one caption, pixels and words included; and of all with all."""
    pairs = [(picture, words[place % len(words)]) for place, picture in enumerate(pictures)]
    times = latencies(lambda pair: scorer.score([pair[0]], [pair[1]]), pairs)
    return times | {"per_second": _rate(lambda: scorer.score(pictures, words), len(pictures) * len(words))}


def _rate(call: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    call()
    return round(count / (time.perf_counter() - began), 2)


def _counts(model: Encoder | PairScorer, caption: str) -> tuple[Mapping[str, Mapping[str, int]], str]:
    """Parameters and operations, and how they were counted; nothing for what neither ONNX nor torch runs."""
    backend = _backend(model.card)
    if backend == "onnx":
        from landsift.encoders.counting import count_onnx

        return count_onnx(model.card, caption), _BY_ONNX
    if backend in ("torch", "clip"):
        from landsift.models.counting import count_torch

        return count_torch(model, caption), _BY_TORCH  # type: ignore[arg-type]
    return {}, "operations are not known"


def _backend(card: EncoderCard) -> str:
    """What runs a model; empty for one that was made in Python and has no files."""
    return backend_of(card) if "folder" in card.extra or "backend" in card.extra else ""


def _kept(scorer: PairScorer) -> int:
    if _backend(scorer.card) != "torch":
        return scorer.card.dim
    from landsift.models.counting import kept_numbers

    return kept_numbers(scorer)  # type: ignore[arg-type]


def _total(counts: Mapping[str, Mapping[str, int]]) -> int | None:
    if "all" in counts:
        return counts["all"]["parameters"]
    return sum(found["parameters"] for found in counts.values()) if counts else None
