"""What codes should be by themselves: near to bits, balanced, and without bits that say the same.

Two different things are called bit balance: over samples, each bit should be used half the time (DCMH);
over bits, each sample should have as many ones as zeros (what DUCH's code does). Knows codes of
one side only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from landsift.models.blocks.hashing import signs

__all__ = ["balance_bits", "balance_samples", "decorrelation", "log_cosh_quantisation", "quantisation"]


def quantisation(codes: Tensor, binary: Tensor | None = None, *, reduce: str = "mean") -> Tensor:
    """Squared distance from bits: the codes' own signs, or given ones (the review's equation 8).

    Args:
        codes: ``(n, K)`` relaxed codes.
        binary: ``(n, K)`` bits; their own signs when None.
        reduce: ``mean`` over numbers, or ``sum``.
    """
    apart = (codes - (signs(codes.detach()) if binary is None else binary)).square()
    return apart.sum() if reduce == "sum" else apart.mean()


def log_cosh_quantisation(codes: Tensor) -> Tensor:
    """``log cosh(|u| - 1)``, mean: a smooth absolute distance from bits (Zhu et al., AAAI 2016, DHN)."""
    apart = codes.abs() - 1
    return (apart + torch.nn.functional.softplus(-2 * apart) - torch.log(codes.new_tensor(2.0))).mean()


def balance_samples(codes: Tensor, *, reduce: str = "mean") -> Tensor:
    """How far each bit is from being used half the time: the squared sum over samples (DCMH, Jiang and Li,
    CVPR 2017, equation 2).

    Args:
        codes: ``(n, K)`` relaxed codes.
        reduce: ``mean``: of the squared means, which depends on neither n nor K; ``sum``: as printed.
    """
    if reduce == "sum":
        return codes.sum(dim=0).square().sum()
    return codes.mean(dim=0).square().mean()


def balance_bits(codes: Tensor, *, reduce: str = "mean") -> Tensor:
    """How far each sample is from as many ones as zeros: the squared sum over bits (as DUCH's code does).

    Args:
        codes: ``(n, K)`` relaxed codes.
        reduce: ``mean``: of the squared means; ``sum``: as there.
    """
    if reduce == "sum":
        return codes.sum(dim=1).square().sum()
    return codes.mean(dim=1).square().mean()


def decorrelation(codes: Tensor) -> Tensor:
    """``||U^T U / n - I||^2``: bits that tell different things (the review's decorrelation).

    Args:
        codes: ``(n, K)`` relaxed codes.

    Returns:
        Scalar: the mean over the K x K entries.
    """
    products = codes.T @ codes / len(codes)
    return (products - torch.eye(codes.shape[1], device=codes.device)).square().mean()
