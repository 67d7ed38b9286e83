"""Where in an image a torch model found its score: Grad-CAM, and gradient-weighted attention.

Both follow the score back into the tower and so explain any method's score, inner product or not. Knows
matchers; no pictures of heat and no files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from landsift.encoders.pixels import check_pixels, fit_square
from landsift.errors import UsageError
from landsift.models.clip.layers import AttentionPool, ResidualLayer
from landsift.models.clip.matcher import ClipMatcher
from landsift.models.clip.resnet import ClipResNet
from landsift.models.clip.vision import VisionTower
from landsift.models.dual_matcher import DualMatcher
from landsift.models.encoder import TorchEncoder, TorchScorer
from landsift.models.matcher import Matcher
from landsift.models.methods.base import TowerMatcher
from landsift.types import Encoder, FloatArray, Pixels

__all__ = ["attention_relevance", "grad_cam", "gradient_heat", "gradient_methods", "last_map"]

GRAD_CAM, ATTENTION = "grad-cam", "attention"
_Score = Callable[[], Tensor]


def gradient_methods(encoder: Encoder) -> tuple[str, ...]:
    """What can be done for an encoder, the best first: ``attention`` or ``grad-cam``; empty for none."""
    if not isinstance(encoder, TorchEncoder | TorchScorer):
        return ()
    matcher = encoder.matcher
    if isinstance(matcher, ClipMatcher) and isinstance(matcher.model.image, VisionTower):
        return (ATTENTION,)
    return () if last_map(matcher) is None else (GRAD_CAM,)


def gradient_heat(
    encoder: Encoder, image: Pixels, text: str, against: Sequence[str] = (), method: str = ""
) -> tuple[FloatArray, str]:
    """Heat of an image for a text.

    Args:
        encoder: One for which :func:`gradient_methods` names the method.
        image: ``(H, W, 3)`` uint8.
        text: What it is scored against.
        against: Texts whose mean score is taken off: why this text and not those.
        method: Of :func:`gradient_methods`; the first of them when empty.

    Returns:
        ``(h, w)`` on the tower's own grid, 0 or more; and how the image became the square it covers, of
        :data:`landsift.encoders.pixels.FITS`.

    Raises:
        UsageError: The encoder has no such method.
    """
    known = gradient_methods(encoder)
    method = method or next(iter(known), "")
    if method not in known or not isinstance(encoder, TorchEncoder | TorchScorer):
        raise UsageError(
            f"{encoder.card.name} cannot be explained by {method or 'gradients'}; take --method "
            f"{' or '.join((*known, 'occlusion'))}"
        )
    matcher = encoder.matcher
    device = next(matcher.parameters()).device
    square = fit_square(check_pixels(image, 0), matcher.input_size, matcher.fit)
    pixels = torch.from_numpy(square.copy()).permute(2, 0, 1)[None].to(device)
    with torch.no_grad():
        texts = matcher.text_features(matcher.prepare([text, *against]).to(device))

    def score() -> Tensor:
        scores = matcher.similarity(matcher.image_features(pixels), texts)[0].float()
        return scores[0] - scores[1:].mean() if against else scores[0]

    if method == ATTENTION:
        assert isinstance(matcher, ClipMatcher) and isinstance(matcher.model.image, VisionTower)
        heat = attention_relevance(matcher.model.image, score)
    else:
        module = last_map(matcher)
        assert module is not None
        heat = grad_cam(module, score)
    found: FloatArray = heat.float().cpu().numpy()
    return found, matcher.fit


def last_map(matcher: Matcher) -> nn.Module | None:
    """The module whose output is the last map that keeps places apart."""
    if isinstance(matcher, DualMatcher):
        return matcher.model.image_tower.head
    if isinstance(matcher, ClipMatcher) and isinstance(matcher.model.image, ClipResNet):
        return matcher.model.image.get_submodule(f"layer{len(matcher.model.image.shape.blocks)}")
    if isinstance(matcher, TowerMatcher):
        stages = matcher.images.trained if len(matcher.images.trained) else matcher.images.frozen
        return stages[-1]
    return None


def grad_cam(module: nn.Module, score: _Score) -> Tensor:
    """Class activation mapping by gradients (Selvaraju et al., ICCV 2017, eqs. 1 and 2).

    ``ReLU(sum_k a_k A_k)``, where ``a_k`` is the mean gradient of the score over channel ``k`` of the map.

    Args:
        module: Gives a map ``(1, channels, h, w)``, or tokens ``(1, 1 + h * w, channels)``.
        score: Runs the model and gives the score.

    Returns:
        ``(h, w)``, 0 or more.
    """
    outputs: list[Tensor] = []

    def cut(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        # What lies below needs no gradient, so that a frozen tower costs no more than a run.
        outputs.append(output.detach().requires_grad_(True))
        return outputs[-1]

    handle = module.register_forward_hook(cut)
    try:
        with torch.enable_grad():
            value = score()
            (slope,) = torch.autograd.grad(value, outputs)
    finally:
        handle.remove()
    values = outputs[-1].detach()
    if values.ndim == 3:
        values, slope = _as_map(values), _as_map(slope)
    return (slope.mean(dim=(2, 3), keepdim=True) * values).sum(dim=1)[0].clamp(min=0)


def _as_map(tokens: Tensor) -> Tensor:
    side = math.isqrt(tokens.shape[1])
    return tokens[:, tokens.shape[1] - side**2 :].transpose(1, 2).unflatten(2, (side, side))


def attention_relevance(tower: VisionTower, score: _Score) -> Tensor:
    """Gradient-weighted attention through all layers (Chefer et al., ICCV 2021, eqs. 5 and 6).

    ``R <- R + mean_heads((dS/dA * A)+) R`` from the identity, layer by layer; the row of what makes the
    vector (the class token, or the trained question of a pooling layer) is the relevance of each patch.

    Args:
        tower: That the score is made with.
        score: Runs the model and gives the score.

    Returns:
        ``(h, w)``, 0 or more.
    """
    with _attention_kept(tower) as kept, torch.enable_grad():
        value = score()
        slopes = torch.autograd.grad(value, kept)
    relevant = [
        (slope * weights).clamp(min=0).mean(dim=1)[0].detach()
        for slope, weights in zip(slopes, kept, strict=True)
    ]
    layers = relevant if tower.pool is None else relevant[:-1]
    total = torch.eye(layers[0].shape[0], device=layers[0].device, dtype=layers[0].dtype)
    for layer in layers:
        total = total + layer @ total
    row = total[0, 1:] if tower.pool is None else (relevant[-1] @ total)[0]
    side = math.isqrt(len(row))
    return row.reshape(side, side)


@contextmanager
def _attention_kept(tower: VisionTower) -> Iterator[list[Tensor]]:
    """Within it, layers compute attention step by step and leave its weights, ``(1, heads, to, from)``."""
    kept: list[Tensor] = []
    parts = [part for part in tower.modules() if isinstance(part, ResidualLayer | AttentionPool)]
    changed = [_Watched(part, kept) for part in parts]
    try:
        for one in changed:
            one.begin()
        yield kept
    finally:
        for one in changed:
            one.end()


class _Watched:
    """A layer whose attention is computed in the open for a while.

    Args:
        part: The layer.
        kept: Where its weights go.
    """

    def __init__(self, part: ResidualLayer | AttentionPool, kept: list[Tensor]) -> None:
        self._part, self._kept = part, kept

    def begin(self) -> None:
        own = self._attend if isinstance(self._part, ResidualLayer) else self._pool
        name = "_attend" if isinstance(self._part, ResidualLayer) else "forward"
        self._part.__dict__[name] = own

    def end(self) -> None:
        self._part.__dict__.pop("_attend", None)
        self._part.__dict__.pop("forward", None)

    def _attend(self, x: Tensor, causal: bool) -> Tensor:
        assert isinstance(self._part, ResidualLayer)
        n, length, width = x.shape
        parts = self._part.query_key_value(x).view(n, length, 3, self._part.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        return self._weighed(query, key, value).reshape(n, length, width)

    def _pool(self, x: Tensor) -> Tensor:
        part = self._part
        assert isinstance(part, AttentionPool)
        n, length, width = x.shape
        query = part.query(part.probe).view(1, 1, part.heads, -1).transpose(1, 2).expand(n, -1, -1, -1)
        parts = part.key_value(x).view(n, length, 2, part.heads, width // part.heads)
        key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        y = part.attended(self._weighed(query, key, value).reshape(n, width))
        return y + part.narrow(part.activate(part.widen(part.norm(y))))

    def _weighed(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        weights = (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(dim=-1)
        if not weights.requires_grad:
            weights.requires_grad_(True)  # of a model whose weights are frozen
        self._kept.append(weights)
        return (weights @ value).transpose(1, 2)
