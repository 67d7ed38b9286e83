"""What a checkpoint is: its layout, its architecture by the shapes of its tensors, and its weights renamed.

The activation is never read from a file of weights, for it does not tell; cards and configurations do. Knows
layouts and architectures; no encoders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from landsift.errors import EncoderError
from landsift.models.clip.files import container_of, read_content
from landsift.models.clip.layouts import Tensors, find_layout, unwrapped
from landsift.models.clip.model import ClipModel, build_empty
from landsift.models.clip.shapes import ARCHITECTURES, Architecture, ImageShape, TextShape

__all__ = ["Checkpoint", "sniff_checkpoint"]

_CONTAINERS = {
    "safetensors": "safetensors",
    "shards": "safetensors in several files",
    "torch": "torch archive",
    "script": "TorchScript archive",
    "pickle": "old torch file",
}
_HEAD_WIDTHS = {1280: 80, 1152: 72}
"""Image towers whose heads are not 64 wide."""
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A file of weights that was understood.

    Attributes:
        path: Of the file.
        container: Kind of file, for people.
        layout: How its tensors were named, for people.
        architecture: By the shapes of its tensors; of the table where these fit, else one of its own.
        known_as: Its name in the table of architectures; empty if it is none of them.
        tensors: Weights by the names used here, as they lie in the file (perhaps 16 bits wide).
    """

    path: Path
    container: str
    layout: str
    architecture: Architecture
    known_as: str
    tensors: Tensors

    def describe(self) -> str:
        """One phrase for people."""
        image = self.architecture.image
        bands = f"{image.channels} bands" if image.channels else "bands by wavelength"
        sizes = f"{image.size} px, {bands}, {self.architecture.text.context} tokens"
        return f"{self.architecture.title} ({self.layout} layout, {self.container}; {sizes})"

    def model(self, activate: str, architecture: Architecture | None = None) -> ClipModel:
        """The model with these weights, in ``eval`` mode and in 32 bits, mapped where the file lets it.

        Args:
            activate: Name of the activation, from a card or a configuration.
            architecture: What is expected; what was sniffed when None.

        Raises:
            EncoderError: The weights are of another architecture, or incomplete.
        """
        wanted = architecture or self.architecture
        model = build_empty(wanted, activate)
        self._check(model, wanted)
        expected = model.state_dict()
        state = {name: _widened(self.tensors[name]) for name in expected}
        model.load_state_dict(state, assign=True)
        return model.eval().requires_grad_(True)

    def _check(self, model: ClipModel, wanted: Architecture) -> None:
        expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        have = {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}
        wrong = [name for name, shape in expected.items() if have.get(name) != shape]
        if wrong:
            shown = ", ".join(
                f"{name} is {have[name]} for {expected[name]}" if name in have else f"{name} is missing"
                for name in wrong[:_SHOWN]
            )
            raise EncoderError(
                f"{self.path} looks like {self.describe()}, but {wanted.title} was expected "
                f"({len(wrong)} tensors differ: {shown}); give its weights, or name the encoder they "
                f"belong to."
            )


def sniff_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint of any layout in use, without running anything that lies in it.

    Args:
        path: A file: safetensors, a torch checkpoint, or a TorchScript archive.

    Returns:
        What it is, with its weights.

    Raises:
        EncoderError: Absent, cut short, no weights, or of no CLIP-like model; the message says what it looks
            like.
    """
    path = Path(path)
    tensors, wrapping = unwrapped(read_content(path))
    layout = find_layout(set(tensors))
    if layout is None:
        raise EncoderError(
            f"{path} holds no CLIP-like model: its {len(tensors)} tensors are named {_some_names(tensors)}; "
            f"expected are names such as visual.conv1.weight with token_embedding.weight, or "
            f"vision_model.* with "
            f"text_model.*."
        )
    renamed = _fitting(layout.renamed(tensors))
    found = _named(_architecture(renamed, path))
    return Checkpoint(
        path,
        _CONTAINERS[container_of(path)],
        f"{layout.name}{f' ({wrapping})' if wrapping else ''}",
        found[1],
        found[0],
        renamed,
    )


def _some_names(tensors: Mapping[str, object]) -> str:
    shown = ", ".join(sorted(tensors)[:_SHOWN])
    return shown + (", ..." if len(tensors) > _SHOWN else "") if shown else "nothing"


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    """16 bits as 32; what is 32 already stays where it lies."""
    return tensor.float() if tensor.is_floating_point() else tensor


def _fitting(tensors: Tensors) -> Tensors:
    """RoBERTa's positions cut to the context that CLIP-like models read."""
    name = "text.tower.embeddings.position.weight"
    if name in tensors:
        tensors[name] = tensors[name][: ARCHITECTURES["xlm-roberta-vit-b-32"].text.context]
    return tensors


