"""A hash that tells whether two people scored the same split.

Knows names and captions, not pixels or paths.
"""

from __future__ import annotations

import hashlib
import json

from landsift.types import RetrievalSet

__all__ = ["fingerprint"]


def fingerprint(data: RetrievalSet) -> str:
    """SHA-256 over image names, captions and which describes which, whatever file layout they came in.

    Returns:
        64 hexadecimal digits.
    """
    content = [list(data.image_names), list(data.captions), data.image_of.tolist()]
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
