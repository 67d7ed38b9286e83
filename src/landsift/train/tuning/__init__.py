"""Searching for heads on frozen towers: which layers, pooling, width and bits give most for their bytes.

Features are computed once; a trial trains a small head on them in seconds and is scored on the validation
sets. What comes out is the front no other trial beats in mR, bytes and milliseconds at once.
"""

from __future__ import annotations

from landsift.train.tuning.search import Trial, Tuned, front, tune

__all__ = ["Trial", "Tuned", "front", "tune"]
