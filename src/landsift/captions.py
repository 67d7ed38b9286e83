"""Caption text: when two captions say the same, and when nearly the same.

Knows strings only. Normalised means lower case, punctuation as spaces, spaces collapsed; this is the notion
of "equal caption" in duplicate-aware scores and in overlaps between sets.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from landsift.errors import UsageError
from landsift.types import IntArray

__all__ = [
    "CAPTION_STYLES",
    "NO_CHANGE_CAPTIONS",
    "caption_groups",
    "class_words",
    "is_blank",
    "near_captions",
    "normalise_caption",
    "says_no_change",
    "style_captions",
]

_PUNCTUATION = re.compile(r"[^\w\s]|_")


def normalise_caption(text: str) -> str:
    """Lower case, compatibility forms unified, punctuation as spaces, spaces collapsed."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return " ".join(_PUNCTUATION.sub(" ", plain).split())


def is_blank(text: str) -> bool:
    """Whether a caption holds no letter and no digit."""
    return not any(map(str.isalnum, text))


NO_CHANGE_CAPTIONS = frozenset(
    {
        "the scene is the same as before",
        "there is no difference",
        "the two scenes seem identical",
        "no change has occurred",
        "almost nothing has changed",
    }
)
"""The five sentences of LEVIR-CC for two pictures that show the same, normalised (Liu et al., TGRS 2022)."""


def says_no_change(text: str) -> bool:
    """Whether a sentence is one of :data:`NO_CHANGE_CAPTIONS`, as the official evaluation decides it."""
    return normalise_caption(text) in NO_CHANGE_CAPTIONS


def class_words(name: str) -> str:
    """A class name as words: ``AnnualCrop`` and ``annual_crop`` both become ``annual crop``."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return " ".join(re.sub(r"[_/-]", " ", parted).lower().split())


CAPTION_STYLES: Mapping[str, Callable[[str], str]] = {
    "raw": lambda text: text,
    "capitalised": str.capitalize,
    "prefixed": lambda text: f"a satellite image. {text}",
    "first-30-words": lambda text: " ".join(text.split()[:30]),
}
"""How published evaluations alter captions before encoding them: as they are; first letter upper and all
others lower (RemoteCLIP); behind a prefix (SkyScript); cut (HarMA, PIR). A report must name the style."""


def style_captions(captions: Sequence[str], style: str) -> list[str]:
    """Alter captions in one of the :data:`CAPTION_STYLES`.

    Raises:
        UsageError: No such style; the message lists them.
    """
    if style not in CAPTION_STYLES:
        raise UsageError(f"There is no caption style {style!r}; choose one of {', '.join(CAPTION_STYLES)}.")
    return [CAPTION_STYLES[style](text) for text in captions]


def caption_groups(captions: Sequence[str]) -> IntArray:
    """Number the captions by their normalised text: equal texts get equal numbers.

    Args:
        captions: M texts.

    Returns:
        ``(M,)`` int64, numbered from 0 in order of first appearance.
    """
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(normalise_caption(text), len(numbers)) for text in captions]
    return np.array(groups, np.int64)


def near_captions(
    queries: Sequence[str], corpus: Sequence[str], similarity: float = 0.8
) -> list[tuple[int, int, float]]:
    """Find pairs whose sets of words overlap: Jaccard similarity of the normalised captions.

    Only corpus captions that share one of a query's rarest words are compared: a pair at or above
    the threshold cannot miss all of them (prefix filtering; Chaudhuri, Ganti, Kaushik, ICDE 2006).

    Args:
        queries: Texts.
        corpus: Texts to find them in.
        similarity: Least Jaccard similarity, above 0 and at most 1.

    Returns:
        ``(query, corpus row, similarity)`` in order of query, then corpus row. Captions without words
        match nothing.

    Raises:
        UsageError: ``similarity`` out of range.
    """
    if not 0 < similarity <= 1:
        raise UsageError(f"The similarity of captions must be above 0 and at most 1; got {similarity}.")
    words = [frozenset(normalise_caption(text).split()) for text in corpus]
    rarity = Counter(word for row in words for word in row)
    where: defaultdict[str, list[int]] = defaultdict(list)
    for row, found in enumerate(words):
        for word in _prefix(found, rarity, similarity):
            where[word].append(row)
    pairs = []
    for number, text in enumerate(queries):
        wanted = frozenset(normalise_caption(text).split())
        candidates = {row for word in _prefix(wanted, rarity, similarity) for row in where.get(word, ())}
        for row in sorted(candidates):
            overlap = len(wanted & words[row]) / len(wanted | words[row])
            if overlap >= similarity:
                pairs.append((number, row, overlap))
    return pairs


def _prefix(words: frozenset[str], rarity: Counter[str], similarity: float) -> list[str]:
    """The rarest words of a caption, as many as make missing all of them impossible for a match."""
    ordered = sorted(words, key=lambda word: (rarity[word], word))
    needed = int(np.ceil(similarity * len(words) - 1e-9))
    return ordered[: len(words) - needed + 1] if words else []
