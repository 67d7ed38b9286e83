"""The third stage of a search: a method that looks at pixels and text together orders the first matches.

As CFITR does (coarse-to-fine image-text retrieval): codes leave out, vectors order, a cross-encoder decides
among seventy. Knows no model; a :class:`~landsift.types.PairScorer` is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from landsift.errors import SceneError, UsageError
from landsift.gallery.result import Match, SearchResult
from landsift.index import Stopwatch
from landsift.types import PairScorer, Pixels

__all__ = ["JUDGED", "judged"]

JUDGED = 70
"""Matches that a scorer of pairs looks at, as CFITR's release has it."""


def judged(
    result: SearchResult,
    scorer: PairScorer,
    texts: Sequence[str],
    read: Callable[[Match], Pixels],
    k: int,
) -> SearchResult:
    """The first ``k`` matches once the scorer has put all of them in order.

    Scores and percentiles stay those of the vectors. A match whose source cannot be read any more stays
    behind those that were judged, in its old order.

    Args:
        result: Matches to judge.
        scorer: Scores pairs of image and text.
        texts: What was looked for; several count by their mean score.
        read: Gives the pixels of a match.
        k: How many.

    Raises:
        UsageError: There is no text to judge by.
    """
    if not texts:
        raise UsageError("A scorer of pairs judges by a text, and none was given; say what to look for")
    watch = Stopwatch()
    with watch.stage(f"judged by {scorer.card.name}", len(result)):
        pictures, seen = _pictures(result, read)
        order = np.arange(0)
        if pictures:
            order = np.argsort(-scorer.score(pictures, texts).mean(axis=1), kind="stable")
    unread = [place for place in range(len(result)) if place not in set(seen)]
    places = [*(seen[place] for place in order.tolist()), *unread][:k]
    matches = tuple(replace(result.matches[place], rank=rank) for rank, place in enumerate(places, 1))
    notes = (*result.notes, f"{scorer.card.name} put the best {len(seen)} matches in order.")
    if unread:
        notes = (*notes, f"{len(unread)} matches could not be read and were not judged.")
    trace = None if result.trace is None else result.trace.among(after=tuple(watch.stages))
    seconds = result.seconds + watch.stages[0].milliseconds / 1000
    return replace(result, matches=matches, notes=notes, trace=trace, seconds=seconds)


def _pictures(result: SearchResult, read: Callable[[Match], Pixels]) -> tuple[list[Pixels], list[int]]:
    """The pixels that can be read, and the places of their matches."""
    pictures, seen = [], []
    for place, match in enumerate(result):
        try:
            pictures.append(read(match))
        except SceneError:
            continue
        seen.append(place)
    return pictures, seen
