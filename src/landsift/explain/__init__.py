"""Why an image matches a text: where in the image, and which of the words.

A map of the image, by gradients where torch runs the model and by covering parts of it for any; what each
word adds; how well the map holds when what it points at is taken away. Knows scenes and models; galleries
are no matter here.
"""

from __future__ import annotations

from landsift.explain.asking import Question
from landsift.explain.drawing import draw_explanation, save_explanation
from landsift.explain.explaining import METHODS, explain, methods_for
from landsift.explain.judging import AreaScores, MaskScores, area_scores, mask_scores
from landsift.explain.occluding import occlusion_heat
from landsift.explain.result import BitFacts, Explanation, WordChange
from landsift.explain.spreading import spread
from landsift.explain.tiles import WinningTile, winning_tile
from landsift.explain.wording import word_changes

__all__ = [
    "METHODS",
    "AreaScores",
    "BitFacts",
    "Explanation",
    "MaskScores",
    "Question",
    "WinningTile",
    "WordChange",
    "area_scores",
    "draw_explanation",
    "explain",
    "mask_scores",
    "methods_for",
    "occlusion_heat",
    "save_explanation",
    "spread",
    "winning_tile",
    "word_changes",
]
