"""An encoder on a set of localization cases, beside what a map without content would score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from landsift.data.air_slt import LocationCase
from landsift.errors import UsageError
from landsift.evaluate import Report
from landsift.evaluate.retrieval import describe_model
from landsift.localize.engines import DEFAULT_SIDES, ask, look
from landsift.localize.looking import Looker
from landsift.localize.maps import PUBLISHED_FILTERS, SMOOTHING, HeatMap
from landsift.localize.scoring import SeloScores, centre_map, mean_scores, selo_scores, uniform_map
from landsift.provenance import provenance
from landsift.scenes import open_scene
from landsift.scenes.heat import LEVELS
from landsift.types import Encoder, FloatArray

__all__ = ["judge"]


def judge(
    encoder: Encoder,
    cases: Sequence[LocationCase],
    *,
    engine: str = "windows",
    sides: Sequence[int] | None = None,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    command: str = "",
) -> Report:
    """Score maps of an encoder with Rsu, Ras, Rda and Rmi, at full size and with the published filters.

    Args:
        encoder: Any.
        cases: Of the set, such as :func:`~landsift.data.air_slt.load_air_slt` gives.
        engine: ``windows``, ``two-stage`` or ``dense``.
        sides: Of the windows, pixels; those of :data:`DEFAULT_SIDES` that fit when None.
        cache: Folder for the windows' vectors; None for none.
        progress: Called with how many cases are done, and how many there are.
        command: Recorded in the provenance.

    Returns:
        A report of the task ``selo``: the encoder's figures, and those of a uniform map and of one that
        always points at the middle.

    Raises:
        UsageError: There are no cases.
    """
    if not cases:
        raise UsageError("There is no case to judge; give a set with one or more")
    found: dict[str, list[SeloScores]] = {"model": [], "uniform": [], "centre": []}
    for number, case in enumerate(cases, 1):
        heat = _heat(encoder, case, engine, sides, cache)
        maps = {"model": heat, "uniform": uniform_map(*heat.shape), "centre": centre_map(*heat.shape)}
        for name, drawn in maps.items():
            found[name].append(selo_scores(drawn, case.regions))
        if progress:
            progress(number, len(cases))
    figures = {name: _figures(mean_scores(scores)) for name, scores in found.items()}
    return Report(
        task="selo",
        model=describe_model(encoder.card),
        dataset={"name": "air-slt", "title": "AIR-SLT", "split": "all", "cases": len(cases)},
        protocol={
            "engine": engine,
            "sides": list(sides or DEFAULT_SIDES[engine]),
            "filter": PUBLISHED_FILTERS[engine],
        },
        scores=figures,
        provenance=provenance(command),
    )


def _heat(
    encoder: Encoder, case: LocationCase, engine: str, sides: Sequence[int] | None, cache: Path | None
) -> FloatArray:
    query = ask(encoder, case.text, shuffled=engine == "two-stage")
    with open_scene(case.image) as scene:
        evidence = look(Looker(scene, encoder, cache), query, engine=engine, sides=sides)
        drawn = HeatMap(scene, evidence, SMOOTHING[engine], PUBLISHED_FILTERS[engine])
        samples = np.concatenate([strip for _, strip in drawn.strips()])
    known: FloatArray = np.where(samples > LEVELS, 0, samples).astype(np.float32)
    return known / np.float32(LEVELS)


def _figures(scores: SeloScores) -> dict[str, float]:
    named = {"Rsu": scores.rsu, "Ras": scores.ras, "Rda": scores.rda, "Rmi": scores.rmi}
    return {name: round(value, 4) for name, value in named.items()}