def _architecture(tensors: Tensors, path: Path) -> Architecture:
    try:
        image, text = _image_shape(tensors), _text_shape(tensors)
        dim = _dim(tensors, image)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise EncoderError(
            f"{path} looks like a part of a CLIP-like model, but {error} is missing or odd; "
            f"give the file of the whole model."
        ) from error
    return Architecture("a model of its own", dim, image, text, "offset" in tensors)


def _dim(tensors: Tensors, image: ImageShape) -> int:
    if image.pool == "map":
        return image.width
    name = "image.attnpool.c_proj.weight" if image.pool == "resnet" else "image.projection.weight"
    return len(tensors[name])


def _depth(tensors: Tensors, prefix: str) -> int:
    return len({name.removeprefix(prefix).partition(".")[0] for name in tensors if name.startswith(prefix)})


def _image_shape(tensors: Tensors) -> ImageShape:
    if "image.layer1.0.conv1.weight" in tensors:
        return _resnet_shape(tensors)
    positions = tensors["image.positions"]
    mapped = "image.pool.probe" in tensors
    width = positions.shape[1]
    if "image.patches.weight" in tensors:
        kernel = tensors["image.patches.weight"]
        channels, patch = kernel.shape[1], kernel.shape[2]
    else:
        channels = 0
        patch = round((len(tensors["image.patches.weight_generator.fc_weight.weight"]) / width) ** 0.5)
    grid = round((len(positions) - (not mapped)) ** 0.5)
    return ImageShape(
        width=width,
        layers=_depth(tensors, "image.layers."),
        heads=max(1, width // _HEAD_WIDTHS.get(width, 64)),
        size=grid * patch,
        patch=patch,
        hidden=_hidden(tensors["image.layers.0.widen.weight"]),
        channels=channels,
        pool="map" if mapped else "class",
        eps=1e-6 if mapped else 1e-5,
    )


def _hidden(widen: torch.Tensor) -> int:
    """0 stands for four times the width, as in the table."""
    hidden, width = widen.shape
    return 0 if hidden == 4 * width else hidden


def _resnet_shape(tensors: Tensors) -> ImageShape:
    stem = tensors["image.conv3.weight"]
    cells, width = tensors["image.attnpool.positional_embedding"].shape
    return ImageShape(
        width=len(stem),
        layers=0,
        heads=max(1, width // 64),
        size=round((cells - 1) ** 0.5) * 32,
        pool="resnet",
        blocks=tuple(_depth(tensors, f"image.layer{number}.") for number in range(1, 5)),
    )


def _text_shape(tensors: Tensors) -> TextShape:
    if "text.tower.embeddings.token.weight" in tensors:
        return _roberta_shape(tensors)
    vocabulary, width = tensors["text.words.weight"].shape
    siglip = "text.projection.bias" in tensors
    kind = "long" if "text.stretched" in tensors else "siglip" if siglip else "clip"
    return TextShape(
        width=width,
        layers=_depth(tensors, "text.layers."),
        heads=max(1, width // _HEAD_WIDTHS.get(width, 64)),
        context=len(tensors["text.positions"]),
        vocabulary=vocabulary,
        hidden=_hidden(tensors["text.layers.0.widen.weight"]),
        kind=kind,
        eps=1e-6 if siglip else 1e-5,
        tokenizer="files" if siglip else "clip",
    )


def _roberta_shape(tensors: Tensors) -> TextShape:
    vocabulary, width = tensors["text.tower.embeddings.token.weight"].shape
    return TextShape(
        width=width,
        layers=_depth(tensors, "text.tower.layers."),
        heads=max(1, width // 64),
        context=len(tensors["text.tower.embeddings.position.weight"]),
        vocabulary=vocabulary,
        hidden=_hidden(tensors["text.tower.layers.0.widen.weight"]),
        kind="roberta",
        tokenizer="files",
    )


def _named(found: Architecture) -> tuple[str, Architecture]:
    """The row of the table that has these shapes, whatever its vocabulary; else the architecture as it is."""
    for name, row in ARCHITECTURES.items():
        text = replace(row.text, vocabulary=found.text.vocabulary)
        if replace(row, text=text) == replace(found, title=row.title):
            return name, replace(row, text=text)
    return "", found
