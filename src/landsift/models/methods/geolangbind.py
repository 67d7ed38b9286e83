"""GeoLangBind: patch kernels made from the wavelengths of the bands (Xiong et al., arXiv 2503.06312; DOFA-
CLIP).

Compare with the row GeoLangBind-L (zero-shot, another protocol). Written after the released code. Deviates:
a small transformer from scratch, not SigLIP so400m, so its scores here say little of the published weights;
layer norms are not modulated by wavelengths; teachers are those the recipe names. Bands other than red,
green and blue come in through :meth:`GeoLangBind.patches`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.blocks.attention import SelfAttention
from landsift.models.blocks.heads import unit
from landsift.models.blocks.words import TextStates, build_text_tower
from landsift.models.features import Features, TextInput
from landsift.models.matcher import SplitMatcher
from landsift.models.methods.base import TowerOptions, text_choice
from landsift.models.registry import MatcherSource, MatcherSpec, MethodCard

__all__ = ["SPEC", "GeoLangBind", "GeoLangBindOptions", "WavelengthPatches"]

RGB_MICROMETRES = (0.665, 0.56, 0.49)
_CODE, _TOKENS = 128, 128


@dataclass(frozen=True)
class GeoLangBindOptions(TowerOptions):
    """A transformer over generated patches; image tower and cut are not used.

    Attributes:
        patch: Side of a patch in pixels.
        layers: Of the transformer.
    """

    text: str = "minilm"
    dim: int = 256
    input_size: int = 112
    patch: int = 16
    layers: int = 3


class WavelengthPatches(nn.Module):
    """A patch embedding for any bands, whose kernels are generated from their wavelengths.

    Args:
        patch: Side of a patch in pixels.
        dim: Of a token.
    """

    def __init__(self, patch: int, dim: int) -> None:
        super().__init__()
        self.patch, self.dim = patch, dim
        self.refine = nn.Sequential(nn.Linear(_CODE, _CODE), nn.ReLU(), nn.Linear(_CODE, _CODE), nn.ReLU())
        self.tokens, self.bias_token = (
            nn.Parameter(0.02 * torch.randn(count, _CODE)) for count in (_TOKENS, 1)
        )
        self.mix = SelfAttention(_CODE, heads=4, hidden=4 * _CODE, dropout=0.0)
        self.kernel, self.bias = nn.Linear(_CODE, patch * patch * dim), nn.Linear(_CODE, dim)

    def forward(self, pixels: Tensor, wavelengths: Tensor) -> Tensor:
        """``(n, bands, H, W)`` and ``(bands,)`` in micrometres to ``(n, patches, dim)``."""
        codes = wavelength_codes(wavelengths)
        codes = codes + self.refine(codes)
        mixed = self.mix(torch.cat([self.tokens, codes, self.bias_token])[None])[0]
        bands = 0.01 * self.kernel(mixed[_TOKENS:-1] + codes)
        kernel = bands.view(len(wavelengths), self.patch, self.patch, self.dim).permute(3, 0, 1, 2)
        bias = 0.01 * self.bias(mixed[-1])
        return functional.conv2d(pixels, kernel, bias, self.patch).flatten(2).transpose(1, 2)


def wavelength_codes(wavelengths: Tensor) -> Tensor:
    """Sines, then cosines, of wavelengths in nanometres at 64 rates: ``(bands, 128)``."""
    rates = 10000.0 ** (-torch.arange(64, device=wavelengths.device) / 64)
    angles = 1000 * wavelengths[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class GeoLangBind(SplitMatcher):
    """Unit rows of a transformer over generated patches, and of a text tower."""

    def __init__(self, options: GeoLangBindOptions, source: MatcherSource) -> None:
        super().__init__()
        self.options, self.dim, self.input_size = options, options.dim, options.input_size
        self.context_length = options.context_length
        self.texts = build_text_tower(text_choice(options), source)
        self.embed = WavelengthPatches(options.patch, options.dim)
        side = options.input_size // options.patch
        self.place = nn.Parameter(0.02 * torch.randn(side * side, options.dim))
        self.layers = nn.ModuleList(SelfAttention(options.dim, dropout=0.0) for _ in range(options.layers))
        self.head = nn.Linear(options.dim, options.dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.offset = nn.Parameter(torch.tensor(-10.0))

    @property
    def scale(self) -> Tensor:
        """Factor from cosines to logits."""
        return self.log_scale.clamp(max=math.log(100.0)).exp()

    @property
    def bias(self) -> Tensor:
        """Offset of the logits."""
        return self.offset

    def prepare(self, captions: Sequence[str]) -> TextInput:
        """Captions as the text tower reads them."""
        return self.texts.prepare(captions)

    def lower(self, pixels: Tensor) -> dict[str, Tensor]:
        """Nothing is frozen: pixels from -1 to 1."""
        return {"pixels": pixels.float() / 127.5 - 1}

    def upper(self, maps: Mapping[str, Tensor]) -> Features:
        """Unit rows."""
        return self.patches(maps["pixels"], RGB_MICROMETRES)

    def patches(self, pixels: Tensor, micrometres: Sequence[float]) -> Features:
        """Unit rows of images of any bands: ``(n, bands, H, W)`` from -1 to 1 and a wavelength for each."""
        x = self.embed(pixels, torch.tensor(micrometres, device=pixels.device)) + self.place
        for layer in self.layers:
            x = layer(x)
        return Features(unit(self.head(x.mean(dim=1))))

    def text_features(self, text: TextInput) -> Features:
        """Unit rows."""
        return self.text_head(self.texts(text))

    def text_head(self, states: TextStates) -> Features:
        """Unit rows."""
        return Features(unit(states.sentence))

    def depths(self) -> dict[str, int]:
        """A pretrained text tower lies below the rest."""
        return {"texts.tower": 1}

    def files(self) -> dict[str, bytes]:
        """Of the text tower."""
        return self.texts.files()


SPEC = MatcherSpec(
    GeoLangBindOptions,
    GeoLangBind,
    "Xiong et al.: GeoLangBind. arXiv:2503.06312",
    MethodCard("GeoLangBind", 2025, "dot", "code read", published="GeoLangBind-L"),
)
