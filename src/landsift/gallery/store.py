"""The truth of a gallery: one SQLite file with its scenes, tiles, vectors and the encoder that made them.

Knows rows and transactions; nothing of rasters, models or search. Every write happens inside
:meth:`Store.transaction`, so a kill at any moment leaves the last committed state. Any number of threads may
read; one at a time writes.

Tables: ``meta`` (key, JSON value), ``scene`` (the ledger: one row per source, with its state and error),
``item`` (one row per tile: window, corners, float16 vector) and ``removed`` (row numbers of deleted tiles
that the search cache may still hold). Layout 2 adds ``label`` and ``query``: what people taught and saved.
A gallery of layout 1 stays so, and readable by the release that made it, until the first of these is written.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landsift.errors import (
    DiskFull,
    GalleryBusy,
    GalleryDamaged,
    GalleryError,
    GalleryNotFound,
    GalleryReadOnly,
    GalleryTooNew,
)

__all__ = ["DATABASE", "ItemRow", "SceneRow", "Store"]

DATABASE = "gallery.sqlite"
_VERSION = 2
_READ_AT_ONCE = 4096  # rows; other threads read in between
_APPLICATION_ID = 0x4C535F31  # "LS_1": tells a gallery from any other SQLite file

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE scene (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    href TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('partial', 'done', 'failed')),
    error TEXT,
    supersedes INTEGER,
    signature TEXT,
    content_hash TEXT,
    settings TEXT NOT NULL,
    source TEXT NOT NULL,
    profile TEXT,
    windows INTEGER NOT NULL DEFAULT 0,
    windows_done INTEGER NOT NULL DEFAULT 0,
    tiles INTEGER NOT NULL DEFAULT 0,
    start REAL,
    stop REAL,
    date TEXT
);
CREATE UNIQUE INDEX scene_href ON scene (href) WHERE supersedes IS NULL;
CREATE INDEX scene_id ON scene (id);
CREATE TABLE item (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    scene INTEGER NOT NULL REFERENCES scene (key),
    scale REAL NOT NULL,
    col INTEGER NOT NULL,
    line INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    gsd REAL,
    valid REAL NOT NULL,
    corners BLOB,
    vector BLOB NOT NULL,
    UNIQUE (scene, scale, col, line)
);
CREATE TABLE removed (row INTEGER PRIMARY KEY);
"""
_LAYOUT_2 = (
    """CREATE TABLE label (
    topic TEXT NOT NULL,
    tile TEXT NOT NULL,
    wanted INTEGER NOT NULL CHECK (wanted IN (0, 1)),
    longitude REAL,
    latitude REAL,
    made REAL NOT NULL,
    PRIMARY KEY (topic, tile)
) WITHOUT ROWID""",
    """CREATE TABLE query (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    request TEXT NOT NULL,
    seen INTEGER NOT NULL,
    made REAL NOT NULL
) WITHOUT ROWID""",
)

_SCENE_COLUMNS = (
    "key, id, href, name, state, error, supersedes, signature, content_hash, settings, source, profile, "
    "windows, windows_done, tiles, start, stop, date"
)
_ITEM_COLUMNS = "row, scene, scale, col, line, width, height, gsd, valid, corners, vector"


