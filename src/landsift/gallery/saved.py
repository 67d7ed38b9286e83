"""Searches that people keep, and how far each has been looked at, so that only what is new can be shown.

Knows the table of queries; a request is JSON to it, whatever it means.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from landsift.gallery.store import Store

__all__ = ["SavedQueries", "SavedQuery"]


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A search that is kept.

    Attributes:
        id: Unique everywhere, so that galleries searched together can keep the same one.
        name: For people.
        request: What was asked, as plain JSON values.
        seen: The highest row number of the gallery when it was saved or last looked at.
        made: Seconds since 1970 UTC.
    """

    id: str
    name: str
    request: dict[str, Any]
    seen: int
    made: float


class SavedQueries:
    """The searches kept in a gallery."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[SavedQuery]:
        """Every one, oldest first."""
        rows = self._store.rows("SELECT id, name, request, seen, made FROM query ORDER BY made, id")
        return [SavedQuery(id_, name, json.loads(text), seen, made) for id_, name, text, seen, made in rows]

    def get(self, id_: str) -> SavedQuery | None:
        """The one of this id."""
        return next((query for query in self.all() if query.id == id_), None)

    def save(self, name: str, request: dict[str, Any], id_: str | None = None) -> SavedQuery:
        """Keep a search; everything stored until now counts as seen.

        Raises:
            GalleryReadOnly, GalleryBusy, DiskFull: It was not kept.
        """
        query = SavedQuery(id_ or uuid.uuid4().hex[:12], name, request, self._store.last_row(), time.time())
        row = (query.id, query.name, json.dumps(query.request), query.seen, query.made)
        with self._store.transaction():
            self._store.change("INSERT OR REPLACE INTO query VALUES (?, ?, ?, ?, ?)", [row])
        return query

    def mark_seen(self, id_: str, row: int) -> None:
        """Note that all tiles up to this row number have been looked at."""
        with self._store.transaction():
            self._store.change("UPDATE query SET seen = ? WHERE id = ?", [(row, id_)])

    def drop(self, id_: str) -> bool:
        """Forget a search; whether it was kept."""
        with self._store.transaction():
            return self._store.change("DELETE FROM query WHERE id = ?", [(id_,)]) > 0
