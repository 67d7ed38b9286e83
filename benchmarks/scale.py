"""Search as galleries grow: ``python -m benchmarks.scale``; the exact scan of the rows is the judge.

Bounds on paper. An exact query reads ``rows * dim * 2`` bytes, a scan of 128-bit codes ``rows * 16``: for ten
million rows 160 MB, which at 20 GB/s are 8 ms before anything is put in order. Each run measures how fast
this machine reads and copies plain bytes, and says what share of that a search reaches.

Without arguments it goes through 100,000, a million and ten million rows, and then the codes alone of a
hundred million (``--codes-only`` keeps no vectors and times the scan). Each size is kept as soon as it is
done, and each stage of a size (an index, a peer) until then among the temporary files; a run that was cut off
goes on with the next stage over the same vectors, and ``--again`` measures anew.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import RESULTS, percentiles, timed
from benchmarks.scale_data import SHARD, Material, material
from benchmarks.scale_page import DOCS, keep, kept, write_page
from benchmarks.scale_peers import PEERS, Peer, Search, why_left_out
from benchmarks.search_million import read_rate
from benchmarks.stages import Stages
from landsift.files import ColumnFolder
from landsift.index import Coder, FlatIndex, HammingIndex, IndexChoice, PlannedIndex, StoredWays

SEED, QUERIES, BITS = 0, 100, 128
SIZES, CODES_SIZES = (100_000, 1_000_000, 10_000_000), (100_000_000,)
FLOORS = {"cascade": 0.98, "ann": 0.97}
"""The kinds that are built, and the recall that each is asked for."""
_ROOM = 2.2  # times the bytes of the vectors, on disk: a peer keeps its own copy
FILTERS = {"none": None, "0.1 %": 0.001, "1 %": 0.01, "10 %": 0.1, "50 %": 0.5}
DEPTHS = (10, 100)
PEER_FILTER = "1 %"
_PEAK_RESET = Path("/proc/self/clear_refs")


class Peak:
    """Seconds and most memory of a block, the process's memory before it included."""

    def __enter__(self) -> Peak:
        _PEAK_RESET.write_text("5")  # begins a new highest mark
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        self.megabytes = int(status.split("VmHWM:")[1].split()[0]) / 1024

    def figures(self) -> dict[str, float]:
        return {"build_s": round(self.seconds, 2), "peak_rss_mb": round(self.megabytes)}


def masks(rows: int) -> dict[str, np.ndarray | None]:
    """Rows that pass: a stretch, as the tiles of a few scenes lie, and all."""
    made: dict[str, np.ndarray | None] = {}
    for name, share in FILTERS.items():
        made[name] = None
        if share is not None:
            first = int(rows * (1 - share) / 2)
            made[name] = np.zeros(rows, bool)
            made[name][first : first + max(1, int(rows * share))] = True
    return made


def write_vectors(folder: Path, source: Material, rows: int) -> FlatIndex:
    batches = ({"vectors": shard} for shard in source.shards(rows))
    ColumnFolder.write(folder, {"vectors": ("<f2", (source.dim,))}, batches, {})
    return FlatIndex.load(folder)


def truth_of(flat: FlatIndex, queries: np.ndarray, allowed: dict[str, Any]) -> dict[str, Any]:
    """The scores of the exact answer's last row, at each depth: what a found row must reach."""
    truth = {}
    for name, mask in allowed.items():
        scores = flat.search(queries, max(DEPTHS), mask).scores
        truth[name] = np.stack([scores[:, depth - 1] for depth in DEPTHS], axis=1).tolist()
    return truth


def judged(
    flat: FlatIndex, queries: np.ndarray, search: Search, allowed: np.ndarray | None, least: np.ndarray
) -> dict[str, float]:
    """Latency at the first depth and recall at each, of any search; copies that tie are no misses."""
    number = iter(range(10**9))
    seconds = timed(lambda: search(queries[next(number) % len(queries)], DEPTHS[0], allowed), len(queries))
    figures = percentiles(seconds)
    for place, depth in enumerate(DEPTHS):
        shares = []
        for query, bound in zip(queries, least[:, place], strict=True):
            found = np.asarray(search(query, depth, allowed), np.int64)
            found = np.unique(found[found >= 0])
            scores = flat.rescore(query, found, depth)[1] if len(found) else np.empty(0)
            expected = depth if np.isfinite(bound) else max(1, len(scores))
            shares.append(min(1.0, np.count_nonzero(scores >= bound) / expected))
        figures[f"recall_at_{depth}"] = round(float(np.mean(shares)), 4)
    deep = timed(lambda: search(queries[next(number) % len(queries)], DEPTHS[1], allowed), len(queries))
    return figures | {f"p50_ms_at_{DEPTHS[1]}": percentiles(deep)["p50_ms"]}


