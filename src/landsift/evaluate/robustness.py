"""How much of an encoder's retrieval is left when pictures or captions are spoilt.

The clean set is encoded once; then one corruption at one severity at a time: the spoilt side is encoded anew
and scored against the clean other side, so that memory holds two sets of rows whatever the suite. Knows
encoders and scorers of pairs by their protocols.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from landsift.captions import style_captions
from landsift.data.corrupting import (
    CORRUPTIONS,
    SEVERITIES,
    check_severities,
    family_of,
    find_corruptions,
    spoilt_set,
)
from landsift.errors import UsageError
from landsift.evaluate.report import Report
from landsift.evaluate.retrieval import describe_dataset, describe_model, seen_before
from landsift.evaluate.stress_judges import Judge, PairJudge, Progress, VectorJudge
from landsift.provenance import provenance
from landsift.types import Encoder, PairScorer, RetrievalSet

__all__ = ["SIDES", "evaluate_robustness", "join_robustness", "robustness_of_pairs"]

SIDES: Mapping[str, Mapping[bool, str]] = {
    "gallery": {True: "mR_t2i", False: "mR_i2t"},
    "query": {True: "mR_i2t", False: "mR_t2i"},
    "both": {True: "mR", False: "mR"},
}
"""Which score tells what spoiling one side did, for corruptions of pictures (True) and of captions (False):
spoilt pictures are the gallery of text to image, and the queries of image to text."""

_Tell = Callable[[int, int], None]


def evaluate_robustness(
    encoder: Encoder,
    data: RetrievalSet,
    *,
    corruptions: Sequence[str] | None = None,
    severities: Sequence[int] = SEVERITIES,
    on: str = "both",
    seed: int = 0,
    caption_style: str = "raw",
    progress: _Tell | None = None,
    command: str = "",
) -> Report:
    """Score an encoder on a caption set, clean and spoilt.

    Args:
        encoder: Any dual encoder.
        data: The set.
        corruptions: Names or families of :mod:`landsift.data.corrupting`; None for the whole suite.
        severities: Of 1 to 5.
        on: Which spoilt side is judged, of :data:`SIDES`: ``gallery`` (spoilt pictures are searched with
            clean captions, and the other way round), ``query``, or ``both``: the mean of all six recalls.
        seed: Of what is drawn.
        caption_style: How captions are altered, after they were spoilt.
        progress: Called with how many pictures and captions are encoded, and how many there are.
        command: Recorded in the provenance.

    Returns:
        A report of the task ``robustness``. Scores: ``clean``; ``corruptions`` by name with ``by_severity``
        and the means; ``families``; ``pictures``, ``texts`` and ``all`` with the means over that part of the
        suite; ``worst``. A ``drop`` is ``1 - score / clean``, percent.

    Raises:
        UsageError: The set has no captions, or a name, severity, side or style that does not exist.
        DatasetError: An image cannot be read.
    """
    plan = _plan(data, corruptions, severities, on, seed, caption_style)
    judge = VectorJudge(encoder, data, caption_style, Progress(progress, plan.encodes))
    return _report(judge, plan, command)


def robustness_of_pairs(
    scorer: PairScorer,
    data: RetrievalSet,
    *,
    corruptions: Sequence[str] | None = None,
    severities: Sequence[int] = SEVERITIES,
    on: str = "both",
    seed: int = 0,
    caption_style: str = "raw",
    progress: _Tell | None = None,
    command: str = "",
) -> Report:
    """As :func:`evaluate_robustness`, for a method that judges pairs: no drift and no bits, and every
    corruption costs a whole evaluation."""
    plan = _plan(data, corruptions, severities, on, seed, caption_style)
    judge = PairJudge(scorer, data, caption_style, Progress(progress, plan.encodes))
    return _report(judge, plan, command)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is spoilt, how, and on which side it is judged."""

    data: RetrievalSet
    names: tuple[str, ...]
    levels: tuple[int, ...]
    on: str
    seed: int
    style: str

    @property
    def encodes(self) -> int:
        """Pictures and captions that will be encoded, the clean ones included."""
        pictures, texts = len(self.data.images), len(set(self.data.captions))
        runs = sum(pictures if name in CORRUPTIONS else texts for name in self.names)
        return pictures + texts + len(self.levels) * runs


def _plan(
    data: RetrievalSet,
    corruptions: Sequence[str] | None,
    severities: Sequence[int],
    on: str,
    seed: int,
    style: str,
) -> _Plan:
    if not len(data.captions):
        raise UsageError(f"{data.name} has no captions, and robustness is of retrieval; give a set with some")
    if on not in SIDES:
        raise UsageError(f"What is spoilt is {', '.join(SIDES)}, got {on!r}; choose one")
    style_captions([], style)  # refuses a style that does not exist before anything is encoded
    return _Plan(data, find_corruptions(corruptions), check_severities(severities), on, seed, style)


