"""Semantic localization: where in a large scene something is that was said in words.

Windows of several sizes are scored and fused into a heat map on the scene's grid. Knows scenes and encoders;
galleries and training are no matter here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from landsift.localize.engines import DEFAULT_SIDES, ENGINES, ask, look
from landsift.localize.fusing import Evidence
from landsift.localize.judging import judge
from landsift.localize.looking import Looker
from landsift.localize.maps import SMOOTHING, HeatMap, Region, write_overlay, write_regions
from landsift.localize.scoring import (
    SeloScores,
    attention_centres,
    centre_map,
    mean_scores,
    selo_scores,
    uniform_map,
)
from landsift.scenes import Scene
from landsift.types import Encoder

__all__ = [
    "DEFAULT_SIDES",
    "ENGINES",
    "Evidence",
    "HeatMap",
    "Looker",
    "Region",
    "SeloScores",
    "attention_centres",
    "centre_map",
    "judge",
    "localize",
    "mean_scores",
    "selo_scores",
    "uniform_map",
    "write_overlay",
    "write_regions",
]


def localize(
    scene: Scene,
    text: str,
    encoder: Encoder,
    *,
    unlike: Sequence[str] = (),
    engine: str = "windows",
    sides: Sequence[int] | None = None,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> HeatMap:
    """Look for something in one scene.

    Args:
        scene: Opened; keep it open while the map is used.
        text: What to look for.
        encoder: Any.
        unlike: What to turn away from.
        engine: ``windows`` (SeLo), ``two-stage`` (its later version, with fewer windows to encode) or
            ``dense`` (the cells of large crops, with a tenth of the encodes).
        sides: Of the windows, pixels; those of :data:`DEFAULT_SIDES` that fit when None.
        cache: Folder for the windows' vectors, so that the next question costs no encoding; None for none.
        progress: Called with how many windows are encoded, and how many there are.

    Raises:
        UsageError: Nothing to look for, or windows that do not fit.
        SceneError: The file is damaged, or nothing in it can be seen.
        EncoderError: ``dense``, of an encoder whose image tower shows no cells.
        MissingDependency: OpenCV is not installed.
    """
    query = ask(encoder, text, unlike, shuffled=engine == "two-stage")
    looker = Looker(scene, encoder, cache)
    evidence = look(looker, query, engine=engine, sides=sides, progress=progress)
    return HeatMap(scene, evidence, SMOOTHING[engine])
