"""What a repository of weights says of its model beside the weights: activation, pixels, tokens.

Reads ``open_clip_config.json``, and Hugging Face's ``config.json`` with ``preprocessor_config.json``. Knows
no weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landsift.errors import EncoderError
from landsift.models.clip.matcher import CLIP_MEAN, CLIP_STD, PixelFacts

__all__ = ["Configuration", "read_configuration"]

_ACTIVATIONS = {
    "quick_gelu": "quickgelu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu-tanh",
    "gelu_new": "gelu-tanh",
}
_RESIZE_MODES = {"shortest": "centre-crop", "squash": "squash", "longest": "pad"}
"""open_clip's ways to make an image square."""
_DEFAULTS = {"clip": "quick_gelu", "siglip": "gelu_pytorch_tanh"}
"""What Hugging Face takes where a configuration is silent."""


@dataclass(frozen=True)
class Configuration:
    """What is not in the weights.

    Attributes:
        activation: Of :data:`landsift.models.clip.shapes.ACTIVATIONS`.
        pixels: How the model wants its pixels.
        image_heads: Attention heads of the image tower; 0 where it does not say.
        text_heads: Likewise of the text tower.
    """

    activation: str
    pixels: PixelFacts
    image_heads: int = 0
    text_heads: int = 0


def read_configuration(folder: Path) -> Configuration | None:
    """The configuration in a folder; None if there is none.

    Raises:
        EncoderError: It cannot be read, or names what is unknown here.
    """
    if (folder / "open_clip_config.json").is_file():
        return _open_clip(_read(folder / "open_clip_config.json"))
    if (folder / "config.json").is_file():
        facts = folder / "preprocessor_config.json"
        return _hugging_face(_read(folder / "config.json"), _read(facts) if facts.is_file() else {}, folder)
    return None


def _open_clip(config: Mapping[str, Any]) -> Configuration:
    model, pixels = config.get("model_cfg", {}), config.get("preprocess_cfg", {})
    vision, text = model.get("vision_cfg", {}), model.get("text_cfg", {})
    mode = pixels.get("resize_mode", "shortest")
    if mode not in _RESIZE_MODES:
        raise EncoderError(
            f"A configuration makes images square by {mode!r}, where {', '.join(_RESIZE_MODES)} are known; "
            f"load the weights by the name of their encoder."
        )
    facts = _facts(pixels.get("mean"), pixels.get("std"), _RESIZE_MODES[mode])
    wide, head = vision.get("width", 0), vision.get("head_width", 64)
    heads = wide // head if isinstance(vision.get("layers"), int) else 0
    return Configuration(
        "quickgelu" if model.get("quick_gelu") else "gelu", facts, heads, text.get("heads", 0)
    )


def _hugging_face(config: Mapping[str, Any], pixels: Mapping[str, Any], folder: Path) -> Configuration:
    kind = config.get("model_type")
    if kind not in _DEFAULTS:
        raise EncoderError(
            f"{folder / 'config.json'} describes a {kind or 'nameless'} model, and only "
            f"{' and '.join(_DEFAULTS)} "
            f"are read; give the weights of one of these."
        )
    vision, text = config.get("vision_config") or {}, config.get("text_config") or {}
    act = vision.get("hidden_act", _DEFAULTS[kind])
    if act not in _ACTIVATIONS:
        raise EncoderError(
            f"{folder / 'config.json'} names the activation {act!r}, and only {', '.join(_ACTIVATIONS)} "
            f"are known; "
            f"give the weights of such a model."
        )
    fit = "centre-crop" if pixels.get("do_center_crop", kind == "clip") else "squash"
    half = (0.5, 0.5, 0.5) if kind == "siglip" else None
    facts = _facts(pixels.get("image_mean", half), pixels.get("image_std", half), fit)
    return Configuration(
        _ACTIVATIONS[act], facts, vision.get("num_attention_heads", 0), text.get("num_attention_heads", 0)
    )


def _facts(mean: Any, std: Any, fit: str) -> PixelFacts:
    return PixelFacts(tuple(mean or CLIP_MEAN), tuple(std or CLIP_STD), fit)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path} cannot be read ({error}); download it again.") from error
    if not isinstance(found, dict):
        raise EncoderError(f"{path} holds no configuration; download it again.")
    return found
