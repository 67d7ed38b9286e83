"""Words that name things: which they are, and which of them a caption holds. Knows tokens and captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

__all__ = ["concept_table", "concepts_of"]

_SHORTEST = 3  # letters
_LITTLE_WORDS = """
all and are around arranged beside besides between both can each for from has have into its
kinds lies located lot lots many near next one other piece see several sits some that the there
this three two very was were which with you
"""


def concept_table(tokenizer: Tokenizer, captions: Sequence[str], count: int) -> Tensor:
    """The most frequent tokens of the captions that may name something.

    Args:
        tokenizer: Of the text tower.
        captions: Of the training set.
        count: Most concepts.

    Returns:
        ``(vocabulary,)`` int64: the concept's number, or -1.
    """
    seen: Counter[int] = Counter()
    for encoding in tokenizer.encode_batch(list(captions)):
        seen.update(set(encoding.ids))
    names = {number: tokenizer.id_to_token(number) or "" for number in seen}
    little = frozenset(_LITTLE_WORDS.split())
    things = [
        number
        for number, name in names.items()
        if name.isalpha() and len(name) >= _SHORTEST and name not in little
    ]
    things.sort(key=lambda number: (-seen[number], number))
    table = torch.full((tokenizer.get_vocab_size(),), -1, dtype=torch.int64)
    for concept, number in enumerate(things[:count]):
        table[number] = concept
    return table


def concepts_of(tokens: Tensor, mask: Tensor, table: Tensor, count: int) -> Tensor:
    """Which concepts each caption names: ``(n, count)`` of 0 and 1, float32.

    Args:
        tokens: ``(n, length)`` int64.
        mask: ``(n, length)`` bool, True on real tokens.
        table: Of :func:`concept_table`.
        count: How many concepts there may be.
    """
    named = torch.where(mask, table[tokens], -1)
    # One more column takes what names nothing.
    found = torch.zeros(len(tokens), count + 1, device=tokens.device)
    found.scatter_(1, torch.where(named < 0, count, named), 1.0)
    return found[:, :count]
