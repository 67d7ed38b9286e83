"""The layouts that CLIP-like checkpoints come in, and how each is renamed to the names used here.

A layout is found by the names of its tensors alone. Renaming copies nothing but what is stored in pieces
(queries, keys and values of Hugging Face files) or turned (projections). Knows no files and no architectures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["LAYOUTS", "Layout", "Tensors", "find_layout", "unwrapped"]

Tensors = dict[str, Tensor]
_Rules = Sequence[tuple[str, str]]

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.", "clip_base_model.model.", "model.")
"""What trainers put before every name: DataParallel, compile, Lightning modules (Llama3-MS-CLIP)."""
_IGNORED = re.compile(r"position_ids$|attn_mask$|^(input_resolution|context_length|vocab_size|temperature)$")

_OPEN_CLIP_LAYER: _Rules = (
    (r"transformer\.resblocks\.(\d+)\.", r"layers.\1."),
    (r"\.attn\.in_proj_", ".query_key_value."),
    (r"\.attn\.out_proj\.", ".attended."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.mlp\.c_fc\.", ".widen."),
    (r"\.mlp\.c_proj\.", ".narrow."),
)
_OPEN_CLIP_IMAGE: _Rules = (
    (r"^visual\.conv1\.weight$", "image.patches.weight"),
    (r"^visual\.class_embedding$", "image.class_token"),
    (r"^visual\.positional_embedding$", "image.positions"),
    (r"^visual\.ln_pre\.", "image.norm_before."),
    (r"^visual\.ln_post\.", "image.norm_after."),
    (r"^visual\.proj$", "image.projection.turned"),
    (r"^visual\.transformer\.", "image.transformer."),
)
_OPEN_CLIP_TEXT: _Rules = (
    (r"^(?:text\.)?token_embedding\.", "text.words."),
    (r"^(?:text\.)?positional_embedding$", "text.positions"),
    (r"^(?:text\.)?positional_embedding_res$", "text.stretched"),
    (r"^(?:text\.)?ln_final\.", "text.norm_after."),
    (r"^(?:text\.)?text_projection$", "text.projection.turned"),
    (r"^(?:text\.)?text_projection\.", "text.projection."),
    (r"^(?:text\.)?transformer\.resblocks", "text.transformer.resblocks"),
)
_SCALES: _Rules = ((r"^logit_scale$", "log_scale"), (r"^logit_bias$", "offset"))
_TIMM_IMAGE: _Rules = (
    (r"^visual\.trunk\.patch_embed\.proj\.", "image.patches."),
    (r"^visual\.trunk\.patch_embed\.", "image.patches."),
    (r"^visual\.trunk\.pos_embed$", "image.positions"),
    (r"^visual\.trunk\.blocks\.", "image.layers."),
    (r"^visual\.trunk\.norm\.", "image.norm_after."),
    (r"^visual\.trunk\.attn_pool\.latent$", "image.pool.probe"),
    (r"^visual\.trunk\.attn_pool\.q\.", "image.pool.query."),
    (r"^visual\.trunk\.attn_pool\.kv\.", "image.pool.key_value."),
    (r"^visual\.trunk\.attn_pool\.proj\.", "image.pool.attended."),
    (r"^visual\.trunk\.attn_pool\.norm\.", "image.pool.norm."),
    (r"^visual\.trunk\.attn_pool\.mlp\.", "image.pool.mlp."),
    (r"^(image\..*)\.attn\.qkv\.", r"\1.query_key_value."),
    (r"^(image\..*)\.attn\.proj\.", r"\1.attended."),
    (r"^(image\..*)\.mlp\.fc1\.", r"\1.widen."),
    (r"^(image\..*)\.mlp\.fc2\.", r"\1.narrow."),
)
_HUGGING_FACE: _Rules = (
    (r"^vision_model\.", "image."),
    (r"^text_model\.", "text."),
    (r"^visual_projection\.", "image.projection."),
    (r"^text_projection\.", "text.projection."),
    (r"\.embeddings\.class_embedding$", ".class_token"),
    (r"\.embeddings\.patch_embedding\.", ".patches."),
    (r"\.embeddings\.token_embedding\.", ".words."),
    (r"\.embeddings\.position_embedding\.weight$", ".positions"),
    (r"\.pre_layrnorm\.", ".norm_before."),
    (r"\.(?:post_layernorm|final_layer_norm)\.", ".norm_after."),
    (r"\.encoder\.layers\.", ".layers."),
    (r"\.layer_norm(\d)\.", r".norm\1."),
    (r"\.self_attn\.out_proj\.", ".attended."),
    (r"\.self_attn\.([qkv])_proj\.", r".\1."),
    (r"^text\.head\.", "text.projection."),
    (r"^image\.head\.probe$", "image.pool.probe"),
    (r"^image\.head\.attention\.in_proj_", "image.pool.in_proj."),
    (r"^image\.head\.attention\.out_proj\.", "image.pool.attended."),
    (r"^image\.head\.layernorm\.", "image.pool.norm."),
    (r"^image\.head\.mlp\.", "image.pool.mlp."),
    (r"\.mlp\.fc1\.", ".widen."),
    (r"\.mlp\.fc2\.", ".narrow."),
)
_ROBERTA_TEXT: _Rules = (
    (r"^text\.transformer\.embeddings\.word_embeddings\.weight$", "text.tower.embeddings.token.weight"),
    (r"^text\.transformer\.embeddings\.position_embeddings\.weight$", "text.tower.embeddings.position.raw"),
    (r"^text\.transformer\.embeddings\.token_type_embeddings\.weight$", "text.tower.embeddings.segment.raw"),
    (r"^text\.transformer\.embeddings\.LayerNorm\.", "text.tower.embeddings.norm."),
    (r"^text\.transformer\.encoder\.layer\.", "text.tower.layers."),
    (r"\.attention\.self\.(q|k|v)(?:uery|ey|alue)\.", r".\1."),
    (r"\.attention\.output\.dense\.", ".attended."),
    (r"\.attention\.output\.LayerNorm\.", ".attention_norm."),
    (r"\.intermediate\.dense\.", ".widen."),
    (r"(layers\.\d+)\.output\.dense\.", r"\1.narrow."),
    (r"(layers\.\d+)\.output\.LayerNorm\.", r"\1.output_norm."),
    (r"^text\.proj\.", "text.projection."),
)
_ITRA: _Rules = ((r"^image_backbone\.(?:visual\.)?", "visual."), (r"^text_backbone\.", ""))


@dataclass(frozen=True)
class Layout:
    """A way of naming the tensors of a checkpoint.

    Attributes:
        name: For people.
        fits: Whether a set of names is in this layout.
        rules: Regular expressions and what they become, applied in order to each name.
    """

    name: str
    fits: Callable[[set[str]], bool]
    rules: _Rules

    def renamed(self, tensors: Mapping[str, Tensor]) -> Tensors:
        """The tensors by the names used here, in one piece and turned the right way."""
        named = {_renamed(name, self.rules): tensor for name, tensor in tensors.items()}
        return _in_one_piece(named)


def _has(*starts: str) -> Callable[[set[str]], bool]:
    return lambda names: all(any(name.startswith(start) for name in names) for start in starts)


_OPEN_CLIP = (*_OPEN_CLIP_IMAGE, *_OPEN_CLIP_TEXT, *_OPEN_CLIP_LAYER)
_RESNET: _Rules = ((r"^visual\.", "image."),)

LAYOUTS: tuple[Layout, ...] = (
    Layout("ITRA", _has("image_backbone.", "text_backbone."), (*_ITRA, *_OPEN_CLIP, *_SCALES)),
    Layout("Hugging Face", _has("vision_model.", "text_model."), (*_HUGGING_FACE, *_SCALES)),
    Layout(
        "open_clip with a timm image tower",
        _has("visual.trunk.", "text."),
        (*_TIMM_IMAGE, *_OPEN_CLIP_TEXT, *_OPEN_CLIP_LAYER, *_SCALES),
    ),
    Layout(
        "open_clip with a Hugging Face text tower",
        _has("visual.", "text.transformer.embeddings."),
        (*_OPEN_CLIP_IMAGE, *_ROBERTA_TEXT, *_OPEN_CLIP_LAYER, *_SCALES),
    ),
    Layout(
        "open_clip, ResNet",
        _has("visual.layer1.", "token_embedding."),
        (*_RESNET, *_OPEN_CLIP_TEXT, *_OPEN_CLIP_LAYER, *_SCALES),
    ),
    Layout("open_clip", _has("visual.conv1.", "token_embedding."), (*_OPEN_CLIP, *_SCALES)),
    Layout("open_clip with a text tower of its own", _has("visual.conv1.", "text."), (*_OPEN_CLIP, *_SCALES)),
)
"""Tried in this order."""


def find_layout(names: set[str]) -> Layout | None:
    """The layout of a checkpoint by the names of its tensors; None if it is none of these."""
    return next((layout for layout in LAYOUTS if layout.fits(names)), None)


def unwrapped(content: Mapping[str, object]) -> tuple[Tensors, str]:
    """Take off what trainers wrap weights in.

    Args:
        content: What a file held.

    Returns:
        The tensors by name, and how they were wrapped, for people; empty if they were not.
    """
    how: list[str] = []
    for wrapper in _WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, Mapping):
            content, how = inner, [*how, f"training checkpoint, {wrapper}"]
            break
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    for prefix in _PREFIXES:
        inside = {
            name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)
        }
        if inside and (len(inside) == len(tensors) or prefix.startswith("clip_base_model")):
            tensors, how = inside, [*how, prefix.rstrip(".")]
    return {name: value for name, value in tensors.items() if not _IGNORED.search(name)}, ", ".join(how)


def _renamed(name: str, rules: _Rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _in_one_piece(named: Tensors) -> Tensors:
    """Join queries, keys and values; turn projections; fold what RoBERTa and timm keep apart."""
    done: Tensors = {}
    for name, tensor in named.items():
        stem, _, last = name.rpartition(".")
        if stem.endswith((".k", ".v")):
            continue
        if stem.endswith(".q"):
            parts = [named[f"{stem[:-1]}{part}.{last}"] for part in "qkv"]
            done[f"{stem[:-2]}.query_key_value.{last}"] = torch.cat(parts)
        elif last == "turned":
            done[f"{stem}.weight"] = tensor.T.contiguous()
        elif stem.endswith(".pool.in_proj"):
            width = len(tensor) // 3
            done[f"image.pool.query.{last}"] = tensor[:width]
            done[f"image.pool.key_value.{last}"] = tensor[width:]
        elif name == "image.positions":
            done[name] = tensor.reshape(-1, tensor.shape[-1])
        elif name in ("log_scale", "offset"):
            done[name] = tensor.reshape(())
        elif last != "raw":
            done[name] = tensor
    if "text.tower.embeddings.position.raw" in named:
        done["text.tower.embeddings.position.weight"] = _roberta_positions(named)
    return done


def _roberta_positions(named: Tensors) -> Tensor:
    """Positions without the two that RoBERTa keeps for padding, its single segment added."""
    positions = named["text.tower.embeddings.position.raw"][2:]
    segment = named.get("text.tower.embeddings.segment.raw")
    return positions if segment is None else positions + segment[0]
