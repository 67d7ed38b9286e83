"""Change between two dates: which places of a gallery changed, and which changed as a sentence says.

Needs no training: differences of the stored vectors are ranked. Knows galleries, scenes and encoders; draws
no sheets and prints nothing.
"""

from __future__ import annotations

from landsift.changes.finding import find_changes
from landsift.changes.pictures import MARGIN, pictures_of
from landsift.changes.result import Change, ChangeResult
from landsift.changes.wording import Wording, read_sentence

__all__ = [
    "MARGIN",
    "Change",
    "ChangeResult",
    "Wording",
    "find_changes",
    "pictures_of",
    "read_sentence",
]
