"""What a CLIP-like model is made of, as plain values, and the table of the architectures in use.

Knows sizes and names; no weights, no files, no arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

__all__ = ["ACTIVATIONS", "ARCHITECTURES", "Architecture", "ImageShape", "TextShape"]

ACTIVATIONS = ("quickgelu", "gelu", "gelu-tanh")
"""``x sigmoid(1.702 x)``, the exact Gaussian form, and its approximation by tanh. Weights do not tell which
one they were trained with; the card of an encoder does."""


@dataclass(frozen=True)
class ImageShape:
    """An image tower.

    Attributes:
        width: Length of a patch's vector; of a ``resnet`` the channels after its stem.
        layers: Transformer layers.
        heads: Attention heads; of a ``resnet`` those of its pooling.
        size: Side in pixels of the squares it was trained on.
        patch: Side in pixels of a patch; of a ``resnet`` its stride.
        hidden: Width of the feed-forward layers; 4 times ``width`` when 0.
        channels: Bands; 0 where patches are embedded by wavelength, for any number of bands.
        pool: ``class`` (a token of its own, then a projection), ``map`` (attention pooling of SigLIP) or
            ``resnet`` (the modified ResNet and its attention pooling).
        blocks: Residual blocks in each of the four stages of a ``resnet``.
        eps: Added to the variance in layer norms.
    """

    width: int
    layers: int
    heads: int
    size: int = 224
    patch: int = 32
    hidden: int = 0
    channels: int = 3
    pool: str = "class"
    blocks: tuple[int, ...] = ()
    eps: float = 1e-5

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.size // self.patch

    @property
    def feed_forward(self) -> int:
        """Width of the feed-forward layers."""
        return self.hidden or 4 * self.width


@dataclass(frozen=True)
class TextShape:
    """A text tower.

    Attributes:
        width: Length of a token's vector.
        layers: Transformer layers.
        heads: Attention heads.
        context: Tokens it reads, marks included.
        vocabulary: Number of tokens.
        hidden: Width of the feed-forward layers; 4 times ``width`` when 0.
        kind: ``clip`` (causal, summed up in the end mark), ``long`` (the same with a second table of
            positions), ``siglip`` (not causal, padded, summed up in the last position) or ``roberta``.
        eps: Added to the variance in layer norms.
        tokenizer: ``clip``, or ``files`` where it must lie beside the weights.
    """

    width: int
    layers: int
    heads: int
    context: int = 77
    vocabulary: int = 49408
    hidden: int = 0
    kind: str = "clip"
    eps: float = 1e-5
    tokenizer: str = "clip"

    @property
    def feed_forward(self) -> int:
        """Width of the feed-forward layers."""
        return self.hidden or 4 * self.width


@dataclass(frozen=True)
class Architecture:
    """A dual encoder.

    Attributes:
        title: As people call it.
        dim: Length of the shared vectors.
        image: The image tower.
        text: The text tower.
        offset: Whether the logits have a trained offset (sigmoid loss).
    """

    title: str
    dim: int
    image: ImageShape
    text: TextShape
    offset: bool = False


_B32 = Architecture("CLIP ViT-B/32", 512, ImageShape(768, 12, 12), TextShape(512, 12, 8))
_B16 = replace(_B32, title="CLIP ViT-B/16", image=replace(_B32.image, patch=16))
_L14 = Architecture("CLIP ViT-L/14", 768, ImageShape(1024, 24, 16, patch=14), TextShape(768, 12, 12))
_L14_336 = replace(_L14, title="CLIP ViT-L/14 at 336 px", image=replace(_L14.image, size=336))
_H14 = Architecture("CLIP ViT-H/14", 1024, ImageShape(1280, 32, 16, patch=14), TextShape(1024, 24, 16))
_RN50 = Architecture(
    "CLIP RN50", 1024, ImageShape(64, 0, 32, pool="resnet", blocks=(3, 4, 6, 3)), TextShape(512, 12, 8)
)


def _long(base: Architecture, title: str) -> Architecture:
    return replace(base, title=title, text=replace(base.text, context=248, kind="long"))


def _siglip(title: str, image: ImageShape, text: TextShape) -> Architecture:
    image = replace(image, pool="map", eps=1e-6)
    text = replace(text, context=64, vocabulary=32000, kind="siglip", eps=1e-6, tokenizer="files")
    return Architecture(title, image.width, image, text, offset=True)


_SIGLIP_B = _siglip("SigLIP B/16", ImageShape(768, 12, 12, patch=16), TextShape(768, 12, 12))
_SO400M = 4304
_SIGLIP_SO = _siglip(
    "SigLIP so400m/14 at 384 px",
    ImageShape(1152, 27, 16, 384, 14, _SO400M),
    TextShape(1152, 27, 16, hidden=_SO400M),
)

ARCHITECTURES: Mapping[str, Architecture] = {
    "vit-b-32": _B32,
    "vit-b-16": _B16,
    "vit-l-14": _L14,
    "vit-l-14-336": _L14_336,
    "vit-h-14": _H14,
    "rn50": _RN50,
    "long-vit-b-32": _long(_B32, "Long-CLIP ViT-B/32"),
    "long-vit-b-16": _long(_B16, "Long-CLIP ViT-B/16"),
    "long-vit-l-14": _long(_L14, "Long-CLIP ViT-L/14"),
    "siglip-b-16": _SIGLIP_B,
    "siglip-b-16-256": replace(
        _SIGLIP_B, title="SigLIP B/16 at 256 px", image=replace(_SIGLIP_B.image, size=256)
    ),
    "siglip-l-16-256": _siglip(
        "SigLIP L/16 at 256 px", ImageShape(1024, 24, 16, 256, 16), TextShape(1024, 24, 16)
    ),
    "siglip-so400m-14-384": _SIGLIP_SO,
    "dofa-b-16": replace(_SIGLIP_B, title="DOFA-CLIP B/16", image=replace(_SIGLIP_B.image, channels=0)),
    "dofa-so400m-14-384": replace(
        _SIGLIP_SO, title="DOFA-CLIP so400m/14 at 384 px", image=replace(_SIGLIP_SO.image, channels=0)
    ),
    "xlm-roberta-vit-b-32": replace(
        _B32,
        title="CLIP ViT-B/32 with XLM-RoBERTa",
        text=TextShape(768, 12, 12, 77, 250002, kind="roberta", tokenizer="files"),
    ),
    "ms-vit-b-16": replace(_B16, title="CLIP ViT-B/16 for 10 bands", image=replace(_B16.image, channels=10)),
    "ms12-vit-b-16": replace(
        _B16, title="CLIP ViT-B/16 for 12 bands", image=replace(_B16.image, channels=12)
    ),
}
"""The architectures by name. Heads and feed-forward widths are part of them: a file does not tell heads."""
