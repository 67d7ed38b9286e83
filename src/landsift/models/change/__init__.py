"""Learned models of change: a place on two dates, and the words for what happened there.

Encoders of two dates on the shared trunks, a decoder that reads and writes captions, a space that pairs and
texts share, masks of where something changed. Knows tensors; no data sets and no optimisers.
"""

from __future__ import annotations

from landsift.models.change.matcher import ChangeMatcher, ChangeOptions
from landsift.models.change.model import ChangeModel, load_change_model

__all__ = ["ChangeMatcher", "ChangeModel", "ChangeOptions", "load_change_model"]
