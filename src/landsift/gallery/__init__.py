"""The gallery: tiles of many scenes, their vectors and the encoder that made them, in one folder.

This is the deep class: it hides storage, indexing, filtering and merging behind a few verbs.
It knows nothing of the command line, of plots or of torch.
"""

from __future__ import annotations

from landsift.gallery.gallery import Gallery
from landsift.gallery.indexing import IndexProgress, IndexReport
from landsift.gallery.nearby import Near
from landsift.gallery.pooling import Pool
from landsift.gallery.refining import Refine
from landsift.gallery.result import Match, SearchResult
from landsift.gallery.settings import IndexSettings
from landsift.gallery.where import Where

__all__ = [
    "Gallery",
    "IndexProgress",
    "IndexReport",
    "IndexSettings",
    "Match",
    "Near",
    "Pool",
    "Refine",
    "SearchResult",
    "Where",
]
