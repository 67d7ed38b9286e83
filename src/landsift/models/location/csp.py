"""CSP's location encoder (Mai et al., ICML 2023, arXiv 2305.01118): sinusoids of the place, then layers.

Its two encodings are those of Space2Vec (Mai et al., ICLR 2020, arXiv 2003.00824): ``grid`` takes sines and
cosines of both coordinates, ``theory`` of their projections on three axes 120 degrees apart, each at
wavelengths in geometric progression. Reads checkpoints as its training writes them. Knows no images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Csp", "Sinusoids"]

_AXES = torch.tensor([[1.0, 0.0], [-0.5, math.sqrt(3) / 2], [-0.5, -math.sqrt(3) / 2]], dtype=torch.float64)
_ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
}
_KINDS = {"gridcell": "grid", "gridcellnorm": "grid", "theory": "theory", "theorynorm": "theory"}
_MARK = "spa_enc.ffn."


@dataclass(frozen=True)
class Sinusoids:
    """A multi-scale encoding of places.

    Attributes:
        kind: ``grid`` or ``theory``.
        count: How many wavelengths.
        shortest: Of them, in the unit of the coordinates over 2 pi.
        longest: Likewise.
        radians: Coordinates are taken in radians, not degrees.
    """

    kind: str
    count: int
    shortest: float
    longest: float
    radians: bool = False

    @property
    def length(self) -> int:
        """Numbers for each place."""
        return (4 if self.kind == "grid" else 6) * self.count

    def of(self, places: Tensor) -> Tensor:
        """``(n, 2)`` longitude, latitude in degrees to ``(n, length)``."""
        places = torch.deg2rad(places) if self.radians else places
        step = math.log(self.longest / self.shortest) / max(1, self.count - 1)
        scales = self.shortest * torch.exp(step * torch.arange(self.count, dtype=places.dtype))
        if self.kind == "grid":
            angles = places[:, :, None] / scales  # coordinate by coordinate, then scale by scale
        else:
            angles = (places @ _AXES.to(places.dtype).T)[:, None, :] / scales[:, None]
        return torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1).flatten(1)


class _Layer(nn.Module):
    """Linear map, activation, a way around where the widths allow one, layer norm."""

    def __init__(self, inputs: int, outputs: int, activation: str, around: bool, norm: bool) -> None:
        super().__init__()
        self.linear, self.act = nn.Linear(inputs, outputs), _ACTIVATIONS[activation]()
        self.around = around and inputs == outputs
        self.layernorm = nn.LayerNorm(outputs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.linear(x))
        return self.layernorm(x + y if self.around else y)


class Csp(nn.Module):
    """Places to vectors.

    Args:
        encoding: Of the place.
        widths: Of the hidden layers.
        dim: Of the vectors.
        activation: ``relu``, ``sigmoid``, ``tanh`` or ``gelu``; after the last layer too.
        around: Add a layer's input to its output where they are of one width.
        norm: Normalise the hidden layers.
    """

    def __init__(
        self,
        encoding: Sinusoids,
        widths: tuple[int, ...] = (512,),
        dim: int = 256,
        activation: str = "relu",
        around: bool = True,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.encoding, self.dim = encoding, dim
        sizes = (encoding.length, *widths, dim)
        last = len(widths)
        self.layers = nn.ModuleList(
            _Layer(sizes[n], sizes[n + 1], activation, around, norm and n < last) for n in range(last + 1)
        )

    def forward(self, places: Tensor) -> Tensor:
        """``(n, 2)`` longitude, latitude in degrees to ``(n, dim)``, not scaled to unit length."""
        x = self.encoding.of(places.double()).to(next(self.parameters()).dtype)
        for layer in self.layers:
            x = layer(x)
        return x

    @classmethod
    def from_checkpoint(cls, state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Csp:
        """From a checkpoint's ``state_dict`` and ``params``; classes and image maps are passed over.

        Raises:
            KeyError, RuntimeError, ValueError: It is another, or its settings are not all there.
        """
        kind = settings["spa_enc_type"]
        if kind not in _KINDS or settings.get("freq_init", "geometric") != "geometric":
            raise ValueError(f"it encodes places by {kind}, {settings.get('freq_init', 'geometric')}")
        own = {name[name.index(_MARK) + len(_MARK) :]: v for name, v in state.items() if _MARK in name}
        # The model lists its place encoder twice, under two names, with the same weights.
        last = max(int(name.split(".")[1]) for name in own)
        rows = [len(own[f"layers.{n}.linear.weight"]) for n in range(last + 1)]
        encoding = Sinusoids(
            _KINDS[kind],
            int(settings["frequency_num"]),
            float(settings["min_radius"]),
            float(settings["max_radius"]),
            kind == "theorynorm",
        )
        model = cls(
            encoding,
            tuple(rows[:-1]),
            rows[-1],
            settings.get("spa_f_act", "relu"),
            bool(settings.get("skip_connection", True)),
            "layers.0.layernorm.weight" in own,
        )
        model.load_state_dict(own)
        return model
