"""Checkpoints of every layout, written from tiny random models by names spelled out here once more."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from safetensors.torch import save_file

from landsift.models.clip.model import ClipModel
from landsift.models.clip.shapes import Architecture

Tensors = dict[str, torch.Tensor]


def shrunk(shape: Architecture) -> Architecture:
    """The same kind of model, small enough for a test."""
    image = dataclasses.replace(
        shape.image,
        width=16 if shape.image.blocks else 64,
        layers=min(shape.image.layers, 2),
        heads=8 if shape.image.blocks else 1,
        size=2 * shape.image.patch,
        hidden=96 if shape.image.hidden else 0,
        blocks=(1, 2, 1, 1) if shape.image.blocks else (),
    )
    text = dataclasses.replace(
        shape.text,
        width=64,
        layers=2,
        heads=1,
        hidden=96 if shape.text.hidden else 0,
        vocabulary=shape.text.vocabulary if shape.text.tokenizer == "clip" else 60,
    )
    return dataclasses.replace(shape, dim=64 if image.pool == "map" else 32, image=image, text=text)


def random_model(shape: Architecture, activation: str = "gelu", seed: int = 0) -> ClipModel:
    """Every weight drawn, none left at nought or one, so that none can be forgotten unnoticed."""
    torch.manual_seed(seed)
    model = ClipModel(shape, activation).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            norm = shape.image.blocks and name.startswith("image.") and tensor.ndim == 1
            if name.endswith("running_var") or (norm and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5)
            elif shape.image.blocks and tensor.ndim == 4:  # else nothing would come through so many of them
                tensor.normal_(std=(2 / tensor[0].numel()) ** 0.5)
            elif tensor.is_floating_point():
                tensor.normal_(std=0.15)
    return model


def inputs(shape: Architecture, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three standardised images, and three texts as tokens and mask."""
    torch.manual_seed(seed)
    pixels = torch.randn(3, shape.image.channels or 4, shape.image.size, shape.image.size)
    length = shape.text.context if shape.text.kind == "siglip" else min(30, shape.text.context)
    tokens = torch.randint(3, 50, (3, length))
    mask = torch.ones_like(tokens, dtype=torch.bool)
    if shape.text.kind != "siglip":
        mask[0, 7:] = False
    return pixels, tokens, mask


def outputs(model: ClipModel, shape: Architecture) -> tuple[torch.Tensor, torch.Tensor]:
    """What a model makes of :func:`inputs`."""
    pixels, tokens, mask = inputs(shape)
    waves = torch.tensor([0.665, 0.56, 0.49, 0.842]) if shape.image.channels == 0 else None
    with torch.inference_mode():
        return model.encode_images(pixels, waves), model.encode_texts(tokens, mask)


_LAYER = {
    "query_key_value.weight": "attn.in_proj_weight",
    "query_key_value.bias": "attn.in_proj_bias",
    "attended.": "attn.out_proj.",
    "norm1.": "ln_1.",
    "norm2.": "ln_2.",
    "widen.": "mlp.c_fc.",
    "narrow.": "mlp.c_proj.",
}
_IMAGE = {
    "image.patches.": "visual.conv1.",
    "image.class_token": "visual.class_embedding",
    "image.positions": "visual.positional_embedding",
    "image.norm_before.": "visual.ln_pre.",
    "image.norm_after.": "visual.ln_post.",
    "image.projection.weight": "visual.proj",
    "image.layers.": "visual.transformer.resblocks.",
}
_TEXT = {
    "text.words.": "token_embedding.",
    "text.positions": "positional_embedding",
    "text.stretched": "positional_embedding_res",
    "text.norm_after.": "ln_final.",
    "text.projection.": "text_projection.",
    "text.layers.": "transformer.resblocks.",
}
_TIMM = {
    "image.positions": "visual.trunk.pos_embed",
    "image.layers.": "visual.trunk.blocks.",
    "image.norm_after.": "visual.trunk.norm.",
    "image.pool.probe": "visual.trunk.attn_pool.latent",
    "image.pool.query.": "visual.trunk.attn_pool.q.",
    "image.pool.key_value.": "visual.trunk.attn_pool.kv.",
    "image.pool.attended.": "visual.trunk.attn_pool.proj.",
    "image.pool.norm.": "visual.trunk.attn_pool.norm.",
    "image.pool.widen.": "visual.trunk.attn_pool.mlp.fc1.",
    "image.pool.narrow.": "visual.trunk.attn_pool.mlp.fc2.",
}
_TIMM_LAYER = {
    "query_key_value.": "attn.qkv.",
    "attended.": "attn.proj.",
    "widen.": "mlp.fc1.",
    "narrow.": "mlp.fc2.",
}
_SCALE = {"log_scale": "logit_scale", "offset": "logit_bias"}


def _said(name: str, words: dict[str, str]) -> str:
    for own, theirs in words.items():
        name = name.replace(own, theirs)
    return name


def open_clip(model: ClipModel) -> Tensors:
    """The layout of RemoteCLIP, GeoRSCLIP, LAION and most others; of a ResNet too."""
    found = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("image.") and model.architecture.image.blocks:
            found[name.replace("image.", "visual.", 1)] = tensor
            continue
        theirs = _said(name, _IMAGE | _TEXT | _SCALE)
        theirs = _said(theirs, _LAYER) if "resblocks" in theirs else theirs
        if theirs in ("visual.proj", "text_projection.weight"):
            found[theirs.removesuffix(".weight")] = tensor.T.contiguous()
        else:
            found[theirs] = tensor
    return found


