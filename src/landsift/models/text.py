"""The text tower: a BERT-style transformer in plain torch, such as MiniLM-L6 (Wang et al., 2020).

Token ids in, one mean-pooled row per text out, as sentence-transformers pools (Reimers and Gurevych, 2019,
arXiv 1908.10084; MiniLM is arXiv 2002.10957). Knows nothing of tokenizers or images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import EncoderError

__all__ = ["BertTower", "TextConfig", "load_bert_folder", "mean_pool"]


@dataclass(frozen=True)
class TextConfig:
    """Shape of a text tower; the defaults are MiniLM-L6-H384's.

    Attributes:
        vocabulary: Number of tokens.
        width: Length of a token's vector.
        layers: Number of transformer layers.
        heads: Attention heads in each; divides ``width``.
        hidden: Width of the feed-forward layer.
        context_length: Longest text in tokens, the two marker tokens included.
        norm_eps: Added to the variance in every layer norm.
    """

    vocabulary: int = 30522
    width: int = 384
    layers: int = 6
    heads: int = 12
    hidden: int = 1536
    context_length: int = 128
    norm_eps: float = 1e-12

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")


class Embeddings(nn.Module):
    """Token plus position vectors, normalised. The single segment of BERT lies inside the positions."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.token = nn.Embedding(config.vocabulary, config.width)
        self.position = nn.Embedding(config.context_length, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.norm_eps)

    def forward(self, tokens: Tensor) -> Tensor:
        """``(n, length)`` int64 ids to ``(n, length, width)``."""
        return self.norm(self.token(tokens) + self.position.weight[: tokens.shape[1]])


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward layer, each normalised after the residual sum, as in BERT."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.query_key_value = nn.Linear(config.width, 3 * config.width)
        self.attended = nn.Linear(config.width, config.width)
        self.attention_norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.widen = nn.Linear(config.width, config.hidden)
        self.narrow = nn.Linear(config.hidden, config.width)
        self.output_norm = nn.LayerNorm(config.width, eps=config.norm_eps)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """``(n, length, width)`` to the same; ``mask`` ``(n, length)`` bool is True on real tokens."""
        x = self.attention_norm(x + self.attended(self._attend(x, mask)))
        return self.output_norm(x + self.narrow(functional.gelu(self.widen(x))))

    def _attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        n, length, width = x.shape
        parts = self.query_key_value(x).view(n, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        allowed = None if mask is None else mask[:, None, None, :]
        y = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        return y.transpose(1, 2).reshape(n, length, width)


class BertTower(nn.Module):
    """Embeddings, then transformer layers."""

    def __init__(self, config: TextConfig | None = None) -> None:
        super().__init__()
        self.config = config or TextConfig()
        self.embeddings = Embeddings(self.config)
        self.layers = nn.ModuleList(TransformerLayer(self.config) for _ in range(self.config.layers))

    def hidden_states(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """``(n, length)`` ids to ``(n, length, width)``; ``mask`` is True on real tokens."""
        x = self.embeddings(tokens)
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """``(n, length)`` ids and mask to ``(n, width)``, the mean over real tokens."""
        return mean_pool(self.hidden_states(tokens, mask), mask)


def mean_pool(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of ``(n, length, width)`` over the positions where ``mask`` ``(n, length)`` is True."""
    if mask is None:
        return x.mean(dim=1)
    weights = mask.unsqueeze(-1).to(x.dtype)
    return (x * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def load_bert_folder(
    folder: str | Path, *, context_length: int = 128, keep_tokens: Sequence[int] | None = None
) -> BertTower:
    """Read a Hugging Face BERT folder (``config.json``, ``model.safetensors``) into a tower.

    Args:
        folder: Where the two files lie.
        context_length: Positions to keep of those the checkpoint has.
        keep_tokens: Old ids of the vocabulary rows to keep, in their new order; all when None.

    Returns:
        The tower, in ``eval`` mode.

    Raises:
        EncoderError: A file is absent or holds another architecture.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        published = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        state = load_file(str(folder / "model.safetensors"))
        tower = BertTower(_text_config(published, context_length, keep_tokens))
        tower.load_state_dict(_own_state(state, tower.config, keep_tokens))
    except Exception as error:
        raise EncoderError(
            f"{folder} does not hold a readable BERT checkpoint ({type(error).__name__}: {error}); "
            f"give a folder with config.json and model.safetensors."
        ) from error
    return tower.eval()


def _text_config(published: dict[str, object], context_length: int, keep: Sequence[int] | None) -> TextConfig:
    if published["hidden_act"] != "gelu" or published["position_embedding_type"] != "absolute":
        raise ValueError("only exact GELU and absolute positions are known here")
    number = {key: value for key, value in published.items() if isinstance(value, int)}
    return TextConfig(
        vocabulary=number["vocab_size"] if keep is None else len(keep),
        width=number["hidden_size"],
        layers=number["num_hidden_layers"],
        heads=number["num_attention_heads"],
        hidden=number["intermediate_size"],
        context_length=min(context_length, number["max_position_embeddings"]),
        norm_eps=float(str(published["layer_norm_eps"])),
    )


_LAYER_NAMES = {
    "attention.output.dense": "attended",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "widen",
    "output.dense": "narrow",
    "output.LayerNorm": "output_norm",
}


def _own_state(state: dict[str, Tensor], config: TextConfig, keep: Sequence[int] | None) -> dict[str, Tensor]:
    """The published parameters under the names used here, query, key and value joined."""
    token = state["embeddings.word_embeddings.weight"]
    position = state["embeddings.position_embeddings.weight"][: config.context_length]
    own = {
        "embeddings.token.weight": token if keep is None else token[torch.as_tensor(keep)],
        # All texts are of segment 0, whose one vector is the same at every position.
        "embeddings.position.weight": position + state["embeddings.token_type_embeddings.weight"][0],
    }
    for kind in ("weight", "bias"):
        own[f"embeddings.norm.{kind}"] = state[f"embeddings.LayerNorm.{kind}"]
        for number in range(config.layers):
            old, new = f"encoder.layer.{number}", f"layers.{number}"
            joined = [state[f"{old}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            own[f"{new}.query_key_value.{kind}"] = torch.cat(joined)
            for there, here in _LAYER_NAMES.items():
                own[f"{new}.{here}.{kind}"] = state[f"{old}.{there}.{kind}"]
    return own
