"""Retrieval both ways on a caption set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from landsift.captions import caption_groups, style_captions
from landsift.data import fingerprint, leakage, read_images
from landsift.errors import UsageError
from landsift.evaluate.consistency import semantic_consistency
from landsift.evaluate.report import Report
from landsift.files import replace_file
from landsift.metrics import (
    CaptionSetReport,
    VectorScores,
    caption_positives,
    caption_relevance,
    evaluate_scores,
    evaluate_vectors,
    find_reranker,
    mean_average_precision,
    ndcg,
    qrels_lines,
    r_precision,
    report_of_scores,
    run_lines,
)
from landsift.provenance import provenance
from landsift.types import Encoder, EncoderCard, FloatArray, PairScorer, RetrievalSet

__all__ = [
    "describe_dataset",
    "describe_model",
    "encode_pictures",
    "encode_set",
    "encode_words",
    "evaluate",
    "evaluate_encoded",
    "evaluate_pairs",
    "judge_pairs",
    "seen_before",
    "write_trec",
]

_BATCH = 64
_HELD = 512  # pictures at once in memory for methods that judge pairs


def encode_set(
    encoder: Encoder,
    data: RetrievalSet,
    *,
    caption_style: str = "raw",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Encode each image and each distinct caption of a set once.

    Args:
        encoder: Any dual encoder.
        data: The set.
        caption_style: One of :data:`landsift.captions.CAPTION_STYLES`.
        progress: Called with how many images and captions are done, and how many there are.

    Returns:
        ``(N, dim)`` image rows and ``(M, dim)`` caption rows.
    """
    texts = style_captions(data.captions, caption_style)
    total = len(data.images) + len(set(texts))
    tell = progress or (lambda done, total: None)
    images = encode_pictures(encoder, data.images, lambda done, _: tell(done, total))
    return images, encode_words(encoder, texts, lambda done, _: tell(len(images) + done, total))


def encode_pictures(
    encoder: Encoder, sources: Sequence[Any], progress: Callable[[int, int], None] | None = None
) -> FloatArray:
    """Encode pictures, read as they are needed: ``(N, dim)`` rows.

    Args:
        encoder: Any dual encoder.
        sources: As :func:`landsift.data.read_images` takes them.
        progress: Called with how many are done, and how many there are.
    """
    rows, done = np.empty((len(sources), encoder.card.dim), np.float32), 0
    stream = read_images(sources)
    while batch := list(islice(stream, _BATCH)):
        rows[done : done + len(batch)] = encoder.encode_images(batch)
        done += len(batch)
        if progress:
            progress(done, len(sources))
    return rows


def encode_words(
    encoder: Encoder, texts: Sequence[str], progress: Callable[[int, int], None] | None = None
) -> FloatArray:
    """Encode texts, each distinct one once: ``(M, dim)`` rows.

    Args:
        encoder: Any dual encoder.
        texts: As the encoder is to read them.
        progress: Called with how many distinct ones are done, and how many there are.
    """
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    distinct = list(row_of)
    rows = np.empty((len(distinct), encoder.card.dim), np.float32)
    for start in range(0, len(distinct), _BATCH):
        part = distinct[start : start + _BATCH]
        rows[start : start + len(part)] = encoder.encode_texts(part)
        if progress:
            progress(start + len(part), len(distinct))
    return rows[[row_of[text] for text in texts]]


