"""Other indexes over the same vectors: how soon built, how fast, how much of the exact answer, with and
without a box.

Each peer is a function that builds its index and gives a search, which takes an effort: how many lists or
candidates it looks at. A peer that cannot be measured here is left out, and the reason said.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Search = Callable[[np.ndarray, int, np.ndarray | None], np.ndarray]
"""(query, k, rows that pass or None) -> row numbers."""

TryingSearch = Callable[[int, np.ndarray, int, np.ndarray | None], np.ndarray]
"""(effort, query, k, rows that pass or None) -> row numbers."""

_STEP = 65_536
_GRAPH_ROWS = 2_000_000  # building a graph over more takes hours on two cores


@dataclass(frozen=True)
class Peer:
    """How a peer is built and searched.

    Attributes:
        package: What must be installed.
        build: From vectors and a folder of its own to its search.
        efforts: What is tried, the least first.
        row_bytes: From the length of a vector to the memory that a row takes while building.
        most_rows: Beyond, it is not built.
    """

    package: str
    build: Callable[[np.ndarray, Path], TryingSearch]
    efforts: tuple[int, ...]
    row_bytes: Callable[[int], float]
    most_rows: int = 10**9


def why_left_out(peer: Peer, rows: int, dim: int) -> str | None:
    """Why a peer is not measured; None if it is."""
    try:
        importlib.import_module(peer.package)
    except ImportError:
        return f"{peer.package} is not installed"
    if rows > peer.most_rows:
        return f"a graph of more than {peer.most_rows:,} rows takes hours to build here"
    needed, free = rows * peer.row_bytes(dim), _free_memory()
    return f"takes {needed / 1e9:.0f} GB of memory, {free / 1e9:.0f} are free" if needed > free else None


def _free_memory() -> int:
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    return int(text.split("MemAvailable:")[1].split()[0]) * 1024


def _floats(vectors: np.ndarray) -> Iterator[np.ndarray]:
    """The vectors as float32, a bounded number at a time."""
    for start in range(0, len(vectors), _STEP):
        yield vectors[start : start + _STEP].astype(np.float32)


def _only(allowed: np.ndarray | None) -> dict[str, Any]:
    """A filter as faiss takes it."""
    import faiss

    return {} if allowed is None else {"sel": faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))}


def faiss_ivfpq(vectors: np.ndarray, _: Path) -> TryingSearch:
    """IVF-PQ with exact re-ranking, in float16, of ten times as many; the effort is lists looked at."""
    import faiss

    dim, lists = vectors.shape[1], max(1, min(int(4 * len(vectors) ** 0.5), len(vectors) // 40))
    kind = f"IVF{lists},PQ{dim // 4}x4fs,Refine(SQfp16)"
    index = faiss.index_factory(dim, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:: max(1, len(vectors) // (64 * lists))].astype(np.float32))
    for part in _floats(vectors):
        index.add(part)

    def search(effort: int, query: np.ndarray, k: int, allowed: np.ndarray | None) -> np.ndarray:
        inner = faiss.SearchParametersIVF(nprobe=min(effort, lists), **_only(allowed))
        outer = faiss.IndexRefineSearchParameters(k_factor=10, base_index_params=inner)
        return index.search(query[None], k, params=outer)[1][0]

    return search


def faiss_hnsw(vectors: np.ndarray, _: Path) -> TryingSearch:
    """HNSW with 32 links a row; the effort is candidates kept."""
    import faiss

    index = faiss.IndexHNSWSQ(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, 32, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:10_000].astype(np.float32))
    for part in _floats(vectors):
        index.add(part)

    def search(effort: int, query: np.ndarray, k: int, allowed: np.ndarray | None) -> np.ndarray:
        parameters = faiss.SearchParametersHNSW(efSearch=max(effort, k), **_only(allowed))
        return index.search(query[None], k, params=parameters)[1][0]

    return search


def hnswlib(vectors: np.ndarray, _: Path) -> TryingSearch:
    """HNSW of hnswlib, with its filter function."""
    import hnswlib as library

    index = library.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=32, ef_construction=200)
    for part in _floats(vectors):
        index.add_items(part)

    def search(effort: int, query: np.ndarray, k: int, allowed: np.ndarray | None) -> np.ndarray:
        index.set_ef(max(effort, k))
        passes = None if allowed is None else (lambda row: bool(allowed[row]))
        try:
            return index.knn_query(query[None], k, filter=passes)[0][0].astype(np.int64)
        except RuntimeError:  # it finds fewer than k that pass and gives none
            return np.empty(0, np.int64)

    return search


def usearch(vectors: np.ndarray, _: Path) -> TryingSearch:
    """HNSW of usearch, float16; its Python search takes no filter, so matches are left out afterwards."""
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f16", connectivity=32)
    for start in range(0, len(vectors), _STEP):
        part = np.asarray(vectors[start : start + _STEP])
        index.add(np.arange(start, start + len(part)), part)

    def search(effort: int, query: np.ndarray, k: int, allowed: np.ndarray | None) -> np.ndarray:
        index.expansion_search = max(effort, k)
        found = index.search(query.astype(np.float16), k).keys.astype(np.int64)
        return found if allowed is None else found[allowed[found]]

    return search


def lancedb(vectors: np.ndarray, folder: Path) -> TryingSearch:
    """LanceDB's IVF-PQ with refinement, the filter as a prefilter on a column; the effort is lists."""
    import lancedb as library
    import pyarrow as arrow

    kind = arrow.list_(arrow.float16(), vectors.shape[1])
    schema = arrow.schema([("id", arrow.int64()), ("vector", kind)])

    def batches() -> Iterator[arrow.RecordBatch]:
        for start in range(0, len(vectors), _STEP):
            part = np.ascontiguousarray(vectors[start : start + _STEP])
            flat = arrow.FixedSizeListArray.from_arrays(arrow.array(part.reshape(-1)), vectors.shape[1])
            numbers = arrow.array(np.arange(start, start + len(part)))
            yield arrow.RecordBatch.from_arrays([numbers, flat], schema=schema)

    table = library.connect(folder).create_table("rows", batches(), schema=schema)
    table.create_index(metric="dot", index_type="IVF_PQ")

    def search(effort: int, query: np.ndarray, k: int, allowed: np.ndarray | None) -> np.ndarray:
        asked = table.search(query).distance_type("dot").limit(k).select(["id", "_distance"])
        asked = asked.nprobes(effort).refine_factor(10)
        if allowed is not None:  # the benchmark's filters are stretches of rows
            first, last = np.flatnonzero(allowed)[[0, -1]]
            asked = asked.where(f"id >= {first} AND id <= {last}", prefilter=True)
        return asked.to_arrow().column("id").to_numpy()

    return search


_CANDIDATES = (50, 100, 200, 400, 800, 1600)
_LISTS = (8, 16, 32, 64, 128, 256, 512)

PEERS: dict[str, Peer] = {
    "faiss IVF-PQ": Peer("faiss", faiss_ivfpq, _LISTS, lambda dim: 2.2 * dim + 64),
    "faiss HNSW": Peer("faiss", faiss_hnsw, _CANDIDATES, lambda dim: 2.2 * dim + 320, _GRAPH_ROWS),
    "hnswlib": Peer("hnswlib", hnswlib, _CANDIDATES, lambda dim: 4.2 * dim + 320, _GRAPH_ROWS),
    "usearch": Peer("usearch", usearch, _CANDIDATES, lambda dim: 2.2 * dim + 320, _GRAPH_ROWS),
    "LanceDB": Peer("lancedb", lancedb, _LISTS, lambda dim: 0.5 * dim + 64),
}
"""By name."""
