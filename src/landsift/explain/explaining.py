"""Image and text -> explanation: chooses the method, makes the map, judges it. Knows models by their
protocols, and gradients by the name of the module that has them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from landsift.encoders.cards import backend_of
from landsift.errors import UsageError
from landsift.explain.asking import Question
from landsift.explain.judging import area_scores, mask_scores
from landsift.explain.occluding import occlusion_heat
from landsift.explain.result import BitFacts, Explanation
from landsift.explain.spreading import spread
from landsift.explain.tiles import WinningTile
from landsift.explain.wording import word_changes
from landsift.types import Encoder, FloatArray, PairScorer, Pixels

__all__ = ["METHODS", "explain", "methods_for"]

METHODS = ("attention", "grad-cam", "occlusion")
_OCCLUSION = METHODS[-1]
_LEAST_SIDE = 16


def methods_for(model: Encoder | PairScorer) -> tuple[str, ...]:
    """What can be done for a model, the quickest first; ``occlusion`` always can."""
    gradients = _gradients(model)
    return (*(gradients.gradient_methods(model) if gradients else ()), _OCCLUSION)


def explain(
    image: Pixels,
    question: Question,
    *,
    method: str | None = None,
    mask: NDArray[np.bool_] | None = None,
    tile: WinningTile | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Explanation:
    """Find out why an image matches a text.

    Args:
        image: ``(H, W, 3)`` uint8, 16 pixels a side or more.
        question: Text and model.
        method: Of :data:`METHODS`; the first that the model allows when None.
        mask: ``(H, W)``, True on what the text names, to judge the map by.
        tile: Kept in the result: where the image was cut from.
        progress: Called with how many images are encoded for the map, and how many at most.

    Raises:
        UsageError: No such method for this model, an image too small, or a mask that does not fit.
    """
    if min(image.shape[:2]) < _LEAST_SIDE:
        raise UsageError(
            f"An image of {image.shape[1]} x {image.shape[0]} pixels has no parts to tell apart; "
            f"give one of {_LEAST_SIDE} a side or more"
        )
    known = methods_for(question.model)
    method = method or known[0]
    if method not in known:
        raise UsageError(f"{question.card.name} cannot be explained by {method!r}; take {' or '.join(known)}")
    score = question.score(image)
    grid, fit = _grid(question, image, method, progress)
    heat = spread(grid, image.shape[0], image.shape[1], fit)
    judged = None if mask is None else mask_scores(heat, mask)
    return Explanation(
        question.text,
        question.against,
        question.card.name,
        method,
        score,
        image,
        grid,
        heat,
        word_changes(question, image),
        area_scores(question.scores, image, heat),
        judged,
        tile,
        _bits(question, image),
        question.asked,
    )


def _grid(
    question: Question, image: Pixels, method: str, progress: Callable[[int, int], None] | None
) -> tuple[FloatArray, str]:
    """The map, and how the image became the square that it covers."""
    if method == _OCCLUSION:
        return occlusion_heat(question.scores, image, progress), "squash"
    gradients = _gradients(question.model)
    assert gradients is not None
    grid, fit = gradients.gradient_heat(question.model, image, question.text, question.against, method)
    return grid, fit


def _gradients(model: Encoder | PairScorer) -> ModuleType | None:
    """The module that follows gradients, for models that torch runs."""
    if backend_of(model.card) == "onnx":
        return None
    return importlib.import_module("landsift.models.attribution")


def _bits(question: Question, image: Pixels) -> BitFacts | None:
    bits = int(question.card.extra.get("code_bits", 0))
    if not bits or not isinstance(question.model, Encoder):
        return None
    seen = question.model.encode_images([image])[0] >= 0
    read = question.model.encode_texts([question.text])[0] >= 0
    return BitFacts(bits, tuple(np.flatnonzero(seen != read).tolist()))
