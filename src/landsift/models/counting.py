"""Parameters, floating-point operations and kept numbers of a trained matcher, run by torch.

Operations are those that ``torch.utils.flop_counter`` knows (convolutions, matrix products, attention), two
for each multiplication with addition, of one picture and of one caption. Knows no scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from landsift.models.clip.spectra import SpectralClipEncoder
from landsift.models.encoder import TorchEncoder, TorchScorer
from landsift.models.features import Features
from landsift.models.matcher import Matcher

__all__ = ["count_matcher", "count_torch", "kept_numbers"]

_BYTES_OF_PIXELS = 255


def count_torch(
    encoder: TorchEncoder | TorchScorer | SpectralClipEncoder, caption: str
) -> dict[str, dict[str, int]]:
    """Parameters and operations of the towers of an encoder, or of a scorer of pairs, that torch runs.

    Args:
        encoder: Any.
        caption: Whose length the text tower's operations are for.

    Returns:
        As :func:`count_matcher`.
    """
    return count_matcher(encoder._matcher, caption)


def count_matcher(matcher: Matcher, caption: str) -> dict[str, dict[str, int]]:
    """Parameters and operations of both towers and of the whole.

    Args:
        matcher: Any, in whatever mode; it is left so.
        caption: Whose length the text tower's operations are for.

    Returns:
        ``image`` and ``text`` with ``parameters`` (of the modules that run) and ``flops``; ``all`` with the
        ``parameters`` of the whole, a score head's included and what both towers share counted once.
    """
    device = next(matcher.parameters()).device
    side = matcher.input_size
    pixels = torch.full((1, 3, side, side), _BYTES_OF_PIXELS // 2, dtype=torch.uint8, device=device)
    words = matcher.prepare([caption]).to(device)
    found = {
        "image": _counted(matcher, lambda: matcher.image_features(pixels)),
        "text": _counted(matcher, lambda: matcher.text_features(words)),
    }
    return found | {"all": {"parameters": sum(one.numel() for one in matcher.parameters())}}


def kept_numbers(encoder: TorchEncoder | TorchScorer | SpectralClipEncoder) -> int:
    """How many numbers of a picture have to be kept to judge it without its pixels."""
    matcher = encoder._matcher
    device, side = next(matcher.parameters()).device, matcher.input_size
    pixels = torch.zeros((1, 3, side, side), dtype=torch.uint8, device=device)
    with torch.inference_mode():
        features = matcher.image_features(pixels)
    kept = [features.pooled] if matcher.exact_index else list(features.tensors().values())
    return sum(tensor.numel() for tensor in kept)


def _counted(matcher: Matcher, run: Callable[[], Features]) -> dict[str, int]:
    used: set[nn.Module] = set()
    # Inference mode would keep composite operators whole, and those are not counted.
    with torch.no_grad(), _watched(matcher, used), FlopCounterMode(display=False) as flops:
        run()
    own = {id(one): one for module in used for one in module.parameters(recurse=False)}
    return {
        "parameters": sum(one.numel() for one in own.values()),
        "flops": int(flops.get_total_flops()),
    }


@contextmanager
def _watched(matcher: Matcher, used: set[nn.Module]) -> Iterator[None]:
    """Note which modules run."""
    handles = [module.register_forward_pre_hook(lambda own, _: used.add(own)) for module in matcher.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
