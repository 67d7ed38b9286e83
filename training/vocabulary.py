"""The tokenizer of the text tower, without the words it could only have learnt from other scripts.

The published vocabulary holds letters of many scripts, but the model was trained on English: a text in them
would get a vector that means nothing. Without those entries such a text is unknown, and the encoder says so.
Knows the ``tokenizer.json`` layout; no models.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

__all__ = ["latin_vocabulary"]


def latin_vocabulary(tokenizer_json: str) -> tuple[str, list[int]]:
    """Keep the tokens of Latin script, digits and signs of a WordPiece ``tokenizer.json``.

    Returns:
        The new ``tokenizer.json`` as text, and the old ids of the kept tokens in their new order.
    """
    tokenizer: dict[str, Any] = json.loads(tokenizer_json)
    old: dict[str, int] = tokenizer["model"]["vocab"]
    kept = [token for token in sorted(old, key=old.__getitem__) if _is_kept(token)]
    new = {token: number for number, token in enumerate(kept)}
    tokenizer["model"]["vocab"] = new
    tokenizer["truncation"] = tokenizer["padding"] = None
    for special in tokenizer["added_tokens"]:
        special["id"] = new[special["content"]]
    for name, special in tokenizer["post_processor"]["special_tokens"].items():
        special["ids"] = [new[name]]
    return json.dumps(tokenizer, ensure_ascii=False), [old[token] for token in kept]


def _is_kept(token: str) -> bool:
    if token.startswith("[unused"):
        return False
    return all(
        char.isascii() or unicodedata.category(char)[0] not in "LM" or _is_latin(char) for char in token
    )


def _is_latin(char: str) -> bool:
    return "LATIN" in unicodedata.name(char, "")
