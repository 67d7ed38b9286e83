"""The vocabulary: frozen values and protocols that every room shares.

Knows nothing of files, models or indexes. Arrays are numpy throughout, and every field says its shape
and unit. "Unit rows" means each row has Euclidean length 1. Higher scores are better everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Encoder",
    "EncoderCard",
    "FloatArray",
    "Hits",
    "Index",
    "IntArray",
    "PairScorer",
    "Pixels",
    "RetrievalSet",
    "Spectra",
    "SpectralEncoder",
    "Tile",
    "TimeSpan",
    "Window",
]

Pixels: TypeAlias = NDArray[np.uint8]
"""An image as the encoders take it: ``(H, W, 3)`` uint8, sRGB."""
FloatArray: TypeAlias = NDArray[np.float32]
IntArray: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A date known to some precision: from ``start`` (inclusive) to ``end`` (exclusive), both UTC.

    Attributes:
        start: First moment.
        end: First moment after; always later than ``start``.
        text: The date as written to people and files: ``1985``, ``2009-08-18``, an ISO date-time, or
            ``a/b`` for an interval.
    """

    start: datetime
    end: datetime
    text: str

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError(f"A TimeSpan needs time zones; got {self.start!r} and {self.end!r}")
        if not self.start < self.end:
            raise ValueError(f"A TimeSpan must end after it starts; got {self.start} to {self.end}")

    @classmethod
    def parse(cls, text: str) -> TimeSpan:
        """Read ``YYYY``, ``YYYY-MM``, ``YYYY-MM-DD``, an ISO date-time, or two of them joined by ``/``.

        A day spans 24 hours, a date-time one second; a date-time without zone is taken as UTC.

        Raises:
            ValueError: None of these forms.
        """
        text = text.strip()
        if "/" in text:
            first, _, last = text.partition("/")
            return cls(cls.parse(first).start, cls.parse(last).end, text)
        parts = text.split("-")
        if all(part.isdigit() for part in parts) and len(parts) <= 2 and len(parts[0]) == 4:
            year, month = int(parts[0]), int(parts[1]) if len(parts) == 2 else None
            start = datetime(year, month or 1, 1, tzinfo=UTC)
            if month is None:
                return cls(start, datetime(year + 1, 1, 1, tzinfo=UTC), text)
            end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
            return cls(start, end, text)
        start = datetime.fromisoformat(text)
        start = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
        whole_day = len(text) == 10
        return cls(start, start + (timedelta(days=1) if whole_day else timedelta(seconds=1)), text)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a raster in native pixels: ``col``, ``row`` of its upper-left corner, and its size."""

    col: int
    row: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.col < 0 or self.row < 0 or self.width < 1 or self.height < 1:
            raise ValueError(f"A Window needs an origin >= 0 and a size >= 1; got {self}")


@dataclass(frozen=True, slots=True, eq=False)
class Spectra:
    """Bands of a piece of a scene as the sensor gave them.

    Attributes:
        samples: ``(H, W, B)`` float32 in the raster's own unit; invalid samples hold the mean of the valid
            ones.
        wavelengths: Centre of each band in micrometres, 0 where it is not known.
        limits: ``(B, 2)`` float32: for each band of the scene its 2nd and its 98th percentile.
    """

    samples: NDArray[np.float32]
    wavelengths: tuple[float, ...]
    limits: NDArray[np.float32]

    def __post_init__(self) -> None:
        bands = len(self.wavelengths)
        if self.samples.ndim != 3 or self.samples.shape[2] != bands or self.limits.shape != (bands, 2):
            raise ValueError(
                f"Spectra of {bands} bands need samples (H, W, {bands}) and limits ({bands}, 2); "
                f"got {self.samples.shape} and {self.limits.shape}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A piece of a scene, ready to be encoded, and its place on Earth.

    Attributes:
        pixels: ``(H, W, 3)`` uint8 sRGB, stretched; invalid pixels hold the mean of the valid ones.
        window: What was read, in native pixels of the scene.
        scale: Window size as a multiple of the tile size (1, 2, ...).
        corners: ``(4, 2)`` float64 longitude, latitude in degrees WGS84, in order upper-left,
            upper-right, lower-right, lower-left of the window. Longitudes are unwrapped: they may pass 180
            (or -180) so that the ring is never torn by the antimeridian. None without a CRS or off the Earth.
        gsd: Ground sampling distance of ``pixels`` in metres, None without a CRS.
        valid: Share of valid pixels, 0 to 1.
        spectra: The bands that an encoder asked for, over the same ground; None unless one did.
    """

    pixels: Pixels
    window: Window
    scale: float
    corners: NDArray[np.float64] | None
    gsd: float | None
    valid: float
    spectra: Spectra | None = None