@dataclass(slots=True)
class SceneRow:
    """One line of the ledger.

    Attributes:
        key: Number inside this gallery; None until stored.
        id: Stable name made of the source's name and a hash of where it lies.
        href, name: Where it lies, and what people call it.
        state: ``partial`` (being indexed), ``done`` or ``failed``.
        error: Why it failed, one sentence.
        supersedes: Key of the older version that stays searchable until this one is done.
        signature: Size and time of the file when indexed, to see a change without reading it.
        content_hash: Hash of the bytes when indexed.
        settings, source, profile: JSON of how it was cut, what it is, and how it was read.
        windows, windows_done, tiles: Windows planned, windows finished (in plan order), tiles kept.
        start, stop, date: Acquisition, in seconds since 1970 UTC and as text.
    """

    id: str
    href: str
    name: str
    settings: str
    source: str
    state: str = "partial"
    error: str | None = None
    supersedes: int | None = None
    signature: str | None = None
    content_hash: str | None = None
    profile: str | None = None
    windows: int = 0
    windows_done: int = 0
    tiles: int = 0
    start: float | None = None
    stop: float | None = None
    date: str | None = None
    key: int | None = None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One stored tile; ``corners`` (8 float64) and ``vector`` (dim float16) are little-endian bytes."""

    scene: int
    scale: float
    col: int
    line: int
    width: int
    height: int
    gsd: float | None
    valid: float
    corners: bytes | None
    vector: bytes
    row: int | None = None


class Store:
    """An open gallery database.

    Args:
        folder: The gallery's folder.
        writable: False opens read-only, also on media that cannot be written.
    """

    def __init__(self, folder: Path, *, writable: bool) -> None:
        self.path = folder / DATABASE
        if not self.path.is_file():
            raise GalleryNotFound(
                f"There is no gallery at {folder}; make one with: landsift index {folder} YOUR_IMAGES"
            )
        self.writable = writable and _can_write(self.path)
        self._turn = threading.RLock()
        with _sentences(self.path):
            self._db = self._connect()
            self._check_version()

    @classmethod
    def create(cls, folder: Path, meta: dict[str, Any]) -> Store:
        """Make an empty gallery; the database appears whole or not at all."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GalleryReadOnly(
                f"The folder {folder} cannot be made ({error.strerror}); choose another place"
            ) from error
        if not os.access(folder, os.W_OK):
            raise GalleryReadOnly(
                f"The folder {folder} cannot be written; choose another place or mend its permissions"
            )
        partial = folder / f".partial-{os.getpid()}-{DATABASE}"
        partial.unlink(missing_ok=True)
        try:
            with _sentences(partial):
                db = sqlite3.connect(partial, isolation_level=None)
                layout = f"{_SCHEMA}{';'.join(_LAYOUT_2)};"
                db.executescript(
                    f"PRAGMA application_id={_APPLICATION_ID}; PRAGMA user_version={_VERSION};{layout}"
                )
                values = {"uuid": uuid.uuid4().hex, "epoch": 0} | meta
                db.execute("BEGIN")
                db.executemany(
                    "INSERT INTO meta VALUES (?, ?)", [(k, json.dumps(v)) for k, v in values.items()]
                )
                db.execute("COMMIT")
                db.close()
            partial.replace(folder / DATABASE)
        finally:
            partial.unlink(missing_ok=True)
        return cls(folder, writable=True)

    def _connect(self) -> sqlite3.Connection:
        if self.writable:
            db = sqlite3.connect(self.path, isolation_level=None, timeout=30, check_same_thread=False)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            return db
        # A write-ahead log cannot be read without write access to its shared memory; when none is pending
        # the file alone is the whole truth and can be opened as immutable.
        pending = Path(f"{self.path}-wal")
        immutable = not os.access(self.path.parent, os.W_OK) and not (
            pending.exists() and pending.stat().st_size
        )
        uri = f"{self.path.resolve().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30, check_same_thread=False)

    def _check_version(self) -> None:
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self.layout()
        if application != _APPLICATION_ID:
            raise GalleryDamaged(f"{self.path} is not a Landsift gallery; choose another folder")
        if version > _VERSION:
            raise GalleryTooNew(
                f"The gallery {self.path.parent} was made by a later release (layout {version}, "
                f"this one reads {_VERSION}); upgrade with: pip install -U landsift"
            )

    def layout(self) -> int:
        """Number of the layout that the tables have."""
        return int(self._read("PRAGMA user_version")[0][0])

    def upgrade(self) -> None:
        """Bring the tables to the present layout (inside a transaction); does nothing if they have it."""
        if self.layout() < _VERSION:
            for statement in _LAYOUT_2:
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def close(self) -> None:
        """Close the connection; the last one folds the write-ahead log into the file."""
        with self._turn:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: commits when the block ends well, otherwise leaves no trace of it.

        Raises:
            GalleryReadOnly, DiskFull, GalleryBusy, GalleryDamaged: The write did not happen.
        """
        if not self.writable:
            raise GalleryReadOnly(
                f"The gallery {self.path.parent} cannot be written; mend its permissions or copy it elsewhere"
            )
        with self._turn, _sentences(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # -- meta ----------------------------------------------------------------------------------------

    def meta(self, key: str) -> Any:
        """A stored JSON value; None when absent."""
        found = self._read("SELECT value FROM meta WHERE key = ?", (key,))
        return json.loads(found[0][0]) if found else None

    def set_meta(self, key: str, value: Any) -> None:
        """Store a JSON value (inside a transaction)."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def data_version(self) -> int:
        """A number that changes when another connection commits."""
        return int(self._read("PRAGMA data_version")[0][0])

    # -- scenes --------------------------------------------------------------------------------------

    def scenes(self) -> list[SceneRow]:
        """The whole ledger, in the order it was begun."""
        return [_scene(row) for row in self._read(f"SELECT {_SCENE_COLUMNS} FROM scene ORDER BY key")]

    def scenes_at(self, href: str) -> list[SceneRow]:
        """The versions of one source: the searchable one first, then the one replacing it, if any."""
        query = f"SELECT {_SCENE_COLUMNS} FROM scene WHERE href = ? ORDER BY supersedes IS NOT NULL"
        return [_scene(row) for row in self._read(query, (href,))]

    def add_scene(self, scene: SceneRow) -> int:
        """Store a new line of the ledger (inside a transaction) and return its key."""
        names = [name for name in _SCENE_COLUMNS.replace(" ", "").split(",") if name != "key"]
        marks = ", ".join("?" * len(names))
        cursor = self._db.execute(
            f"INSERT INTO scene ({', '.join(names)}) VALUES ({marks})",
            [getattr(scene, name) for name in names],
        )
        scene.key = cursor.lastrowid
        assert scene.key is not None
        return scene.key

    def update_scene(self, key: int, **values: Any) -> None:
        """Change columns of one line of the ledger (inside a transaction)."""
        assignments = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(f"UPDATE scene SET {assignments} WHERE key = ?", [*values.values(), key])

    def advance_scene(self, key: int, windows_done: int, tiles: int) -> None:
        """Note that windows up to ``windows_done`` are stored, with ``tiles`` more (inside a transaction)."""
        self._db.execute(
            "UPDATE scene SET windows_done = ?, tiles = tiles + ? WHERE key = ?", (windows_done, tiles, key)
        )

    def delete_items(self, scene: int) -> int:
        """Delete all tiles of a scene (inside a transaction), remembering their rows for the search cache."""
        self._db.execute("INSERT INTO removed SELECT row FROM item WHERE scene = ?", (scene,))
        return self._db.execute("DELETE FROM item WHERE scene = ?", (scene,)).rowcount

    def delete_scene(self, key: int) -> int:
        """Delete a scene and its tiles (inside a transaction); returns how many tiles went."""
        tiles = self.delete_items(key)
        self._db.execute("DELETE FROM scene WHERE key = ?", (key,))
        return tiles

    # -- items ---------------------------------------------------------------------------------------

    def add_items(self, items: Iterable[ItemRow]) -> None:
        """Store tiles (inside a transaction)."""
        self._db.executemany(
            f"INSERT INTO item ({_ITEM_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (i.scene, i.scale, i.col, i.line, i.width, i.height, i.gsd, i.valid, i.corners, i.vector)
                for i in items
            ),
        )

    def items(self, after: int = 0) -> Iterator[ItemRow]:
        """All tiles with row number above ``after``, in row order, read as they are needed."""
        query = f"SELECT {_ITEM_COLUMNS} FROM item WHERE row > ? ORDER BY row LIMIT {_READ_AT_ONCE}"
        while part := self._read(query, (after,)):
            yield from map(_item, part)
            after = part[-1][0]

    def item_at(self, scene: int, scale: float, col: int, line: int) -> ItemRow | None:
        """The tile of a scene at a window, or None."""
        query = f"SELECT {_ITEM_COLUMNS} FROM item WHERE scene = ? AND scale = ? AND col = ? AND line = ?"
        found = self._read(query, (scene, scale, col, line))
        return _item(found[0]) if found else None

    def counts_by_scene(self) -> dict[int, int]:
        """Scene key -> number of stored tiles."""
        return dict(self._read("SELECT scene, count(*) FROM item GROUP BY scene"))

    def count_items(self) -> int:
        """Number of tiles."""
        return int(self._read("SELECT count(*) FROM item")[0][0])

    def last_row(self) -> int:
        """The highest row number ever given out."""
        found = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'item'")
        return int(found[0][0]) if found else 0

    # -- rows deleted since the cache began -------------------------------------------------------------

    def removed_rows(self) -> list[int]:
        """Row numbers of deleted tiles that a cache of this epoch may still hold."""
        return [row[0] for row in self._read("SELECT row FROM removed ORDER BY row")]

    def begin_epoch(self) -> int:
        """Forget the removed rows and make every cache stale (inside a transaction); the new epoch."""
        epoch = int(self.meta("epoch")) + 1
        self._db.execute("DELETE FROM removed")
        self.set_meta("epoch", epoch)
        return epoch

    def complaints(self) -> list[str]:
        """What SQLite itself finds wrong with the file, and what breaks our own rules."""
        found = [row[0] for row in self._read("PRAGMA quick_check")]
        sentences = (
            [] if found == ["ok"] else [f"SQLite finds the file damaged: {text}." for text in found[:5]]
        )
        orphans = self._read("SELECT count(*) FROM item WHERE scene NOT IN (SELECT key FROM scene)")[0][0]
        if orphans:
            sentences.append(f"{orphans} tiles belong to no scene.")
        return sentences

    # -- rows of other modules' tables ------------------------------------------------------------------

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a SELECT on the tables of layout 2 gives; nothing as long as the gallery has layout 1."""
        return self._read(query, values) if self.layout() >= _VERSION else []

    def change(self, statement: str, values: Iterable[Sequence[Any]]) -> int:
        """Run a statement once for each row of values (inside a transaction); how many rows it changed."""
        self.upgrade()
        return self._db.executemany(statement, values).rowcount

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._turn, _sentences(self.path):
            return self._db.execute(query, values).fetchall()


def _scene(row: Sequence[Any]) -> SceneRow:
    names = _SCENE_COLUMNS.replace(" ", "").split(",")
    return SceneRow(**dict(zip(names, row, strict=True)))


def _item(row: Sequence[Any]) -> ItemRow:
    number, scene, scale, col, line, width, height, gsd, valid, corners, vector = row
    return ItemRow(scene, scale, col, line, width, height, gsd, valid, corners, vector, number)


def _can_write(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, path) from error


def _translated(error: sqlite3.Error, path: Path) -> GalleryError:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL") or (name.startswith("SQLITE_IOERR") and _no_space(path)):
        return DiskFull(f"The disk with {path} is full; free some space and repeat the command to go on")
    if name.startswith("SQLITE_READONLY"):
        return GalleryReadOnly(
            f"The gallery {path.parent} cannot be written; mend its permissions or copy it elsewhere"
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return GalleryBusy(
            f"Another process holds the gallery {path.parent}; wait for it to finish and try again"
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return GalleryDamaged(
            f"The file {path} is damaged ({error}); restore it from a copy or index again into a new gallery"
        )
    return GalleryError(
        f"The gallery {path.parent} could not be used ({error}); run: landsift verify {path.parent}"
    )


def _no_space(path: Path) -> bool:
    try:
        status = os.statvfs(path.parent)
    except (OSError, AttributeError):
        return False
    return status.f_bavail * status.f_frsize < 65_536
