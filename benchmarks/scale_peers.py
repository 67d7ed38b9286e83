"""Other indexes over the same vectors: how soon built, how fast, how much of the exact answer, with and
without a box.

Each peer is a function that builds its index and gives a search. A package that is not installed is left
out and said.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

Search = Callable[[np.ndarray, int, np.ndarray | None], np.ndarray]
"""(query, k, rows that pass or None) -> row numbers."""


def faiss_ivfpq(vectors: np.ndarray, _: Path) -> Search:
    """IVF-PQ with exact re-ranking of ten times as many."""
    import faiss

    dim, lists = vectors.shape[1], max(1, min(int(4 * len(vectors) ** 0.5), len(vectors) // 40))
    index = faiss.index_factory(dim, f"IVF{lists},PQ{dim // 4}x4fs,RFlat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:: max(1, len(vectors) // (64 * lists))].astype(np.float32))
    for start in range(0, len(vectors), 65_536):
        index.add(vectors[start : start + 65_536].astype(np.float32))
    probes = max(1, lists // 32)

    def search(query: np.ndarray, k: int, allowed: np.ndarray | None) -> np.ndarray:
        inner = faiss.SearchParametersIVF(nprobe=probes)
        found = index.search(
            query[None], k, params=faiss.IndexRefineSearchParameters(k_factor=10, base_index_params=inner)
        )[1][0]
        return found if allowed is None else found[allowed[found]]

    return search


def faiss_hnsw(vectors: np.ndarray, _: Path) -> Search:
    """HNSW with 32 links a row."""
    import faiss

    index = faiss.IndexHNSWSQ(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, 32, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:10_000].astype(np.float32))
    for start in range(0, len(vectors), 65_536):
        index.add(vectors[start : start + 65_536].astype(np.float32))

    def search(query: np.ndarray, k: int, allowed: np.ndarray | None) -> np.ndarray:
        only = {}
        if allowed is not None:
            only["sel"] = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        parameters = faiss.SearchParametersHNSW(efSearch=max(200, 2 * k), **only)
        return index.search(query[None], k, params=parameters)[1][0]

    return search


def hnswlib(vectors: np.ndarray, _: Path) -> Search:
    """HNSW of hnswlib, with its filter function."""
    import hnswlib as library

    index = library.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=32, ef_construction=200)
    index.add_items(vectors.astype(np.float32))
    index.set_ef(200)

    def search(query: np.ndarray, k: int, allowed: np.ndarray | None) -> np.ndarray:
        index.set_ef(max(200, 2 * k))
        passes = None if allowed is None else (lambda row: bool(allowed[row]))
        try:
            return index.knn_query(query[None], k, filter=passes)[0][0].astype(np.int64)
        except RuntimeError:  # it finds fewer than k that pass and gives none
            return np.empty(0, np.int64)

    return search


def usearch(vectors: np.ndarray, _: Path) -> Search:
    """HNSW of usearch, float16; its Python search takes no filter, so matches are left out afterwards."""
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f16", connectivity=32, expansion_search=200)
    index.add(np.arange(len(vectors)), vectors)

    def search(query: np.ndarray, k: int, allowed: np.ndarray | None) -> np.ndarray:
        found = index.search(query, k).keys.astype(np.int64)
        return found if allowed is None else found[allowed[found]]

    return search


def lancedb(vectors: np.ndarray, folder: Path) -> Search:
    """LanceDB's IVF-PQ with refinement, the filter as a prefilter on a column."""
    import lancedb as library
    import pyarrow as arrow

    flat = arrow.FixedSizeListArray.from_arrays(arrow.array(vectors.reshape(-1)), vectors.shape[1])
    columns = {"id": np.arange(len(vectors)), "vector": flat}
    table = library.connect(folder).create_table("rows", arrow.table(columns))
    table.create_index(metric="dot", index_type="IVF_PQ")

    def search(query: np.ndarray, k: int, allowed: np.ndarray | None) -> np.ndarray:
        asked = table.search(query).distance_type("dot").limit(k).select(["id", "_distance"])
        asked = asked.nprobes(64).refine_factor(10)
        if allowed is not None:  # the benchmark's filters are stretches of rows
            first, last = np.flatnonzero(allowed)[[0, -1]]
            asked = asked.where(f"id >= {first} AND id <= {last}", prefilter=True)
        return asked.to_arrow().column("id").to_numpy()

    return search


PEERS: dict[str, tuple[str, Callable[[np.ndarray, Path], Search]]] = {
    "faiss IVF-PQ": ("faiss", faiss_ivfpq),
    "faiss HNSW": ("faiss", faiss_hnsw),
    "hnswlib": ("hnswlib", hnswlib),
    "usearch": ("usearch", usearch),
    "LanceDB": ("lancedb", lancedb),
}
"""Name -> (package, builder)."""


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True
