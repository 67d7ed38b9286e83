"""A sentence on change -> what was there before and what is there after, by a small set of patterns.

No grammar, no model: a sentence that no pattern fits is taken as what is there after, and the answer says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from landsift.errors import UsageError

__all__ = ["Wording", "read_sentence"]


@dataclass(frozen=True)
class Wording:
    """What a sentence on change was understood as.

    Attributes:
        before, after: In words; one of them may be None, not both.
        understood: Whether a pattern fitted, or somebody said both.
    """

    before: str | None
    after: str | None
    understood: bool = True

    def __str__(self) -> str:
        """For headings."""
        return f"{self.before or 'anything'} -> {self.after or 'anything else'}"


_BE = r"(?:\s+(?:is|are|was|were|has|have|had|being|been|getting|got))*"
_NOW = r"(?:\s+(?:now|recently|newly|partly|completely))?"
_TURN = (
    r"turn(?:ed|s|ing)?|chang(?:ed?|es|ing)|convert(?:ed|s|ing)?|transform(?:ed|s|ing)?|develop(?:ed|s|ing)?"
)
_MADE = (
    r"built|constructed|erected|added|planted|opened|created|installed|dug|formed|appear(?:ed|s|ing)?"
    r"|emerg(?:ed|es|ing)"
)
_LOST = (
    r"gone|removed|demolished|destroyed|lost|felled|cleared|abandoned|disappear(?:ed|s|ing)?|vanish(?:ed|es|ing)?"
    r"|dried\s+up|dried\s+out|drained|burn(?:ed|t)(?:\s+down)?|torn\s+down|cut(?:\s+down)?"
)
_FEW_WORDS = r"\S+(?:\s+\S+){0,2}"
# "a house next to a road" and "a road leading into a forest" tell of a place, not of a change.
_NO_PLACE = r"(?<!next)(?<!close)(?<!adjacent)(?<!parallel)(?<!ing)(?<!ed)"
_PATTERNS = (
    r"(?P<b>.+?)\s*(?:->|→|=>)\s*(?P<a>.+)",
    r"(?:a\s+)?(?:change|conversion|transition)\s+(?:from|of)\s+(?P<b>.+?)\s+(?:in)?to\s+(?P<a>.+)",
    r"from\s+(?P<b>.+?)\s+(?:in)?to\s+(?P<a>.+)",
    rf"(?P<b>.+?){_BE}{_NOW}\s+(?:{_TURN})\s+(?:in)?to\s+(?P<a>.+)",
    rf"(?P<b>.+?){_BE}{_NOW}\s+(?:replaced|covered|flooded|overgrown)\s+(?:by|with)\s+(?P<a>.+)",
    rf"(?P<b>.+?){_BE}{_NOW}\s+(?:cleared|felled|cut(?:\s+down)?|drained|removed|demolished)\s+(?:for|to\s+make\s+(?:way|room)\s+for)\s+(?P<a>.+)",
    r"(?P<b>.+?)\s+(?:(?:gave|gives|made|makes|making|giving)\s+way\s+(?:to|for)|becom(?:es?|ing)|became)\s+(?P<a>.+)",
    rf"(?P<a>.+?){_BE}{_NOW}\s+(?:{_MADE})\s+(?:on|over|in\s+place\s+of|instead\s+of|where\s+there\s+(?:was|were))\s+(?P<b>.+)",
    r"(?P<a>.+?)\s+(?:in\s+place\s+of|instead\s+of|where\s+there\s+(?:was|were))\s+(?P<b>.+)",
    rf"(?P<b>{_FEW_WORDS}){_NO_PLACE}\s+(?:in)?to\s+(?P<a>{_FEW_WORDS})",
    r"(?:no\s+(?:more|longer(?:\s+any)?)|(?:the\s+)?(?:loss|removal|demolition|clearing|disappearance)\s+of)\s+(?P<b>.+)",
    rf"(?P<b>.+?){_BE}{_NOW}\s+(?:{_LOST})",
    r"(?:the\s+)?(?:construction|growth|expansion|appearance|spread)\s+of\s+(?P<a>.+)",
    rf"(?:newly\s+(?:{_MADE})|new)\s+(?P<a>.+)",
    rf"(?P<a>.+?){_BE}{_NOW}\s+(?:{_MADE})",
)
_READY = tuple(re.compile(pattern, re.IGNORECASE) for pattern in _PATTERNS)


def read_sentence(text: str | None, before: str | None = None, after: str | None = None) -> Wording | None:
    """What was there, and what is there now.

    Args:
        text: A sentence such as "forest cleared for farmland"; may be None.
        before, after: Said outright; then the sentence is a heading only.

    Returns:
        None where nothing is said at all.

    Raises:
        UsageError: Something said is empty.
    """
    for words in (text, before, after):
        if words is not None and not words.strip():
            raise UsageError("The text is empty; say what changed, such as 'forest cleared for farmland'")
    if before is not None or after is not None:
        return Wording(before, after)
    return None if text is None else _parsed(" ".join(text.split()).rstrip(" .!"))


def _parsed(text: str) -> Wording:
    for pattern in _READY:
        found = pattern.fullmatch(text)
        if found is not None:
            parts = found.groupdict()
            return Wording(parts.get("b"), parts.get("a"))
    return Wording(None, text, understood=False)
