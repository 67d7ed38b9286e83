"""Which windows are looked at for a question, and what each is worth.

``windows`` is SeLo (Yuan et al., "Learning to Evaluate Performance of Multimodal Semantic Localization", TGRS
2022): all windows of all sizes. ``two-stage`` is the authors' later version: large windows first, then small
ones around the best of them, with the question also asked in shuffled words. ``dense`` encodes a tenth as
many crops, large ones, and asks every cell of the grid that the image tower lays over each; see
:mod:`landsift.localize.dense`. Knows vectors, no maps.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from landsift.errors import UsageError
from landsift.gallery.query import compose
from landsift.localize.dense import dense_evidence
from landsift.localize.fusing import Evidence
from landsift.localize.layouts import anchor_boxes, diagonal_grids, fitting_sides, plain_grid
from landsift.localize.looking import Looker, box_of
from landsift.types import Encoder, FloatArray, Window

__all__ = ["DEFAULT_SIDES", "ENGINES", "ask", "look"]

ENGINES = ("windows", "two-stage", "dense")
DEFAULT_SIDES = {"windows": (128, 256, 512), "two-stage": (128, 256, 512), "dense": (512,)}
"""Window sides in pixels, those that did best where they were published; the largest of ``two-stage`` is its
first look, and those of ``dense`` are its crops."""

_KEPT_SHARE = 0.15  # of the first stage's windows
_SHUFFLES = 4


def ask(
    encoder: Encoder, text: str, unlike: Sequence[str] = (), *, shuffled: bool = False, seed: int = 0
) -> FloatArray:
    """A question as one unit row: Rocchio's rule where something is unwanted.

    Args:
        encoder: Any.
        text: What to look for.
        unlike: What to turn away from.
        shuffled: Also ask with the words in four random orders and take the mean, as SeLo v2 does: what
            hangs on one phrasing loses weight.
        seed: Of the orders.

    Returns:
        ``(dim,)``.
    """
    if not text.strip():
        raise UsageError("There is nothing to look for; say it in words")
    wordings = [text, *_shuffles(text, seed)] if shuffled else [text]
    vectors = encoder.encode_texts([*wordings, *unlike])
    wanted = vectors[: len(wordings)].mean(axis=0, keepdims=True)
    return compose(wanted, vectors[len(wordings) :])


def _shuffles(text: str, seed: int) -> list[str]:
    words, random_ = text.split(), random.Random(seed)
    return [" ".join(random_.sample(words, len(words))) for _ in range(_SHUFFLES)]


def look(
    looker: Looker,
    query: FloatArray,
    *,
    engine: str = "windows",
    sides: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evidence:
    """Score the windows that an engine asks for.

    Args:
        looker: Of the scene.
        query: ``(dim,)`` unit row.
        engine: One of :data:`ENGINES`.
        sides: Of the windows, pixels; those of :data:`DEFAULT_SIDES` that fit when None.
        progress: Called with how many windows are encoded, and how many there are; from the start again in
            a second stage.

    Raises:
        UsageError: No such engine, or windows that do not fit.
        SceneError: The file is damaged, or nothing in it can be seen.
        EncoderError: ``dense``, of an encoder whose image tower shows no cells.
    """
    if engine not in ENGINES:
        raise UsageError(f"There is no engine {engine!r}; choose one of {', '.join(ENGINES)}")
    profile = looker.scene.profile
    if sides is None:
        shorter = min(profile.width, profile.height)
        sides = [side for side in DEFAULT_SIDES[engine] if side <= shorter] or [shorter]
    fitting = fitting_sides(sides, profile.width, profile.height)
    if engine == "windows":
        windows = diagonal_grids(profile.width, profile.height, fitting)
        return _scored(looker, query, windows, progress)
    if engine == "dense":
        return dense_evidence(looker, query, fitting, progress)
    return _two_stages(looker, query, fitting, progress)


def _two_stages(
    looker: Looker,
    query: FloatArray,
    sides: tuple[int, ...],
    progress: Callable[[int, int], None] | None,
) -> Evidence:
    width, height = looker.scene.profile.width, looker.scene.profile.height
    first = plain_grid(width, height, sides[-1])
    rows, seen = looker.vectors(first, progress)
    scores = np.where(seen, rows @ query, -np.inf)
    best = np.argsort(-scores, kind="stable")[: int(_KEPT_SHARE * len(first)) + 1]
    kept = [first[number] for number in best.tolist()]
    finer = sides[:-1] or sides
    boxes = [box for window in kept for box in anchor_boxes(window, finer, width, height)]
    evidence = _scored(looker, query, [*kept, *boxes], progress)
    # Elsewhere was looked at and found to be less: the bottom of the scale, not unknown.
    lowest = float(evidence.scores.min()) if len(evidence.scores) else 0.0
    return Evidence(width, height, evidence.boxes, evidence.scores, elsewhere=min(0.0, lowest))


def _scored(
    looker: Looker,
    query: FloatArray,
    windows: Sequence[Window],
    progress: Callable[[int, int], None] | None,
) -> Evidence:
    rows, seen = looker.vectors(windows, progress)
    boxes = np.array([box_of(window) for window in windows], np.int64)
    profile = looker.scene.profile
    return Evidence(profile.width, profile.height, boxes[seen], (rows[seen] @ query).astype(np.float32))
