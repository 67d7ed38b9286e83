"""A change model on a set of two dates: what it finds, writes and marks, in one report.

Knows the model by its protocol, and sets by their pairs; no training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from landsift.captions import normalise_caption, says_no_change
from landsift.data import ChangeSet
from landsift.errors import UsageError
from landsift.metrics import (
    CaptionScores,
    ChangeRetrieval,
    DetectionScores,
    HybridScores,
    RetrievedContent,
    caption_scores,
    change_confusion,
    change_relevance,
    change_retrieval,
    detection_scores,
    direction_accuracy,
    hybrid_scores,
    retrieved_content,
)
from landsift.metrics.change_retrieval import CHANGE_KS
from landsift.types import FloatArray, IntArray

__all__ = ["ChangeAnswers", "ChangeReport", "evaluate_changes", "false_negative_facts"]

_CONTENT_K = 5


class ChangeAnswers(Protocol):
    """A model of two dates, as :class:`landsift.models.change.ChangeModel` is one."""

    @property
    def detects(self) -> bool:
        """Whether it says where something changed."""
        ...

    def encode_pairs(self, pairs: Sequence[Any]) -> FloatArray:
        """``n`` pairs to ``(n, dim)`` unit rows."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """``m`` texts to ``(m, dim)`` unit rows."""
        ...

    def captions(self, pairs: Sequence[Any], beams: int = 1) -> list[str]:
        """What changed in each pair, in words."""
        ...

    def masks(self, pairs: Sequence[Any], size: tuple[int, int]) -> Any:
        """Where what changed: ``(n, *size)`` class numbers."""
        ...


@dataclass(frozen=True)
class ChangeReport:
    """Scores of a change model on one split.

    Attributes:
        name: Of the set.
        split: Of the set.
        retrieval: Text to pair over all pairs; None for sets without captions.
        changed_only: The same over changed pairs alone; None also where none changed.
        direction: Share of queries about changed pairs that prefer the right order of dates; None likewise.
        content: What the first pairs of each query are like; None for sets without captions.
        captions: Scores of written captions; None if none were asked for.
        detection: Scores of masks; None without masks, or of a model that makes none.
        hybrid: Captions and masks in one number; None unless there are both.
        written: The captions, pair by pair.
    """

    name: str
    split: str
    retrieval: ChangeRetrieval | None = None
    changed_only: ChangeRetrieval | None = None
    direction: float | None = None
    content: RetrievedContent | None = None
    captions: CaptionScores | None = None
    detection: DetectionScores | None = None
    hybrid: HybridScores | None = None
    written: tuple[str, ...] = field(default=(), repr=False)

    def tables(self) -> dict[str, dict[str, float]]:
        """Named tables of flat names and numbers, in percent but for areas' log ratio."""
        found: dict[str, dict[str, float]] = {}
        if self.retrieval is not None:
            found["all pairs"] = self.retrieval.as_dict()
        if self.changed_only is not None:
            found["changed pairs"] = self.changed_only.as_dict()
        if self.direction is not None:
            found["direction"] = {"direction accuracy": 100 * self.direction}
        if self.content is not None:
            found[f"content of the first {_CONTENT_K}"] = _content(self.content)
        if self.captions is not None:
            found["captions"] = {name: 100 * value for name, value in self.captions.as_dict().items()}
        if self.detection is not None:
            found["masks"] = self.detection.as_dict()
        if self.hybrid is not None:
            names = ("captions", "detection", "arithmetic", "harmonic", "sum")
            found["captions with masks"] = {name: 100 * getattr(self.hybrid, name) for name in names}
        return found


def _content(content: RetrievedContent) -> dict[str, float]:
    found = {"CapSim": content.caption_similarity, "FlagAcc": content.flag_accuracy, "H": content.harmonic}
    shares = {name: 100 * value for name, value in found.items()}
    if content.class_f1 is not None:
        shares["ClassF1"] = 100 * content.class_f1
    if content.extent is not None:
        shares["log area ratio"] = content.extent
    return shares


def evaluate_changes(
    model: ChangeAnswers,
    found: ChangeSet,
    *,
    similarity: float = 1.0,
    write: bool = True,
    beams: int = 1,
    meteor: bool | None = None,
    ks: Sequence[int] = CHANGE_KS,
) -> ChangeReport:
    """Score a change model under the protocol of Ferrod et al. (Discovery Science 2024) and beyond it.

    One query a pair, its first caption; right answers are the pairs that this caption fits as well. Captions
    are written for every pair and compared with all of its own.

    Args:
        model: Answers.
        found: Asked about; its pictures must be there.
        similarity: How alike two captions must be to mean the same; 1 for equal wording.
        write: Score written captions too.
        beams: Of the written captions.
        meteor: Score METEOR too; None for "where there is Java".
        ks: Cut-offs of retrieval.

    Raises:
        UsageError: There is nothing to score: neither captions nor masks that the model could make.
        DatasetError: Pictures are absent.
    """
    images, detection = found.images(), None
    if model.detects:
        detection = _detection(model, found, images)
    asked = [row for row, pair in enumerate(found.pairs) if pair.captions]
    if not asked:
        if detection is None:
            raise UsageError(
                f"{found.name} {found.split} has no captions, and there are no masks to compare; "
                f"choose a set with captions."
            )
        return ChangeReport(found.name, found.split, detection=detection)
    part = found.chosen(asked)
    images = [images[row] for row in asked]
    retrieval, changed_only, direction, content = _retrieved(model, part, images, similarity, ks)
    written = model.captions(images, beams) if write else []
    captions = (
        caption_scores(written, [pair.captions for pair in part.pairs], changed=part.changed, meteor=meteor)
        if write
        else None
    )
    hybrid = hybrid_scores(captions, detection.f1) if captions and detection else None
    return ChangeReport(
        found.name,
        found.split,
        retrieval,
        changed_only,
        direction,
        content,
        captions,
        detection,
        hybrid,
        tuple(written),
    )


