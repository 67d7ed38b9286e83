"""Whether what is found means the same: answers of the query's class, paraphrases, round trips, like labels.

One dictionary of figures beside mAP@R and nDCG in a report of ``--semantic``. Knows sets and scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landsift.captions import caption_groups
from landsift.metrics.consistency import (
    cycle_consistency,
    paraphrase_agreement,
    plausible_match_r_precision,
)
from landsift.metrics.precision import scene_recall
from landsift.types import FloatArray, RetrievalSet

__all__ = ["semantic_consistency"]

_K = 10
_KEYWORD_TOLERANCES, _CLASS_TOLERANCES = (0, 1, 2), (0,)


def semantic_consistency(scores: FloatArray, data: RetrievalSet, *, seed: int = 0) -> dict[str, float]:
    """Consistency of both directions.

    Args:
        scores: ``(N, M)`` images by captions.
        data: The set; its scene classes and keywords are used where it has them.
        seed: Of the paraphrases that are drawn from many, and of the order of equal scores.

    Returns:
        Percent by name: ``class-agreement@10`` (share of the first ten of the query's scene class) and
        ``PMRP`` of both directions, ``paraphrase-RBO``, ``paraphrase-tau`` (-100 to 100), and the cycles of
        :func:`~landsift.metrics.consistency.cycle_consistency`. What a set has no labels for is left out.
    """
    groups = caption_groups(data.captions)
    found = _class_agreement(scores, data)
    agreement = paraphrase_agreement(scores.T, data.image_of, groups, seed=seed)
    if agreement["pairs"]:
        found["paraphrase-RBO"] = 100 * agreement["rbo"]
        found["paraphrase-tau"] = 100 * agreement["kendall"]
    found |= cycle_consistency(scores, groups, data.labels)
    found |= _plausible(scores, data)
    return {name: value for name, value in found.items() if not np.isnan(value)}


def _class_agreement(scores: FloatArray, data: RetrievalSet) -> dict[str, float]:
    if data.labels is None:
        return {}
    k, of_captions = min(_K, *scores.shape), data.labels[data.image_of]
    return {
        f"i2t_class-agreement@{k}": scene_recall(scores, data.labels, of_captions, (k,))[k],
        f"t2i_class-agreement@{k}": scene_recall(scores.T, of_captions, data.labels, (k,))[k],
    }


def _plausible(scores: FloatArray, data: RetrievalSet) -> dict[str, float]:
    """PMRP by keywords that may differ in two, or else by scene class, where any other one differs in two."""
    labels = _label_vectors(data)
    if labels is None:
        return {}
    tolerances = _KEYWORD_TOLERANCES if any(data.keywords or ()) else _CLASS_TOLERANCES
    known = np.flatnonzero(labels.any(axis=1))
    captions = np.flatnonzero(labels[data.image_of].any(axis=1))
    if not len(known) or not len(captions):
        return {}
    part, words = scores[np.ix_(known, captions)], labels[data.image_of[captions]]
    return {
        "i2t_PMRP": plausible_match_r_precision(part, labels[known], words, tolerances),
        "t2i_PMRP": plausible_match_r_precision(part.T, words, labels[known], tolerances),
    }


def _label_vectors(data: RetrievalSet) -> NDArray[np.bool_] | None:
    """``(N, labels)``: which keywords an image has, or which class; None for sets without either."""
    if data.keywords is not None and any(data.keywords):
        own = [[word.lower() for word in words] for words in data.keywords]
    elif data.labels is not None:
        own = [[str(label)] if label >= 0 else [] for label in data.labels.tolist()]
    else:
        return None
    number = {word: place for place, word in enumerate(sorted({word for words in own for word in words}))}
    found = np.zeros((len(own), len(number)), bool)
    for row, words in enumerate(own):
        found[row, [number[word] for word in words]] = True
    return found
