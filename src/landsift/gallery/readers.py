"""The reading half of indexing: threads open scenes and cut blocks of tiles, ahead of need and in order.

Knows no encoder and no database; hands over events that the consumer takes one by one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from landsift.errors import SceneError
from landsift.gallery.settings import IndexSettings
from landsift.gallery.store import SceneRow
from landsift.scenes import (
    BandChoice,
    ReadBlock,
    Scene,
    SceneProfile,
    SceneSource,
    TilePlan,
    content_hash,
    open_scene,
    plan,
)
from landsift.types import Tile

__all__ = ["Cut", "Event", "Failed", "Job", "Opened", "Reader", "Untouched", "in_order"]


@dataclass(eq=False)
class Job:
    """One scene to read, from window ``start`` of its plan on. Readers and the consumer share it.

    The consumer counts what is stored in ``stored``; ``start`` stays, so that readers see a fixed goal.
    """

    source: SceneSource
    settings: IndexSettings
    signature: str | None
    key: int | None = None
    start: int = 0
    profile: SceneProfile | None = None
    old: SceneRow | None = None  # what this source had in the ledger before
    plan: TilePlan | None = None
    stored: int = 0
    dead: bool = False  # failed: the rest of its blocks need not be read

    def __post_init__(self) -> None:
        self.stored = self.start


@dataclass(frozen=True)
class Opened:
    """A scene is open and planned; new to the ledger, or to be continued."""

    job: Job
    profile: SceneProfile
    plan: TilePlan
    content_hash: str | None


@dataclass(frozen=True)
class Untouched:
    """The file was touched, but its bytes and settings are those already indexed."""

    job: Job


@dataclass(frozen=True)
class Cut:
    """Windows ``first``, ``first + 1``, ... of a plan; None where too little of a tile is valid."""

    job: Job
    first: int
    tiles: list[Tile | None]


@dataclass(frozen=True)
class Failed:
    """A scene cannot be read, or not any further."""

    job: Job
    sentence: str


Event = Opened | Untouched | Cut | Failed


class Reader:
    """Opens scenes and cuts blocks; each thread keeps the scene it read last open.

    Args:
        spectra: Says which bands the tiles bring beside their picture; none when None.
    """

    def __init__(self, spectra: BandChoice | None = None) -> None:
        self._spectra = spectra
        self._of_thread = threading.local()
        self._open: list[Scene] = []

    def open(self, job: Job) -> list[Event]:
        """Open a scene, plan its windows and cut the first block."""
        try:
            return self._opened(job)
        except SceneError as error:
            return [Failed(job, str(error))]
        except Exception as error:
            return [Failed(job, _unforeseen(error))]

    def _opened(self, job: Job) -> list[Event]:
        digest = content_hash(job.source) if job.signature is not None else None
        old = job.old
        unchanged = (
            old is not None and old.state == "done" and digest is not None and old.content_hash == digest
        )
        if unchanged and old is not None and old.settings == job.settings.to_json():
            return [Untouched(job)]
        scene = self._scene(job)
        job.profile = scene.profile
        job.plan = plan(scene.profile, job.settings.tiling())
        opened = Opened(job, scene.profile, job.plan, digest)
        blocks = self.blocks_left(job)
        return [opened, self.cut(job, blocks[0])] if blocks else [opened]

    @staticmethod
    def blocks_left(job: Job) -> list[ReadBlock]:
        """The blocks that hold windows to read; none when the scene could not be opened."""
        return [] if job.plan is None else [block for block in job.plan.blocks if block.stop > job.start]

    def cut(self, job: Job, block: ReadBlock) -> Event:
        """Read one block and cut it into tiles; leaves out those stored before."""
        first = max(block.start, job.start)
        if job.dead:
            return Cut(job, first, [])
        try:
            tiles = self._scene(job).read_block(block)
        except SceneError as error:
            return Failed(job, str(error))
        except Exception as error:
            return Failed(job, _unforeseen(error))
        return Cut(job, first, tiles[first - block.start :])

    def _scene(self, job: Job) -> Scene:
        kept = getattr(self._of_thread, "kept", None)
        if kept is None or kept[0] is not job:
            if kept is not None:
                self._of_thread.kept = None  # before anything can fail: a closed scene must not be kept
                self._open.remove(kept[1])
                kept[1].close()
            settings = job.settings
            scene = open_scene(
                job.source,
                bands=settings.bands,
                crs=settings.crs,
                profile=job.profile,
                spectra=self._spectra,
            )
            self._open.append(scene)
            self._of_thread.kept = kept = (job, scene)
        return kept[1]

    def close(self) -> None:
        """Close what the threads left open; they must have ended."""
        for scene in self._open:
            scene.close()


def _unforeseen(error: Exception) -> str:
    return f"Reading failed unexpectedly ({type(error).__name__}: {error}); please report it with the file"


def in_order(jobs: Iterable[Job], reader: Reader, pool: ThreadPoolExecutor, workers: int) -> Iterator[Event]:
    """Events of all jobs in job and plan order, read up to ``2 * workers`` blocks ahead."""
    queue = iter(jobs)
    opening: deque[Future[list[Event]]] = deque()
    reading: deque[Future[Event]] = deque()

    def open_ahead() -> None:
        while len(opening) <= workers and (job := next(queue, None)) is not None:
            opening.append(pool.submit(reader.open, job))

    open_ahead()
    while opening:
        future = opening.popleft()
        while reading and not future.done():
            yield reading.popleft().result()
        events = future.result()
        while reading:
            yield reading.popleft().result()
        yield from events
        open_ahead()
        job = events[0].job
        for block in reader.blocks_left(job)[1:]:
            reading.append(pool.submit(reader.cut, job, block))
            if len(reading) > 2 * workers:
                yield reading.popleft().result()
    while reading:
        yield reading.popleft().result()