def custom_text(model: ClipModel) -> Tensors:
    """open_clip's layout with the text tower under a name of its own."""
    found = open_clip(model)
    return {
        name if name.startswith(("visual.", "logit_")) else f"text.{name}": tensor
        for name, tensor in found.items()
    }


def timm(model: ClipModel) -> Tensors:
    """open_clip's layout with a timm image tower: SigLIP, GeoLangBind."""
    words = custom_text(model)
    found = {name: tensor for name, tensor in words.items() if name.startswith(("text.", "logit_"))}
    if "text.text_projection" in found:  # this one is a linear layer, and not turned
        found["text.text_projection.weight"] = found.pop("text.text_projection").T.contiguous()
    for name, tensor in model.state_dict().items():
        if not name.startswith("image."):
            continue
        patches = "visual.trunk.patch_embed."
        theirs = _said(name, {"image.patches.": patches + ("proj." if "generator" not in name else "")})
        if name.startswith("image.patches.") and not model.architecture.image.channels:
            theirs = name.replace("image.patches.", patches)
        theirs = _said(theirs, _TIMM)
        theirs = _said(theirs, _TIMM_LAYER) if ".blocks." in theirs else theirs
        found[theirs] = tensor[None] if name == "image.positions" else tensor
    for name in ("logit_scale", "logit_bias"):
        found[name] = found[name].reshape(1)
    return found


_HUGGING_FACE = {
    "image.pool.probe": "vision_model.head.probe",
    "image.pool.attended.": "vision_model.head.attention.out_proj.",
    "image.pool.norm.": "vision_model.head.layernorm.",
    "image.pool.widen.": "vision_model.head.mlp.fc1.",
    "image.pool.narrow.": "vision_model.head.mlp.fc2.",
    "image.patches.": "vision_model.embeddings.patch_embedding.",
    "image.positions": "vision_model.embeddings.position_embedding.weight",
    "image.norm_after.": "vision_model.post_layernorm.",
    "image.layers.": "vision_model.encoder.layers.",
    "text.words.": "text_model.embeddings.token_embedding.",
    "text.positions": "text_model.embeddings.position_embedding.weight",
    "text.norm_after.": "text_model.final_layer_norm.",
    "text.projection.": "text_model.head.",
    "text.layers.": "text_model.encoder.layers.",
    "attended.": "self_attn.out_proj.",
    "norm1.": "layer_norm1.",
    "norm2.": "layer_norm2.",
    "widen.": "mlp.fc1.",
    "narrow.": "mlp.fc2.",
}


def siglip_hugging_face(model: ClipModel) -> Tensors:
    """The layout of Git-RSCLIP and Google's SigLIP."""
    state, found = model.state_dict(), {}
    for name, tensor in state.items():
        if name.startswith(("image.pool.query.", "image.pool.key_value.")):
            continue
        theirs = _said(name, _HUGGING_FACE | _SCALE)
        if "query_key_value." in theirs:
            for letter, piece in zip("qkv", tensor.chunk(3), strict=True):
                found[theirs.replace("query_key_value.", f"self_attn.{letter}_proj.")] = piece
        else:
            found[theirs] = tensor
    for last in ("weight", "bias"):
        parts = [state[f"image.pool.{part}.{last}"] for part in ("query", "key_value")]
        found[f"vision_model.head.attention.in_proj_{last}"] = torch.cat(parts)
    return found


def roberta(model: ClipModel, seed: int = 5) -> Tensors:
    """open_clip's layout with a Hugging Face text tower: RS-M-CLIP."""
    torch.manual_seed(seed)
    found = {
        name: tensor for name, tensor in open_clip(model).items() if name.startswith(("visual.", "logit_"))
    }
    state, width = model.state_dict(), model.architecture.text.width
    base, own = "text.transformer.embeddings.", "text.tower.embeddings."
    segment = torch.randn(1, width)
    more = torch.randn(514 - model.architecture.text.context - 2, width)
    positions = torch.cat([torch.randn(2, width), state[f"{own}position.weight"] - segment, more])
    found |= {
        f"{base}word_embeddings.weight": state[f"{own}token.weight"],
        f"{base}position_embeddings.weight": positions,
        f"{base}token_type_embeddings.weight": segment,
        f"{base}position_ids": torch.arange(514)[None],
        f"{base}LayerNorm.weight": state[f"{own}norm.weight"],
        f"{base}LayerNorm.bias": state[f"{own}norm.bias"],
        "text.proj.0.weight": state["text.projection.0.weight"],
        "text.proj.2.weight": state["text.projection.2.weight"],
    }
    layer = {
        "attended": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "widen": "intermediate.dense",
        "narrow": "output.dense",
        "output_norm": "output.LayerNorm",
    }
    for name, tensor in state.items():
        if not name.startswith("text.tower.layers."):
            continue
        number, part, last = name.removeprefix("text.tower.layers.").split(".")
        place = f"text.transformer.encoder.layer.{number}."
        if part == "query_key_value":
            for word, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                found[f"{place}attention.self.{word}.{last}"] = piece
        else:
            found[f"{place}{layer[part]}.{last}"] = tensor
    return found


def save(tensors: Tensors, path: Path) -> Path:
    """As safetensors or, by its suffix, as a torch file."""
    packed = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    if path.suffix == ".safetensors":
        save_file(packed, path)
    else:
        torch.save(packed, path)
    return path
