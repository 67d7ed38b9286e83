"""GeoCLIP's location encoder (Vivanco Cepeda et al., NeurIPS 2023, arXiv 2309.16020).

Three networks see the place at three scales, through random Fourier features of its Equal Earth coordinates,
and are added. The published weights come with the Python package ``geoclip``. Knows no images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from landsift.models.location.equal_earth import equal_earth

__all__ = ["GeoClip", "fourier_features"]

SIGMAS = (1.0, 16.0, 256.0)
"""Spread of the frequencies of the three networks; the higher, the finer the places it tells apart."""
_SCALE = 66.50336 / 180
"""What projected coordinates are multiplied by before the frequencies."""


def fourier_features(points: Tensor, frequencies: Tensor) -> Tensor:
    """``(n, 2)`` points and ``(f, 2)`` frequencies to ``(n, 2 f)`` cosines, then sines.

    Tancik et al., 2020 (arXiv 2006.10739), equation 5.
    """
    angles = 2 * math.pi * points @ frequencies.T
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)


class _Scale(nn.Module):
    """One scale: features, three hidden layers, a linear head."""

    frequencies: Tensor

    def __init__(self, sigma: float, count: int, width: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", sigma * torch.randn(count, 2))
        layers: list[nn.Module] = []
        for inputs in (2 * count, width, width):
            layers += [nn.Linear(inputs, width), nn.ReLU()]
        self.hidden, self.head = nn.Sequential(*layers), nn.Linear(width, dim)

    def forward(self, points: Tensor) -> Tensor:
        """``(n, 2)`` float64 points to ``(n, dim)``."""
        # Frequencies go to hundreds of turns: their angles are taken in float64.
        features = fourier_features(points, self.frequencies.double())
        return self.head(self.hidden(features.to(self.head.weight.dtype)))


class GeoClip(nn.Module):
    """Places to vectors.

    Args:
        frequencies: At each scale.
        width: Of the hidden layers.
        dim: Of the vectors.
        sigmas: One for each scale; the published weights bring the frequencies drawn from them.
    """

    def __init__(
        self,
        frequencies: int = 256,
        width: int = 1024,
        dim: int = 512,
        sigmas: tuple[float, ...] = SIGMAS,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.scales = nn.ModuleList(_Scale(sigma, frequencies, width, dim) for sigma in sigmas)

    def forward(self, places: Tensor) -> Tensor:
        """``(n, 2)`` longitude, latitude in degrees to ``(n, dim)``, not scaled to unit length."""
        points = _SCALE * equal_earth(places.double())
        return torch.stack([scale(points) for scale in self.scales]).sum(dim=0)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> GeoClip:
        """From a checkpoint with keys such as ``LocEnc0.capsule.1.weight``.

        Raises:
            KeyError, RuntimeError: It is another.
        """
        count = len({name.partition(".")[0] for name in state})
        width, inputs = state["LocEnc0.capsule.1.weight"].shape
        dim = len(state["LocEnc0.head.0.weight"])
        model = cls(inputs // 2, width, dim, (1.0,) * count)
        model.load_state_dict({_own_name(name): value for name, value in state.items()})
        return model


def _own_name(name: str) -> str:
    """``LocEnc0.capsule.3.bias`` -> ``scales.0.hidden.2.bias``: their list counts the features as first."""
    part, kind, number, *rest = name.split(".")
    place = f"scales.{part.removeprefix('LocEnc')}"
    if kind == "head":
        return ".".join([place, "head", *rest])
    if rest == ["b"]:
        return f"{place}.frequencies"
    return ".".join([place, "hidden", str(int(number) - 1), *rest])
