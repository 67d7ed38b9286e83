"""SatCLIP's location encoder (Klemmer et al., AAAI 2025, arXiv 2311.17179): spherical harmonics and a SIREN.

Reads the published checkpoints (``satclip-<image tower>-l10.ckpt``, ``-l40.ckpt``). Knows no images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from landsift.models.location.harmonics import spherical_harmonics

__all__ = ["SatClip"]

_FIRST_FREQUENCY = 30.0
"""Factor on the angles of the first layer, as Sitzmann et al., 2020 (arXiv 2006.09661) set it."""
_MARK = "nnet."


class SatClip(nn.Module):
    """Places to vectors.

    Args:
        degrees: Degrees of the spherical harmonics: 10, 40.
        width: Of the hidden layers.
        layers: How many of them.
        dim: Of the vectors.
        closed_form: See :func:`spherical_harmonics`.
    """

    def __init__(
        self,
        degrees: int = 10,
        width: int = 512,
        layers: int = 2,
        dim: int = 256,
        closed_form: bool = False,
    ) -> None:
        super().__init__()
        self.degrees, self.dim, self.closed_form = degrees, dim, closed_form
        inputs = [degrees**2, *[width] * (layers - 1)]
        self.layers = nn.ModuleList(nn.Linear(size, width) for size in inputs)
        self.last_layer = nn.Linear(width, dim)
        self.double()

    def forward(self, places: Tensor) -> Tensor:
        """``(n, 2)`` longitude, latitude in degrees to ``(n, dim)``, not scaled to unit length."""
        x = spherical_harmonics(places.double(), self.degrees, closed_form=self.closed_form)
        for number, layer in enumerate(self.layers):
            x = torch.sin((_FIRST_FREQUENCY if number == 0 else 1.0) * layer(x))
        return self.last_layer(x)

    @classmethod
    def from_checkpoint(cls, state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> SatClip:
        """From the location part of a checkpoint.

        Args:
            state: Weights; what belongs to the image tower is passed over.
            settings: ``hyper_parameters`` of the checkpoint; empty takes the published ones.

        Raises:
            KeyError, RuntimeError, ValueError: It is another.
        """
        kinds = settings.get("le_type", "sphericalharmonics"), settings.get("pe_type", "siren")
        if kinds != ("sphericalharmonics", "siren"):
            raise ValueError(f"it encodes places by {kinds[0]} and {kinds[1]}")
        own = {name[name.index(_MARK) + len(_MARK) :]: v for name, v in state.items() if _MARK in name}
        width, inputs = own["layers.0.weight"].shape
        degrees = math.isqrt(inputs)
        if degrees**2 != inputs:
            raise ValueError(f"{inputs} inputs are no number of spherical harmonics")
        layers = len({name.split(".")[1] for name in own if name.startswith("layers.")})
        closed_form = settings.get("harmonics_calculation", "analytic") == "closed-form"
        model = cls(degrees, width, layers, len(own["last_layer.weight"]), closed_form)
        model.load_state_dict(own)
        return model