def of_index(index: FlatIndex | PlannedIndex) -> Search:
    def search(query: np.ndarray, k: int, allowed: np.ndarray | None) -> np.ndarray:
        return index.search(query[None], k, allowed).rows[0]

    return search


def path_of(index: PlannedIndex, query: np.ndarray, allowed: np.ndarray | None) -> dict[str, Any]:
    """The way that the planner takes, and its stages."""
    trace = index.explained(query[None], DEPTHS[0], allowed)[1].to_dict()
    return {"path": trace["path"], "measured_recall": trace["recall"], "stages": trace["stages"]}


def exact_figures(
    flat: FlatIndex, queries: np.ndarray, allowed: dict[str, Any], truth: dict[str, np.ndarray]
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        name: judged(flat, queries, of_index(flat), mask, truth[name]) for name, mask in allowed.items()
    }
    rows = flat._pieces[0].rows
    rate, copied = read_rate(rows), min(timed(lambda: rows[: 4 * SHARD].copy(), 5))
    bound = rows.nbytes / rate
    figures["bound"] = {
        "bytes_per_query": rows.nbytes,
        "plain_read_gb_per_s": round(rate / 1e9, 2),
        "plain_copy_gb_per_s": round(2 * rows[: 4 * SHARD].nbytes / copied / 1e9, 2),
        "bound_ms": round(1000 * bound, 2),
        "share_of_bound": round(1000 * bound / figures["none"]["p50_ms"], 3),
        "reached_gb_per_s": round(rows.nbytes / figures["none"]["p50_ms"] / 1e6, 2),
    }
    return figures


