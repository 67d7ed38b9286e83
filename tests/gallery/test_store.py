"""The database: all or nothing, and what strangers' files get."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from landsift.errors import (
    DiskFull,
    GalleryBusy,
    GalleryDamaged,
    GalleryError,
    GalleryNotFound,
    GalleryReadOnly,
    GalleryTooNew,
)
from landsift.gallery.store import DATABASE, ItemRow, SceneRow, Store


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path / "g", {"encoder": {}})
    yield store
    store.close()


def item(scene: int, col: int) -> ItemRow:
    return ItemRow(scene, 1.0, col, 0, 8, 8, None, 1.0, None, np.zeros(4, "<f2").tobytes())


def add_scene(store: Store, href: str, **values) -> int:
    with store.transaction():
        return store.add_scene(SceneRow(f"id-{href}", href, href, "{}", "{}", **values))


def test_a_transaction_that_fails_leaves_no_trace(store):
    key = add_scene(store, "a")
    with pytest.raises(RuntimeError), store.transaction():
        store.add_items([item(key, 0), item(key, 8)])
        raise RuntimeError
    assert store.count_items() == 0 and store.last_row() == 0
    with store.transaction():
        store.add_items([item(key, 0), item(key, 8)])
    assert store.count_items() == 2 and [found.col for found in store.items()] == [0, 8]


def test_deleted_rows_are_remembered_until_the_next_epoch(store):
    key = add_scene(store, "a")
    with store.transaction():
        store.add_items(item(key, 8 * n) for n in range(3))
    with store.transaction():
        assert store.delete_scene(key) == 3
    assert store.removed_rows() == [1, 2, 3] and store.scenes() == []
    with store.transaction():
        assert store.begin_epoch() == 1
    assert store.removed_rows() == [] and store.last_row() == 3


def test_one_source_has_one_shown_version(store):
    first = add_scene(store, "a", state="done")
    newer = add_scene(store, "a", supersedes=first)
    assert [scene.key for scene in store.scenes_at("a")] == [first, newer]
    with pytest.raises(GalleryError), store.transaction():
        store.add_scene(SceneRow("id", "a", "a", "{}", "{}"))


def test_what_is_not_a_gallery_is_not_opened(tmp_path):
    with pytest.raises(GalleryNotFound, match="landsift index"):
        Store(tmp_path, writable=True)
    (tmp_path / DATABASE).write_bytes(b"not a database at all" * 100)
    with pytest.raises(GalleryDamaged, match="damaged"):
        Store(tmp_path, writable=True)
    (tmp_path / DATABASE).unlink()
    sqlite3.connect(tmp_path / DATABASE).executescript("CREATE TABLE x (y)")
    with pytest.raises(GalleryDamaged, match="not a Landsift gallery"):
        Store(tmp_path, writable=True)


def test_a_gallery_from_the_future_says_upgrade(store, tmp_path):
    store.close()
    db = sqlite3.connect(tmp_path / "g" / DATABASE)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(GalleryTooNew, match="upgrade"):
        Store(tmp_path / "g", writable=True)


def test_a_full_disk_is_said_and_nothing_is_lost(store):
    key = add_scene(store, "a")
    with store.transaction():
        store.add_items([item(key, 0)])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(DiskFull, match="free some space"), store.transaction():
        store.add_items(item(key, 8 * n) for n in range(1, 2000))
    assert store.count_items() == 1 and store.complaints() == []
    store._db.execute("PRAGMA max_page_count = 1000000")
    with store.transaction():
        store.add_items(item(key, 8 * n) for n in range(1, 2000))
    assert store.count_items() == 2000


def test_a_second_writer_is_told_to_wait(store, tmp_path):
    other = sqlite3.connect(tmp_path / "g" / DATABASE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._db.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(GalleryBusy, match="Another process"), store.transaction():
        pass
    other.execute("ROLLBACK")
    with store.transaction():
        store.set_meta("x", 1)
    assert store.meta("x") == 1


def test_read_only(store, tmp_path):
    store.close()
    reader = Store(tmp_path / "g", writable=False)
    assert reader.meta("encoder") == {}
    with pytest.raises(GalleryReadOnly), reader.transaction():
        pass
