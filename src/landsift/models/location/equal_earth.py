"""The Equal Earth projection of a sphere: equal areas, in closed form. Knows angles only."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["equal_earth"]

_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796
_M = math.sqrt(3) / 2


def equal_earth(places: Tensor) -> Tensor:
    """Project longitudes and latitudes.

    Savric, Patterson and Jenny, "The Equal Earth map projection", IJGIS 33 (2019), doi
    10.1080/13658816.2018.1504949, equations 1 and 2.

    Args:
        places: ``(n, 2)`` longitude, latitude in degrees.

    Returns:
        ``(n, 2)`` x to the east and y to the north, in radii of the sphere.
    """
    longitude, latitude = torch.deg2rad(places).unbind(1)
    theta = torch.asin(_M * torch.sin(latitude))
    square = theta * theta
    sixth = square**3
    slope = _A1 + 3 * _A2 * square + sixth * (7 * _A3 + 9 * _A4 * square)
    x = longitude * torch.cos(theta) / (_M * slope)
    y = theta * (_A1 + _A2 * square + sixth * (_A3 + _A4 * square))
    return torch.stack([x, y], dim=1)
