"""A search request over one gallery or several -> a STAC feature collection.

Works in a thread; knows no HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from landsift.errors import UsageError
from landsift.gallery import Gallery, Match
from landsift.gallery.cache import Snapshot
from landsift.gallery.listing import SCORE, arranged, passing
from landsift.gallery.naming import TileName
from landsift.gallery.probe import LEAST_LABELS, Probe
from landsift.gallery.query import compose
from landsift.gallery.search import Order, Picked, Wish
from landsift.gallery.spread import Spread
from landsift.gallery.where import Where
from landsift.index import EXACT
from landsift.serve import stac
from landsift.serve.archive import Archive
from landsift.serve.asking import Page, SearchBody, sort_keys, where_of
from landsift.serve.item_texts import ItemTexts
from landsift.serve.options import ServeOptions
from landsift.serve.turns import Turns
from landsift.threads import available_threads
from landsift.types import FloatArray

__all__ = ["Answer", "Found", "Searcher"]

_BINS = 50
_BYTES_A_NUMBER = 2


@dataclass(frozen=True, eq=False)
class Aim:
    """What to look for in one gallery.

    Attributes:
        vector: ``(dim,)`` unit vector.
        without: Tiles that are not matches, since they were given as examples.
        probe: What the vector is the direction of, if it was learnt from labels.
    """

    vector: FloatArray
    without: tuple[str, ...] = ()
    probe: Probe | None = None


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of one gallery.

    Attributes:
        id, gallery, seen: The gallery as of one moment.
        where, aim: Its filters, and what to look for; None where tiles are listed.
        order: All that was searched, where that is needed.
    """

    id: str
    gallery: Gallery
    seen: Snapshot
    where: Where
    aim: Aim | None
    order: Order | None


@dataclass(frozen=True, eq=False)
class Found:
    """The answer to a search, less its links.

    Attributes:
        features: STAC items in JSON.
        facts: The other members of the feature collection.
        next: Token of the next page, if there is one.
    """

    features: list[str]
    facts: dict[str, Any]
    next: str | None


@dataclass(eq=False)
class Answer:
    """What one gallery gave.

    Attributes:
        picked: In order, from ``skip`` on.
        matched: Tiles that passed the filters and score enough.
        order: All that was searched, where it was ranked.
        aim: What was looked for.
    """

    id: str
    gallery: Gallery
    picked: Picked
    matched: int
    order: Order | None = None
    aim: Aim | None = None


@dataclass(frozen=True, eq=False)
class Row:
    """One line of the answer: a tile that a gallery gave.

    Attributes:
        answer, place: Whose, and the place in what it picked.
        rank: 1 for the best of all galleries.
    """

    answer: Answer
    place: int
    rank: int

    @property
    def score(self) -> float:
        """How well it fits."""
        return self.answer.picked.scores[self.place]

    @property
    def match(self) -> Match:
        """All that is known of it."""
        match = self.answer.picked.matches[self.place]
        return match if match.rank == self.rank else replace(match, rank=self.rank)


