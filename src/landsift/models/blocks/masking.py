"""Words hidden and guessed from the image, which teaches tokens to look at each other. Knows tokens only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.blocks.attention import Attention, SelfAttention

__all__ = ["WordGuesser", "hidden_words"]


def hidden_words(tokens: Tensor, hide: Tensor, instead: int) -> tuple[Tensor, Tensor]:
    """Captions with some words replaced, and what they were.

    Args:
        tokens: ``(n, length)`` int64.
        hide: ``(n, length)`` bool.
        instead: Token that is put there.

    Returns:
        The changed tokens, and ``(n, length)`` the right answers, -100 where nothing is asked.
    """
    return torch.where(hide, instead, tokens), torch.where(hide, tokens, -100)


class WordGuesser(nn.Module):
    """Guesses hidden words: they ask the image's cells, then each other, then the vocabulary.

    Args:
        dim: Of words and cells.
        vocabulary: Number of tokens.
    """

    def __init__(self, dim: int, vocabulary: int) -> None:
        super().__init__()
        self.word_norm, self.cell_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.ask, self.mix = Attention(dim), SelfAttention(dim, dropout=0.0)
        self.head = nn.Sequential(
            nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim), nn.Linear(dim, vocabulary)
        )

    def forward(self, words: Tensor, mask: Tensor, cells: Tensor, answers: Tensor) -> Tensor:
        """Mean cross-entropy over the hidden words; 0 if there are none.

        Args:
            words: ``(n, length, dim)`` states of captions with hidden words.
            mask: ``(n, length)`` bool.
            cells: ``(n, a, dim)`` of the image of each caption.
            answers: ``(n, length)`` of :func:`hidden_words`.
        """
        asked = answers >= 0
        seen = self.mix(self.ask(self.word_norm(words), self.cell_norm(cells)), mask)
        if not asked.any():
            return seen.sum() * 0
        return functional.cross_entropy(self.head(seen[asked]), answers[asked])
