"""Texts made clean before they are tokenised, exactly as the makers of an encoder cleaned theirs.

open_clip's steps, one after the other: broken encodings and odd forms mended by ftfy, HTML undone twice,
then what the kind of text tower asks for. Knows strings; no tokenizers.
"""

from __future__ import annotations

import html
import string
from collections.abc import Callable, Mapping

from landsift.errors import EncoderError, need

__all__ = ["CLEANINGS", "cleaned"]

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def cleaned(text: str, cleaning: str) -> str:
    """A text as an encoder's tokenizer wants it.

    Args:
        text: As it was written.
        cleaning: Of :data:`CLEANINGS`; empty leaves the text as it is.

    Raises:
        EncoderError: There is no such cleaning.
    """
    if cleaning not in CLEANINGS:
        known = ", ".join(name for name in CLEANINGS if name)
        raise EncoderError(
            f"Texts are not cleaned {cleaning!r} here; install a newer release (known: {known})."
        )
    return CLEANINGS[cleaning](text)


def _as_it_is(text: str) -> str:
    return text


def _spaced(text: str) -> str:
    """Mended, and one space between words."""
    return " ".join(_mended(text).split())


def _lower(text: str) -> str:
    # Lower case belongs to whole words: at their end a Greek sigma has another form.
    return _spaced(text).lower()


def _bare(text: str) -> str:
    """Without punctuation, in lower case."""
    bare = _mended(text).replace("_", " ").translate(_NO_PUNCTUATION).lower()
    return " ".join(bare.split())


def _mended(text: str) -> str:
    # Of plain ASCII without control characters and entities nothing is ever mended: most texts need no ftfy.
    if text.isascii() and text.isprintable() and "&" not in text:
        return text.strip()
    ftfy = need("ftfy", extra="torch")
    mended: str = html.unescape(html.unescape(ftfy.fix_text(text)))
    return mended.strip()


CLEANINGS: Mapping[str, Callable[[str], str]] = {
    "": _as_it_is,
    "clip": _lower,
    "siglip": _bare,
    "roberta": _spaced,
}
"""By name; ``clip`` for CLIP's own tokenizer, ``siglip`` and ``roberta`` for those of these text towers."""
