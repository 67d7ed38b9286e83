"""Search in a gallery of a million tiles: exact, with and without a box, beside LanceDB on the same vectors.

The bound is memory bandwidth: an unfiltered query reads every stored byte once. The run measures how fast
this machine reads the same bytes doing nothing else, and states what share of that the search reaches.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import percentiles, save, timed
from landsift.gallery import Gallery, Where
from landsift.gallery.store import ItemRow, SceneRow
from landsift.types import EncoderCard

TILES, DIM, QUERIES, K, SEED = 1_000_000, 384, 40, 10, 0
BOXES = {"1 %": (0.0, 0.0, 36.0, 18.0), "50 %": (-180.0, -90.0, 180.0, 0.0)}


class NumberedQueries:
    """An encoder whose text "17" is row 17 of a table, so that only the search is timed."""

    def __init__(self, rows: np.ndarray, card: EncoderCard | None = None) -> None:
        self.card = card or EncoderCard("numbered", DIM, "0" * 64, 224, 8, "Apache-2.0")
        self._rows = rows

    def encode_images(self, images: Any) -> np.ndarray:
        raise NotImplementedError

    def encode_texts(self, texts: Any) -> np.ndarray:
        return self._rows[[int(text) for text in texts]]


def unit_rows(count: int, seed: int) -> np.ndarray:
    """Random unit vectors: the hardest case for any index that guesses, and no help to one that does not."""
    rows = np.random.default_rng(seed).standard_normal((count, DIM), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def places(count: int) -> np.ndarray:
    """``(count, 2)`` west, south of tiles a hundredth of a degree wide, spread evenly over the globe."""
    random = np.random.default_rng(SEED + 1)
    return np.stack([random.uniform(-180, 179.9, count), random.uniform(-90, 89.9, count)], axis=1)


def build(folder: Path, vectors: np.ndarray, corner: np.ndarray, encoder: NumberedQueries) -> float:
    """Fill a gallery through its own store; returns the seconds it took, cache included."""
    began = time.perf_counter()
    offsets = np.array([[0, 0.01], [0.01, 0.01], [0.01, 0], [0, 0]])
    with Gallery.create(folder, encoder) as gallery:
        store = gallery._store
        with store.transaction():
            scene = store.add_scene(
                SceneRow("s", "/s.tif", "s.tif", "{}", "{}", state="done", tiles=len(vectors))
            )
        for start in range(0, len(vectors), 50_000):
            rows = vectors[start : start + 50_000].astype("<f2")
            rings = (corner[start : start + 50_000, None, :] + offsets).astype("<f8")
            with store.transaction():
                store.add_items(
                    ItemRow(
                        scene, 1.0, start + n, 0, 256, 256, 1.0, 1.0, rings[n].tobytes(), rows[n].tobytes()
                    )
                    for n in range(len(rows))
                )
        gallery.search("0", k=1)
    return time.perf_counter() - began


def read_rate(rows: np.ndarray) -> float:
    """Bytes a second that all cores read from the same memory map, touching each cache line once."""
    words = rows.reshape(-1).view(np.uint64)
    parts = np.array_split(words, 64)
    with ThreadPoolExecutor() as pool:
        seconds = timed(lambda: list(pool.map(np.max, parts)), 5)
    return words.nbytes / min(seconds)


def landsift_figures(
    folder: Path, encoder: NumberedQueries, truth: dict[str, list[set[int]]]
) -> dict[str, Any]:
    """Latency and recall of each filter."""
    figures: dict[str, Any] = {}
    with Gallery.open(folder, encoder) as gallery:
        for name, where in [("none", Where()), *((name, Where(box=box)) for name, box in BOXES.items())]:
            number = iter(range(10**9))
            seconds = timed(
                lambda where=where, number=number: gallery.search(
                    str(next(number) % QUERIES), k=K, where=where
                ),
                QUERIES,
            )
            found = [
                {m.window.col for m in gallery.search(str(q), k=K, where=where, overlapping="keep")}
                for q in range(QUERIES)
            ]
            recall = np.mean([len(f & t) / K for f, t in zip(found, truth[name], strict=True)])
            figures[name] = percentiles(seconds) | {"recall_at_10": round(float(recall), 4)}
        cache, _ = gallery._fresh()
        rate = read_rate(cache.index._pieces[0].rows)
    bytes_read = TILES * DIM * 2
    figures["bound"] = {
        "bytes_per_query": bytes_read,
        "plain_read_gb_per_s": round(rate / 1e9, 1),
        "bound_ms": round(1000 * bytes_read / rate, 1),
        "share_of_bound": round(bytes_read / rate / (figures["none"]["p50_ms"] / 1000), 3),
    }
    return figures


def lancedb_figures(
    folder: Path,
    vectors: np.ndarray,
    corner: np.ndarray,
    queries: np.ndarray,
    truth: dict[str, list[set[int]]],
) -> dict[str, Any]:
    """The same questions to LanceDB: exact scan, the box as a prefilter on two columns."""
    import lancedb
    import pyarrow as arrow

    flat = arrow.FixedSizeListArray.from_arrays(arrow.array(vectors.astype(np.float16).reshape(-1)), DIM)
    columns = {"id": np.arange(len(vectors)), "x": corner[:, 0], "y": corner[:, 1], "vector": flat}
    began = time.perf_counter()
    table = lancedb.connect(folder).create_table("tiles", arrow.table(columns))
    figures: dict[str, Any] = {"build_s": round(time.perf_counter() - began, 1)}

    def ask(query: np.ndarray, box: tuple[float, ...] | None) -> list[int]:
        search = table.search(query).distance_type("dot").limit(K).select(["id", "_distance"])
        if box is not None:
            west, south, east, north = box
            clause = f"x >= {west - 0.01} AND x <= {east} AND y >= {south - 0.01} AND y <= {north}"
            search = search.where(clause, prefilter=True)
        return search.to_arrow().column("id").to_pylist()

    for name, box in [("none", None), *BOXES.items()]:
        number = iter(range(10**9))
        seconds = timed(
            lambda box=box, number=number: ask(queries[next(number) % QUERIES], box), QUERIES // 2
        )
        recall = np.mean([len(set(ask(queries[q], box)) & truth[name][q]) / K for q in range(QUERIES)])
        figures[name] = percentiles(seconds) | {"recall_at_10": round(float(recall), 4)}
    return figures


def ground_truth(vectors: np.ndarray, corner: np.ndarray, queries: np.ndarray) -> dict[str, list[set[int]]]:
    """The ten best tiles of each query and filter, from float64 scores of the float16 vectors."""
    scores = np.empty((QUERIES, TILES))
    for start in range(0, TILES, 50_000):
        rows = vectors[start : start + 50_000].astype(np.float16).astype(np.float64)
        scores[:, start : start + 50_000] = queries.astype(np.float64) @ rows.T
    truth = {}
    for name, box in [("none", None), *BOXES.items()]:
        allowed = np.ones(TILES, bool)
        if box is not None:
            west, south, east, north = box
            allowed = (corner[:, 0] + 0.01 >= west) & (corner[:, 0] <= east)
            allowed &= (corner[:, 1] + 0.01 >= south) & (corner[:, 1] <= north)
        masked = np.where(allowed, scores, -np.inf)
        truth[name] = [set(np.argpartition(-row, K)[:K].tolist()) for row in masked]
    return truth


OPEN = """
import sys, time
from benchmarks.search_million import NumberedQueries, unit_rows
from landsift.gallery import Gallery
encoder = NumberedQueries(unit_rows(1, 7))
import faiss
began = time.perf_counter()
gallery = Gallery.open(sys.argv[1], encoder)
opened = time.perf_counter()
gallery.search("0")
print(opened - began, time.perf_counter() - began)
"""


def opening(folder: Path) -> dict[str, float]:
    """Seconds to open the gallery, and to the first answer, in a fresh process."""
    runs = []
    for _ in range(3):
        answer = subprocess.run(
            [sys.executable, "-c", OPEN, str(folder)], capture_output=True, text=True, check=True
        )
        runs.append([float(part) for part in answer.stdout.split()])
    opened, first = np.median(runs, axis=0)
    return {"open_s": round(float(opened), 3), "open_and_first_search_s": round(float(first), 3)}


def run() -> None:
    """Measure and save."""
    vectors, corner, queries = unit_rows(TILES, SEED), places(TILES), unit_rows(QUERIES, SEED + 2)
    encoder = NumberedQueries(queries)
    truth = ground_truth(vectors, corner, queries)
    folder = Path(tempfile.mkdtemp(prefix="landsift-bench-"))
    try:
        figures: dict[str, Any] = {"tiles": TILES, "dim": DIM, "k": K, "queries": QUERIES}
        figures["landsift"] = {"build_s": round(build(folder / "gallery", vectors, corner, encoder), 1)}
        figures["landsift"] |= opening(folder / "gallery")
        figures["landsift"] |= landsift_figures(folder / "gallery", encoder, truth)
        figures["lancedb"] = lancedb_figures(folder / "lance", vectors, corner, queries, truth)
        sizes = {
            name: sum(f.stat().st_size for f in (folder / name).rglob("*") if f.is_file())
            for name in ("gallery", "lance")
        }
        figures["landsift"]["disk_mb"], figures["lancedb"]["disk_mb"] = (
            round(s / 1e6) for s in sizes.values()
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    save("search_million", figures, seed=SEED)
