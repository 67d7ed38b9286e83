"""Pictures and captions spoilt as overhead imagery and its users spoil them, in five severities, repeatably.

numpy and Pillow only. Knows pixels and strings; no encoders and no scores.
"""

from __future__ import annotations

from landsift.data.corrupting.sets import SpoiltImages, spoilt_set
from landsift.data.corrupting.suite import (
    CORRUPTIONS,
    SEVERITIES,
    Corruption,
    check_severities,
    corrupt,
    corrupt_text,
    corruption_names,
    family_of,
    find_corruptions,
)
from landsift.data.corrupting.words import TEXT_NOISES, TextNoise

__all__ = [
    "CORRUPTIONS",
    "SEVERITIES",
    "TEXT_NOISES",
    "Corruption",
    "SpoiltImages",
    "TextNoise",
    "check_severities",
    "corrupt",
    "corrupt_text",
    "corruption_names",
    "family_of",
    "find_corruptions",
    "spoilt_set",
]
