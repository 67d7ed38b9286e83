"""Score heads: how features of images and captions become scores.

Heads that are an inner product in disguise fold into vectors (``fold``), which an index then ranks by
exactly; the others score pairs, written so that no tensor of pairs times width appears where it can be
avoided. Knows vectors, tokens and masks; no towers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.blocks.pooling import AttentionPool

__all__ = [
    "HEADS",
    "BilinearFusion",
    "MessagePassing",
    "PairGate",
    "SoftGate",
    "by_images",
    "clipped_attention_scores",
    "fold_mean_of_cosines",
    "gram_scores",
    "shallow_attention_scores",
    "unit",
]

HEADS = (
    "dot",
    "bilinear",
    "mean of cosines",
    "separable gate",
    "pair gate",
    "late interaction",
    "single stream",
)
"""The kinds there are, from the cheapest to the dearest."""

_NUMBERS_AT_ONCE = 2**24
"""Largest tensor of pairs in scoring without gradients: 64 MiB of float32."""


def unit(x: Tensor) -> Tensor:
    """Rows scaled to length 1, along the last axis."""
    return functional.normalize(x, dim=-1)


def fold_mean_of_cosines(vectors: Sequence[Tensor]) -> Tensor:
    """One row per image whose inner product with a unit row is the mean of cosines (SIRS).

    Args:
        vectors: ``(n, dim)`` each, of any length.

    Returns:
        ``(n, dim)``, shorter than 1: it must not be scaled again.
    """
    return torch.stack([unit(vector) for vector in vectors]).mean(dim=0)


class BilinearFusion(nn.Module):
    """MTFN's rank-R fusion, ``w . sum_r (V_r v) * (T_r t) + b`` (Wang et al., ACM MM 2019; Ben-younes et al.,
    ICCV 2017, MUTAN, arXiv 1705.06676), as the bilinear form it is.

    With a 1 appended to both vectors it is ``v^T A t``; ``fold`` multiplies ``A`` into the image.

    Args:
        dim: Of both vectors.
        middle: Length of the products.
        ranks: R.
    """

    def __init__(self, dim: int, middle: int, ranks: int) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(dim, ranks * middle), nn.Linear(dim, ranks * middle)
        self.weight = nn.Parameter(torch.randn(middle) / math.sqrt(middle))
        self.middle, self.ranks, self.out = middle, ranks, dim + 1

    def form(self) -> Tensor:
        """``A``: ``(dim + 1, dim + 1)``."""
        left, right = (
            torch.cat([layer.weight, layer.bias[:, None]], dim=1) for layer in (self.image, self.text)
        )
        return (left * self.weight.repeat(self.ranks)[:, None]).T @ right

    def fold(self, image: Tensor) -> Tensor:
        """``(n, dim)`` to ``(n, dim + 1)``: the row that is compared with captions."""
        return _with_one(image) @ self.form()

    def text_rows(self, text: Tensor) -> Tensor:
        """``(m, dim)`` to ``(m, dim + 1)``."""
        return _with_one(text)


def _with_one(x: Tensor) -> Tensor:
    return functional.pad(x, (0, 1), value=1.0)


class SoftGate(nn.Module):
    """AMFMN's soft guidance: captions gated by the image, ``cos(v, sigmoid(W v + b) * t)``.

    Separable: the numerator is the inner product of ``v * g / |v|`` and ``t``, the denominator the root of
    that of ``g^2`` and ``t^2``.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, dim)

    def fold(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``(n, dim)`` vectors to the rows of numerator and denominator."""
        gate = torch.sigmoid(self.gate(image))
        return unit(image) * gate, gate.square()

    def forward(self, numerator: Tensor, denominator: Tensor, text: Tensor) -> Tensor:
        """Rows of :meth:`fold` and ``(m, dim)`` captions to ``(n, m)`` cosines."""
        lengths = denominator @ text.square().T
        return (numerator @ text.T) / torch.sqrt(lengths + 1e-12)


class PairGate(nn.Module):
    """AMFMN's other guidances, whose gate is of the pair: ``cos(v, T)`` with

    - ``fusion``: ``T = (A [v; t] + a) * sigmoid(C [v; t] + c)``;
    - ``product``: ``T = sigmoid(Wv v * Wt t) * Wt t``.
    """

    def __init__(self, dim: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.image = nn.Linear(dim, 2 * dim if kind == "fusion" else dim)
        self.text = nn.Linear(dim, 2 * dim if kind == "fusion" else dim, bias=kind != "fusion")

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """``(n, dim)`` and ``(m, dim)`` to ``(n, m)``."""
        ours, theirs = self.image(image), self.text(text)

        def block(rows: slice) -> Tensor:
            if self.kind == "fusion":
                value, gate = (ours[rows, None, :] + theirs[None]).chunk(2, dim=2)
                guided = value * torch.sigmoid(gate)
            else:
                guided = torch.sigmoid(ours[rows, None, :] * theirs[None]) * theirs[None]
            return (unit(guided) * unit(image[rows])[:, None, :]).sum(dim=2)

        return by_images(block, len(image), len(text) * ours.shape[1])


def by_images(block: Callable[[slice], Tensor], images: int, numbers: int) -> Tensor:
    """Score images in blocks that bound the memory where no gradient is kept.

    Args:
        block: Scores of some images against all captions.
        images: How many there are.
        numbers: In the largest tensor of one image.
    """
    at_once = images if torch.is_grad_enabled() else max(1, _NUMBERS_AT_ONCE // max(1, numbers))
    return torch.cat([block(slice(first, first + at_once)) for first in range(0, max(1, images), at_once)])


def clipped_attention_scores(
    query: Tensor,
    query_mask: Tensor | None,
    context: Tensor,
    context_mask: Tensor | None,
    *,
    sharpness: float,
    smoothness: float,
) -> Tensor:
    """SCAN's stacked cross-attention, scored without ever forming the attended vectors.

    Lee et al., ECCV 2018 (arXiv 1803.08024), equations 1 to 8: similarities are rectified (leaky, 0.1) and
    scaled to length 1 over the queries of each context token; each query attends to the context with
    ``softmax(sharpness *)``; its relevance is the cosine with what it sees; relevances are pooled by
    ``log sum exp(smoothness *) / smoothness``. As ``<e, sum_i a_i v_i>`` is a sum of similarities and
    ``|sum_i a_i v_i|^2`` a quadratic form of the context's Gram matrix, pairs cost lengths, not widths.

    Args:
        query: ``(A, a, dim)`` unit tokens that attend.
        query_mask: ``(A, a)`` bool, or None where all are real.
        context: ``(B, b, dim)`` unit tokens that are attended to.
        context_mask: ``(B, b)`` bool, or None.
        sharpness: Lambda of the attention.
        smoothness: Lambda of the pooling.

    Returns:
        ``(A, B)``.
    """
    if query_mask is not None:
        query = query * query_mask[:, :, None]
    gram = context @ context.transpose(1, 2)
    count, length = query.shape[:2]
    flat = context.flatten(0, 1)

    def block(rows: slice) -> Tensor:
        some = query[rows]
        # (B, b, A, a): one matrix product for all pairs, and nothing has to be moved afterwards.
        like = (flat @ some.flatten(0, 1).T).view(*context.shape[:2], *some.shape[:2])
        sharp = functional.leaky_relu(like, 0.1)
        # Reading and writing such tensors is most of the time, so the sharpness rides on the scaling.
        sharp = sharp * (sharpness / torch.linalg.vector_norm(sharp, dim=3, keepdim=True).clamp(min=1e-12))
        if context_mask is not None:
            sharp = sharp.masked_fill(~context_mask[:, :, None, None], -torch.inf)
        weights = torch.softmax(sharp, dim=1)
        dot = (weights * like).sum(dim=1)
        squared = ((gram @ weights.flatten(2)).view_as(weights) * weights).sum(dim=1)
        powers = smoothness * dot / torch.sqrt(squared.clamp(min=0) + 1e-12)
        if query_mask is not None:
            powers = powers.masked_fill(~query_mask[rows], -torch.inf)
        return torch.logsumexp(powers, dim=2).T / smoothness

    return by_images(block, count, len(context) * length * context.shape[1])


def shallow_attention_scores(
    words: Tensor, mask: Tensor, queries: Tensor, keys: Tensor, values: Tensor
) -> Tensor:
    """One head of attention from words to cells; the mean over words of the cosine with what each sees.

    As in :func:`clipped_attention_scores`, what a word sees is never formed.

    Args:
        words: ``(m, b, dim)`` unit words.
        mask: ``(m, b)`` bool.
        queries: ``(m, b, dim)`` of the words.
        keys: ``(n, a, dim)`` of the cells.
        values: ``(n, a, dim)`` of the cells.

    Returns:
        ``(n, m)``.
    """
    gram, counts = values @ values.transpose(1, 2), mask.sum(dim=1)
    queries = queries / math.sqrt(queries.shape[2])

    def block(rows: slice) -> Tensor:
        weights = torch.softmax(torch.einsum("jbx,iax->ijba", queries, keys[rows]), dim=3)
        dot = (weights * torch.einsum("jbx,iax->ijba", words, values[rows])).sum(dim=3)
        squared = (torch.einsum("ijba,iac->ijbc", weights, gram[rows]) * weights).sum(dim=3)
        relevance = dot / torch.sqrt(squared.clamp(min=0) + 1e-12)
        return (relevance * mask[None]).sum(dim=2) / counts[None]

    return by_images(block, len(keys), len(words) * words.shape[1] * keys.shape[1])


def gram_scores(image: Tensor, text: Tensor, text_mask: Tensor | None) -> Tensor:
    """iEBAKER's local score: the root of all squared cosines between words and patches (Zhang et al., 2026,
    arXiv 2504.05644), as the root of the inner product of two Gram matrices.

    Args:
        image: ``(n, a, dim)`` unit tokens.
        text: ``(m, b, dim)`` unit tokens.
        text_mask: ``(m, b)`` bool.

    Returns:
        ``(n, m)``.
    """
    if text_mask is not None:
        text = text * text_mask[:, :, None]
    grams = [(tokens.transpose(1, 2) @ tokens).flatten(1) for tokens in (image, text)]
    return torch.sqrt((grams[0] @ grams[1].T).clamp(min=0) + 1e-12)


class MessagePassing(nn.Module):
    """CAMP's messages between regions and words, gated fusion and pooling, for every pair (Wang et al., ICCV
    2019, arXiv 1909.05506, sections 3.2 to 3.4).

    Args:
        dim: Of regions and words.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.region_key, self.word_key = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.region_fusion, self.word_fusion = nn.Linear(2 * dim, dim), nn.Linear(2 * dim, dim)
        self.region_pool, self.word_pool = AttentionPool(dim, 4), AttentionPool(dim, 4)

    def forward(self, regions: Tensor, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """All pairs of ``(n, a, dim)`` regions and ``(m, b, dim)`` words to two ``(n, m, dim)``."""
        keys = torch.einsum("iax,jbx->ijab", self.region_key(regions), self.word_key(words))
        keys = keys / math.sqrt(regions.shape[2])
        real = mask[None, :, None, :]
        to_regions = torch.softmax(keys.masked_fill(~real, -torch.inf), dim=3)
        to_words = torch.softmax(keys, dim=2)
        from_words = torch.einsum("ijab,jbx->ijax", to_regions, words)
        from_regions = torch.einsum("ijab,iax->ijbx", to_words, regions)
        own_regions = regions[:, None].expand_as(from_words)
        own_words = words[None].expand_as(from_regions)
        fused_regions = _fused(self.region_fusion, own_regions, from_words)
        fused_words = _fused(self.word_fusion, own_words, from_regions)
        pairs = mask[None].expand(len(regions), -1, -1)
        return self.region_pool(fused_regions), self.word_pool(fused_words, pairs)


def _fused(layer: nn.Linear, own: Tensor, message: Tensor) -> Tensor:
    gate = torch.sigmoid((own * message).sum(dim=-1, keepdim=True))
    return torch.relu(layer(gate * torch.cat([own, message], dim=-1))) + own