def stored_figures(
    folder: Path, kind: str, flat: FlatIndex, source: Material, allowed: dict[str, Any], truth: dict[str, Any]
) -> dict[str, Any]:
    """Build one kind, measure it, and add a hundredth of the rows."""
    count, queries = len(flat), source.questions(QUERIES)
    keys, alive = np.arange(count), np.ones(count, bool)
    texts = source.texts[-80:]
    ways = StoredWays(folder, IndexChoice(kind, FLOORS[kind], BITS), {"benchmark": count})
    with Peak() as peak:
        ways.save(flat, keys, alive, lambda: texts)
    opening = timed(lambda: ways.open(flat, keys), 5)
    index = ways.open(flat, keys)
    figures: dict[str, Any] = peak.figures() | {"open_ms": percentiles(opening)["p50_ms"]}
    figures["floor"] = FLOORS[kind]
    figures["disk_bytes_per_row"] = round(_bytes(folder) / count, 2)
    for name, mask in allowed.items():
        figures[name] = judged(flat, queries, of_index(index), mask, truth[name])
        figures[name] |= path_of(index, queries[0], mask)
    grown = FlatIndex(source.dim)
    for piece in flat._pieces:
        grown.attach(piece.rows)
    grown.add(source.shard(count // SHARD + 1, max(1, count // 100)))
    more, began = np.arange(len(grown)), time.perf_counter()
    ways.save(grown, more, np.ones(len(grown), bool), lambda: texts)
    figures["add_one_percent_s"] = round(time.perf_counter() - began, 3)
    shutil.rmtree(folder)
    return figures


def codes_figures(folder: Path, source: Material, rows: int) -> dict[str, Any]:
    """Codes alone, made shard by shard: bytes, seconds, and how near the scan comes to reading."""
    coder = Coder.fit(source.images[:20_000], BITS, query_means=source.texts.mean(axis=0, keepdims=True))

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for shard in source.shards(rows):
            yield {"codes": coder.encode(shard)}

    with Peak() as peak:
        ColumnFolder.write(folder, {"codes": ("|u1", (coder.nbytes,))}, batches(), {})
    codes, index = ColumnFolder(folder).columns["codes"], HammingIndex(coder)
    index.attach(codes)
    queries, number = source.questions(QUERIES), iter(range(10**9))
    seconds = timed(lambda: index.shortlist(queries[next(number) % QUERIES], 1024), QUERIES)
    bound = codes.nbytes / read_rate(codes)
    figures = peak.figures() | percentiles(seconds) | {"disk_bytes_per_row": round(_bytes(folder) / rows, 2)}
    figures["bound_ms"] = round(1000 * bound, 2)
    return figures | {"share_of_bound": round(1000 * bound / figures["p50_ms"], 3)}


def peer_figures(
    folder: Path,
    peer: Peer,
    flat: FlatIndex,
    queries: np.ndarray,
    allowed: dict[str, Any],
    truth: dict[str, Any],
    targets: dict[str, float],
) -> dict[str, Any]:
    """A peer with the least effort that reaches our own recall, or with the most that it was given."""
    reason = why_left_out(peer, len(flat), flat.dim)
    if reason is not None:
        return {"left_out": reason}
    with Peak() as peak:
        search = peer.build(np.asarray(flat._pieces[0].rows), folder / peer.package)
    figures: dict[str, Any] = peak.figures()
    for chosen, target in targets.items():
        for effort in peer.efforts:
            found = judged(flat, queries, partial(search, effort), allowed[chosen], truth[chosen])
            figures[chosen] = found | {"effort": effort}
            if found["recall_at_10"] >= target:
                break
    del search
    shutil.rmtree(folder / peer.package, ignore_errors=True)
    return figures


def measure(
    rows: int, source: Material, stages: Stages, folder: Path, *, codes_only: bool, peers: bool
) -> dict[str, Any]:
    """All figures for one number of rows, whose files lie in ``folder`` meanwhile."""
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir(parents=True)
    figures: dict[str, Any] = {"rows": rows, "dim": source.dim, "bits": BITS, "real": source.real}
    figures |= {"queries": QUERIES, "real_rows": len(source.images)}
    try:
        figures["codes"] = stages.once("codes", lambda: codes_figures(folder / "codes", source, rows))
        shutil.rmtree(folder / "codes", ignore_errors=True)
        if codes_only:
            return figures
        flat = write_vectors(folder / "vectors", source, rows)
        queries, allowed = source.questions(QUERIES), masks(rows)
        least = stages.once("truth", lambda: truth_of(flat, queries, allowed))
        truth = {name: np.asarray(scores, np.float32) for name, scores in least.items()}
        figures["exact"] = stages.once("exact", lambda: exact_figures(flat, queries, allowed, truth))
        for kind in FLOORS:
            build = partial(stored_figures, folder / "ways", kind, flat, source, allowed, truth)
            figures[kind] = stages.once(kind, build)
        if peers:
            targets = {name: figures["ann"][name]["recall_at_10"] for name in ("none", PEER_FILTER)}
            figures["peers"] = {
                name: stages.once(
                    name, partial(peer_figures, folder, peer, flat, queries, allowed, truth, targets)
                )
                for name, peer in PEERS.items()
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(say: Callable[[str], None] = print) -> None:
    """Measure what is asked for, keep it, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--rows", type=int, nargs="+", metavar="N", help="only these sizes")
    parser.add_argument("--codes-only", action="store_true", help="no vectors: the scan of codes alone")
    parser.add_argument("--no-peers", action="store_true", help="only our own indexes")
    parser.add_argument("--again", action="store_true", help="measure also what is kept already")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep figures and page there, for a trial")
    asked = parser.parse_args()
    if min(asked.rows or SIZES) < 1000:
        parser.error("--rows must be 1000 or more")
    results, docs = (asked.out or RESULTS), (asked.out or DOCS)
    source = material()
    for rows, codes_only in _sizes(asked.rows, asked.codes_only):
        reason = _why_not(rows, codes_only, source.dim, results, asked.again)
        if reason:
            say(f"{rows:,} rows: {reason}")
            continue
        say(f"{rows:,} rows{', codes only' if codes_only else ''} ...")
        folder = _working_folder(rows, codes_only, real=source.real)
        stages = Stages(folder.with_suffix(".json"))
        if asked.again:
            stages.forget()
        figures = measure(rows, source, stages, folder, codes_only=codes_only, peers=not asked.no_peers)
        figures["stages"] = stages.origins()
        say(f"Wrote {keep(figures, results, codes_only=codes_only)}.")
        stages.forget()
    say(f"Wrote {write_page(results, docs)}.")


def _working_folder(rows: int, codes_only: bool, *, real: bool) -> Path:
    """Where a size is worked on, its finished stages beside it; drawn vectors are kept apart."""
    name = f"landsift-scale-{'codes-' if codes_only else ''}{rows}{'' if real else '-drawn'}"
    return Path(tempfile.gettempdir()) / name


def _sizes(rows: list[int] | None, codes_only: bool) -> list[tuple[int, bool]]:
    """Numbers of rows, and whether their codes alone are measured."""
    if rows:
        return [(count, codes_only) for count in rows]
    whole = [] if codes_only else [(count, False) for count in SIZES]
    return [*whole, *((count, True) for count in CODES_SIZES)]


def _why_not(rows: int, codes_only: bool, dim: int, results: Path, again: bool) -> str | None:
    """Why a size is not measured now; None if it is."""
    if kept(rows, results, codes_only=codes_only) and not again:
        return "measured already; --again measures anew."
    needed = rows * (BITS / 8 if codes_only else _ROOM * dim * 2)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if needed > free:
        return f"left out, since it takes {needed / 1e9:.0f} GB of disk and {free / 1e9:.0f} are free."
    return None


if __name__ == "__main__":
    main()