def evaluate(
    encoder: Encoder,
    data: RetrievalSet,
    *,
    caption_style: str = "raw",
    bank: RetrievalSet | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Report:
    """Score an encoder on a caption set.

    Args:
        encoder: Any dual encoder.
        data: The set; looked at as it is, never shrunk.
        caption_style: How captions are altered first; recorded.
        bank: Set of untested queries that a re-ranker compares with. None takes the other test queries,
            and the report says that this is transductive.
        progress: See :func:`encode_set`.
        **options: Those of :func:`evaluate_encoded`.

    Raises:
        UsageError: The set has no captions, or there is no such style or re-ranker.
        DatasetError: An image cannot be read.
    """
    if not len(data.captions):
        raise UsageError(f"{data.name} has no captions; classify its images with --task zero-shot instead")
    encoded = encode_set(encoder, data, caption_style=caption_style, progress=progress)
    others = None if bank is None else encode_set(encoder, bank, caption_style=caption_style)
    bank_name = "" if bank is None else f"{bank.name}/{bank.split}"
    return evaluate_encoded(
        encoder.card, data, encoded, caption_style=caption_style, bank=others, bank_name=bank_name, **options
    )


def evaluate_encoded(
    card: EncoderCard,
    data: RetrievalSet,
    encoded: tuple[FloatArray, FloatArray],
    *,
    caption_style: str = "raw",
    semantic: bool = False,
    rerank: str | None = None,
    bank: tuple[FloatArray, FloatArray] | None = None,
    bank_name: str = "",
    resamples: int = 1000,
    seed: int = 0,
    command: str = "",
) -> Report:
    """Score vectors that :func:`encode_set` gave.

    Args:
        card: Of the encoder that made them.
        data: The set.
        encoded: ``(N, dim)`` image and ``(M, dim)`` caption rows.
        caption_style: How the captions had been altered.
        semantic: Also mAP@R, R-Precision and nDCG with CIDEr as graded relevance, and what
            :func:`~landsift.evaluate.consistency.semantic_consistency` gives, which take longer.
        rerank: Name of a re-ranker (``landsift.metrics.RERANKERS``), reported beside the plain scores.
        bank: Image and caption rows of untested queries for the re-ranker; None takes the test queries.
        bank_name: What to call the bank.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
        command: Recorded in the provenance.
    """
    images, captions = encoded
    found = evaluate_vectors(images, captions, data, resamples=resamples, seed=seed)
    scores = _numbers(found)
    if rerank:
        others = None if bank is None else (bank[0] @ captions.T, bank[1] @ images.T)
        scores["reranked"] = _reranked(images @ captions.T, data, rerank, others, bank_name)
    if semantic:
        matrix = _matrix(images, captions)
        scores["semantic"] = _semantic(matrix, data)
        scores["consistency"] = semantic_consistency(matrix, data, seed=seed)
    return _report(card, data, found, scores, caption_style, rerank or "none", resamples, seed, command)


def evaluate_pairs(
    scorer: PairScorer,
    data: RetrievalSet,
    *,
    caption_style: str = "raw",
    semantic: bool = False,
    rerank: str | None = None,
    bank: RetrievalSet | None = None,
    resamples: int = 1000,
    seed: int = 0,
    command: str = "",
) -> Report:
    """Score a method that judges pairs on a caption set; equal captions are judged once.

    Args:
        scorer: Any.
        data: The set.
        caption_style: How captions are altered first; recorded.
        semantic: As for :func:`evaluate_encoded`.
        rerank: As for :func:`evaluate_encoded`.
        bank: As for :func:`evaluate`; its images and captions are judged with those of the set.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
        command: Recorded in the provenance.

    Raises:
        UsageError: The set has no captions, or there is no such style or re-ranker.
        DatasetError: An image cannot be read.
    """
    if not len(data.captions):
        raise UsageError(f"{data.name} has no captions; only encoders classify images, so give one of those")
    if rerank:
        find_reranker(rerank)  # before the long part
    matrix = judge_pairs(scorer, data, data, caption_style)
    found = evaluate_scores(matrix, data, resamples=resamples, seed=seed)
    scores = _numbers(found)
    if rerank:
        others = None
        if bank is not None:
            others = (
                judge_pairs(scorer, bank, data, caption_style),
                judge_pairs(scorer, data, bank, caption_style).T,
            )
        bank_name = "" if bank is None else f"{bank.name}/{bank.split}"
        scores["reranked"] = _reranked(matrix, data, rerank, others, bank_name)
    if semantic:
        scores["semantic"] = _semantic(matrix, data)
        scores["consistency"] = semantic_consistency(matrix, data, seed=seed)
    return _report(
        scorer.card, data, found, scores, caption_style, rerank or "none", resamples, seed, command
    )


def judge_pairs(scorer: PairScorer, pictures: RetrievalSet, words: RetrievalSet, style: str) -> FloatArray:
    """``(N, M)`` scores of the images of one set with the captions of another, equal captions judged once.

    A few hundred pictures are held at a time; captions are read anew for each such part.
    """
    texts = style_captions(words.captions, style)
    column_of = {text: column for column, text in enumerate(dict.fromkeys(texts))}
    stream, parts = read_images(pictures.images), []
    while held := list(islice(stream, _HELD)):
        parts.append(scorer.score(held, list(column_of)))
    judged = np.concatenate(parts) if parts else np.empty((0, len(column_of)), np.float32)
    return judged[:, [column_of[text] for text in texts]]


def _numbers(found: CaptionSetReport) -> dict[str, Any]:
    """The scores of a report, without what it says of the set elsewhere."""
    scores = found.as_dict()
    for name in ("dataset", "split", "images", "captions", "distinct_captions"):
        scores.pop(name)
    return scores


def _report(
    card: EncoderCard,
    data: RetrievalSet,
    found: CaptionSetReport,
    scores: dict[str, Any],
    caption_style: str,
    rerank: str,
    resamples: int,
    seed: int,
    command: str,
) -> Report:
    return Report(
        task="retrieval",
        model=describe_model(card),
        dataset=describe_dataset(data) | {"distinct_captions": found.distinct_captions},
        protocol={
            "captions": caption_style,
            "resize": card.extra.get("resize", "as the encoder does"),
            "precision": card.extra.get("precision", "float32"),
            "ties": "expected",
            "resamples": resamples,
            "re-ranking": rerank,
        },
        scores=scores,
        leakage=seen_before(card, data),
        provenance=provenance(command, seed=seed),
    )


def write_trec(
    prefix: Path, model: str, data: RetrievalSet, encoded: tuple[FloatArray, FloatArray]
) -> list[Path]:
    """Write TREC run and qrels files of both directions; captions are named by number.

    Returns:
        ``PREFIX.i2t.run``, ``PREFIX.i2t.qrels``, ``PREFIX.t2i.run``, ``PREFIX.t2i.qrels``.
    """
    images, captions = encoded
    names = [f"caption-{number}" for number in range(len(captions))]
    forward, backward = caption_positives(data.image_of, len(images))
    written = []
    for side, scores, positives, queries, items in (
        ("i2t", VectorScores(images, captions), forward, data.image_names, names),
        ("t2i", VectorScores(captions, images), backward, names, data.image_names),
    ):
        for kind, lines in (
            ("run", run_lines(scores, queries, items, model)),
            ("qrels", qrels_lines(positives, queries, items)),
        ):
            path = prefix.with_name(f"{prefix.name}.{side}.{kind}")
            replace_file(path, "".join(f"{line}\n" for line in lines).encode())
            written.append(path)
    return written


def _reranked(
    scores: FloatArray,
    data: RetrievalSet,
    name: str,
    others: tuple[FloatArray, FloatArray] | None,
    bank_name: str,
) -> dict[str, Any]:
    """The strict recalls after re-ranking both directions, and what it looked at.

    Args:
        scores: ``(N, M)`` of the set.
        data: The set.
        name: Of the re-ranker.
        others: Scores of a bank's images with the set's captions, ``(B, M)``, and of its captions with the
            set's images, ``(C, N)``; None looks at the tested queries.
        bank_name: What to call the bank.
    """
    reranker = find_reranker(name)
    other_images, other_captions = others or (None, None)
    forward = reranker.apply(scores, other_images)
    found = report_of_scores(forward, data.image_of, text_scores=reranker.apply(scores.T, other_captions))
    return {
        "name": name,
        "source": reranker.source,
        "transductive": others is None,
        "bank": bank_name or None,
        "strict": found.as_dict(),
    }


def _matrix(images: FloatArray, captions: FloatArray) -> FloatArray:
    """``(N, M)`` inner products, equal for captions of equal rows."""
    return np.concatenate([block.copy() for _, block in VectorScores(images, captions).blocks()])


def _semantic(scores: FloatArray, data: RetrievalSet) -> dict[str, float]:
    """Rankings judged by all that is right: equal captions for mAP@R, similar ones for nDCG."""
    groups = caption_groups(data.captions)
    relevance = caption_relevance(data.captions, data.image_of, len(data.images))
    carries = np.zeros((len(data.images), int(groups.max()) + 1), bool)
    carries[data.image_of, groups] = True
    shared = carries[:, groups]
    figures = {}
    for side, matrix, positive, graded in (
        ("i2t", scores, shared, relevance),
        ("t2i", scores.T, shared.T, relevance.T),
    ):
        figures[f"{side}_mAP@R"] = 100 * mean_average_precision(matrix, positive, "map_at_r")
        figures[f"{side}_R-Precision"] = 100 * float(r_precision(matrix, positive).mean())
        figures[f"{side}_nDCG@10"] = 100 * float(np.mean(ndcg(matrix, graded, 10)))
    return figures


def describe_model(card: EncoderCard) -> dict[str, Any]:
    """The encoder as a report names it."""
    return {
        "name": card.name,
        "weights_sha256": card.weights_sha256,
        "dim": card.dim,
        "trained_on": list(card.trained_on),
    }


def describe_dataset(data: RetrievalSet) -> dict[str, Any]:
    """The set as a report names it."""
    return {
        "name": data.name.partition(" ")[0],
        "title": data.name,
        "split": data.split,
        "images": len(data.images),
        "captions": len(data.captions),
        "sha256": fingerprint(data),
    }


def seen_before(card: EncoderCard, data: RetrievalSet) -> Sequence[str]:
    """What the encoder's card says of this set; nothing for sets outside the table."""
    try:
        return leakage(card.trained_on, data.name.partition(" ")[0], data.split)
    except UsageError:
        return []
