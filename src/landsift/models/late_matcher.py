"""Late interaction as a second stage for any method whose towers show cells and words.

Wraps a trained method: its vectors propose, its cells and words order. ``TorchScorer(card, matcher=...)``
then judges pairs with it, as ``landsift evaluate`` and the gallery's ``judge`` do. Knows features; no single
method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from landsift.errors import UsageError
from landsift.models.blocks.heads import unit
from landsift.models.blocks.late import INTERACTIONS, late_scores, one_bit, pooled_cells
from landsift.models.features import Features, TextInput
from landsift.models.matcher import Matcher
from landsift.models.registry import one_of

__all__ = ["LateInteraction"]


class LateInteraction(Matcher):
    """Another method's cells and words, scored against each other.

    Args:
        matcher: Whose features have tokens of one width on both sides.
        kind: ``filip`` or ``colbert``.
        side: Average cells onto a grid of this side first; 0 keeps them. Halving it keeps a quarter.
        bits: Of each number of a cell: 16 (whatever the method gives), or 1 for its sign alone.

    Raises:
        UsageError: No such kind, or sizes that cannot be.
    """

    exact_index = False

    def __init__(self, matcher: Matcher, kind: str = "filip", side: int = 0, bits: int = 16) -> None:
        super().__init__()
        if kind not in INTERACTIONS:
            raise UsageError(f"There is no late interaction {kind!r}; {one_of(kind, INTERACTIONS)}")
        if side < 0 or bits not in (1, 16):
            raise UsageError(f"side is 0 or more and bits 1 or 16; got {side} and {bits}.")
        self.matcher, self.kind, self.side, self.bits = matcher, kind, side, bits
        self.dim, self.input_size, self.fit = matcher.dim, matcher.input_size, matcher.fit
        self.context_length = matcher.context_length

    def prepare(self, captions: Sequence[str]) -> TextInput:
        """As the method reads them."""
        return self.matcher.prepare(captions)

    def image_features(self, pixels: Tensor) -> Features:
        """The method's vector, and its cells as they would be stored."""
        found = self.matcher.image_features(pixels)
        cells = unit(_tokens(found, "image"))
        cells = pooled_cells(cells, self.side) if self.side else cells
        return Features(found.pooled, one_bit(cells) if self.bits == 1 else cells)

    def text_features(self, text: TextInput) -> Features:
        """The method's vector and words."""
        found = self.matcher.text_features(text)
        return replace(found, tokens=unit(_tokens(found, "text")), extras={})

    def similarity(self, image: Features, text: Features) -> Tensor:
        """Late scores of all pairs.

        Raises:
            UsageError: Cells and words have different widths.
        """
        cells, words = _tokens(image, "image"), _tokens(text, "text")
        if cells.shape[2] != words.shape[2]:
            raise UsageError(
                f"Cells have {cells.shape[2]} numbers and words {words.shape[2]}, so they cannot meet; "
                f"choose a method that brings both into one space."
            )
        return late_scores(self.kind, cells, words, text.mask)


def _tokens(features: Features, what: str) -> Tensor:
    if features.tokens is None:
        raise UsageError(f"The method's {what} tower gives one vector and no tokens; choose one with tokens.")
    return features.tokens
