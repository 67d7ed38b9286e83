"""Source -> scenes -> tiles -> vectors -> store: one pipeline that can be killed at any moment and repeated.

Reader threads open scenes and cut blocks of tiles ahead of need; the calling thread takes them in a fixed
order, encodes them in batches and commits each batch together with the progress of its scenes. So the
ledger always says exactly which windows are stored, and repeating the command goes on from there. Because
an encoder's row does not depend on the rest of its batch, the result is that of an undisturbed run.

Knows nothing of search.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from landsift.gallery.bands import band_choice, encode_tiles
from landsift.gallery.readers import Cut, Event, Failed, Job, Opened, Reader, Untouched, in_order
from landsift.gallery.settings import IndexSettings
from landsift.gallery.store import ItemRow, SceneRow, Store
from landsift.scenes import SceneProfile, SceneSource, keep_environment, stat_signature
from landsift.types import Encoder, Tile, TimeSpan

__all__ = ["IndexProgress", "IndexReport", "index_sources", "scene_id", "signature"]

BATCH = 64
"""Tiles encoded and committed together; also the most that a kill can cost."""


@dataclass
class IndexReport:
    """What an indexing run did.

    Attributes:
        indexed: Scenes taken in or finished by this run.
        unchanged: Scenes that needed no work.
        failed: (scene name, sentence) of scenes that could not be read.
        failed_before: Scenes that failed in an earlier run and were not tried again.
        tiles: Tiles stored by this run.
        skipped: Tiles left out because less than half of them is valid.
        seconds: Wall time.
    """

    indexed: int = 0
    unchanged: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    failed_before: int = 0
    tiles: int = 0
    skipped: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class IndexProgress:
    """A moment of an indexing run: finished and all scenes, tiles so far, the scene in work, share done."""

    scenes_done: int
    scenes: int
    tiles: int
    scene: str
    share: float


def index_sources(
    store: Store,
    encoder: Encoder,
    sources: Iterable[SceneSource],
    defaults: IndexSettings,
    overrides: Mapping[str, Any],
    *,
    workers: int = 2,
    retry_failed: bool = False,
    progress: Callable[[IndexProgress], None] | None = None,
) -> IndexReport:
    """Bring the store up to date with the sources. The caller holds the gallery's writer lock.

    Args:
        store: Where it goes.
        encoder: The encoder that made, or will make, this gallery.
        sources: What to index.
        defaults: Settings for scenes not seen before.
        overrides: Settings given explicitly; scenes indexed with others are cut anew.
        workers: Reader threads.
        retry_failed: Also try scenes again that failed before and have not changed.
        progress: Called after each batch.
    """
    began = time.perf_counter()
    report = IndexReport()
    jobs = list(_survey(store, sources, defaults, overrides, retry_failed, report))
    _Run(store, encoder, jobs, report, progress).go(workers)
    report.seconds = time.perf_counter() - began
    return report


def scene_id(source: SceneSource) -> str:
    """A stable, file-name-safe id: the name without suffix, and a hash of where the source lies."""
    stem = PurePosixPath(source.name.replace("\\", "/")).stem
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", stem).strip("-.")[:48] or "scene"
    return f"{slug}-{hashlib.sha256(source.href.encode()).hexdigest()[:8]}"


# -- what needs doing ------------------------------------------------------------------------------------


def _survey(
    store: Store,
    sources: Iterable[SceneSource],
    defaults: IndexSettings,
    overrides: Mapping[str, Any],
    retry_failed: bool,
    report: IndexReport,
) -> Iterator[Job]:
    """Compare the sources with the ledger; yields those that need work."""
    for source in sources:
        versions = {scene.supersedes is None: scene for scene in store.scenes_at(source.href)}
        main, newer = versions.get(True), versions.get(False)
        latest = newer or main
        before = None if latest is None else IndexSettings.from_json(latest.settings)
        settings = (before or defaults).changed(overrides)
        mark = signature(source)
        same = latest is not None and before == settings and latest.signature == mark
        if latest is not None and latest.state == "partial" and same and latest.profile:
            profile = SceneProfile.from_json(latest.profile)
            old = main if newer else None
            yield Job(source, settings, mark, latest.key, latest.windows_done, profile, old)
        elif main is not None and main.state == "done" and same:
            report.unchanged += 1
        elif main is not None and main.state == "failed" and same and not retry_failed:
            report.failed_before += 1
        else:
            if newer is not None and newer.key is not None:
                with store.transaction():
                    store.delete_scene(newer.key)
            yield Job(source, settings, mark, old=main)


def signature(source: SceneSource) -> str | None:
    """Size and time of a local file, to see a change without reading it; None if it is gone or remote."""
    found = stat_signature(source)
    return None if found is None else f"{found[0]}:{found[1]}"


# -- encoding and committing, in the calling thread ---------------------------------------------------------


class _Run:
    """The consuming half: takes events in order, encodes batches, commits them with the ledger."""

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        jobs: list[Job],
        report: IndexReport,
        progress: Callable[[IndexProgress], None] | None,
    ) -> None:
        self._store, self._encoder, self._jobs = store, encoder, jobs
        self._report, self._progress = report, progress
        self._waiting: list[tuple[Job, int, Tile | None]] = []
        self._tiles_waiting = 0
        self._scenes_done = 0

    def go(self, workers: int) -> None:
        """Run to the end."""
        reader = Reader(band_choice(self._encoder.card))
        pool = ThreadPoolExecutor(
            max(1, workers), thread_name_prefix="landsift-read", initializer=keep_environment
        )
        try:
            for event in in_order(self._jobs, reader, pool, max(1, workers)):
                self._take(event)
            self._flush()
        finally:
            pool.shutdown(cancel_futures=True)
            reader.close()

    def _take(self, event: Event) -> None:
        if event.job.dead:
            return
        match event:
            case Opened():
                self._begin(event)
            case Cut():
                for offset, tile in enumerate(event.tiles):
                    self._waiting.append((event.job, event.first + offset, tile))
                    self._tiles_waiting += tile is not None
                    if self._tiles_waiting == BATCH:
                        self._flush()
            case Failed():
                self._fail(event)
            case Untouched():
                with self._store.transaction():
                    assert event.job.old is not None and event.job.old.key is not None
                    self._store.update_scene(event.job.old.key, signature=event.job.signature, error=None)
                self._report.unchanged += 1
                self._scenes_done += 1

    def _begin(self, event: Opened) -> None:
        job = event.job
        if job.key is None:
            with self._store.transaction():
                if job.old is not None and job.old.state != "done" and job.old.key is not None:
                    self._store.delete_scene(job.old.key)
                    job.old = None
                job.key = self._store.add_scene(_ledger_line(event))
        if len(event.plan) == job.start:  # killed between the last batch and the end of the scene
            with self._store.transaction():
                self._finish(job)

    def _flush(self) -> None:
        """Encode what waits and commit it, with the progress of its scenes, in one transaction."""
        if not self._waiting:
            return
        kept = [(job, tile) for job, _, tile in self._waiting if tile is not None]
        vectors = encode_tiles(self._encoder, [tile for _, tile in kept]) if kept else np.empty((0, 0))
        items = [_item(job, tile, vector) for (job, tile), vector in zip(kept, vectors, strict=True)]
        touched = dict.fromkeys(job for job, _, _ in self._waiting)
        with self._store.transaction():
            self._store.add_items(items)
            for job in touched:
                self._advance(job)
        self._report.tiles += len(kept)
        self._report.skipped += len(self._waiting) - len(kept)
        self._waiting.clear()
        self._tiles_waiting = 0
        self._tell(next(reversed(touched)))

    def _advance(self, job: Job) -> None:
        assert job.plan is not None and job.key is not None
        numbers = [(number, tile) for owner, number, tile in self._waiting if owner is job]
        job.stored = numbers[-1][0] + 1
        self._store.advance_scene(job.key, job.stored, sum(tile is not None for _, tile in numbers))
        if job.stored == len(job.plan):
            self._finish(job)

    def _finish(self, job: Job) -> None:
        assert job.key is not None
        if job.old is not None and job.old.key is not None:
            self._store.delete_scene(job.old.key)
        self._store.update_scene(job.key, state="done", supersedes=None)
        self._report.indexed += 1
        self._scenes_done += 1

    def _fail(self, event: Failed) -> None:
        """Record the error. Tiles of an older, readable version stay; those of this one go."""
        job = event.job
        self._waiting = [entry for entry in self._waiting if entry[0] is not job]
        self._tiles_waiting = sum(tile is not None for _, _, tile in self._waiting)
        self._flush()
        job.dead = True
        with self._store.transaction():
            if job.key is not None:
                self._report.tiles -= self._store.delete_scene(job.key)
            if job.old is not None and job.old.state == "done" and job.old.key is not None:
                self._store.update_scene(
                    job.old.key, error=f"The file changed and its new state cannot be read: {event.sentence}"
                )
            else:
                if job.old is not None and job.old.key is not None:
                    self._store.delete_scene(job.old.key)
                self._store.add_scene(_failed_line(job, event.sentence))
        self._report.failed.append((job.source.name, event.sentence))
        self._scenes_done += 1
        self._tell(job)

    def _tell(self, job: Job) -> None:
        if self._progress is None:
            return
        part = 0.0 if job.plan is None or job.dead else (job.stored / max(1, len(job.plan))) % 1.0
        share = (self._scenes_done + part) / max(1, len(self._jobs))
        self._progress(
            IndexProgress(self._scenes_done, len(self._jobs), self._report.tiles, job.source.name, share)
        )


def _ledger_line(event: Opened) -> SceneRow:
    job, profile = event.job, event.profile
    span = None if profile.date is None else TimeSpan.parse(profile.date)
    return SceneRow(
        id=scene_id(job.source),
        href=job.source.href,
        name=job.source.name,
        settings=job.settings.to_json(),
        source=job.source.to_json(),
        supersedes=job.old.key if job.old is not None else None,
        signature=job.signature,
        content_hash=event.content_hash,
        profile=profile.to_json(),
        windows=len(event.plan),
        start=None if span is None else span.start.timestamp(),
        stop=None if span is None else span.end.timestamp(),
        date=profile.date,
    )


def _failed_line(job: Job, sentence: str) -> SceneRow:
    return SceneRow(
        id=scene_id(job.source),
        href=job.source.href,
        name=job.source.name,
        settings=job.settings.to_json(),
        source=job.source.to_json(),
        state="failed",
        error=sentence,
        signature=job.signature,
    )


def _item(job: Job, tile: Tile, vector: np.ndarray) -> ItemRow:
    assert job.key is not None
    window = tile.window
    return ItemRow(
        scene=job.key,
        scale=tile.scale,
        col=window.col,
        line=window.row,
        width=window.width,
        height=window.height,
        gsd=tile.gsd,
        valid=tile.valid,
        corners=None if tile.corners is None else np.ascontiguousarray(tile.corners, "<f8").tobytes(),
        vector=np.ascontiguousarray(vector, "<f2").tobytes(),
    )
