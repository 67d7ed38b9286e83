"""The ``Gallery`` class: open or make one, add and remove scenes, search, verify, export."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from landsift.encoders import load_encoder
from landsift.errors import EncoderMismatch, GalleryBusy, GalleryReadOnly, UsageError
from landsift.formats import FeatureTable, write_table
from landsift.gallery.cache import Cache, open_cache
from landsift.gallery.checks import complaints
from landsift.gallery.indexing import IndexProgress, IndexReport, index_sources, signature
from landsift.gallery.query import compose
from landsift.gallery.reading import read_query_image, read_tile
from landsift.gallery.result import TILE_FIELDS, Match, SearchResult
from landsift.gallery.search import Wish, as_match, searchable
from landsift.gallery.settings import IndexSettings
from landsift.gallery.store import DATABASE, ItemRow, SceneRow, Store
from landsift.gallery.where import Where, fits
from landsift.scenes import SceneProfile, SceneSource, find_sources
from landsift.types import Encoder, EncoderCard, FloatArray, Pixels

__all__ = ["Gallery"]

_EXPORT_BATCH = 20_000
QueryItem = str | Path | Pixels


class Gallery:
    """An opened gallery.

    Make one with :meth:`create`, open one with :meth:`open`; use as a context manager or call :meth:`close`.
    """

    def __init__(self, folder: Path, store: Store, encoder: Encoder | None = None) -> None:
        self.folder = folder
        self._store = store
        self._given_encoder = encoder
        self._seen: tuple[int, Cache, dict[int, SceneRow]] | None = None

    # -- making and opening ------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: str | Path, encoder: str | Encoder = "landsift-lite", **settings: Any) -> Gallery:
        """Make an empty gallery.

        Args:
            folder: Made if absent; must not hold a gallery.
            encoder: Name or path as :func:`landsift.load_encoder` takes it, or an encoder.
            **settings: Defaults for the scenes to come, see :class:`IndexSettings`.

        Raises:
            UsageError: There is a gallery already, or a setting is off.
            GalleryReadOnly: The folder cannot be written.
        """
        folder = Path(folder)
        if (folder / DATABASE).exists():
            raise UsageError(f"There is a gallery at {folder} already; open it, or choose another folder")
        chosen = IndexSettings().changed(settings)
        chosen.tiling()
        loaded = load_encoder(encoder) if isinstance(encoder, str) else encoder
        location = encoder if isinstance(encoder, str) else loaded.card.name
        meta = {"encoder": asdict(loaded.card), "encoder_location": location, "settings": chosen.to_json()}
        return cls(folder, Store.create(folder, meta), loaded)

    @classmethod
    def open(
        cls, folder: str | Path, encoder: str | Encoder | None = None, *, writable: bool = True
    ) -> Gallery:
        """Open a gallery.

        Args:
            folder: Where it lies.
            encoder: Must be the one that made it; None takes that one.
            writable: False never writes, not even the search cache.

        Raises:
            GalleryNotFound, GalleryTooNew, GalleryDamaged: It cannot be opened.
            EncoderMismatch: ``encoder`` is another than the gallery's.
        """
        folder = Path(folder)
        gallery = cls(folder, Store(folder, writable=writable))
        if encoder is not None:
            try:
                gallery._given_encoder = gallery._same(
                    load_encoder(encoder) if isinstance(encoder, str) else encoder
                )
            except BaseException:
                gallery.close()
                raise
        return gallery

    @classmethod
    def open_or_create(
        cls, folder: str | Path, encoder: str | Encoder | None = None, **settings: Any
    ) -> Gallery:
        """Open the gallery at ``folder``, or make it. Settings count for a new gallery only."""
        if (Path(folder) / DATABASE).exists():
            return cls.open(folder, encoder)
        return cls.create(folder, encoder or "landsift-lite", **settings)

    def close(self) -> None:
        """Close the files."""
        self._seen = None
        self._store.close()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of tiles."""
        return self._store.count_items()

    def __repr__(self) -> str:
        return f"Gallery({str(self.folder)!r}, {len(self)} tiles, encoder {self.card.name!r})"

    # -- the encoder -------------------------------------------------------------------------------------

    @cached_property
    def card(self) -> EncoderCard:
        """The card of the encoder that made this gallery."""
        values = self._store.meta("encoder")
        return EncoderCard(**values | {"trained_on": tuple(values["trained_on"])})

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder that made this gallery, loaded on first use.

        Raises:
            EncoderMismatch: Its weights have changed since.
            EncoderError: It cannot be found any more.
        """
        return self._given_encoder or self._same(load_encoder(self._store.meta("encoder_location")))

    def _same(self, encoder: Encoder) -> Encoder:
        if encoder.card.weights_sha256 != self.card.weights_sha256:
            raise EncoderMismatch(
                f"The gallery {self.folder} was made by {_named(self.card)}, which is not "
                f"{_named(encoder.card)}; use the first, or index into a new gallery"
            )
        return encoder

    # -- adding and removing -----------------------------------------------------------------------------

    def add(
        self,
        *sources: str | Path | SceneSource,
        workers: int | None = None,
        retry_failed: bool = False,
        progress: Callable[[IndexProgress], None] | None = None,
        on_wait: Callable[[str], None] | None = None,
        **settings: Any,
    ) -> IndexReport:
        """Index scenes; does only what is missing, and can be repeated after any interruption.

        Args:
            *sources: Files, folders, globs, STAC JSON files, text files of paths.
            workers: Reader threads; None takes one per core.
            retry_failed: Also try scenes again that failed before and have not changed.
            progress: Called after each batch.
            on_wait: Called with a sentence if another process is writing; then this one waits. None raises.
            **settings: Explicit :class:`IndexSettings`; scenes indexed with others are cut anew.

        Raises:
            GalleryBusy: Another process is writing, and ``on_wait`` is None.
            GalleryReadOnly, DiskFull: It cannot be written; what was committed stays.
            UsageError: No source, or a setting is off.
        """
        defaults = IndexSettings.from_json(self._store.meta("settings"))
        defaults.changed(settings).tiling()
        ready = [source for source in sources if isinstance(source, SceneSource)]
        named = [source for source in sources if not isinstance(source, SceneSource)]
        found = [*ready, *(find_sources(named) if named or not ready else ())]
        with self._writing(on_wait):
            try:
                return index_sources(
                    self._store,
                    self.encoder,
                    found,
                    defaults,
                    settings,
                    workers=workers or _cores(),
                    retry_failed=retry_failed,
                    progress=progress,
                )
            finally:
                self._seen = None
                open_cache(self._store, self.folder, self.card.dim, save=True)

    def remove(self, *patterns: str, missing: bool = False) -> list[str]:
        """Remove scenes and their tiles.

        Args:
            *patterns: Names, ids or globs of scenes.
            missing: Also remove scenes whose local file is gone.

        Returns:
            Names of the scenes removed.

        Raises:
            UsageError: A pattern fits no scene.
        """
        with self._writing(None):
            ledger = self._store.scenes()
            chosen = [scene for scene in ledger if missing and _is_gone(scene)]
            for pattern in patterns:
                fitting = [scene for scene in ledger if fits(scene, pattern)]
                if not fitting:
                    raise UsageError(f"No scene fits {pattern!r}; landsift info --scenes lists their names")
                chosen += fitting
            names = {scene.key: scene.name for scene in chosen}
            with self._store.transaction():
                for key in names:
                    assert key is not None
                    self._store.delete_scene(key)
            self._seen = None
            open_cache(self._store, self.folder, self.card.dim, save=True)
        return list(names.values())

    @contextmanager
    def _writing(self, on_wait: Callable[[str], None] | None) -> Iterator[None]:
        """Hold the one writer's place; a process that dies gives it up."""
        if not self._store.writable:
            raise GalleryReadOnly(
                f"The gallery {self.folder} cannot be written; mend its permissions or copy it elsewhere"
            )
        lock = FileLock(self.folder / "writer.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            sentence = f"Another process is writing to the gallery {self.folder}"
            if on_wait is None:
                raise GalleryBusy(f"{sentence}; try again when it has finished") from None
            on_wait(f"{sentence}; waiting for it to finish.")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    # -- searching ---------------------------------------------------------------------------------------

    def search(
        self,
        text: str | Sequence[str] | None = None,
        *,
        like: Sequence[QueryItem] = (),
        unlike: Sequence[QueryItem] = (),
        k: int = 10,
        where: Where | None = None,
        min_score: float | None = None,
        overlapping: str = "merge",
    ) -> SearchResult:
        """Find the tiles that fit best; exact, also under filters.

        Args:
            text: What to look for, one sentence or several.
            like: Tile ids, image files or arrays that show what to look for. A tile given by id is not
                itself a match.
            unlike: Texts, tile ids, image files or arrays that show what not to look for.
            k: How many matches.
            where: Box, dates and scene; see :class:`Where`.
            min_score: Leave out matches that score less.
            overlapping: ``merge`` gives one match a place, the best of the overlapping tiles of a scene;
                ``keep`` gives all.

        Raises:
            UsageError: ``k < 1``, nothing to look for, an empty text, an unknown tile or file.
        """
        if k < 1:
            raise UsageError(f"k must be 1 or more, got {k}; ask for at least one match")
        if overlapping not in ("merge", "keep"):
            raise UsageError(f"overlapping is 'merge' or 'keep', got {overlapping!r}; choose one")
        texts = [text] if isinstance(text, str) else list(text or ())
        tiles = [tile for item in like if isinstance(item, str) and (tile := self._tile(item))]
        wanted = [*self._encode_texts(texts), *(self._vector_of(item) for item in like)]
        unwanted = [self._vector_of(item, or_text=True) for item in unlike]
        wish = Wish(
            query=compose(self._rows(wanted), self._rows(unwanted)),
            words=_in_words(texts, like, unlike),
            k=k,
            where=where or Where(),
            min_score=min_score,
            merge=overlapping == "merge",
            without=tiles,
        )
        return wish.fulfil(*self._fresh())

    def _fresh(self) -> tuple[Cache, dict[int, SceneRow]]:
        """The cache and the ledger as of the last commit of any process."""
        version = self._store.data_version()
        if self._seen is None or self._seen[0] != version:
            before = None if self._seen is None else self._seen[1]
            try:
                with self._writing(None):
                    cache = open_cache(self._store, self.folder, self.card.dim, save=True, before=before)
            except (GalleryBusy, GalleryReadOnly):  # then what the cache on disk lacks is kept in memory
                cache = open_cache(self._store, self.folder, self.card.dim, save=False, before=before)
            ledger = {scene.key: scene for scene in self._store.scenes() if scene.key is not None}
            self._seen = (version, cache, ledger)
        return self._seen[1], self._seen[2]

    def _rows(self, vectors: Sequence[FloatArray]) -> FloatArray:
        return np.array(vectors, np.float32).reshape(-1, self.card.dim)

    def _encode_texts(self, texts: Sequence[str]) -> FloatArray:
        if any(not text.strip() for text in texts):
            raise UsageError("The text is empty; say what to look for, such as 'a harbour with moored boats'")
        return self.encoder.encode_texts(texts) if texts else self._rows([])

    def _vector_of(self, item: QueryItem, *, or_text: bool = False) -> FloatArray:
        """The unit vector of an array, a tile id, an image file or, where allowed, a text."""
        if isinstance(item, np.ndarray):
            return self.encoder.encode_images([item])[0]
        if isinstance(item, str) and (tile := self._tile(item)) is not None:
            vector = np.frombuffer(tile.vector, "<f2").astype(np.float32)
            return vector / np.linalg.norm(vector)
        if _is_file(item):
            pixels = read_query_image(Path(item), self._fresh()[1].values())
            return self.encoder.encode_images([pixels])[0]
        if or_text:
            return self._encode_texts([str(item)])[0]
        raise UsageError(
            f"{str(item)!r} is neither a tile of this gallery nor an image file; check the spelling"
        )

    # -- tiles -------------------------------------------------------------------------------------------

    def _tile(self, tile: str) -> ItemRow | None:
        """The stored tile of an id such as ``harbour-1a2b3c4d_s1_x0_y192``; None if there is none."""
        scene_id, *place = tile.rsplit("_", 3)
        if len(place) != 3 or [part[:1] for part in place] != ["s", "x", "y"]:
            return None
        try:
            scale, col, line = float(place[0][1:]), int(place[1][1:]), int(place[2][1:])
        except ValueError:
            return None
        for key, scene in self._fresh()[1].items():
            if scene.id == scene_id and scene.supersedes is None:
                return self._store.item_at(key, scale, col, line)
        return None

    def read(self, match: Match | str, size: int | None = None) -> Pixels:
        """The pixels of a tile, read from its source with the stretch it was indexed with.

        Args:
            match: A match, or a tile id.
            size: Longer side of the answer in pixels; None gives the tile size.

        Raises:
            SceneError: The source cannot be read any more.
            UsageError: No such tile.
        """
        name = match.tile if isinstance(match, Match) else match
        item = self._tile(name)
        if item is None:
            raise UsageError(f"There is no tile {name!r} in the gallery; it may have been removed since")
        return read_tile(item, self._fresh()[1][item.scene], size)

    # -- looking after it --------------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """What the gallery holds, as plain values."""
        cache, ledger = self._fresh()
        states = [scene.state for scene in ledger.values()]
        starts = [scene.start for scene in ledger.values() if scene.start is not None]
        stops = [scene.stop for scene in ledger.values() if scene.stop is not None]
        placed = cache.alive & np.isfinite(cache.outlines.west)
        outlines = cache.outlines
        bounds = (outlines.west, outlines.south, outlines.east, outlines.north)
        return {
            "gallery": str(self.folder),
            "tiles": len(self),
            "tiles_without_coordinates": int(cache.alive.sum() - placed.sum()),
            "scenes": {state: states.count(state) for state in ("done", "partial", "failed")},
            "bounds": [
                round(float(f(side[placed])), 6) for f, side in zip((min, min, max, max), bounds, strict=True)
            ]
            if placed.any()
            else None,
            "dates": [_day(min(starts)), _day(max(stops) - 1)] if starts else None,
            "encoder": {"name": self.card.name, "dim": self.card.dim, "licence": self.card.licence},
            "settings": asdict(IndexSettings.from_json(self._store.meta("settings"))),
            "bytes": sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()),
        }

    def scenes(self) -> list[dict[str, Any]]:
        """The ledger as plain values: name, id, state, tiles, date, GSD, bands, stretch, error, source."""
        return [_facts(scene) for scene in self._store.scenes()]

    def verify(self) -> list[str]:
        """Check everything; returns what is wrong, one sentence each, or an empty list."""
        return list(complaints(self._store, self.folder, self.card.dim, lambda: self.encoder))

    def export(self, path: str | Path, *, where: Where | None = None, vectors: bool = False) -> int:
        """Write the footprints of all tiles in the format of the suffix.

        Args:
            path: ``.geojson``, ``.gpkg``, ``.parquet`` or ``.csv``.
            where: Only these.
            vectors: Also the embeddings (GeoParquet only).

        Returns:
            How many were written.

        Raises:
            UsageError: Another suffix, or ``vectors`` with another format than GeoParquet.
        """
        if vectors and Path(path).suffix.lower() not in (".parquet", ".geoparquet"):
            raise UsageError("Embeddings are written to GeoParquet only; end the name with .parquet")
        return write_table(path, self._tables(where or Where(), vectors), layer="footprints")

    def _tables(self, where: Where, vectors: bool) -> Iterator[FeatureTable]:
        cache, ledger = self._fresh()
        mask = searchable(cache, ledger, where)
        wanted = np.arange(len(cache.row)) if mask is None else np.flatnonzero(mask)
        card = self.card
        about = {"model": card.name, "dimensions": card.dim, "weights_sha256": card.weights_sha256}
        for start in range(0, max(1, len(wanted)), _EXPORT_BATCH):
            part = wanted[start : start + _EXPORT_BATCH]
            fields = [as_match(item, ledger[item.scene]).fields() for item in cache.items(part)]
            columns = {name: [field[name] for field in fields] for name in TILE_FIELDS}
            corners = np.asarray(cache.outlines.corners[part])
            embeddings = cache.index.vectors(part) if vectors else None
            yield FeatureTable(corners, columns, TILE_FIELDS, embeddings, about if vectors else {})