class Searcher:
    """Answers search requests.

    Args:
        archive: The galleries.
        options: Its limits count.

    Attributes:
        items: What is kept of the tiles that were found.
    """

    def __init__(self, archive: Archive, options: ServeOptions) -> None:
        self._archive = archive
        self._options = options
        self.items = ItemTexts()
        self._turns = Turns(max(1, available_threads() // 2))  # the other half scores, and speaks HTTP
        for _, gallery in archive:
            gallery.rankings.scorer.aside = self._turns.aside

    def collection(
        self,
        body: SearchBody,
        base: str,
        upload: bytes | None = None,
        newer_than: dict[str, int] | None = None,
    ) -> Found:
        """The answer as a STAC feature collection.

        Args:
            body: The request.
            base: Address of the server, ending in a slash.
            upload: An image file that shows what to look for.
            newer_than: Row number of each gallery after which tiles count.

        Raises:
            UsageError, NotFound: The request could never work.
        """
        began = time.perf_counter()
        page = Page.read(body.token)
        limit = min(body.limit, self._options.most_matches)
        count = self._reach(body, page, limit + 1)
        with self._turns:
            asked, encode_s, last_rows = self._asked(body, page, upload, newer_than)
            answers = self._answered(asked, body, page, count)
            rows = self.merged(answers, body, page.skip, limit + 1)
            facts: dict[str, Any] = {
                "numberMatched": sum(answer.matched for answer in answers),
                "numberReturned": min(len(rows), limit),
            }
            if body.explain:
                seconds = time.perf_counter() - began
                facts["landsift:explain"] = _explained(answers, body, encode_s, seconds - encode_s)
            if body.histogram and any(answer.order is not None for answer in answers):
                facts["landsift:histogram"] = _histogram(answers)
            more = len(rows) > limit
            deeper = body.overlapping == "keep" or page.skip + limit < self._options.deepest_match
            token = Page(page.skip + limit, last_rows).token() if more and deeper else None
            return Found(self._features(base, rows[:limit]), facts, token)

    def answers(self, body: SearchBody, page: Page, count: int, upload: bytes | None = None) -> list[Answer]:
        """What each gallery gives.

        Raises:
            UsageError, NotFound: The request could never work.
        """
        count = self._reach(body, page, count)
        with self._turns:
            asked, _, _ = self._asked(body, page, upload, None)
            return self._answered(asked, body, page, count)

    def ranking(self, body: SearchBody, upload: bytes | None = None) -> tuple[Snapshot, Order]:
        """All tiles of one gallery by how well they fit, and the moment they are of.

        Raises:
            UsageError, NotFound: The request could never work, or asks for nothing, or of several galleries.
        """
        with self._turns:
            asked, _, _ = self._asked(body, Page(), upload, None)
            if len(asked) != 1:
                raise UsageError("The scores of all tiles are those of one gallery; name one in collections")
            one, aim = asked[0], asked[0].aim
            if aim is None:
                raise UsageError("Nothing is looked for, so there are no scores; give q")
            return one.seen, one.order or one.gallery.order(aim.vector, one.where, one.seen)

    def _reach(self, body: SearchBody, page: Page, count: int) -> int:
        """How many matches of those asked for may be given."""
        if page.skip + count > self._options.deepest_match + 1 and body.overlapping == "merge":
            if page.skip >= self._options.deepest_match:
                raise UsageError("The pages end here; narrow the search, or ask for overlapping tiles too")
            count = self._options.deepest_match + 1 - page.skip
        return count

    def _asked(
        self, body: SearchBody, page: Page, upload: bytes | None, newer_than: dict[str, int] | None
    ) -> tuple[list[Asked], float, dict[str, int]]:
        """What is asked of each gallery, seconds spent encoding, and the last row of each."""
        galleries = self._archive.chosen(body.collections)
        where, keys = where_of(body), sort_keys(body.sortby)
        began = time.perf_counter()
        aims = self._aims(body, galleries, upload)
        encode_s = time.perf_counter() - began
        asked: list[Asked] = []
        last_rows = {}
        for id_, gallery in galleries.items():
            seen = gallery.snapshot()
            rows = seen.cache.row
            last = int(rows[-1]) if len(rows) else 0
            until = page.last_rows.get(id_, last)
            last_rows[id_] = min(until, last)
            since = (newer_than or {}).get(id_, 0)
            here = replace(where, rows=(since, until)) if since or until < last else where
            aim = aims.get(id_)
            if aim is None and aims:
                continue
            needed = aim is not None and (bool(keys) or body.histogram or page.skip > 0)
            order = gallery.order(aim.vector, here, seen) if aim is not None and needed else None
            asked.append(Asked(id_, gallery, seen, here, aim, order))
        return asked, encode_s, last_rows

    @staticmethod
    def _answered(asked: list[Asked], body: SearchBody, page: Page, count: int) -> list[Answer]:
        """What each gallery gives."""
        skip, keys = page.skip if len(asked) == 1 else 0, sort_keys(body.sortby)
        count += page.skip - skip
        return [
            _listed(one, body, keys, skip, count)
            if one.aim is None or keys
            else _ranked(one, one.aim, body, skip, count)
            for one in asked
        ]

    # -- what to look for --------------------------------------------------------------------------------

    def _aims(self, body: SearchBody, galleries: dict[str, Gallery], upload: bytes | None) -> dict[str, Aim]:
        """What to look for in each gallery that can; nothing where a listing is asked for."""
        if not (body.texts or body.like or body.unlike or body.probe or upload):
            return {}
        aims: dict[str, Aim] = {}
        problem: UsageError | None = None
        for id_, gallery in galleries.items():
            try:
                aims[id_] = self._aim(body, gallery, upload)
            except UsageError as error:
                problem = error
        if problem is not None and not (aims and (body.like or body.probe)):
            raise problem
        # Examples and labels live in one gallery; they mean something in those of the same encoder only.
        of_encoder = {galleries[id_].card.weights_sha256: aim for id_, aim in aims.items()}
        for id_ in galleries.keys() - aims.keys():
            if galleries[id_].card.weights_sha256 in of_encoder:
                aims[id_] = of_encoder[galleries[id_].card.weights_sha256]
        return aims

    def _aim(self, body: SearchBody, gallery: Gallery, upload: bytes | None) -> Aim:
        probe = gallery.probe(body.probe) if body.probe else None
        if probe is not None:
            return Aim(probe.direction, probe=probe)
        wanted = [self._archive.encode_text(gallery, text, self._turns.aside) for text in body.texts]
        wanted += [self._tile_vector(gallery, name) for name in body.like]
        unwanted = [self._away(gallery, item) for item in body.unlike]
        if upload is not None:
            with self._turns.aside():
                wanted.append(gallery.encode_upload(upload, self._options.most_upload_pixels))
        if body.probe:
            wanted, unwanted = _with_labels(gallery, body.probe, wanted, unwanted)
        dim = gallery.card.dim
        query = compose(
            np.array(wanted, np.float32).reshape(-1, dim), np.array(unwanted, np.float32).reshape(-1, dim)
        )
        return Aim(query, tuple(body.like))

    def _tile_vector(self, gallery: Gallery, name: str) -> FloatArray:
        """The vector of a tile of this gallery, or of another one with the same encoder."""
        others = [other for _, other in self._archive if other is not gallery]
        alike = [other for other in others if other.card.weights_sha256 == gallery.card.weights_sha256]
        for other in (gallery, *alike):
            try:
                return other.vectors([name])[0]
            except UsageError:
                continue
        raise UsageError(f"There is no tile {name[:100]!r}; it may have been removed since")

    def _away(self, gallery: Gallery, item: str) -> FloatArray:
        if TileName.parse(item) is not None:
            return self._tile_vector(gallery, item)
        return self._archive.encode_text(gallery, item, self._turns.aside)

    # -- several galleries -------------------------------------------------------------------------------

    @staticmethod
    def merged(answers: list[Answer], body: SearchBody, skip: int, count: int) -> list[Row]:
        """What all galleries picked, in one order."""
        together = [
            Row(answer, place, rank) for answer in answers for place, rank in enumerate(answer.picked.ranks)
        ]
        if len(answers) < 2:
            return together[:count]
        for name, descending in reversed(sort_keys(body.sortby)):
            together.sort(key=partial(_sort_value, name), reverse=descending)
        if not body.sortby and any(answer.aim for answer in answers):
            together.sort(key=lambda row: -row.score)
        return [
            replace(row, rank=skip + place) if row.answer.aim else row
            for place, row in enumerate(together[skip : skip + count], 1)
        ]

    def _features(self, base: str, rows: list[Row]) -> list[str]:
        """STAC items in JSON, in order, with what a probe thinks of each."""
        features = [""] * len(rows)
        for answer in {id(row.answer): row.answer for row in rows}.values():
            mine = [(at, row) for at, row in enumerate(rows) if row.answer is answer]
            halves = self.items.of(base, answer.id, answer.picked, [row.place for _, row in mine])
            for (at, row), (before, after) in zip(mine, halves, strict=True):
                features[at] = f"{before}{_rank_text(row)}{after}"
        return features


def _rank_text(row: Row) -> str:
    aim = row.answer.aim
    if aim is None:
        return ""
    chance = None if aim.probe is None else aim.probe.chance(row.score)
    return stac.rank_text(row.rank, row.score, row.answer.picked.percentiles[row.place], chance)


def _with_labels(
    gallery: Gallery, topic: str, wanted: list[FloatArray], unwanted: list[FloatArray]
) -> tuple[list[FloatArray], list[FloatArray]]:
    """As long as labels are too few for a probe, they move the query by Rocchio's rule."""
    for label in gallery.labels.of(topic):
        try:
            row = gallery.vectors([label.tile])[0]
        except UsageError:  # removed since
            continue
        (wanted if label.wanted else unwanted).append(row)
    if not wanted:
        raise UsageError(
            f"Nothing teaches {topic[:60]!r} yet; mark {LEAST_LABELS} tiles wanted and as many not, or give q"
        )
    return wanted, unwanted


def _ranked(asked: Asked, aim: Aim, body: SearchBody, skip: int, count: int) -> Answer:
    """Matches by score."""
    order = asked.order
    merge, without = body.overlapping == "merge", asked.gallery.stored(aim.without)
    wish = Wish(aim.vector, "", count, asked.where, body.min_score, merge, without, skip)
    picked = wish.pick(asked.seen.cache, asked.seen.ledger, order)
    matched = picked.searched
    if order is not None and body.min_score is not None:
        matched = order.reaching(body.min_score)
    return Answer(asked.id, asked.gallery, picked, matched, order, aim)


def _listed(asked: Asked, body: SearchBody, keys: list[tuple[str, bool]], skip: int, count: int) -> Answer:
    """Tiles by what they are, and all of those that score enough if something is looked for."""
    seen, order = asked.seen, asked.order
    if order is None:
        positions, scores = passing(seen.cache, seen.ledger, asked.where), None
        searched = len(positions)
    else:
        positions, scores = order.head(order.searched)
        enough = len(scores) if body.min_score is None else int((scores >= body.min_score).sum())
        positions, scores, searched = positions[:enough], scores[:enough], order.searched
    chosen = arranged(seen.cache, seen.ledger, positions, scores, keys) if keys else np.arange(len(positions))
    places = chosen[skip : skip + count]
    none = [0.0] * len(places)
    picked = Picked(
        seen.cache,
        seen.ledger,
        positions[places],
        (places + 1).tolist(),
        none if scores is None else scores[places].tolist(),
        none if scores is None else (100.0 * (searched - places) / searched).tolist(),
        searched,
        int(np.count_nonzero(seen.cache.alive)),
    )
    return Answer(asked.id, asked.gallery, picked, len(positions), order, asked.aim)


def _sort_value(name: str, row: Row) -> Any:
    match = row.match
    values: dict[str, Callable[[], Any]] = {
        SCORE: lambda: match.score,
        "id": lambda: match.tile,
        "scene": lambda: match.scene,
        "gsd": lambda: match.gsd or 0.0,
        "scale": lambda: match.scale,
        "valid": lambda: match.valid,
    }
    return values.get(name, lambda: match.date or "")()


def _explained(answers: list[Answer], body: SearchBody, encode_s: float, search_s: float) -> dict[str, Any]:
    """How the answer was found, for people who want to know."""
    notes = list(dict.fromkeys(note for answer in answers for note in answer.picked.notes))
    ranked = [answer for answer in answers if answer.aim is not None]
    quick = {trace.path: trace for answer in ranked if (trace := answer.picked.trace) is not None}
    quick.pop(EXACT, None)
    path = ", ".join(quick or ["exact scan"]) if ranked else "listing"
    notes += [f"{trace.why} It finds {trace.recall:.1%} of the best." for trace in quick.values()]
    if any(answer.aim is not None and answer.aim.probe is not None for answer in ranked):
        path = f"linear probe, {path}"
    elif body.probe:
        notes.append(
            f"From {LEAST_LABELS} labels of each kind on, a linear probe ranks; until then, Rocchio's rule."
        )
    if len({answer.gallery.card.weights_sha256 for answer in ranked}) > 1:
        notes.append("The galleries have different encoders, whose scores do not compare well.")
    return {
        "path": path,
        "searched": sum(answer.picked.searched for answer in answers),
        "total": sum(answer.picked.total for answer in answers),
        "encode_ms": round(1000 * encode_s, 3),
        "search_ms": round(1000 * search_s, 3),
        "recall": round(min((trace.recall for trace in quick.values()), default=1.0), 4),
        "bytes": sum(map(_bytes_read, ranked)),
        "notes": notes,
    }


def _bytes_read(answer: Answer) -> int:
    """Bytes of vectors that were read; a quick way reads those of its shortlists."""
    rows, trace = answer.picked.searched, answer.picked.trace
    if trace is not None and trace.path != EXACT:
        rows = sum(stage.rows for stage in trace.stages if stage.name.startswith(EXACT))
    return rows * answer.gallery.card.dim * _BYTES_A_NUMBER


def _histogram(answers: list[Answer]) -> dict[str, list[Any]]:
    """The scores of all tiles searched, in equal bins; no bins where nothing was searched."""
    orders = [answer.order for answer in answers if answer.order is not None]
    one = len(orders) == 1
    spread = orders[0].spread if one else Spread.of(np.concatenate([order.passed() for order in orders]))
    if not len(spread.counts):
        return {"edges": [], "counts": []}
    edges, counts = spread.coarse(_BINS)
    return {"edges": [round(edge, 6) for edge in edges.tolist()], "counts": counts.tolist()}
