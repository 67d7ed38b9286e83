"""The ``Gallery`` class: open or make one, add and remove scenes, search, verify, export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from landsift.encoders import load_encoder
from landsift.errors import GalleryBusy, GalleryReadOnly, UsageError
from landsift.formats import write_table
from landsift.gallery.cache import Cache, Snapshot, open_cache
from landsift.gallery.checks import complaints
from landsift.gallery.exporting import footprint_tables
from landsift.gallery.facts import facts_of_scene, facts_of_tiles, is_gone, same_encoder
from landsift.gallery.indexing import IndexProgress, IndexReport, index_sources
from landsift.gallery.judging import JUDGED, judged
from landsift.gallery.labels import LabelBook
from landsift.gallery.naming import TileName
from landsift.gallery.nearby import Near, Nearby
from landsift.gallery.pooling import Pool, search_places
from landsift.gallery.probe import Probe, probe_of
from landsift.gallery.query import compose
from landsift.gallery.rankings import Rankings
from landsift.gallery.reading import cut_tile, draw_map_tile, read_query_image, read_tile, read_upload
from landsift.gallery.refining import Refine, Sight, refined
from landsift.gallery.result import Match, SearchResult
from landsift.gallery.saved import SavedQueries
from landsift.gallery.scoring import Scorer
from landsift.gallery.search import Order, Wish, as_match
from landsift.gallery.settings import IndexSettings
from landsift.gallery.store import DATABASE, ItemRow, SceneRow, Store
from landsift.gallery.ways import chosen_index, keep_choice, measured_ways, probe_texts, texts_to_measure
from landsift.gallery.where import Where, fits
from landsift.gallery.wording import in_words, is_file
from landsift.gallery.writing import READERS_TURN, writers_place
from landsift.index import IndexChoice, Stopwatch
from landsift.scenes import SceneSource, find_sources
from landsift.threads import available_threads
from landsift.types import Encoder, EncoderCard, FloatArray, PairScorer, Pixels

__all__ = ["Gallery"]

_ORDERS_BYTES = 256_000_000
QueryItem = str | Path | Pixels


class Gallery:
    """An opened gallery; any number of threads may read it.

    Make one with :meth:`create`, open one with :meth:`open`; use as a context manager or call :meth:`close`.
    """

    def __init__(self, folder: Path, store: Store, encoder: Encoder | None = None) -> None:
        self.folder = folder
        self._store = store
        self._given_encoder = encoder
        self._seen: Snapshot | None = None
        self._refreshing = RLock()
        self._scorer = Scorer()
        self.rankings = Rankings(self._scorer, _ORDERS_BYTES)
        self._nearby = Nearby(folder, store.writable)
        self.labels = LabelBook(store)
        self.saved = SavedQueries(store)

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
                loaded = load_encoder(encoder) if isinstance(encoder, str) else encoder
                gallery._given_encoder = same_encoder(loaded, gallery.card, folder)
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
        if self._given_encoder is not None:
            return self._given_encoder
        return same_encoder(load_encoder(self._store.meta("encoder_location")), self.card, self.folder)

    # -- adding and removing -----------------------------------------------------------------------------

    def add(
        self,
        *sources: str | Path | SceneSource,
        workers: int | None = None,
        retry_failed: bool = False,
        progress: Callable[[IndexProgress], None] | None = None,
        on_wait: Callable[[str], None] | None = None,
        index: str | None = None,
        **settings: Any,
    ) -> IndexReport:
        """Index scenes; does only what is missing, and can be repeated after any interruption.

        Args:
            *sources: Files, folders, globs, STAC JSON files, text files of paths.
            workers: Reader threads; None takes one per core.
            retry_failed: Also try scenes again that failed before and have not changed.
            progress: Called after each batch.
            on_wait: Called with a sentence if another process is writing; then this one waits. None raises.
            index: Kind of search index to keep, as :meth:`reindex` takes it; None leaves the present one.
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
            if index is not None:
                self._choose(index)
            try:
                return index_sources(
                    self._store,
                    self.encoder,
                    found,
                    defaults,
                    settings,
                    workers=workers or available_threads(),
                    retry_failed=retry_failed,
                    progress=progress,
                )
            finally:
                self._seen = None
                self._save_cache()

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
            chosen = [scene for scene in ledger if missing and is_gone(scene)]
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
            self._save_cache()
        return list(names.values())

    def reindex(self, kind: str | None = None, **choice: Any) -> dict[str, Any]:
        """Build the search index anew, of another kind or the same; no tile is encoded again.

        Args:
            kind: One of :data:`landsift.index.KINDS`; None keeps the present one.
            **choice: ``floor`` and ``bits`` of :class:`landsift.index.IndexChoice`; the rest stays.

        Returns:
            The choice, and what each way was measured to find, see :func:`measured_ways`.

        Raises:
            UsageError: No such kind, or a value is off.
            GalleryBusy, GalleryReadOnly: It cannot be written.
        """
        with self._writing(None):
            chosen = self._choose(kind, **choice)
            self._seen = None
            return measured_ways(chosen, self._save_cache(anew=True).ways)

    def _choose(self, kind: str | None, **choice: Any) -> IndexChoice:
        present = chosen_index(self._store)
        chosen = replace(present, kind=kind or present.kind, **choice)
        with self._store.transaction():
            keep_choice(self._store, chosen)
        return chosen

    def _writing(
        self, on_wait: Callable[[str], None] | None, patience: float = READERS_TURN
    ) -> AbstractContextManager[None]:
        return writers_place(self.folder, self._store.writable, on_wait, patience)

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
        near: Near | tuple[float, float] | None = None,
        csls: bool = False,
        judge: PairScorer | None = None,
        pool: Pool | None = None,
        refine: Refine | None = None,
        tell: Callable[[int, int], None] | None = None,
    ) -> SearchResult:
        """Find the tiles that fit best, also under filters, by the way that the planner takes.

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
            near: Longitude and latitude of a place to prefer, by a location encoder; see :class:`Near`.
            csls: Put tiles that are near to every query further back (one-sided; scores stay as they are).
            judge: Looks at the pixels of the best matches and the text together, and puts them in order.
            pool: Score places by all tiles and views that show them; see :class:`Pool`.
            refine: Read the best tiles again and look at their crops; see :class:`Refine`.
            tell: Called with how many tiles are refined, and of how many.

        Raises:
            UsageError: ``k < 1``, nothing to look for, an empty text, an unknown tile or file, or ways of
                ordering that do not go together.
        """
        if refine is not None and csls:
            raise UsageError("A closer look orders by scores, and csls by other queries; leave one out")
        watch = Stopwatch()
        texts = [text] if isinstance(text, str) else list(text or ())
        own = [item for item in like if isinstance(item, str)]
        with watch.stage("query encoded", len(texts) + len(like) + len(unlike)):
            wanted = [*self._encode_texts(texts), *(self._vector_of(item) for item in like)]
            unwanted = [self._vector_of(item, or_text=True) for item in unlike]
        query = compose(self._rows(wanted), self._rows(unwanted))
        depth = k if judge is None or k < 1 else max(k, JUDGED)
        result = self.rank(
            query,
            words=in_words(texts, like, unlike),
            k=depth if refine is None or k < 1 else max(depth, refine.tiles),
            where=where,
            min_score=min_score if refine is None else None,
            overlapping=overlapping,
            without=own,
            near=near,
            csls=csls,
            pool=pool,
        )
        if refine is not None:
            sight = Sight(query, self.encoder, self.read, lambda tile: self.vectors([tile])[0])
            result = refined(result, refine, sight, depth, min_score, tell)
        if judge is not None:
            result = judged(result, judge, texts, self.read, k)
        trace = None if result.trace is None else result.trace.among(before=tuple(watch.stages))
        return replace(result, trace=trace)

    def rank(
        self,
        query: FloatArray,
        *,
        words: str = "",
        k: int = 10,
        skip: int = 0,
        where: Where | None = None,
        min_score: float | None = None,
        overlapping: str = "merge",
        without: Sequence[str] = (),
        order: Order | None = None,
        seen: Snapshot | None = None,
        near: Near | tuple[float, float] | None = None,
        csls: bool = False,
        pool: Pool | None = None,
    ) -> SearchResult:
        """Find the tiles that fit a vector best; :meth:`search` for those who have encoded already.

        Args:
            query: ``(dim,)`` unit vector.
            words: What it means, for headings.
            k, where, min_score, overlapping, near, csls, pool: As :meth:`search` takes them.
            skip: Leave out so many of the best, for the pages after the first.
            without: Ids of tiles that are never matches.
            order: What :meth:`order` gave for this query and these filters; spares the scan.
            seen: The moment to search, which is that of ``order``; None takes the present one.

        Raises:
            UsageError: ``k < 1``, a negative ``skip``, another ``overlapping``, or ``pool`` beside ``csls``.
        """
        if overlapping not in ("merge", "keep"):
            raise UsageError(f"overlapping is 'merge' or 'keep', got {overlapping!r}; choose one")
        own, crowd = self.stored(without), self._crowd if csls else None
        wish = Wish(query, words, k, where or Where(), min_score, overlapping == "merge", own, skip, crowd)
        seen = seen or self.snapshot()
        if near is not None:
            order = self._nearby.order(seen.cache, seen.ledger, query, wish.where, near, self._scorer)
        if pool is not None:
            order = order or Order.of(seen.cache, seen.ledger, query, wish.where, self._scorer)
            return search_places(seen.cache, seen.ledger, wish, pool, order)
        return wish.fulfil(seen.cache, seen.ledger, order)

    def order(self, query: FloatArray, where: Where | None = None, seen: Snapshot | None = None) -> Order:
        """The ranking of all tiles that pass the filters; kept for a while, so that pages cost no scan."""
        return self.rankings.order(seen or self.snapshot(), query, where or Where())

    def snapshot(self) -> Snapshot:
        """The cache and the ledger as of the last commit of any process."""
        version = self._store.data_version()
        seen = self._seen
        if seen is None or seen.version != version:
            with self._refreshing:
                seen = self._seen
                if seen is None or seen.version != version:
                    seen = self._seen = self._refreshed(version, None if seen is None else seen.cache)
        return seen

    def _refreshed(self, version: int, before: Cache | None) -> Snapshot:
        # Only the first look brings the folder up to date: who reads on while another process writes must
        # not take the writer's place, and the writer does it when it has finished.
        cache = None
        if before is None:
            with suppress(GalleryBusy, GalleryReadOnly), self._writing(None, patience=0):
                cache = self._save_cache()
        if cache is None:  # what the cache on disk lacks is kept in memory
            cache = open_cache(self._store, self.folder, self.card.dim, save=False, before=before)
        ledger = {scene.key: scene for scene in self._store.scenes() if scene.key is not None}
        return Snapshot(version, cache, ledger)

    def _save_cache(self, *, anew: bool = False) -> Cache:
        """Bring the search cache up to date; only while holding the writer's place."""
        texts = partial(texts_to_measure, lambda: self.encoder)
        return open_cache(self._store, self.folder, self.card.dim, save=True, texts=texts, anew=anew)

    def _fresh(self) -> tuple[Cache, dict[int, SceneRow]]:
        seen = self.snapshot()
        return seen.cache, seen.ledger

    def _rows(self, vectors: Sequence[FloatArray]) -> FloatArray:
        return np.array(vectors, np.float32).reshape(-1, self.card.dim)

    def _encode_texts(self, texts: Sequence[str]) -> FloatArray:
        if any(not text.strip() for text in texts):
            raise UsageError("The text is empty; say what to look for, such as 'a harbour with moored boats'")
        return self.encoder.encode_texts(texts) if texts else self._rows([])

    @cached_property
    def _crowd(self) -> FloatArray:
        """Other queries, against which a tile's crowdedness is measured."""
        return probe_texts(self.encoder)

    def _vector_of(self, item: QueryItem, *, or_text: bool = False) -> FloatArray:
        """The unit vector of an array, a tile id, an image file or, where allowed, a text."""
        if isinstance(item, np.ndarray):
            return self.encoder.encode_images([item])[0]
        if isinstance(item, str) and (tile := self._tile(item)) is not None:
            vector = np.frombuffer(tile.vector, "<f2").astype(np.float32)
            return vector / np.linalg.norm(vector)
        if is_file(item):
            pixels = read_query_image(Path(item), self._fresh()[1].values())
            return self.encoder.encode_images([pixels])[0]
        if or_text:
            return self._encode_texts([str(item)])[0]
        raise UsageError(
            f"{str(item)!r} is neither a tile of this gallery nor an image file; check the spelling"
        )

    # -- tiles -------------------------------------------------------------------------------------------

    def stored(self, tiles: Sequence[str]) -> list[ItemRow]:
        """The stored tiles of these ids; those that there are."""
        return [item for tile in tiles if (item := self._tile(tile))]

    def _tile(self, tile: str) -> ItemRow | None:
        """The stored tile of an id such as ``harbour-1a2b3c4d_s1_x0_y192``; None if there is none."""
        name = TileName.parse(tile)
        scene = None if name is None else self.snapshot().shown.get(name.scene)
        if name is None or scene is None or scene.key is None:
            return None
        return self._store.item_at(scene.key, float(name.scale), name.col, name.line)

    def tile(self, name: str) -> Match:
        """A tile by its id.

        Raises:
            UsageError: No such tile.
        """
        item = self._known_tile(name)
        return as_match(item, self._fresh()[1][item.scene])

    def _known_tile(self, name: str) -> ItemRow:
        item = self._tile(name)
        if item is None:
            raise UsageError(f"There is no tile {name!r} in the gallery; it may have been removed since")
        return item

    def vectors(self, tiles: Sequence[str]) -> FloatArray:
        """The unit vectors of tiles, ``(n, dim)`` float32.

        Raises:
            UsageError: No such tile.
        """
        rows = [np.frombuffer(self._known_tile(name).vector, "<f2").astype(np.float32) for name in tiles]
        return self._rows([row / np.linalg.norm(row) for row in rows])

    def probe(self, topic: str) -> Probe | None:
        """What the labels of a topic teach; None as long as there are too few.

        Labels of tiles that have been removed since do not count.
        """
        labels = [(label.wanted, self._tile(label.tile)) for label in self.labels.of(topic)]
        return probe_of([(wanted, tile.vector) for wanted, tile in labels if tile is not None])

    def cut(self, tile: str) -> bytes:
        """A tile cut out of its source with all bands and native samples: a GeoTIFF.

        Raises:
            SceneError: The source cannot be read any more.
            UsageError: No such tile.
        """
        item = self._known_tile(tile)
        return cut_tile(item, self._fresh()[1][item.scene])

    def draw(self, scene: str, zoom: int, x: int, y: int) -> bytes:
        """A square of the web map that shows a scene (by its id) as it was indexed: a PNG.

        Raises:
            SceneError: The source cannot be read any more.
            UsageError: No such scene or square.
        """
        known = self.snapshot().shown.get(scene)
        if known is None:
            raise UsageError(f"There is no scene {scene!r} in the gallery; it may have been removed since")
        return draw_map_tile(known, zoom, x, y)

    def encode_upload(self, data: bytes, most_pixels: int) -> FloatArray:
        """The unit vector, ``(dim,)``, of an image file that somebody sent.

        Raises:
            UsageError: It is no image, or has more pixels than allowed.
            SceneError: It is damaged.
        """
        pixels = read_upload(data, self._fresh()[1].values(), most_pixels)
        return self.encoder.encode_images([pixels])[0]

    def read(self, match: Match | str, size: int | None = None) -> Pixels:
        """The pixels of a tile, read from its source with the stretch it was indexed with.

        Args:
            match: A match, or a tile id.
            size: Longer side of the answer in pixels; None gives the tile size.

        Raises:
            SceneError: The source cannot be read any more.
            UsageError: No such tile.
        """
        item = self._known_tile(match.tile if isinstance(match, Match) else match)
        return read_tile(item, self._fresh()[1][item.scene], size)

    # -- looking after it --------------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """What the gallery holds, as plain values."""
        facts = facts_of_tiles(*self._fresh())
        return {
            "gallery": str(self.folder),
            "tiles": len(self),
            **facts,
            "encoder": {"name": self.card.name, "dim": self.card.dim, "licence": self.card.licence},
            "settings": asdict(IndexSettings.from_json(self._store.meta("settings"))),
            "bytes": sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()),
        }

    def scenes(self) -> list[dict[str, Any]]:
        """The ledger as plain values: name, id, state, tiles, date, GSD, bands, stretch, error, source."""
        return [facts_of_scene(scene) for scene in self._store.scenes()]

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
        tables = footprint_tables(self.snapshot(), where, self.card, vectors=vectors)
        return write_table(path, tables, layer="footprints")