def _facts(scene: SceneRow) -> dict[str, Any]:
    facts = {
        "name": scene.name,
        "id": scene.id,
        "state": scene.state,
        "tiles": scene.tiles,
        "skipped": scene.windows_done - scene.tiles,
        "date": scene.date,
        "error": scene.error,
        "source": scene.href,
    }
    if scene.profile is None:
        return facts
    profile = SceneProfile.from_json(scene.profile)
    return facts | {
        "gsd": profile.gsd,
        "crs": profile.crs,
        "size": [profile.width, profile.height],
        "dtype": profile.dtype,
        "bands": list(profile.bands),
        "bands_why": profile.bands_why,
        "stretch": [list(pair) for pair in profile.stretch],
    }


def _in_words(texts: Sequence[str], like: Sequence[QueryItem], unlike: Sequence[QueryItem]) -> str:
    def named(item: QueryItem) -> str:
        return (
            "an image" if isinstance(item, np.ndarray) else Path(item).name if _is_file(item) else str(item)
        )

    parts = [*texts, *(f"like {named(item)}" for item in like), *(f"not {named(item)}" for item in unlike)]
    return ", ".join(parts)


def _is_file(item: QueryItem) -> bool:
    try:
        return not isinstance(item, np.ndarray) and Path(item).is_file()
    except (OSError, ValueError):  # a text too long, or with a zero byte, to be a path
        return False


def _is_gone(scene: SceneRow) -> bool:
    return scene.signature is not None and signature(SceneSource.from_json(scene.source)) is None


def _named(card: EncoderCard) -> str:
    return f"{card.name} ({card.weights_sha256[:8]})"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
