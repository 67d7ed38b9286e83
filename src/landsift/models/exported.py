"""An exported encoder read back into torch: to train on from it, and to compare the two run times.

The inverse of :mod:`landsift.export`, but for the rounding of the stored weights. Knows no training.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from landsift.encoders.cards import IMAGE_FILE, TEXT_FILE
from landsift.errors import EncoderError, need
from landsift.models.dual import DualEncoder
from landsift.models.text import BertTower, TextConfig
from landsift.models.towers import EfficientNetLite

__all__ = ["load_exported"]

_TURNED, _HALF, _INTEGERS, _SCALE = ".turned", ".half", ".integers", ".scale"


def load_exported(folder: str | Path) -> DualEncoder:
    """Read ``image.onnx`` and ``text.onnx`` of a folder into a model.

    Args:
        folder: As an export wrote it.

    Returns:
        The model in ``eval`` mode, batch norms folded, with the stored (rounded) weights; its temperature is
        not exported and starts anew.

    Raises:
        EncoderError: A file cannot be read, or was not written by :mod:`landsift.export`.
    """
    weights: dict[str, NDArray[np.float32]] = {}
    notes: dict[str, str] = {}
    for name in (IMAGE_FILE, TEXT_FILE):
        found, noted = _read(Path(folder) / name)
        weights |= found
        notes |= noted
    try:
        model = _empty_model(weights, notes)
        own = {"log_scale": model.log_scale.detach()}
        model.load_state_dict(own | {name: torch.from_numpy(value) for name, value in weights.items()})
    except (KeyError, RuntimeError) as error:
        raise EncoderError(
            f"{folder} was not written by this version's export ({error}); export the encoder again."
        ) from error
    return model.eval()


def _read(path: Path) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Parameters by name, widened to float32, and the notes the export left."""
    onnx = need("onnx", extra="train")
    try:
        graph = onnx.load(path)
    except Exception as error:  # protobuf's decoding errors share no public base class
        raise EncoderError(f"{path} cannot be read as an ONNX graph; export the encoder again.") from error
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    named = {name: value for name, value in stored.items() if "." in name and not name.endswith(_SCALE)}
    weights = dict(_widened(name, value, stored) for name, value in named.items())
    return weights, {entry.key: entry.value for entry in graph.metadata_props}


def _widened(
    name: str, value: NDArray[np.generic], stored: dict[str, NDArray[np.generic]]
) -> tuple[str, NDArray[np.float32]]:
    """The parameter's own name and value, whatever it was stored as."""
    wide = value.astype(np.float32)
    if name.endswith(_INTEGERS):
        name = name.removesuffix(_INTEGERS)
        wide = wide * stored[name + _SCALE].astype(np.float32)
    name = name.removesuffix(_HALF)
    if name.endswith(_TURNED):
        return name.removesuffix(_TURNED), np.ascontiguousarray(wide.T)
    return name, wide.copy()


def _empty_model(weights: dict[str, NDArray[np.float32]], notes: dict[str, str]) -> DualEncoder:
    """A model of the shape that the weights have."""
    vocabulary, width = weights["text_tower.embeddings.token.weight"].shape
    config = TextConfig(
        vocabulary=vocabulary,
        width=width,
        layers=1 + max(int(name.split(".")[2]) for name in weights if name.startswith("text_tower.layers.")),
        heads=int(notes["text_heads"]),
        hidden=weights["text_tower.layers.0.widen.weight"].shape[0],
        context_length=weights["text_tower.embeddings.position.weight"].shape[0],
        norm_eps=float(notes["text_norm_eps"]),
    )
    tower = EfficientNetLite(notes["image_size"]).fold_batch_norm()
    return DualEncoder(tower, BertTower(config), dim=weights["image_projection.weight"].shape[0])