def _report(judge: Judge, plan: _Plan, command: str) -> Report:
    clean = judge.clean.as_dict()
    rows = {name: _row(judge, clean, plan, name) for name in plan.names}
    scores = {"on": plan.on, "severities": list(plan.levels), "clean": clean, "corruptions": rows}
    return Report(
        task="robustness",
        model=describe_model(judge.card),
        dataset=describe_dataset(plan.data),
        protocol={
            "spoilt": plan.on,
            "severities": " ".join(map(str, plan.levels)),
            "seed": plan.seed,
            "captions": plan.style,
            "ties": "expected",
        },
        scores=scores | _summary(rows),
        leakage=seen_before(judge.card, plan.data),
        provenance=provenance(command, seed=plan.seed),
    )


def _row(judge: Judge, clean: Mapping[str, float], plan: _Plan, name: str) -> dict[str, Any]:
    """One corruption at all severities."""
    pictures = name in CORRUPTIONS
    judged = SIDES[plan.on][pictures]
    by_severity = {}
    for level in plan.levels:
        found, more = judge.again(spoilt_set(plan.data, name, level, seed=plan.seed), pictures)
        flat = found.as_dict()
        recalls = {key: flat[key] for key in ("mR_i2t", "mR_t2i", "mR")}
        drops = {"score": flat[judged], "drop": _drop(flat[judged], clean[judged])}
        by_severity[str(level)] = drops | recalls | _judged_top(more, judged)
    return _condensed(name, judged, clean[judged], by_severity)


def _condensed(
    name: str, judged: str, clean: float, by_severity: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """A corruption's figures at each severity, with their means and the worst."""
    means = {key: fmean(row[key] for row in by_severity.values()) for key in next(iter(by_severity.values()))}
    worst = max(by_severity, key=lambda level: by_severity[level]["drop"])
    return {
        "family": family_of(name),
        "judged_by": judged,
        "clean": clean,
        "by_severity": dict(by_severity),
        **means,
        "worst": {"severity": int(worst), **by_severity[worst]},
    }


def join_robustness(reports: Sequence[Report]) -> Report:
    """One report of several on the same encoder, set, seed and side: of all their corruptions and severities.

    Only severities that every corruption has are kept, so that means compare.

    Args:
        reports: Of :func:`evaluate_robustness`; where two have the same figure, the later report's is taken.

    Raises:
        UsageError: There is none, they differ in what was scored, or they share no severity.
    """
    if not reports:
        raise UsageError("There is no report to join; give one or more")
    same = {json.dumps(_told(report), sort_keys=True, default=list) for report in reports}
    if len(same) > 1:
        raise UsageError("Only reports on one encoder, set, seed and side can be joined; join others apart")
    found: dict[str, dict[str, Any]] = {}
    for report in reports:
        for name, row in report.scores["corruptions"].items():
            found.setdefault(name, {}).update(row["by_severity"])
    levels = sorted(set.intersection(*(set(by_severity) for by_severity in found.values())), key=int)
    if not levels:
        raise UsageError("These reports have no severity in common; run the missing ones")
    last, on = reports[-1], reports[-1].scores["on"]
    rows = {}
    for name in find_corruptions(list(found)):
        judged = SIDES[on][name in CORRUPTIONS]
        kept = {level: found[name][level] for level in levels}
        rows[name] = _condensed(name, judged, last.scores["clean"][judged], kept)
    scores = {"on": on, "severities": [int(level) for level in levels], "clean": last.scores["clean"]}
    return replace(
        last,
        protocol={**last.protocol, "severities": " ".join(levels)},
        scores={**scores, "corruptions": rows} | _summary(rows),
    )


def _told(report: Report) -> tuple[Any, ...]:
    """What reports have to share to be joined."""
    protocol = {name: value for name, value in report.protocol.items() if name != "severities"}
    return report.task, report.model["weights_sha256"], report.dataset["sha256"], protocol


def _drop(score: float, clean: float) -> float:
    return 100 * (1 - score / clean) if clean else 0.0


def _judged_top(more: Mapping[str, float], judged: str) -> dict[str, float]:
    """What else there is to say, with the share of the first ten that stayed in the judged direction."""
    ways = {"mR_i2t": ("i2t",), "mR_t2i": ("t2i",), "mR": ("i2t", "t2i")}[judged]
    kept = fmean(more[f"top10_kept_{way}"] for way in ways)
    return {"top10_kept": kept} | {key: value for key, value in more.items() if not key.startswith("top10")}


def _summary(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Means over families and over the suite, and the worst of all."""
    families = dict.fromkeys(row["family"] for row in rows.values())
    parts = {
        "pictures": [row for name, row in rows.items() if name in CORRUPTIONS],
        "texts": [row for name, row in rows.items() if name not in CORRUPTIONS],
        "all": list(rows.values()),
    }
    worst = max(rows, key=lambda name: rows[name]["worst"]["drop"])
    return {
        "families": {
            family: fmean(row["drop"] for row in rows.values() if row["family"] == family)
            for family in families
        },
        **{part: _means(own) for part, own in parts.items() if own},
        "worst": {"corruption": worst, **rows[worst]["worst"]},
    }


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    keys = ("score", "drop", "top10_kept", "drift", "bit_flips")
    return {key: fmean(row[key] for row in rows) for key in keys if key in rows[0]}
