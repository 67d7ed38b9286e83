"""Inverted lists of product-quantized rows: a shortlist from the few lists that lie nearest to a query.

Rows are centred, reduced to their first principal directions and turned at random, so that all parts of a
code say as much. faiss's fast-scan kernel compares four bits a part. A query looks at a share of the rows
only, which is why a filter that leaves few of them may leave none in the lists looked at: for those there
are other ways.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from landsift.errors import GalleryDamaged, UsageError
from landsift.files import write_whole
from landsift.index.checks import as_rows, checked_queries
from landsift.index.table import gathered
from landsift.types import FloatArray, Hits, IntArray

__all__ = ["AnnIndex"]

_MOST_DIMENSIONS = 128
_PART = 2  # dimensions of a part; four bits each
_ROWS_A_LIST = 40  # of the sample; with fewer, lists are learnt badly
_SIZE_A_PROBE = 16  # rows of a shortlist for each list that is looked at
_LEAST_PROBES = 4
_LEAST_SAMPLE = 64


class AnnIndex:
    """Rows in inverted lists, kept as four-bit product codes.

    Make one with :meth:`learn` or :meth:`load`. Scores are minus the squared distance to a code, so the order
    is only about right; a :class:`~landsift.index.CascadeIndex` puts shortlists into exact order.
    """

    def __init__(self, mean: FloatArray, turn: FloatArray, lists: Any) -> None:
        self._mean = mean
        self._turn = turn
        self._lists = lists

    @classmethod
    def learn(cls, sample: FloatArray, rows: int, *, seed: int = 0) -> AnnIndex:
        """An empty index for about so many rows, learnt from a sample of them.

        Args:
            sample: ``(s, dim)``; repeated where there are too few to learn from.
            rows: How many rows there will be.
            seed: Of the random turn and of the clustering.

        Raises:
            UsageError: There are no rows to learn from.
        """
        sample = np.asarray(sample, np.float32)
        if sample.ndim != 2 or not len(sample):
            raise UsageError(f"Lists are learnt from (rows, dim) vectors, got {sample.shape}; give some rows")
        if len(sample) < _LEAST_SAMPLE:
            sample = np.tile(sample, (-(-_LEAST_SAMPLE // len(sample)), 1))
        mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
        turn = _turn(sample - mean, seed)
        count = max(1, min(int(4 * rows**0.5), len(sample) // _ROWS_A_LIST))
        lists = _empty_lists(turn.shape[1], count, seed)
        lists.train(np.ascontiguousarray((sample - mean) @ turn))
        return cls(mean, turn, lists)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._turn.shape[0]

    def __len__(self) -> int:
        return int(self._lists.ntotal)

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Append ``(n, dim)`` rows, kept as codes only.

        Raises:
            UsageError: The shape does not fit, or a value is NaN or infinite.
        """
        rows = as_rows(vectors, self.dim).astype(np.float32)
        if len(rows):
            self._lists.add(np.ascontiguousarray((rows - self._mean) @ self._turn))

    def shortlist(
        self, query: FloatArray, size: int, among: NDArray[np.bool_] | None = None
    ) -> tuple[IntArray, int]:
        """At most ``size`` rows for one ``(dim,)`` query, and about how many codes were looked at.

        Fewer come back where the lists that were looked at hold fewer that pass.
        """
        rows, _, looked = self._nearest(query, size, among)
        return rows, looked

    def search(self, queries: NDArray[np.floating], k: int, among: NDArray[np.bool_] | None = None) -> Hits:
        """The ``k`` rows whose codes are nearest to each query in the lists looked at.

        Args:
            queries: ``(q, dim)``.
            k: How many; 1 or more. Row -1 stands where the lists held fewer that pass.
            among: ``(len(self),)`` bool; only rows where it is True are searched. None searches all.

        Raises:
            UsageError: A shape does not fit, ``k < 1``, or a query is not finite.
        """
        queries = checked_queries(queries, k, among, dim=self.dim, count=len(self))
        found = (self._nearest(query, k, among) for query in queries)
        return gathered(((rows, -distances) for rows, distances, _ in found), len(queries), k)

    def _nearest(
        self, query: FloatArray, size: int, among: NDArray[np.bool_] | None
    ) -> tuple[IntArray, NDArray[np.float32], int]:
        """Rows, the squared distances of their codes, and about how many codes were looked at."""
        wanted = size
        if among is not None:  # as many more as the filter will take away on average
            wanted = int(size * len(among) / max(1, int(np.count_nonzero(among)))) + 1
        wanted, probes = min(wanted, len(self)), self._probes(wanted)
        if not wanted:
            return np.empty(0, np.int64), np.empty(0, np.float32), 0
        turned = np.ascontiguousarray((query - self._mean)[None, :] @ self._turn, np.float32)
        parameters = _faiss().SearchParametersIVF(nprobe=probes)
        distances, near = (found[0] for found in self._lists.search(turned, wanted, params=parameters))
        passing = near >= 0
        if among is not None:
            passing &= among[near]
        rows, distances = near[passing].astype(np.int64), distances[passing]
        order = np.lexsort((rows, distances))[:size]
        return rows[order], distances[order], len(self) * probes // int(self._lists.nlist)

    def _probes(self, size: int) -> int:
        return min(max(_LEAST_PROBES, size // _SIZE_A_PROBE), int(self._lists.nlist))

    def bytes_read(self, size: int) -> float:
        """About how many bytes making a shortlist of ``size`` reads: the middles of all lists, and codes."""
        share = self._probes(size) / int(self._lists.nlist)
        middles = int(self._lists.nlist) * self._turn.shape[1] * 4
        return middles + share * len(self) * self._turn.shape[1] / _PART / 2

    def save(self, path: Path) -> None:
        """Write to ``path``, whole or not at all."""
        held = _faiss().serialize_index(self._lists)

        def write(partial: Path) -> None:
            with partial.open("wb") as file:
                np.savez(file, mean=self._mean, turn=self._turn, lists=held)

        write_whole(path, write)

    @classmethod
    def load(cls, path: Path) -> AnnIndex:
        """Read what :meth:`save` wrote.

        Raises:
            GalleryDamaged: The file is absent or not of this kind.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                mean, turn = held["mean"], held["turn"]
                lists = _faiss().deserialize_index(held["lists"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, RuntimeError) as error:
            raise GalleryDamaged(f"The file {path} holds no inverted lists; delete it") from error
        return cls(mean, turn, lists)


@cache
def _faiss() -> Any:
    import faiss

    return faiss


def _turn(centred: FloatArray, seed: int) -> FloatArray:
    """The first principal directions, mixed by a random rotation: ``(dim, reduced)``, reduced even.

    A vector of odd length below the limit gets a direction of zeros.
    """
    dim = centred.shape[1]
    axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))[1][:, ::-1][:, :_MOST_DIMENSIONS]
    if axes.shape[1] % _PART:
        axes = np.concatenate([axes, np.zeros((dim, 1))], axis=1)
    size = axes.shape[1]
    mixed = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0]
    return np.ascontiguousarray(axes @ mixed, np.float32)


def _empty_lists(dim: int, lists: int, seed: int) -> Any:
    library = _faiss()
    middles = library.IndexFlatL2(dim)
    index = library.IndexIVFPQFastScan(middles, dim, lists, dim // _PART, 4, library.METRIC_L2)
    index.by_residual = True
    for clustering in (index.cp, index.pq.cp):
        clustering.seed = seed
        clustering.min_points_per_centroid = 1  # small galleries are no reason to complain
    index.own_fields = True
    middles.this.disown()
    return index
