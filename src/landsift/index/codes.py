"""Vectors -> sign codes: centred, turned so that the signs say most, one bit a direction.

Pure numpy; knows no index. A code keeps the order of inner products only roughly, so it serves to leave
out, and the vectors themselves order what is left.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from landsift.errors import GalleryDamaged, UsageError
from landsift.files import write_whole
from landsift.types import FloatArray

__all__ = ["DEFAULT_BITS", "Coder", "check_bits"]

DEFAULT_BITS = 128
_MOST_BITS = 1024
_ROTATION_SAMPLE = 20_000  # rows; more do not turn the axes any better
_ROTATION_STEPS = 30
_ROWS_AT_ONCE = 16_384
Codes = NDArray[np.uint8]


def check_bits(bits: int) -> None:
    """Refuse a length of codes that the scan cannot take.

    Raises:
        UsageError: Not a multiple of 8 from 8 to 1024.
    """
    if bits < 8 or bits > _MOST_BITS or bits % 8:
        raise UsageError(f"Codes have 8 to {_MOST_BITS} bits, a multiple of 8, not {bits}; take 128")


@dataclass(frozen=True, eq=False)
class Coder:
    """Turns vectors into codes.

    Attributes:
        mean: ``(dim,)`` mean of the rows, subtracted from each: between images and texts lies a gap that
            would set most bits alike.
        query_means: ``(m, dim)`` means of other kinds of queries, such as texts. A query is centred by the
            mean that lies nearest, the rows' own among them.
        projection: ``(dim, bits)``; the signs of the product are the bits.
    """

    mean: FloatArray
    query_means: FloatArray
    projection: FloatArray

    @property
    def bits(self) -> int:
        """Length of a code."""
        return self.projection.shape[1]

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.projection.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of a code."""
        return self.bits // 8

    @classmethod
    def fit(
        cls,
        sample: FloatArray,
        bits: int = DEFAULT_BITS,
        *,
        query_means: FloatArray | None = None,
        rotate: bool = True,
        seed: int = 0,
    ) -> Coder:
        """Learn the directions from a sample of rows.

        The first ``bits`` principal directions, turned by iterative quantization (Gong and Lazebnik, CVPR
        2011, equations 2 to 4), so that the signs keep as much of the vectors as they can. More bits than
        dimensions are filled with random orthogonal directions (super-bit hashing, Ji et al., NIPS 2012).

        Args:
            sample: ``(s, dim)`` rows, at least one.
            bits: A multiple of 8.
            query_means: ``(m, dim)`` means of queries that are not like the rows.
            rotate: False leaves the principal directions as they are.
            seed: Of the random first turn.

        Raises:
            UsageError: There are no rows, or no such length of codes.
        """
        check_bits(bits)
        sample = np.asarray(sample, np.float32)
        if sample.ndim != 2 or not len(sample):
            raise UsageError(f"Codes are learnt from (rows, dim) vectors, got {sample.shape}; give some rows")
        random = np.random.default_rng(seed)
        mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = sample - mean
        spread = (centred.T @ centred).astype(np.float64)
        axes = np.linalg.eigh(spread)[1][:, ::-1][:, :bits].astype(np.float32)
        if rotate:
            chosen = random.permutation(len(centred))[:_ROTATION_SAMPLE]
            axes = axes @ _rotation(centred[chosen] @ axes, random)
        axes = _filled(axes, bits, random)
        means = np.empty((0, sample.shape[1]), np.float32) if query_means is None else query_means
        return cls(mean, np.asarray(means, np.float32), np.ascontiguousarray(axes, np.float32))

    def encode(self, rows: NDArray[np.floating]) -> Codes:
        """The codes of ``(n, dim)`` rows: ``(n, bits / 8)`` uint8."""
        codes = np.empty((len(rows), self.nbytes), np.uint8)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = np.asarray(rows[start : start + _ROWS_AT_ONCE], np.float32)
            codes[start : start + len(part)] = self._signs(part - self.mean)
        return codes

    def encode_queries(self, queries: FloatArray) -> Codes:
        """The codes of ``(q, dim)`` queries, each centred by the mean nearest to it."""
        means = np.concatenate([self.mean[None, :], self.query_means])
        far = ((queries[:, None, :] - means[None, :, :]) ** 2).sum(axis=2)
        return self._signs(queries - means[far.argmin(axis=1)])

    def _signs(self, centred: FloatArray) -> Codes:
        # Zero counts as positive, so that a row that equals the mean has a code at all.
        return np.packbits(centred @ self.projection >= 0, axis=1)

    @property
    def identity(self) -> str:
        """Changes with the learnt values: codes of other coders cannot be compared."""
        parts = (self.mean, self.query_means, self.projection)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write to ``path``, whole or not at all."""

        def write(partial: Path) -> None:
            with partial.open("wb") as file:
                self._write(file)

        write_whole(path, write)

    def _write(self, file: BinaryIO) -> None:
        np.savez(file, mean=self.mean, query_means=self.query_means, projection=self.projection)

    @classmethod
    def load(cls, path: Path) -> Coder:
        """Read what :meth:`save` wrote.

        Raises:
            GalleryDamaged: The file is absent or not of this kind.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                coder = cls(held["mean"], held["query_means"], held["projection"])
            sizes = coder.mean.shape[0], coder.query_means.shape[1], coder.projection.shape[0]
        except (OSError, ValueError, KeyError, IndexError, EOFError, BadZipFile) as error:
            raise GalleryDamaged(f"The file {path} holds no codes' directions; delete it") from error
        if len(set(sizes)) != 1:
            raise GalleryDamaged(f"The file {path} contradicts itself; delete it, and it is made anew")
        return coder


def _rotation(projected: FloatArray, random: np.random.Generator) -> FloatArray:
    """The turn under which the signs of centred rows lie nearest to the rows: ITQ's two steps in turns."""
    size = projected.shape[1]
    turn = np.linalg.qr(random.standard_normal((size, size)))[0].astype(np.float32)
    for _ in range(_ROTATION_STEPS):
        signs = np.where(projected @ turn >= 0, np.float32(1), np.float32(-1))
        left, _, right = np.linalg.svd(signs.T @ projected)
        turn = (left @ right).T
    return turn


def _filled(axes: FloatArray, bits: int, random: np.random.Generator) -> FloatArray:
    """Axes with random orthogonal ones added, a basis at a time, until there are enough."""
    blocks, dim = [axes], axes.shape[0]
    while sum(block.shape[1] for block in blocks) < bits:
        blocks.append(np.linalg.qr(random.standard_normal((dim, dim)))[0].astype(np.float32))
    return np.concatenate(blocks, axis=1)[:, :bits]
