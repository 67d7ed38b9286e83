"""Real spherical harmonics of places, as SatCLIP's weights were trained with them. Knows angles only."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["spherical_harmonics"]


def spherical_harmonics(places: Tensor, degrees: int, *, closed_form: bool = False) -> Tensor:
    """All real spherical harmonics below a degree, by degree, then by order from ``-l`` to ``l``.

    Russwurm et al., 2024 (ICLR, arXiv 2310.06743). The Legendre functions come from the stable recurrence
    over degrees, normalised as they go, so that degree 40 loses nothing in float64.

    Args:
        places: ``(n, 2)`` longitude, latitude in degrees, float64.
        degrees: ``L``; the harmonics are those of degree 0 to L - 1.
        closed_form: Which of the two calculations of SatCLIP the weights were trained with. The default,
            ``analytic``, makes the zonal ones (order 0) pi times as large as they should be and has no
            Condon-Shortley phase; ``closed-form`` has that phase and the usual size.

    Returns:
        ``(n, L * L)`` float64.
    """
    # As in SatCLIP: the azimuth counts from the antimeridian, and the polar angle from the south pole.
    azimuth = torch.deg2rad(places[:, 0] + 180)
    polar = torch.deg2rad(places[:, 1] + 90)
    orders = torch.arange(degrees, dtype=places.dtype)[:, None] * azimuth
    cosines, sines = math.sqrt(2) * torch.cos(orders), math.sqrt(2) * torch.sin(orders)
    zonal = 1.0 if closed_form else math.pi
    rows: dict[tuple[int, int], Tensor] = {}
    for degree, order, legendre in _legendre(torch.cos(polar), torch.sin(polar), degrees):
        if order == 0:
            rows[degree, 0] = zonal * legendre
            continue
        phased = -legendre if closed_form and order % 2 else legendre
        rows[degree, order], rows[degree, -order] = phased * cosines[order], phased * sines[order]
    in_order = ((degree, order) for degree in range(degrees) for order in range(-degree, degree + 1))
    return torch.stack([rows[place] for place in in_order], dim=1)


def _legendre(cosine: Tensor, sine: Tensor, degrees: int) -> Iterator[tuple[int, int, Tensor]]:
    """Degree, order and the fully normalised associated Legendre function, without a phase.

    Holmes and Featherstone, "A unified approach to the Clenshaw summation", J. Geodesy 76 (2002), equations
    11 and 13, here with the integral of the squared harmonic over the sphere equal to one.
    """
    sectoral = torch.full_like(cosine, 1 / math.sqrt(4 * math.pi))
    for order in range(degrees):
        if order:
            sectoral = math.sqrt((2 * order + 1) / (2 * order)) * sine * sectoral
        before, now = torch.zeros_like(cosine), sectoral
        yield order, order, now
        for degree in range(order + 1, degrees):
            span = degree**2 - order**2
            first = math.sqrt((4 * degree**2 - 1) / span)
            second = math.sqrt(
                ((degree - 1) ** 2 - order**2) * (2 * degree + 1) / ((2 * degree - 3) * span)
                if degree > order + 1
                else 0
            )
            before, now = now, first * cosine * now - second * before
            yield degree, order, now
