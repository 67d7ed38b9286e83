"""What scores a set clean, and again with one side spoilt: by vectors, or pair by pair.

Knows encoders and scorers of pairs by their protocols, and no corruption.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from landsift.captions import style_captions
from landsift.evaluate.retrieval import encode_pictures, encode_words, judge_pairs
from landsift.metrics import MatrixScores, RetrievalReport, VectorScores, report_of_scores, retrieval_report
from landsift.metrics.hashing import signs_of
from landsift.metrics.scores import Scores
from landsift.types import Encoder, EncoderCard, FloatArray, IntArray, PairScorer, RetrievalSet

__all__ = ["Judge", "PairJudge", "Progress", "VectorJudge", "bit_flips", "drift", "top_kept"]

_TOP = 10
_Tell = Callable[[int, int], None]


def drift(clean: FloatArray, spoilt: FloatArray) -> float:
    """Mean of ``1 - cosine`` of ``(n, dim)`` rows and what became of them: 0 where nothing moved."""
    lengths = np.linalg.norm(clean, axis=1) * np.linalg.norm(spoilt, axis=1)
    cosines = np.sum(clean * spoilt, axis=1) / np.maximum(lengths, 1e-12)
    return float(np.mean(1 - np.minimum(cosines, 1)))


def bit_flips(clean: FloatArray, spoilt: FloatArray, middle: FloatArray | float = 0.0) -> float:
    """Share of sign bits that changed: the mean Hamming distance of ``(n, dim)`` rows' codes, over ``dim``.

    Args:
        clean: Rows before.
        spoilt: Rows after.
        middle: Taken off both first; the mean of the clean rows for vectors that are no codes, whose
            coordinates seldom lie about 0.
    """
    return float(np.mean(signs_of(clean - middle) != signs_of(spoilt - middle)))


def top_kept(clean: IntArray, spoilt: IntArray) -> float:
    """Mean share of ``(q, k)`` first items, in any order, that are still among the first ``k``."""
    return float(np.mean((clean[:, :, None] == spoilt[:, None, :]).any(axis=2)))


class Progress:
    """Adds up the parts of a long run: pictures and captions encoded, of all that will be."""

    def __init__(self, tell: _Tell | None, total: int) -> None:
        self._tell, self._total, self._done = tell, total, 0

    def within(self, done: int, total: int) -> None:
        """Progress of the part that runs."""
        if self._tell:
            self._tell(min(self._done + done, self._total), self._total)

    def finished(self, count: int) -> None:
        """A part is over, which had ``count`` things."""
        self._done += count
        self.within(0, 0)


class Judge(ABC):
    """What scores a set clean, and with one side spoilt."""

    card: EncoderCard
    clean: RetrievalReport

    @abstractmethod
    def again(self, spoilt: RetrievalSet, pictures: bool) -> tuple[RetrievalReport, dict[str, float]]:
        """The scores with the pictures, or the captions, of another set, and what else is to say."""


class VectorJudge(Judge):
    """A dual encoder: the clean rows are kept, and only the spoilt side is encoded again."""

    def __init__(self, encoder: Encoder, data: RetrievalSet, style: str, tell: Progress) -> None:
        self.card = encoder.card
        self._encoder, self._data, self._style, self._tell = encoder, data, style, tell
        self._rows = (self._images(data), self._captions(data))
        own = int(encoder.card.extra.get("code_bits", 0))
        self._middle = tuple(0.0 if own else rows.mean(axis=0) for rows in self._rows)
        self.clean = retrieval_report(*self._rows, data.image_of)
        self._tops = _both_tops(*self._scores(*self._rows))

    def again(self, spoilt: RetrievalSet, pictures: bool) -> tuple[RetrievalReport, dict[str, float]]:
        """As :class:`Judge` says; what else is the top kept, the drift and the flipped bits."""
        side = 0 if pictures else 1
        new = self._images(spoilt) if pictures else self._captions(spoilt)
        rows = (new, self._rows[1]) if pictures else (self._rows[0], new)
        tops = _both_tops(*self._scores(*rows))
        return retrieval_report(*rows, self._data.image_of), _kept(self._tops, tops) | {
            "drift": drift(self._rows[side], new),
            "bit_flips": bit_flips(self._rows[side], new, self._middle[side]),
        }

    def _images(self, data: RetrievalSet) -> FloatArray:
        rows = encode_pictures(self._encoder, data.images, self._tell.within)
        self._tell.finished(len(rows))
        return rows

    def _captions(self, data: RetrievalSet) -> FloatArray:
        rows = encode_words(self._encoder, style_captions(data.captions, self._style), self._tell.within)
        self._tell.finished(len(set(self._data.captions)))
        return rows

    @staticmethod
    def _scores(images: FloatArray, captions: FloatArray) -> tuple[Scores, Scores]:
        return VectorScores(images, captions), VectorScores(captions, images)


class PairJudge(Judge):
    """A method that judges pairs: every pair is judged again."""

    def __init__(self, scorer: PairScorer, data: RetrievalSet, style: str, tell: Progress) -> None:
        self.card = scorer.card
        self._scorer, self._data, self._style, self._tell = scorer, data, style, tell
        matrix = judge_pairs(scorer, data, data, style)
        self.clean = report_of_scores(matrix, data.image_of)
        self._tops = _both_tops(MatrixScores(matrix), MatrixScores(matrix.T))
        tell.finished(len(data.images) + len(set(data.captions)))

    def again(self, spoilt: RetrievalSet, pictures: bool) -> tuple[RetrievalReport, dict[str, float]]:
        """As :class:`Judge` says; what else is the top kept."""
        sets = (spoilt, self._data) if pictures else (self._data, spoilt)
        matrix = judge_pairs(self._scorer, *sets, self._style)
        self._tell.finished(len(self._data.images) if pictures else len(set(self._data.captions)))
        tops = _both_tops(MatrixScores(matrix), MatrixScores(matrix.T))
        return report_of_scores(matrix, self._data.image_of), _kept(self._tops, tops)


def _both_tops(forward: Scores, backward: Scores) -> tuple[IntArray, IntArray]:
    return _top(forward), _top(backward)


def _top(scores: Scores) -> IntArray:
    """``(q, k)`` the first items of each query, in no order; the ten best, or all of fewer."""
    k = min(_TOP, scores.shape[1])
    found = [np.argpartition(-block, k - 1, axis=1)[:, :k] for _, block in scores.blocks()]
    return np.concatenate(found).astype(np.int64)


def _kept(clean: tuple[IntArray, IntArray], spoilt: tuple[IntArray, IntArray]) -> dict[str, float]:
    names = ("top10_kept_i2t", "top10_kept_t2i")
    return {name: top_kept(a, b) for name, a, b in zip(names, clean, spoilt, strict=True)}
