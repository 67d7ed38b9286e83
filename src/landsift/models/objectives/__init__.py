"""What training makes small: pure functions of tensors, each with its source. Nothing here keeps state.

In all of them ``positive`` is the ``(I, T)`` mask of a batch: what is True in it is never pushed apart.
Functions with a matrix of scores take images as rows and captions as columns, and mean over both directions
or add them as their source does.
"""

from __future__ import annotations

from landsift.models.objectives.affiliation import affiliation
from landsift.models.objectives.distillation import feature_distance, score_divergence
from landsift.models.objectives.ground import cells_at, ground_contrast
from landsift.models.objectives.info_nce import info_nce
from landsift.models.objectives.pairs import PAIR_REDUCTIONS, pair_cross_entropy
from landsift.models.objectives.queues import queue_contrast
from landsift.models.objectives.ranking import ranking
from landsift.models.objectives.sigmoid import sigmoid_pairs
from landsift.models.objectives.spread import uniformity
from landsift.models.objectives.transport import sinkhorn, transport_targets
from landsift.models.objectives.triplet import dynamic_margin, triplet
from landsift.models.objectives.views import nt_xent, vicreg

__all__ = [
    "PAIR_REDUCTIONS",
    "affiliation",
    "cells_at",
    "dynamic_margin",
    "feature_distance",
    "ground_contrast",
    "info_nce",
    "nt_xent",
    "pair_cross_entropy",
    "queue_contrast",
    "ranking",
    "score_divergence",
    "sigmoid_pairs",
    "sinkhorn",
    "transport_targets",
    "triplet",
    "uniformity",
    "vicreg",
]
