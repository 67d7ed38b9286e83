"""A pretrained trunk that reads any bands: its first convolution is made from their wavelengths.

Knows trunks and the maker of kernels; no text, no single method.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from landsift.models.clip.wavelengths import RED_GREEN_BLUE, WavelengthPatches

__all__ = ["AnyBands", "any_bands"]


class AnyBands(nn.Module):
    """Stands for a convolution over red, green and blue, and is the same as it for these.

    Kernels of more or fewer bands are scaled to the sum of three, so that the trunk sees as bright a picture.

    Args:
        plain: Of three bands.
    """

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = plain.kernel_size, plain.stride, plain.padding
        self.groups, self.has_bias = plain.groups, plain.bias is not None
        self.maker = WavelengthPatches(plain.kernel_size[0], plain.out_channels)
        self.maker.fit(plain)
        if not self.has_bias:  # a norm follows, which would cancel it
            self.maker.weight_generator.fc_bias.requires_grad_(False)
        self._wavelengths: Sequence[float] = RED_GREEN_BLUE

    @contextmanager
    def reading(self, micrometres: Sequence[float]) -> Iterator[None]:
        """Within it, pixels have these bands."""
        self._wavelengths = micrometres
        try:
            yield
        finally:
            self._wavelengths = RED_GREEN_BLUE

    @property
    def weight(self) -> Tensor:
        """``(outputs, bands, k, k)``."""
        return self._made()[0]

    @property
    def bias(self) -> Tensor | None:
        """``(outputs,)``."""
        return self._made()[1] if self.has_bias else None

    def _made(self) -> tuple[Tensor, Tensor]:
        device = self.maker.fclayer.w1.weight.device
        kernel, bias = self.maker.kernel(torch.tensor(self._wavelengths, device=device))
        return kernel * (3 / len(self._wavelengths)), bias

    def forward(self, pixels: Tensor) -> Tensor:
        """``(n, bands, H, W)`` to maps."""
        kernel, bias = self._made()
        return functional.conv2d(pixels, kernel, bias if self.has_bias else None, self.stride, self.padding)


def any_bands(trunk: nn.Module) -> AnyBands:
    """Put one in the place of a trunk's first convolution."""
    name, plain = next((name, part) for name, part in trunk.named_modules() if isinstance(part, nn.Conv2d))
    made = AnyBands(plain)
    above, _, last = name.rpartition(".")
    setattr(trunk.get_submodule(above), last, made)
    return made
