"""Patches of any bands: the kernel of each band is made from its wavelength (DOFA).

Xiong et al., 2024 (arXiv 2403.15356) and DOFA-CLIP, 2025 (arXiv 2503.06312). Knows no transformer but the
small one that makes kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.errors import UsageError

__all__ = ["RED_GREEN_BLUE", "WavelengthPatches", "require_one_each", "wave_positions"]

RED_GREEN_BLUE = (0.665, 0.56, 0.49)
"""Centres of the bands that a picture is taken to have, in micrometres."""

_WIDTH, _TOKENS, _HEADS, _HIDDEN = 128, 128, 4, 2048
_SCALE = 0.01
_NANOMETRES = 1000.0
_SLOWEST = 10000.0


def wave_positions(wavelengths: Tensor, width: int = _WIDTH) -> Tensor:
    """``(bands,)`` micrometres to ``(bands, width)``: sines, then cosines, of the wavelength in
    nanometres."""
    steps = torch.arange(width // 2, dtype=torch.float32, device=wavelengths.device)
    angles = _NANOMETRES * wavelengths.float()[:, None] * _SLOWEST ** (-steps / (width // 2))
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def require_one_each(pixels: Tensor, wavelengths: int) -> None:
    """Raise a UsageError unless ``(n, bands, H, W)`` pixels come with one wavelength for each band."""
    if wavelengths != pixels.shape[1]:
        raise UsageError(
            f"{pixels.shape[1]} bands came with {wavelengths} wavelengths; give one for each band."
        )


class _Refine(nn.Module):
    """Two linear maps with ReLU after each, added to their input."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Linear(_WIDTH, _WIDTH), nn.Linear(_WIDTH, _WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + functional.relu(self.w2(functional.relu(self.w1(x))))


class _Generator(nn.Module):
    """One transformer layer over trained tokens and bands; what it says of each band becomes a kernel."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(_WIDTH, _HEADS, _HIDDEN, dropout=0.0, activation="gelu")
        self.transformer_encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.fc_weight, self.fc_bias = nn.Linear(_WIDTH, patch * patch * width), nn.Linear(_WIDTH, width)
        self.weight_tokens = nn.Parameter(0.02 * torch.randn(_TOKENS, _WIDTH))
        self.bias_token = nn.Parameter(0.02 * torch.randn(1, _WIDTH))

    def seen(self, bands: Tensor) -> tuple[Tensor, Tensor]:
        """``(bands, 128)`` to what the last maps read: ``(bands, 128)`` for kernels, ``(128,)`` for the
        bias."""
        states = self.transformer_encoder(torch.cat([self.weight_tokens, bands, self.bias_token]))
        return states[_TOKENS:-1] + bands, states[-1]

    def forward(self, bands: Tensor) -> tuple[Tensor, Tensor]:
        kernels, bias = self.seen(bands)
        return self.fc_weight(kernels), self.fc_bias(bias)


class WavelengthPatches(nn.Module):
    """A convolution whose kernel follows from the wavelengths of the bands.

    Args:
        patch: Side in pixels of a patch.
        width: Length of a patch's vector.
    """

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.patch, self.width = patch, width
        self.weight_generator, self.fclayer = _Generator(patch, width), _Refine()

    def kernel(self, wavelengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(bands,)`` micrometres to a kernel ``(width, bands, patch, patch)`` and a bias ``(width,)``."""
        weights, bias = self.weight_generator(self._bands(wavelengths))
        shaped = weights.view(len(wavelengths), self.patch, self.patch, self.width)
        return _SCALE * shaped.permute(3, 0, 1, 2), _SCALE * bias

    def _bands(self, wavelengths: Tensor) -> Tensor:
        return self.fclayer(wave_positions(wavelengths).to(self.fclayer.w1.weight.dtype))

    @torch.no_grad()
    def fit(self, plain: nn.Conv2d, wavelengths: Sequence[float] = RED_GREEN_BLUE) -> None:
        """Become a plain convolution where its bands come; other bands lie between and beyond.

        The last linear maps alone are set, the larger one to the least numbers that do it.

        Args:
            plain: Of ``len(wavelengths)`` bands, its kernel ``patch`` wide.
            wavelengths: Different ones, in micrometres.
        """
        made = self.weight_generator
        for_kernels, for_bias = made.seen(self._bands(torch.tensor(wavelengths)))
        target = plain.weight.permute(1, 2, 3, 0).flatten(1) / _SCALE
        made.fc_weight.weight.copy_((torch.linalg.pinv(for_kernels.double()) @ target.double()).T)
        made.fc_weight.bias.zero_()
        bias = plain.bias if plain.bias is not None else torch.zeros(self.width)
        made.fc_bias.bias.copy_(bias / _SCALE - made.fc_bias.weight @ for_bias)

    @torch.no_grad()
    def convolution(self, wavelengths: Sequence[float] = RED_GREEN_BLUE) -> nn.Conv2d:
        """The plain convolution that it is for one set of bands."""
        kernel, bias = self.kernel(torch.tensor(wavelengths, device=self.fclayer.w1.weight.device))
        plain = nn.Conv2d(len(wavelengths), self.width, self.patch, self.patch)
        plain.weight, plain.bias = nn.Parameter(kernel.contiguous()), nn.Parameter(bias)
        return plain

    def forward(self, pixels: Tensor, wavelengths: Tensor | None = None) -> Tensor:
        """``(n, bands, H, W)`` to ``(n, width, H / patch, W / patch)``.

        Args:
            pixels: Standardised.
            wavelengths: ``(bands,)`` in micrometres; all zero or None means red, green and blue.

        Raises:
            UsageError: Not one wavelength for each band.
        """
        if wavelengths is None or not bool(wavelengths.any()):
            wavelengths = torch.tensor(RED_GREEN_BLUE, device=pixels.device)
        require_one_each(pixels, len(wavelengths))
        kernel, bias = self.kernel(wavelengths)
        return functional.conv2d(pixels, kernel.to(pixels.dtype), bias.to(pixels.dtype), stride=self.patch)
