"""How good a matcher is on the sets that weights are chosen by. Knows features and metrics; no training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from landsift.captions import style_captions
from landsift.metrics import (
    CaptionSetReport,
    evaluate_scores,
    evaluate_vectors,
    report_of_scores,
    retrieval_report,
)
from landsift.models.encoder import score_features
from landsift.models.features import Features, joined
from landsift.models.matcher import Matcher
from landsift.train.images import ImageFeed, encode_images, plain_batches
from landsift.types import RetrievalSet

__all__ = ["ValidationSet", "full_report", "mean_recall", "set_features"]

_TEXTS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """A set that weights are chosen by.

    Attributes:
        data: Images and captions.
        images: The images, decoded or as maps.
        style: How captions are altered first.
    """

    data: RetrievalSet
    images: ImageFeed
    style: str = "raw"

    @property
    def title(self) -> str:
        """``name/split``."""
        return f"{self.data.name}/{self.data.split}"


@torch.inference_mode()
def set_features(
    matcher: Matcher, found: ValidationSet, device: torch.device, at_once: int = 64
) -> tuple[Features, Features]:
    """Features of every image and every caption; equal captions are encoded once.

    Args:
        matcher: In ``eval`` mode.
        found: The set.
        device: Where the matcher is.
        at_once: Images encoded together.
    """
    images = joined(
        [encode_images(matcher, part).float() for part in plain_batches(found.images, at_once, device)]
    )
    texts = style_captions(found.data.captions, found.style)
    different = list(dict.fromkeys(texts))
    parts = [different[n : n + _TEXTS_AT_ONCE] for n in range(0, len(different), _TEXTS_AT_ONCE)]
    rows = joined([matcher.text_features(matcher.prepare(part).to(device)).float() for part in parts])
    place = {text: row for row, text in enumerate(different)}
    return images, rows.rows(torch.tensor([place[text] for text in texts], device=device))


def mean_recall(matcher: Matcher, sets: Sequence[ValidationSet], device: torch.device) -> dict[str, float]:
    """mR of each set by its title, percent, ties by expectation, and ``mR``, their mean.

    Leaves the matcher in ``eval`` mode.
    """
    matcher.eval()
    scores: dict[str, float] = {}
    for found in sets:
        images, texts = set_features(matcher, found, device)
        if matcher.exact_index:
            report = retrieval_report(_array(images.pooled), _array(texts.pooled), found.data.image_of)
        else:
            report = report_of_scores(_scores(matcher, images, texts, found), found.data.image_of)
        scores[found.title] = report.mR
    return scores | {"mR": float(np.mean(list(scores.values())))}


def full_report(matcher: Matcher, found: ValidationSet, device: torch.device) -> CaptionSetReport:
    """All numbers of a set with their intervals, for the model card."""
    matcher.eval()
    images, texts = set_features(matcher, found, device)
    if matcher.exact_index:
        return evaluate_vectors(_array(images.pooled), _array(texts.pooled), found.data)
    return evaluate_scores(_scores(matcher, images, texts, found), found.data)


def _scores(matcher: Matcher, images: Features, texts: Features, found: ValidationSet) -> Any:
    """Every pair's score; equal captions are scored once."""
    first: dict[str, int] = {}
    for row, text in enumerate(found.data.captions):
        first.setdefault(text, row)
    column = {text: number for number, text in enumerate(first)}
    kept = torch.tensor(list(first.values()), device=images.pooled.device)
    with torch.inference_mode():
        scores = _array(score_features(matcher, images, texts.rows(kept)))
    return scores[:, [column[text] for text in found.data.captions]]


def _array(tensor: torch.Tensor) -> Any:
    return tensor.cpu().numpy()
