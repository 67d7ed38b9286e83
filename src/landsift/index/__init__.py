"""Vectors in, row numbers out: exactly, by sign codes, by inverted lists, and the planner that chooses.

Knows no ids, no metadata and no model. faiss lives here and nowhere else.
"""

from __future__ import annotations

from landsift.index.ann import AnnIndex
from landsift.index.cascade import CascadeIndex
from landsift.index.codes import Coder
from landsift.index.flat import FlatIndex, scores_of_all
from landsift.index.hamming import HammingIndex
from landsift.index.multihash import MultiHashIndex
from landsift.index.planner import EXACT, PlannedIndex, Way
from landsift.index.recall import best_measured
from landsift.index.stored import KINDS, IndexChoice, StoredWays
from landsift.index.tokens import TokenTable
from landsift.index.trace import Stage, Stopwatch, Trace

__all__ = [
    "EXACT",
    "KINDS",
    "AnnIndex",
    "CascadeIndex",
    "Coder",
    "FlatIndex",
    "HammingIndex",
    "IndexChoice",
    "MultiHashIndex",
    "PlannedIndex",
    "Stage",
    "Stopwatch",
    "StoredWays",
    "TokenTable",
    "Trace",
    "Way",
    "best_measured",
    "scores_of_all",
]