@dataclass(frozen=True)
class EncoderCard:
    """What an encoder is, where it comes from, and what it was trained on.

    Attributes:
        name: The exact name it is looked up by.
        dim: Length of its vectors.
        weights_sha256: One hash over all its weight files; two encoders with equal hashes are the same.
        input_size: Side in pixels of the square its image tower sees.
        context_length: Tokens its text tower reads; longer texts are cut, with a warning.
        licence: SPDX name of the weights' licence.
        licence_note: Terms of the training data that a user must know.
        trained_on: Names of the sets (with split) whose pairs it has seen.
        description: One or two sentences.
        citation: Who to cite.
        scores: Measured results, as ``{"ucm-captions/test": {"mR": ...}}``.
        extra: Whatever else its file holds.
    """

    name: str
    dim: int
    weights_sha256: str
    input_size: int
    context_length: int
    licence: str
    licence_note: str = ""
    trained_on: tuple[str, ...] = ()
    description: str = ""
    citation: str = ""
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Encoder(Protocol):
    """A dual encoder: images and texts into one space, compared by inner product."""

    @property
    def card(self) -> EncoderCard:
        """What this encoder is."""
        ...

    def encode_images(self, images: Sequence[Pixels]) -> FloatArray:
        """Encode ``n`` images of any sizes, each ``(H, W, 3)`` uint8, into ``(n, dim)`` unit rows.

        The row of an image does not depend on which other images are in the call: to the last bit where they
        run one by one (ONNX), and to float32 rounding where they run in batches (torch).
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Encode ``m`` texts into ``(m, dim)`` unit rows."""
        ...


@runtime_checkable
class SpectralEncoder(Encoder, Protocol):
    """An encoder that reads more bands than a picture has; its card says which under ``spectral``."""

    def encode_spectra(self, spectra: Sequence[Spectra]) -> FloatArray:
        """Encode ``n`` pieces of scenes into ``(n, dim)`` unit rows, each independent of the others."""
        ...


@runtime_checkable
class PairScorer(Protocol):
    """A method whose score is not an inner product; usable to re-rank, not to index."""

    @property
    def card(self) -> EncoderCard:
        """What this method is."""
        ...

    def score(self, images: Sequence[Pixels], texts: Sequence[str]) -> FloatArray:
        """Score every pair: ``(n, m)`` float32, higher is better."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The answer of an index to ``q`` queries.

    Attributes:
        rows: ``(q, k)`` int64 row numbers, best first; -1 where fewer than ``k`` rows were searched.
        scores: ``(q, k)`` float32, descending; ``-inf`` beside row -1. Equal scores are ordered by row.
    """

    rows: IntArray
    scores: FloatArray

    def __post_init__(self) -> None:
        if self.rows.shape != self.scores.shape or self.rows.ndim != 2:
            raise ValueError(f"Hits needs two (q, k) arrays; got {self.rows.shape} and {self.scores.shape}")


class Index(Protocol):
    """Vectors in, row numbers out. Knows no ids, no metadata and no model."""

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        ...

    def __len__(self) -> int: ...

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Append ``(n, dim)`` rows; the first gets row number ``len(self)``."""
        ...

    def search(self, queries: NDArray[np.floating], k: int, among: NDArray[np.bool_] | None = None) -> Hits:
        """The ``k`` best rows for each of ``(q, dim)`` queries, only among rows where ``among`` is True."""
        ...


@dataclass(frozen=True, eq=False)
class RetrievalSet:
    """N images, M captions, and which image each caption describes.

    Attributes:
        name: Such as ``ucm-captions``.
        split: Such as ``test``.
        images: N image sources: file paths (opened on demand) or ready ``(H, W, 3)`` uint8 arrays.
        image_names: N names, for reports and run files.
        captions: M texts as the set has them.
        image_of: ``(M,)`` int64; ``image_of[j]`` is the image that caption ``j`` describes. Any number of
            captions per image, none included.
        labels: ``(N,)`` int64 class of each image, -1 where unknown; or None.
        class_names: Names of the classes, in label order.
        keywords: N lists of keywords, empty lists where an image has none; or None for sets without any.
    """

    name: str
    split: str
    images: Sequence[Any]
    image_names: Sequence[str]
    captions: Sequence[str]
    image_of: IntArray
    labels: IntArray | None = None
    class_names: tuple[str, ...] = ()
    keywords: Sequence[Sequence[str]] | None = None

    def __post_init__(self) -> None:
        n, m = len(self.images), len(self.captions)
        if len(self.image_names) != n:
            raise ValueError(f"{self.name}: {n} images but {len(self.image_names)} image names")
        if self.image_of.shape != (m,) or self.image_of.dtype != np.int64:
            raise ValueError(
                f"{self.name}: image_of must be int64 of shape ({m},); "
                f"got {self.image_of.dtype} {self.image_of.shape}"
            )
        if m and not (int(self.image_of.min()) >= 0 and int(self.image_of.max()) < n):
            raise ValueError(f"{self.name}: image_of points outside the {n} images")
        if self.labels is not None and self.labels.shape != (n,):
            raise ValueError(f"{self.name}: labels must have shape ({n},); got {self.labels.shape}")
        if self.keywords is not None and len(self.keywords) != n:
            raise ValueError(f"{self.name}: {n} images but {len(self.keywords)} lists of keywords")

    def chosen(self, rows: IntArray, name: str | None = None) -> RetrievalSet:
        """The set less all images but ``rows`` (ascending, without repeats), with their captions."""
        new_row = np.full(len(self.images), -1, np.int64)
        new_row[rows] = np.arange(len(rows))
        kept = np.flatnonzero(new_row[self.image_of] >= 0)
        return RetrievalSet(
            name or self.name,
            self.split,
            [self.images[row] for row in rows.tolist()],
            [self.image_names[row] for row in rows.tolist()],
            [self.captions[row] for row in kept.tolist()],
            new_row[self.image_of[kept]],
            None if self.labels is None else self.labels[rows],
            self.class_names,
            None if self.keywords is None else [self.keywords[row] for row in rows.tolist()],
        )
