"""A decoder that reads captions and writes them: causal layers, then layers that look at a pair.

CoCa's layout (Yu et al., 2022, arXiv 2205.01917), as in Ferrod et al. (Discovery Science 2024): the first
layers see words alone, and the state of the last word is the caption's vector; the others look at the pair's
tokens and foretell the next word. Knows token numbers; no tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.blocks.attention import Attention, FeedForward

__all__ = ["CaptionDecoder", "beam_search", "greedy_search"]

NextWord = Callable[[Tensor], Tensor]
"""From beginnings ``(n, length)`` to logits of what follows, ``(n, vocabulary)``."""


class _CausalAttention(nn.Module):
    """Multi-head attention in which a word sees itself and those before it; padding lies behind all."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in self.query_key_value(x).chunk(3, dim=2)
        )
        hidden = self.dropout if self.training else 0.0
        y = functional.scaled_dot_product_attention(query, key, value, is_causal=True, dropout_p=hidden)
        found: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return found


class _Layer(nn.Module):
    """Causal attention, attention to a pair if ``looks``, and a feed-forward map, each normed first."""

    def __init__(self, width: int, heads: int, dropout: float, looks: bool) -> None:
        super().__init__()
        self.words = _CausalAttention(width, heads, dropout)
        self.pair = Attention(width, heads, dropout) if looks else None
        self.feed = FeedForward(width, 4 * width, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if looks else 2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        x = x + self.dropout(self.words(self.norms[0](x)))
        if self.pair is not None:
            x = x + self.dropout(self.pair(self.norms[2](x), memory))
        x = x + self.dropout(self.feed(self.norms[1](x)))
        return x


class CaptionDecoder(nn.Module):
    """Words to states, and states with a pair to the next words; the output shares the words' vectors.

    Args:
        vocabulary: Number of tokens.
        width: Of states and of the pair's tokens.
        heads: Divides ``width``.
        reading: Layers that see words alone.
        writing: Layers that look at the pair too.
        longest: Tokens at most.
        dropout: Share hidden in training.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        heads: int,
        reading: int,
        writing: int,
        longest: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.words, self.longest = nn.Embedding(vocabulary, width), longest
        nn.init.normal_(self.words.weight, std=width**-0.5)
        self.places = nn.Parameter(torch.randn(longest, width) * 0.02)
        self.reading = nn.ModuleList(_Layer(width, heads, dropout, False) for _ in range(reading))
        self.writing = nn.ModuleList(_Layer(width, heads, dropout, True) for _ in range(writing))
        self.read_norm, self.write_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def read(self, tokens: Tensor) -> Tensor:
        """``(n, length)`` token numbers to ``(n, length, width)``; a state depends on no later word."""
        x = self.words(tokens) + self.places[: tokens.shape[1]]
        for layer in self.reading:
            x = layer(x)
        found: Tensor = self.read_norm(x)
        return found

    def write(self, states: Tensor, pair: Tensor) -> Tensor:
        """States ``(n, length, width)`` and a pair's tokens ``(n, cells, width)`` to logits of the word after
        each place, ``(n, length, vocabulary)``."""
        x = states
        for layer in self.writing:
            x = layer(x, pair)
        return self.write_norm(x) @ self.words.weight.T + self.bias

    def next_word(self, pair: Tensor, forbidden: Tensor) -> NextWord:
        """What foretells the next word of captions of one pair each, ``pair`` ``(n, cells, width)``.

        Args:
            pair: Tokens of ``n`` pairs; a single one serves any number of beginnings.
            forbidden: Tokens that no caption holds.
        """

        def logits(tokens: Tensor) -> Tensor:
            memory = pair.expand(len(tokens), -1, -1) if len(pair) == 1 else pair
            found = self.write(self.read(tokens), memory)[:, -1]
            return found.index_fill(1, forbidden, -torch.inf)

        return logits


def greedy_search(
    follow: NextWord, count: int, first: int, last: int, longest: int, device: torch.device
) -> Tensor:
    """The likeliest word each time.

    Args:
        follow: Foretells the next word of ``count`` beginnings.
        count: Captions.
        first: Token that begins one.
        last: Token that ends one.
        longest: Tokens at most.
        device: Of the tokens.

    Returns:
        ``(count, length)`` token numbers; behind an end come more ends.
    """
    tokens = torch.full((count, 1), first, device=device)
    ended = torch.zeros(count, dtype=torch.bool, device=device)
    while tokens.shape[1] < longest and not ended.all():
        word = follow(tokens).argmax(dim=1).masked_fill(ended, last)
        tokens, ended = torch.cat([tokens, word[:, None]], dim=1), ended | (word == last)
    return tokens


def beam_search(
    follow: NextWord,
    beams: int,
    first: int,
    last: int,
    longest: int,
    device: torch.device,
    power: float = 0.0,
) -> Tensor:
    """The likeliest caption that is found when ``beams`` beginnings are kept at each step.

    Args:
        follow: Foretells the next word of beginnings of one caption.
        beams: Beginnings kept; 1 is the greedy search.
        first: Token that begins a caption.
        last: Token that ends one.
        longest: Tokens at most.
        device: Of the tokens.
        power: Log-likelihoods are divided by the length to this power; 0 is the published habit.

    Returns:
        ``(length,)`` token numbers.
    """
    tokens = torch.full((1, 1), first, device=device)
    scores = torch.zeros(1, device=device)
    done: list[tuple[float, Tensor]] = []
    while tokens.shape[1] < longest and len(tokens):
        step = scores[:, None] + functional.log_softmax(follow(tokens), dim=1)
        best, place = step.flatten().topk(min(beams, step.numel()))
        row, word = place // step.shape[1], place % step.shape[1]
        tokens = torch.cat([tokens[row], word[:, None]], dim=1)
        ends = word == last
        done += [
            (float(score) / tokens.shape[1] ** power, text)
            for score, text in zip(best[ends], tokens[ends], strict=True)
        ]
        tokens, scores = tokens[~ends], best[~ends]
        # Likelihoods only fall, so nothing open can pass a caption that is ahead of all of them.
        if done and not power and len(scores) and max(done, key=_score)[0] >= float(scores.max()):
            break
    done += [(float(s) / t.shape[0] ** power, t) for s, t in zip(scores, tokens, strict=True)]
    return max(done, key=_score)[1]


def _score(found: tuple[float, Tensor]) -> float:
    return found[0]
