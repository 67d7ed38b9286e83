"""A gallery, two dates and maybe a sentence -> the places that changed, best first."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from landsift.changes.aligning import WAYS, Aligned, align
from landsift.changes.dates import pairs_of_scenes, span_of
from landsift.changes.gathering import Gathering
from landsift.changes.result import Change, ChangeResult
from landsift.changes.scoring import FEWEST, amount_scores, directed_scores, settled, unwanted
from landsift.changes.stacks import Stack
from landsift.changes.views import Views
from landsift.changes.wording import Wording, read_sentence
from landsift.errors import UsageError
from landsift.gallery import Gallery, Where
from landsift.gallery.cache import Snapshot
from landsift.gallery.filtering import searchable
from landsift.gallery.query import SAME_PLACE
from landsift.gallery.search import as_match
from landsift.scenes import SceneProfile
from landsift.types import Encoder, FloatArray, TimeSpan

__all__ = ["find_changes"]

_SAME_GSD = 1.05
_PAIRS_TOLD = 5


def find_changes(
    gallery: Gallery,
    text: str | None = None,
    *,
    before: str | TimeSpan,
    after: str | TimeSpan,
    was: str | None = None,
    became: str | None = None,
    unlike: Sequence[str] = (),
    box: tuple[float, float, float, float] | None = None,
    k: int = 10,
    keep_clouds: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ChangeResult:
    """Find the places that changed between two dates, or that changed as a sentence says.

    Args:
        gallery: Opened.
        text: Such as "forest cleared for farmland"; None ranks by amount of change.
        before, after: Dates or intervals that do not overlap. Of an interval with several dates, each place
            takes the one nearest to the other side that shows it clearly. ``before`` may be the later one:
            the change is then read backwards in time.
        was, became: What was there before and what is there after; they take the place of what the sentence
            is understood to say.
        unlike: Changes towards or away from these are put back.
        box: West, south, east, north in degrees; only tiles that touch it.
        k: How many places.
        keep_clouds: Do not leave out places that look clouded.
        progress: Called with how many places have their vectors, and how many there are.

    Raises:
        UsageError: The dates are unknown, one and the same, or show no common ground clearly; or another
            value that cannot work.
    """
    if k < 1:
        raise UsageError(f"k must be 1 or more, got {k}; ask for at least one place")
    wording = read_sentence(text, was, became)
    began, seen = time.perf_counter(), gallery.snapshot()
    spans = span_of(before, "--before"), span_of(after, "--after")
    shown = [scene for scene in seen.ledger.values() if scene.supersedes is None]
    pairs = pairs_of_scenes(shown, *spans)
    mask = searchable(seen.cache, seen.ledger, Where(box))
    mask = np.ones(len(seen.cache.row), bool) if mask is None else mask
    gathering = Gathering(seen.cache, mask, keep_clouds)
    for pair in pairs:
        gathering.take(*pair)
    gathering.check(spans[0].text, spans[1].text, box is not None)
    with Views() as views:
        aligned = _aligned(gathering.stacks, seen, lambda: gallery.encoder, views, progress)
    places = _Places(aligned, seen)
    scores = places.scores(gallery.encoder, wording, unlike) if wording or unlike else places.amounts
    order = _one_per_place(np.argsort(-scores, kind="stable"), places.rings, k)
    words = text or (str(wording) if wording else "amount of change")
    return ChangeResult(
        tuple(places.change(row, rank, float(scores[row])) for rank, row in enumerate(order, 1)),
        words + "".join(f", not {word}" for word in unlike),
        wording.before if wording else None,
        wording.after if wording else None,
        len(scores),
        gathering.left_out,
        time.perf_counter() - began,
        (*_notes(spans, wording, aligned, gathering.left_out), *gathering.notes),
    )


def _aligned(
    stacks: Sequence[Stack],
    seen: Snapshot,
    encoder: Callable[[], Encoder],
    views: Views,
    progress: Callable[[int, int], None] | None,
) -> list[Aligned]:
    total, done = sum(map(len, stacks)), 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        if progress:
            progress(done, total)

    return [align(found, seen.cache, encoder, views, tell) for found in stacks]


@dataclass(eq=False)
class _Places:
    """All places of all stacks, one after the other."""

    aligned: list[Aligned]
    seen: Snapshot

    @cached_property
    def rings(self) -> NDArray[np.float64]:
        return np.concatenate([found.stack.rings for found in self.aligned])

    @cached_property
    def before(self) -> FloatArray:
        return np.concatenate([found.before for found in self.aligned])

    @cached_property
    def after(self) -> FloatArray:
        return np.concatenate([found.after for found in self.aligned])

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Places of the same two scenes and of one scale have one number."""
        scales = [self.seen.cache.scale[f.stack.base.rows[f.stack.places]] for f in self.aligned]
        stacks = np.repeat(np.arange(len(scales)), [len(part) for part in scales])
        both = np.column_stack([stacks, np.concatenate(scales)])
        return np.unique(both, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    @cached_property
    def changed(self) -> NDArray[np.float64]:
        return settled(self.before, self.after, self.groups)

    @property
    def amounts(self) -> NDArray[np.float64]:
        return amount_scores(self.changed, self.groups)

    def scores(self, encoder: Encoder, wording: Wording | None, unlike: Sequence[str]) -> NDArray[np.float64]:
        """Deviations along a sentence, or by amount where there is none, less what is unwanted."""
        said = [words for words in ((wording.before, wording.after) if wording else ()) if words is not None]
        if any(not words.strip() for words in unlike):
            raise UsageError("What is not wanted is empty; say it, such as --not clouds")
        rows = encoder.encode_texts([*said, *unlike])
        if wording is None:
            scores = self.amounts
        else:
            source = None if wording.before is None else rows[0]
            target = None if wording.after is None else rows[len(said) - 1]
            scores = directed_scores(self.before, self.after, self.changed, source, target, self.groups)
        return scores - unwanted(self.changed, rows[len(said) :], self.groups)

    def change(self, row: int, rank: int, score: float) -> Change:
        """One place as an answer."""
        number = row
        for found in self.aligned:
            if number < len(found.stack):
                break
            number -= len(found.stack)
        pile, cache = found.stack, self.seen.cache
        at = pile.base.rows[pile.places[number]], pile.other.rows[pile.best[number]]
        own, other = (
            as_match(item, self.seen.ledger[item.scene], rank, score) for item in cache.items(map(int, at))
        )
        before, after = (other, own) if pile.base_is_after else (own, other)
        return Change(
            rank,
            score,
            before,
            after,
            pile.rings[number],
            float(pile.base.gsd[pile.places[number]]),
            float(pile.likeness[number]),
            WAYS[found.way[number]],
        )


def _one_per_place(order: NDArray[np.int64], rings: NDArray[np.float64], enough: int) -> list[int]:
    """Places in order, without those that a better one overlaps by more than a tenth of the smaller."""
    polygons = shapely.polygons(rings)
    areas = shapely.area(polygons)
    kept: list[int] = []
    for row in order.tolist():
        if len(kept) == enough:
            break
        turns = 360.0 * np.round((rings[row, 0, 0] - rings[kept, 0, 0]) / 360.0)
        rivals = shapely.polygons(rings[kept] + np.stack([turns, np.zeros(len(kept))], axis=1)[:, None])
        shared = shapely.area(shapely.intersection(polygons[row], rivals))
        if not (shared > SAME_PLACE * np.minimum(areas[row], areas[kept])).any():
            kept.append(row)
    return kept


def _notes(
    spans: tuple[TimeSpan, TimeSpan],
    wording: Wording | None,
    aligned: Sequence[Aligned],
    left_out: dict[str, int],
) -> list[str]:
    notes = []
    if wording is not None and wording.understood:
        notes.append(f"Read as: {wording}.")
    elif wording is not None:
        notes.append(
            f"The sentence names no before and after, so it was taken for what is there after: "
            f"{wording.after}."
        )
    if spans[0].start > spans[1].start:
        notes.append(f"{spans[0].text} is later than {spans[1].text}: the change is read backwards in time.")
    for found in aligned[:_PAIRS_TOLD]:
        notes += _about_pair(found)
    if len(aligned) > _PAIRS_TOLD:
        notes.append(f"So were {len(aligned) - _PAIRS_TOLD} more pairs of scenes.")
    if sum(len(found.stack) for found in aligned) < FEWEST:
        notes.append(
            f"Fewer than {FEWEST} places were compared, too few to tell a shift of the whole scene from "
            f"change: scores are plain differences of similarity."
        )
    notes += [f"{_places(number)} left out: {reason}." for reason, number in left_out.items()]
    return notes


def _about_pair(found: Aligned) -> list[str]:
    """What was compared with what, and how where the two do not line up."""
    pile = found.stack
    base, other = pile.base.scene, pile.other.scene
    first, second = (other, base) if pile.base_is_after else (base, other)
    notes = [
        f"{first.date} ({first.name}) compared with {second.date} ({second.name}) at {_places(len(pile))}."
    ]
    encoded, averaged = (int((found.way == way).sum()) for way in (1, 2))
    if encoded or averaged:
        done = [
            f"at {_places(number)} {how}"
            for number, how in (
                (encoded, f"{other.name} was cut anew on the tiles of {base.name} and encoded"),
                (averaged, f"the stored vectors of {other.name} around were averaged"),
            )
            if number
        ]
        notes.append(f"The two do not line up ({_difference(pile)}): {', '.join(done)}.")
    return notes


def _difference(pile: Stack) -> str:
    """Why the tiles of two scenes do not line up."""
    facts = []
    profiles = [SceneProfile.from_json(layer.scene.profile or "") for layer in (pile.base, pile.other)]
    if profiles[0].crs != profiles[1].crs:
        facts.append("other coordinate system")
    base, other = pile.base.fineness[0], pile.other.fineness[0]
    if not 1 / _SAME_GSD < base / other < _SAME_GSD:
        facts.append(f"{base:.3g} m and {other:.3g} m a pixel")
    return ", ".join(facts) or "other grid"


def _places(number: int) -> str:
    return f"{number:,} place{'s' * (number != 1)}"
