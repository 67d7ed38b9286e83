"""One raster by name: where it lies, what people call it, and whether its bytes have changed.

Knows nothing of what is inside the file.
"""

from __future__ import annotations

import hashlib
import json
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from landsift.errors import SceneError
from landsift.types import TimeSpan

__all__ = [
    "RASTER_SUFFIXES",
    "SceneSource",
    "canonical_href",
    "content_hash",
    "is_local",
    "is_network",
    "stat_signature",
]

RASTER_SUFFIXES = frozenset({".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg", ".webp", ".vrt", ".img"})
"""Lower-case file extensions that are taken for rasters in folders and globs."""

_NETWORK_FILE_SYSTEMS = ("curl", "s3", "gs", "az", "adls", "oss", "swift", "hdfs", "webhdfs")
_HEAD_TIMEOUT_S = 30
_IDENTIFYING_HEADERS = ("ETag", "Last-Modified", "Content-Length")


@dataclass(frozen=True, slots=True)
class SceneSource:
    """Where a scene lies.

    Attributes:
        href: Its one name: an absolute path, a URL or a ``/vsi`` path. A STAC item that keeps its colours
            in several files goes by the address of the item's JSON, ``#`` and the item's id.
        name: For people: the path below the source it was found in, or the STAC item's id.
        bands: Where a STAC item says so, the file and band (counted from 1) of red, green and blue.
        date: The date the STAC item gives, or None.
    """

    href: str
    name: str
    bands: tuple[tuple[str, int], ...] | None = None
    date: TimeSpan | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The rasters it is made of, each once."""
        return (self.href,) if self.bands is None else tuple(dict.fromkeys(href for href, _ in self.bands))

    def to_json(self) -> str:
        """One line of JSON that :meth:`from_json` reads back to an equal source."""
        date = self.date.text if self.date else None
        return json.dumps({"href": self.href, "name": self.name, "bands": self.bands, "date": date})

    @classmethod
    def from_json(cls, text: str) -> SceneSource:
        """Read what :meth:`to_json` wrote."""
        record: dict[str, Any] = json.loads(text)
        bands, date = record["bands"], record["date"]
        return cls(
            record["href"],
            record["name"],
            tuple((href, number) for href, number in bands) if bands else None,
            TimeSpan.parse(date) if date else None,
        )


def canonical_href(place: str | Path) -> str:
    """The one spelling of a path; URLs and ``/vsi`` paths stay as they are, except ``file://``.

    Links in the folder part are followed; the file's own name stays, since data stores that link to
    objects named by hash keep the meaningful (and stable) name on the link.
    """
    text = str(place)
    if text.startswith("file://"):
        text = unquote(urlparse(text).path)
    if not is_local(text):
        return text
    path = Path(text).expanduser()
    return str(path.parent.resolve() / path.name)


def is_local(href: str) -> bool:
    """Whether this is a plain path on this machine."""
    return "://" not in href and not href.startswith("/vsi")


def is_network(href: str) -> bool:
    """Whether reading this crosses a network."""
    return "://" in href or href.startswith(tuple(f"/vsi{name}" for name in _NETWORK_FILE_SYSTEMS))


def stat_signature(source: SceneSource) -> tuple[int, int] | None:
    """Size in bytes and modification time in ns, each summed over the source's files.

    An equal pair means the files need not be hashed again. None where a file is not local or is missing.
    """
    if not all(is_local(href) for href in source.files):
        return None
    try:
        stats = [Path(href).stat() for href in source.files]
    except OSError:
        return None
    return sum(s.st_size for s in stats), sum(s.st_mtime_ns for s in stats)


def content_hash(source: SceneSource) -> str:
    """SHA-256, in hexadecimal, of the bytes of the source's files, read as a stream.

    Files that are not local are not downloaded for this: over HTTP their address, length and entity tag
    stand for the bytes, elsewhere the address alone.

    Raises:
        SceneError: A local file is missing or unreadable.
    """
    digests = [_hash_file(href) if is_local(href) else _hash_address(href) for href in source.files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _hash_file(href: str) -> str:
    try:
        with Path(href).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SceneError(
            f"{href} cannot be read ({error.strerror}); check the path and its rights."
        ) from error


def _hash_address(href: str) -> str:
    identity = [href]
    if href.startswith(("http://", "https://")):
        try:
            request = urllib.request.Request(href, method="HEAD")
            with urllib.request.urlopen(request, timeout=_HEAD_TIMEOUT_S) as answer:
                identity += [answer.headers.get(key) or "" for key in _IDENTIFYING_HEADERS]
        except (OSError, HTTPException):
            # Unreachable now: opening the scene will say so in a better sentence.
            pass
    return hashlib.sha256("\n".join(identity).encode()).hexdigest()