def _retrieved(
    model: ChangeAnswers, part: ChangeSet, images: Sequence[Any], similarity: float, ks: Sequence[int]
) -> tuple[ChangeRetrieval, ChangeRetrieval | None, float | None, RetrievedContent]:
    queries = [pair.captions[0] for pair in part.pairs]
    captions = [pair.captions for pair in part.pairs]
    texts, vectors = model.encode_texts(queries), model.encode_pairs(images)
    scores, own = texts @ vectors.T, np.arange(len(part)).astype(np.int64)
    relevant = change_relevance(queries, own, captions, part.changed, similarity=similarity)
    k = min(_CONTENT_K, len(part))
    first: IntArray = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int64)
    content = retrieved_content(queries, own, captions, part.changed, first, _areas(part))
    rows = np.flatnonzero(part.changed)
    if not len(rows):
        return change_retrieval(scores, relevant, ks), None, None, content
    backward = model.encode_pairs([images[row].swapped for row in rows.tolist()])
    direction = direction_accuracy(scores[rows, rows], (texts[rows] * backward).sum(axis=1))
    some = np.ix_(rows, rows)
    return (
        change_retrieval(scores, relevant, ks),
        change_retrieval(scores[some], relevant[some], ks),
        direction,
        content,
    )


def _areas(found: ChangeSet) -> IntArray | None:
    """``(N, C)`` changed pixels of each class; None unless every changed pair has a mask."""
    count = len(found.class_names)
    areas = np.zeros((len(found), count), np.int64)
    for row, pair in enumerate(found.pairs):
        mask = found.mask(row)
        if mask is not None:
            areas[row] = np.bincount(mask.ravel(), minlength=count + 1)[1 : count + 1]
        elif pair.changed is not False:
            return None
    return areas


def _detection(model: ChangeAnswers, found: ChangeSet, images: Sequence[Any]) -> DetectionScores | None:
    """Masks of the pairs that have a true one, at its size; what kind of change where the set knows kinds."""
    count, compared = len(found.class_names) + 1, []
    for row, image in enumerate(images):
        true = found.mask(row)
        if true is not None:
            made = np.minimum(model.masks([image], (true.shape[0], true.shape[1]))[0], count - 1)
            compared.append((made, true))
    return detection_scores(change_confusion(compared, count)) if compared else None


def false_negative_facts(found: ChangeSet) -> dict[str, float]:
    """What the captions alone say about text-to-change retrieval on a split: no picture is needed.

    The best possible strict hit rate of a text encoder is that of one which knows the wording and nothing
    else: of ``n`` pairs that share it, it can put one first, and each is as likely.

    Args:
        found: With captions.

    Returns:
        ``pairs``, ``captions``; shares in percent: ``unchanged_pairs``, ``no_change_captions``,
        ``repeated_captions`` (that another pair has too), ``repeated_changed_captions`` (of changed pairs
        alone); ``right_answers`` and ``right_answers_changed``, the mean number of right answers to a pair's
        first caption; and of those queries ``strict_ceiling_hit@1`` and ``strict_ceiling_hit@1_changed``,
        the largest hit rate at 1 if only the caption's own pair were right.

    Raises:
        UsageError: No captions.
    """
    part = found.chosen([row for row, pair in enumerate(found.pairs) if pair.captions])
    if not len(part):
        raise UsageError(f"{found.name} {found.split} has no captions; choose a set with captions.")
    whole, changed = _facts(part), part.only_changed()
    facts = {
        "pairs": float(len(part)),
        "captions": float(len(part.captions)),
        "unchanged_pairs": 100 * float((~part.changed).mean()),
        "no_change_captions": 100 * float(np.mean([says_no_change(text) for text in part.captions])),
        "repeated_captions": whole[0],
        "right_answers": whole[1],
        "strict_ceiling_hit@1": whole[2],
    }
    if len(changed):
        names = ("repeated_changed_captions", "right_answers_changed", "strict_ceiling_hit@1_changed")
        facts |= dict(zip(names, _facts(changed), strict=True))
    return facts


def _facts(part: ChangeSet) -> tuple[float, float, float]:
    """Percent of captions that another pair has too, mean right answers, percent of strict hits at best."""
    pairs_with: dict[str, set[int]] = {}
    words = [normalise_caption(text) for text in part.captions]
    for text, pair in zip(words, part.pair_of.tolist(), strict=True):
        pairs_with.setdefault(text, set()).add(pair)
    repeated = float(np.mean([len(pairs_with[text]) > 1 for text in words]))
    queries = [pair.captions[0] for pair in part.pairs]
    own, captions = np.arange(len(part)).astype(np.int64), [pair.captions for pair in part.pairs]
    right = change_relevance(queries, own, captions, part.changed).sum(axis=1)
    asked = Counter(map(normalise_caption, queries))
    return 100 * repeated, float(right.mean()), 100 * len(asked) / len(queries)
