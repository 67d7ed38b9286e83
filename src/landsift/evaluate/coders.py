"""Codes without training: signs, random planes, principal directions, ITQ, product quantisation.

Every table of hashing methods needs them. All are written as inner products: a coder turns rows into a form
for queries and a form for items, and their inner product ranks as the codes do. Each side's own mean, taken
from training rows, goes first, for images and captions of one encoder lie apart, and bits that tell only the
side would rule every distance. Pure numpy; knows vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landsift.errors import UsageError
from landsift.metrics.hashing import signs_of
from landsift.types import FloatArray

__all__ = ["CODERS", "SIDES", "CanonicalSpace", "Coder", "OwnSigns", "fit_coder"]

SIDES = ("image", "text")
_Floats = NDArray[np.float32]


class Coder(ABC):
    """A way from rows to codes.

    Attributes:
        name: As the table calls it.
        bits: Of a code.
        binary: Whether codes are bits, so that Hamming distances exist.
    """

    name: str
    bits: int
    binary: bool = True

    @abstractmethod
    def items(self, rows: FloatArray, side: str) -> _Floats:
        """``(n, d)`` rows of one side of ``SIDES`` to what the gallery holds: -1 and 1, or what
        codes stand for."""

    def queries(self, rows: FloatArray, side: str) -> _Floats:
        """``(q, d)`` rows to what is compared with :meth:`items`; the same for bits."""
        return self.items(rows, side)


@dataclass(frozen=True)
class OwnSigns(Coder):
    """Signs of vectors that a hashing method made: nothing is centred or turned.

    Attributes:
        bits: Length of the vectors.
    """

    bits: int
    name: str = "own"

    def items(self, rows: FloatArray, side: str) -> _Floats:
        """Signs."""
        return signs_of(rows).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Projected(Coder):
    """Signs of linear maps of centred rows."""

    name: str
    bits: int
    means: Mapping[str, _Floats]
    directions: _Floats

    def items(self, rows: FloatArray, side: str) -> _Floats:
        return signs_of((rows - self.means[side]) @ self.directions).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Quantised(Coder):
    """Product quantisation: a byte names one of 256 centres for each part (Jegou et al., TPAMI 2011).

    Queries stay real and are compared with the centres that items stand for.
    """

    name: str
    bits: int
    means: Mapping[str, _Floats]
    directions: _Floats
    centres: tuple[_Floats, ...]
    binary: bool = False

    def queries(self, rows: FloatArray, side: str) -> _Floats:
        return np.asarray((rows - self.means[side]) @ self.directions, np.float32)

    def items(self, rows: FloatArray, side: str) -> _Floats:
        parts = np.split(self.queries(rows, side), len(self.centres), axis=1)
        named = [own[_nearest(part, own)] for part, own in zip(parts, self.centres, strict=True)]
        return np.concatenate(named, axis=1)


def fit_coder(name: str, bits: int, images: FloatArray, texts: FloatArray, seed: int = 0) -> Coder:
    """Fit a coder to training rows of both sides in one space.

    Args:
        name: Of ``CODERS``.
        bits: Of a code.
        images: ``(n, d)``.
        texts: ``(m, d)``.
        seed: Of what is random.

    Raises:
        UsageError: No such coder, rows that are not of one space, or more bits than it can make of them.
    """
    if name not in CODERS:
        raise UsageError(f"There is no coder {name!r}; the coders are {', '.join(CODERS)}.")
    if images.ndim != 2 or texts.ndim != 2 or images.shape[1] != texts.shape[1]:
        raise UsageError(f"Images {images.shape} and texts {texts.shape} must be rows of one space.")
    if bits < 1:
        raise UsageError(f"A code has 1 bit or more; got {bits}.")
    means = {
        side: rows.mean(axis=0).astype(np.float32) for side, rows in zip(SIDES, (images, texts), strict=True)
    }
    centred = np.concatenate([images - means["image"], texts - means["text"]]).astype(np.float32)
    return CODERS[name](bits, means, centred, np.random.default_rng(seed))


def _enough(bits: int, centred: _Floats, name: str) -> None:
    most = min(centred.shape)
    if bits > most:
        raise UsageError(f"{name} makes at most {most} bits of these rows; ask for fewer, or take lsh.")


def _sign(bits: int, means: Mapping[str, _Floats], centred: _Floats, rng: np.random.Generator) -> Coder:
    """Signs of the coordinates that vary most."""
    _enough(bits, centred, "sign")
    chosen = np.sort(np.argsort(-centred.var(axis=0), kind="stable")[:bits])
    return _Projected("sign", bits, means, np.eye(centred.shape[1], dtype=np.float32)[:, chosen])


def _lsh(bits: int, means: Mapping[str, _Floats], centred: _Floats, rng: np.random.Generator) -> Coder:
    """Random planes (Charikar, STOC 2002)."""
    planes = rng.standard_normal((centred.shape[1], bits)).astype(np.float32)
    return _Projected("lsh", bits, means, planes)


def _pca(bits: int, means: Mapping[str, _Floats], centred: _Floats, rng: np.random.Generator) -> Coder:
    """Signs of the principal components."""
    _enough(bits, centred, "pca-sign")
    return _Projected("pca-sign", bits, means, _principal(centred, bits))


def _itq(bits: int, means: Mapping[str, _Floats], centred: _Floats, rng: np.random.Generator) -> Coder:
    """Principal components, turned so that signs lose least (Gong and Lazebnik, CVPR 2011)."""
    _enough(bits, centred, "itq")
    directions = _principal(centred, bits)
    reduced = centred @ directions
    turn = np.linalg.qr(rng.standard_normal((bits, bits)))[0].astype(np.float32)
    for _ in range(50):
        left, _, right = np.linalg.svd(signs_of(reduced @ turn).T.astype(np.float32) @ reduced)
        turn = (left @ right).T
    return _Projected("itq", bits, means, directions @ turn)


def _pq(bits: int, means: Mapping[str, _Floats], centred: _Floats, rng: np.random.Generator) -> Coder:
    """A byte for each part of the row, in directions that share the variance out."""
    if bits % 8:
        raise UsageError(f"pq names centres by bytes, so its bits are a multiple of 8; got {bits}.")
    parts = bits // 8
    width = centred.shape[1] // parts * parts
    if not width:
        raise UsageError(f"pq cannot cut rows of {centred.shape[1]} into {parts} parts; ask for fewer bits.")
    # A random turn gives every part its share of the variance.
    turn = np.linalg.qr(rng.standard_normal((width, width)))[0].astype(np.float32)
    directions = _principal(centred, width) @ turn
    pieces = np.split(centred @ directions, parts, axis=1)
    return _Quantised("pq", bits, means, directions, tuple(_centres(piece, 256, rng) for piece in pieces))


CODERS: Mapping[str, Callable[[int, Mapping[str, _Floats], _Floats, np.random.Generator], Coder]] = {
    "sign": _sign,
    "lsh": _lsh,
    "pca-sign": _pca,
    "itq": _itq,
    "pq": _pq,
}
"""Coders by name."""


def _principal(centred: _Floats, count: int) -> _Floats:
    """``(d, count)`` directions of the largest variance."""
    values, vectors = np.linalg.eigh(centred.T @ centred)
    found: _Floats = vectors[:, np.argsort(-values, kind="stable")[:count]].astype(np.float32)
    return found


def _nearest(rows: _Floats, centres: _Floats) -> NDArray[np.intp]:
    apart = (centres**2).sum(axis=1)[None] - 2 * rows @ centres.T
    return apart.argmin(axis=1)


def _centres(rows: _Floats, count: int, rng: np.random.Generator) -> _Floats:
    """k-means of 15 rounds; a centre that nobody is nearest to stays where it is."""
    count = min(count, len(rows))
    centres = rows[rng.choice(len(rows), count, replace=False)].copy()
    for _ in range(15):
        near = _nearest(rows, centres)
        size = np.bincount(near, minlength=count)
        sums = np.zeros_like(centres)
        np.add.at(sums, near, rows)
        centres[size > 0] = sums[size > 0] / size[size > 0, None]
    return centres


class CanonicalSpace:
    """One space for vectors of two towers that share none: canonical correlation, in closed form.

    Hotelling, Biometrika 28, 1936, with ridge regularisation; as Gong and Lazebnik use it before ITQ.

    Args:
        images: ``(n, a)`` training vectors.
        texts: ``(n, b)``, row by row.
        dim: Directions that are kept.
        ridge: Added to each side's variance, as a share of its mean.

    Raises:
        UsageError: Rows that are no pairs, or more directions than there are.
    """

    def __init__(self, images: FloatArray, texts: FloatArray, dim: int, ridge: float = 0.5) -> None:
        if len(images) != len(texts):
            raise UsageError(f"{len(images)} images and {len(texts)} texts are no pairs; give one text each.")
        if dim > min(images.shape[1], texts.shape[1]):
            raise UsageError(
                f"There are at most {min(images.shape[1], texts.shape[1])} common directions; ask for fewer."
            )
        self._means = (images.mean(axis=0), texts.mean(axis=0))
        sides = [rows - mean for rows, mean in zip((images, texts), self._means, strict=True)]
        white = [_whitening(rows, ridge) for rows in sides]
        across = white[0].T @ (sides[0].T @ sides[1] / len(images)) @ white[1]
        left, strength, right = np.linalg.svd(across, full_matrices=False)
        # Directions count by how much the two sides share in them.
        scale = np.sqrt(strength[:dim])
        self._maps = (white[0] @ left[:, :dim] * scale, white[1] @ right[:dim].T * scale)

    def __call__(self, rows: FloatArray, side: str) -> FloatArray:
        """``(n, a)`` or ``(n, b)`` vectors of one of ``SIDES`` to ``(n, dim)`` unit rows."""
        number = SIDES.index(side)
        found = (rows - self._means[number]) @ self._maps[number]
        return (found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def _whitening(rows: NDArray[np.floating], ridge: float) -> NDArray[np.floating]:
    variance = rows.T @ rows / len(rows)
    values, vectors = np.linalg.eigh(variance)
    return vectors / np.sqrt(np.maximum(values, 0) + ridge * values.mean())
