"""Codes under the hashing papers' protocol, and the same codes under R@K.

Half of a set trains, a tenth asks and the rest is searched, by scene class and in four directions; then each
query's own captions are searched among the queries' (R@K), by codes alone and with a shortlist by codes whose
order real vectors decide. Knows vectors and metrics; no towers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.data import hashing_part, one_caption_each
from landsift.errors import UsageError
from landsift.evaluate.coders import CODERS, Coder, OwnSigns, fit_coder
from landsift.evaluate.report import Report
from landsift.evaluate.retrieval import describe_dataset, describe_model, encode_set, seen_before
from landsift.metrics import report_of_scores
from landsift.metrics.hashing import code_scores, hamming_distances, same_class
from landsift.provenance import provenance
from landsift.types import Encoder, FloatArray, IntArray, RetrievalSet

__all__ = [
    "DIRECTIONS",
    "CodedPairs",
    "evaluate_hashing",
    "recall_by_codes",
    "score_directions",
    "shortlisted",
]

DIRECTIONS = ("i2t", "t2i", "i2i", "t2t")
_SIDE = {"i": "image", "t": "text"}


@dataclass(frozen=True, eq=False)
class CodedPairs:
    """Vectors of n pairs, before they are coded.

    Attributes:
        images: ``(n, d)``.
        texts: ``(n, d)``, one caption of each image.
        labels: ``(n,)`` int64 scene classes, -1 where unknown.
    """

    images: FloatArray
    texts: FloatArray
    labels: IntArray

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.texts) == len(self.labels):
            raise ValueError(
                f"pairs need one row a thing; got {len(self.images)}, {len(self.texts)}, {len(self.labels)}"
            )

    def side(self, name: str) -> FloatArray:
        """The rows of ``image`` or ``text``."""
        return self.images if name == "image" else self.texts


def score_directions(
    coder: Coder, queries: CodedPairs, database: CodedPairs, *, k: int = 20
) -> dict[str, dict[str, Any]]:
    """The papers' measures in four directions.

    Args:
        coder: Turns vectors into codes.
        queries: What asks.
        database: What is searched.
        k: Cut-off of the mAPs.

    Returns:
        :meth:`CodeScores.as_dict` by direction: ``i2t`` asks with images for captions, and so on.
    """
    relevant = same_class(queries.labels, database.labels)
    found = {}
    for direction in DIRECTIONS:
        asking, searched = _SIDE[direction[0]], _SIDE[direction[2]]
        rows = coder.queries(queries.side(asking), asking)
        items = coder.items(database.side(searched), searched)
        distances = hamming_distances(rows, items) if coder.binary else None
        scores = rows @ items.T if distances is None else -distances.astype(np.float64)
        found[direction] = code_scores(scores, relevant, k=k, distances=distances).as_dict()
    return found


def shortlisted(codes: NDArray[np.floating], real: NDArray[np.floating], keep: int) -> NDArray[np.floating]:
    """Scores of a search in two stages: the best by codes, in the order of real scores; the rest below.

    Args:
        codes: ``(q, n)`` scores by codes; of equal ones at the edge the first stay.
        real: ``(q, n)`` scores by real vectors.
        keep: Length of the shortlist.

    Raises:
        UsageError: Shapes disagree, or an empty shortlist.
    """
    if codes.shape != real.shape or keep < 1:
        raise UsageError(f"Scores {codes.shape} and {real.shape} must be alike, and keep 1 or more.")
    order = np.argsort(-codes, axis=1, kind="stable")[:, :keep]
    found = codes - codes.max() + real.min() - 1.0
    np.put_along_axis(found, order, np.take_along_axis(real, order, axis=1), axis=1)
    return found


def recall_by_codes(
    coder: Coder, images: FloatArray, captions: FloatArray, image_of: IntArray, *, shortlist: int = 50
) -> dict[str, Any]:
    """R@K, where an image's own captions alone are right: of real vectors, of codes, of both in turn.

    Args:
        coder: Turns vectors into codes.
        images: ``(N, d)``.
        captions: ``(M, d)``.
        image_of: ``(M,)`` int64.
        shortlist: How many the codes hand on to the real vectors.

    Returns:
        ``float``, ``codes`` and ``reranked``, each as :meth:`RetrievalReport.as_dict`, and ``shortlist``.
    """
    real = images @ captions.T
    forward = coder.queries(images, "image") @ coder.items(captions, "text").T
    backward = coder.queries(captions, "text") @ coder.items(images, "image").T
    again = shortlisted(forward, real, shortlist), shortlisted(backward, real.T, shortlist)
    return {
        "float": report_of_scores(real, image_of).as_dict(),
        "codes": report_of_scores(forward, image_of, text_scores=backward).as_dict(),
        "reranked": report_of_scores(again[0], image_of, text_scores=again[1]).as_dict(),
        "shortlist": shortlist,
    }


def evaluate_hashing(
    encoder: Encoder,
    data: RetrievalSet,
    *,
    coder: str = "auto",
    bits: int = 128,
    k: int = 20,
    seed: int = 0,
    shortlist: int = 50,
    progress: Callable[[int, int], None] | None = None,
    command: str = "",
) -> Report:
    """Score an encoder's codes on a whole set under the hashing papers' protocol.

    Args:
        encoder: A hashing method, whose vectors' signs are its codes, or any other.
        data: All splits of a set with scene classes.
        coder: ``own`` for the vectors' own signs, or a coder that is fitted to the training half, of
            :data:`landsift.evaluate.coders.CODERS`; ``auto`` takes ``own`` for hashing methods, else ``itq``.
        bits: Of a code; a hashing method has its own.
        k: Cut-off of the mAPs.
        seed: Of the split and of the coder.
        shortlist: How many the codes hand on to real vectors, under R@K.
        progress: See :func:`landsift.evaluate.encode_set`.
        command: Recorded in the provenance.

    Raises:
        UsageError: No classes, no such coder, or more bits than it can make.
        DatasetError: Too few images, or one that cannot be read.
    """
    if data.labels is None:
        raise UsageError(f"{data.name} has no scene classes to judge codes by; choose a set with them.")
    own = int(encoder.card.extra.get("code_bits", 0))
    name = _chosen(coder, own)
    parts = {part: hashing_part(data, f"hashing-{part}", seed) for part in ("train", "query", "database")}
    queries = encode_set(encoder, parts["query"], progress=progress)
    singled = one_caption_each(parts["query"], seed)
    rows = {"query": _pairs(parts["query"], queries, singled)}
    for part in ("database", "train") if name != "own" else ("database",):
        one = one_caption_each(parts[part], seed)
        rows[part] = _pairs(one, encode_set(encoder, one, progress=progress), one)
    made: Coder = (
        OwnSigns(own or encoder.card.dim)
        if name == "own"
        else fit_coder(name, bits, rows["train"].images, rows["train"].texts, seed)
    )
    scores = {
        "coder": made.name,
        "bits": made.bits,
        "k": k,
        "directions": score_directions(made, rows["query"], rows["database"], k=k),
        "recall": recall_by_codes(made, *queries, parts["query"].image_of, shortlist=shortlist),
    }
    return Report(
        task="hashing",
        model=describe_model(encoder.card),
        dataset=describe_dataset(parts["query"]) | {"database": len(parts["database"].images)},
        protocol={
            "split": "50 % train, 10 % queries, 40 % database",
            "split seed": seed,
            "captions": "one an image",
            "relevance": "same scene class",
            "ties": "expected",
        },
        scores=scores,
        leakage=_leakage(encoder, data),
        provenance=provenance(command, seed=seed),
    )


def _chosen(coder: str, own_bits: int) -> str:
    if coder == "auto":
        return "own" if own_bits else "itq"
    if coder != "own" and coder not in CODERS:
        raise UsageError(f"There is no coder {coder!r}; the coders are own, {', '.join(CODERS)}.")
    return coder


def _pairs(data: RetrievalSet, encoded: tuple[FloatArray, FloatArray], one: RetrievalSet) -> CodedPairs:
    """The rows of a set with one caption an image, out of those of all its captions."""
    images, captions = encoded
    first: dict[tuple[int, str], int] = {}
    for number, (image, text) in enumerate(zip(data.image_of.tolist(), data.captions, strict=True)):
        first.setdefault((image, text), number)
    chosen = [first[row, text] for row, text in enumerate(one.captions)]
    labels = np.full(len(images), -1, np.int64) if data.labels is None else data.labels
    return CodedPairs(images, captions[chosen], labels)


def _leakage(encoder: Encoder, data: RetrievalSet) -> Sequence[str]:
    """Any training on the set but on the training half of this very split is training on what asks here."""
    title = data.name.partition(" ")[0]
    trained = [name for name in encoder.card.trained_on if name.partition("/")[0] == title]
    if trained and set(trained) != {f"{title}/hashing-train"}:
        listed = ", ".join(trained)
        return [f"Trained on {listed}, which holds pictures that ask or are searched here: not a test."]
    if trained:
        return [f"Trained on {trained[0]} alone, for which this split is a test where its seed is 0."]
    return seen_before(encoder.card, data)
