"""How well written captions match what people wrote: BLEU, METEOR, ROUGE-L, CIDEr-D; change told from none.

The arithmetic of the published figures is that of the COCO caption tools (``pycocoevalcap``), so it is theirs
that is called; METEOR is a Java program and is left out where there is no Java. Sentences are normalised as
everywhere here (lower case, no punctuation), in place of the Penn Treebank tokenizer, which is Java too.
ROUGE-L is written out as well, for scores of many single pairs. Knows texts only.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landsift.captions import normalise_caption, says_no_change
from landsift.errors import LandsiftError, UsageError, need

__all__ = ["CaptionScores", "caption_scores", "no_change_accuracy", "rouge_l"]

_BETA = 1.2
_NO_WORDS = "nowords"
"""Stands for a caption without words: a word that no reference holds."""
_EXTRA = "captioning"


@dataclass(frozen=True)
class CaptionScores:
    """Scores of written captions, each as a share: papers print them times 100.

    Attributes:
        bleu: BLEU-1 to BLEU-4 of the whole set (Papineni et al., ACL 2002).
        rouge_l: Mean ROUGE-L (Lin, 2004), recall weighted by 1.2.
        cider: Mean CIDEr-D (Vedantam et al., CVPR 2015); may pass 1, at most 10.
        meteor: METEOR 1.5 (Denkowski and Lavie, 2014); None without Java.
        change_accuracy: Share of changed pairs whose caption does not say that nothing changed; None without
            changed pairs or where nobody said which those are.
        no_change_accuracy: Share of unchanged pairs whose caption says so; None likewise.
    """

    bleu: tuple[float, float, float, float]
    rouge_l: float
    cider: float
    meteor: float | None = None
    change_accuracy: float | None = None
    no_change_accuracy: float | None = None

    @property
    def mean(self) -> float:
        """``S*m``: the mean of BLEU-4, METEOR, ROUGE-L and CIDEr-D; without METEOR, of the other three."""
        parts = [self.bleu[3], self.rouge_l, self.cider, self.meteor]
        return float(np.mean([part for part in parts if part is not None]))

    def as_dict(self) -> dict[str, float]:
        """Flat names and numbers; what is None is left out."""
        found: dict[str, float | None] = {f"BLEU-{n}": value for n, value in enumerate(self.bleu, 1)}
        found |= {"METEOR": self.meteor, "ROUGE-L": self.rouge_l, "CIDEr-D": self.cider, "S*m": self.mean}
        found |= {"change_acc": self.change_accuracy, "nochange_acc": self.no_change_accuracy}
        return {name: value for name, value in found.items() if value is not None}


def caption_scores(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    changed: Sequence[bool] | NDArray[np.bool_] | None = None,
    meteor: bool | None = None,
) -> CaptionScores:
    """Score one written caption for each picture or pair.

    Args:
        candidates: N texts.
        references: For each, what people wrote; at least one.
        changed: ``(N,)`` whether each pair changed, for the two accuracies.
        meteor: Score METEOR too; None for "where there is Java".

    Raises:
        UsageError: Nothing to score, lists of different lengths, or a picture without a reference.
        MissingDependency: The caption tools are not installed.
        LandsiftError: METEOR is asked for and its Java program cannot be run.
    """
    _check(candidates, references)
    hypotheses = {row: [_words(text)] for row, text in enumerate(candidates)}
    truths = {row: [_words(text) for text in texts] for row, texts in enumerate(references)}
    bleu = _scorer("bleu.bleu", "Bleu")(4).compute_score(truths, hypotheses, verbose=0)[0]
    cider = _scorer("cider.cider", "Cider")().compute_score(truths, hypotheses)[0]
    rouge = _scorer("rouge.rouge", "Rouge")().compute_score(truths, hypotheses)[0]
    wanted = shutil.which("java") is not None if meteor is None else meteor
    told = (None, None) if changed is None else no_change_accuracy(candidates, changed)
    return CaptionScores(
        (float(bleu[0]), float(bleu[1]), float(bleu[2]), float(bleu[3])),
        float(rouge),
        float(cider),
        _meteor(truths, hypotheses) if wanted else None,
        *told,
    )


def _check(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if isinstance(candidates, str) or not len(candidates) or len(candidates) != len(references):
        raise UsageError(
            f"Give one written caption and one list of references a picture; got {len(candidates)} and "
            f"{len(references)}."
        )
    bare = [row for row, texts in enumerate(references) if isinstance(texts, str) or not len(texts)]
    if bare:
        raise UsageError(f"Picture {bare[0]} has no list of references; leave it out of the score.")


def _words(text: str) -> str:
    return normalise_caption(text) or _NO_WORDS


def _scorer(module: str, name: str) -> Any:
    return getattr(need(f"pycocoevalcap.{module}", extra=_EXTRA), name)


def _meteor(truths: dict[int, list[str]], hypotheses: dict[int, list[str]]) -> float:
    kind = _scorer("meteor.meteor", "Meteor")
    if shutil.which("java") is None:
        raise LandsiftError(
            "METEOR is a Java program and there is no java here; install one, or leave METEOR out"
        )
    scorer = kind()
    try:
        return float(scorer.compute_score(truths, hypotheses)[0])
    except (ValueError, OSError) as error:
        # The program died between two lines: the tool still holds its lock, and its destructor would wait.
        scorer.lock.release()
        raise LandsiftError(
            f"METEOR's Java program gave no answer ({error}); check that java runs, or leave METEOR out"
        ) from error


def no_change_accuracy(
    candidates: Sequence[str], changed: Sequence[bool] | NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """Whether captions say rightly that something, or that nothing, changed.

    A caption says that nothing changed if it is one of LEVIR-CC's five sentences for that, as in its official
    evaluation.

    Args:
        candidates: N texts.
        changed: ``(N,)``.

    Returns:
        Share of changed pairs said to have changed, share of unchanged ones said to be the same; None for a
        kind of which there is none.

    Raises:
        UsageError: Lists of different lengths.
    """
    truth = np.asarray(changed, bool)
    if truth.shape != (len(candidates),):
        raise UsageError(f"Give one flag a caption; got {truth.shape} for {len(candidates)} captions.")
    same = np.array([says_no_change(text) for text in candidates], bool)
    right = same != truth
    return (
        float(right[truth].mean()) if truth.any() else None,
        float(right[~truth].mean()) if not truth.all() else None,
    )


def rouge_l(candidate: str, references: Sequence[str]) -> float:
    """ROUGE-L of one sentence (Lin, 2004), as the COCO tools have it: the best precision and the best recall
    over the references, the recall weighted by 1.2.

    Args:
        candidate: A sentence.
        references: At least one.

    Raises:
        UsageError: No references.
    """
    if not references:
        raise UsageError("ROUGE-L needs at least one reference; leave the sentence out of the score.")
    words = _words(candidate).split()
    truths = [_words(text).split() for text in references]
    common = [_common(words, other) for other in truths]
    precision = max(common) / len(words)
    recall = max(length / len(other) for length, other in zip(common, truths, strict=True))
    if not precision:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _common(first: list[str], second: list[str]) -> int:
    """Length of the longest common subsequence, one row of the table at a time."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = 0
        for place, other in enumerate(second, 1):
            above = row[place]
            row[place] = before + 1 if word == other else max(above, row[place - 1])
            before = above
    return row[-1]
