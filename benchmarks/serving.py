"""Fifty clients at once on a gallery of 100,000 tiles, over loopback, while it grows: one process, then two.

Every client asks again as soon as it is answered. What they ask is what the page asks: searches in words
drawn from a few hundred sentences, with and without filters, with the histogram of scores; searches by
example; dates. Clients run in a process of their own and compare nothing but status and length.

Sentences repeat, as people's do: the share of text vectors, rankings and items that were known already is
stored with the times. Memory is told apart: anonymous is the server's own, file-backed are the vectors it
maps.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import percentiles, save
from landsift import load_encoder
from landsift.gallery import Gallery
from landsift.gallery.store import ItemRow, SceneRow, Store

TILES, SCENES, CLIENTS, SECONDS, WARM_UP_S, SEED = 100_000, 200, 50, 60, 20, 0
PROCESSES = (1, 2)
GROWTH_EVERY_S, GROWTH_TILES = 10, 64
_DAY_S = 86_400
_SIDE = 0.02  # degrees


def build(folder: Path) -> None:
    """A gallery of scenes spread over the globe and ten years, with random unit vectors."""
    random_ = np.random.default_rng(SEED)
    each = TILES // SCENES
    with Gallery.create(folder, load_encoder("landsift-lite")) as gallery:
        for number in range(SCENES):
            add_scene(gallery._store, number, each, gallery.card.dim, random_)
        gallery.snapshot()


def add_scene(store: Store, number: int, tiles: int, dim: int, random_: np.random.Generator) -> None:
    """One scene of tiles in rows, as indexing would store it."""
    vectors = random_.standard_normal((tiles, dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    west, south = random_.uniform(-170, 160), random_.uniform(-60, 60)
    start = 1_400_000_000 + number * 18 * _DAY_S
    date = str(np.datetime64(start // _DAY_S, "D"))
    start -= start % _DAY_S
    square = np.array([[0, _SIDE], [_SIDE, _SIDE], [_SIDE, 0], [0, 0]])
    with store.transaction():
        span = {"start": start, "stop": start + _DAY_S, "date": date}
        name = f"scene-{number}"
        key = store.add_scene(
            SceneRow(name, f"/{name}.tif", f"{name}.tif", "{}", "{}", state="done", tiles=tiles, **span)
        )
        rings = [(np.array([west, south]) + square + [n % 25 * _SIDE, n // 25 * _SIDE]) for n in range(tiles)]
        store.add_items(
            ItemRow(key, 1.0, n % 25 * 256, n // 25 * 256, 256, 256, 10.0, 1.0,
                    rings[n].astype("<f8").tobytes(), vectors[n].astype("<f2").tobytes())
            for n in range(tiles)
        )  # fmt: skip


def sentences() -> list[str]:
    """Three hundred and sixty sentences."""
    sizes = ("a large", "a small", "an old", "a new", "a crowded", "an empty")
    things = (
        "harbour",
        "airport",
        "stadium",
        "school",
        "farm",
        "parking lot",
        "bridge",
        "quarry",
        "village",
        "dam",
    )
    places = (
        "by the sea",
        "in the desert",
        "near a river",
        "between fields",
        "among trees",
        "beside a motorway",
    )
    return [" ".join(words) for words in itertools.product(sizes, things, places)]


def wishes(random_: random.Random) -> dict[str, Any]:
    """One request of the page."""
    body: dict[str, Any] = {"q": random_.choice(SENTENCES), "limit": 20, "landsift:explain": True}
    kind = random_.random()
    if kind < 0.15:
        west, south = random_.uniform(-180, 100), random_.uniform(-80, 20)
        body["bbox"] = [west, south, west + 60, south + 50]
    elif kind < 0.3:
        body["datetime"] = f"20{random_.randint(14, 22)}-01-01/.."
    elif kind < 0.4:
        body["landsift:min_score"] = 0.05
    elif kind < 0.5:
        scene, at = random_.randrange(SCENES), random_.randrange(TILES // SCENES)
        del body["q"]
        body["landsift:like"] = [f"scene-{scene}_s1_x{at % 25 * 256}_y{at // 25 * 256}"]
    return body


SENTENCES = sentences()


async def client(port: int, until: float, random_: random.Random, note: Callable[[str, float], None]) -> None:
    """Ask and ask again until the time has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    while time.perf_counter() < until:
        kind, data = _request(port, random_)
        began = time.perf_counter()
        writer.write(data)
        status = int((await reader.readline()).split()[1])
        length = 0
        while (line := await reader.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        body = await reader.readexactly(length)
        good = status == 200 and (kind != "search" or b'"numberReturned":' in body)
        note(kind if good else "error", time.perf_counter() - began)
    writer.close()


def _request(port: int, random_: random.Random) -> tuple[str, bytes]:
    head = f"Host: 127.0.0.1:{port}\r\n"
    if random_.random() < 0.05:
        return "dates", f"GET /galleries/gallery/dates HTTP/1.1\r\n{head}\r\n".encode()
    body = json.dumps(wishes(random_)).encode()
    kind = "Content-Type: application/json\r\n"
    return (
        "search",
        f"POST /search HTTP/1.1\r\n{head}{kind}Content-Length: {len(body)}\r\n\r\n".encode() + body,
    )


async def load(port: int, seconds: float, seed: int) -> dict[str, list[float]]:
    """All clients together; seconds of each answer by kind."""
    taken: dict[str, list[float]] = {"search": [], "dates": [], "error": []}
    until = time.perf_counter() + seconds
    each = [
        client(port, until, random.Random(seed + n), lambda kind, wall: taken[kind].append(wall))
        for n in range(CLIENTS)
    ]
    await asyncio.gather(*each)
    return taken


def family(process: int) -> list[int]:
    """A process and those that it started."""
    started = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    return [process, *map(int, started)]


def memory_mb(process: int) -> dict[str, float]:
    """Resident memory of a server: its own, and mapped files, of all its processes together."""
    texts = [Path(f"/proc/{one}/status").read_text(encoding="ascii") for one in family(process)]
    found = {
        name: sum(int(re.search(rf"{name}:\s+(\d+)", text).group(1)) for text in texts) / 1024  # type: ignore[union-attr]
        for name in ("RssAnon", "RssFile")
    }
    return {name: round(value, 1) for name, value in found.items()}


def processor_s(process: int) -> float:
    """Seconds of processor that a server has used."""
    ticks = 0
    for one in family(process):
        fields = Path(f"/proc/{one}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def machine_ticks() -> dict[str, int]:
    """What the cores have done since the start: all ticks, those idle, and those the host gave to others."""
    values = [
        int(value) for value in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:]
    ]
    return {"all": sum(values[:8]), "idle": values[3] + values[4], "stolen": values[7]}


def reuse(port: int) -> dict[str, float]:
    """The server's counts of what was known already, and of passes over all vectors."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    wanted = ("texts_", "rankings_", "items_", "passes")
    found = [re.match(r"landsift_(\w+)(?:{.*})? (\S+)$", line) for line in lines]
    return {m.group(1): float(m.group(2)) for m in found if m and m.group(1).startswith(wanted)}


def reuse_shares(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """How much was known already, and how many passes there were, between two counts."""
    more = {name: after[name] - before[name] for name in after}
    return {
        "text_vectors_known_share": round(more["texts_known"] / max(1, more["texts_asked"]), 3),
        "rankings_known_share": round(more["rankings_known"] / max(1, more["rankings_asked"]), 3),
        "items_known_share": round(more["items_known"] / max(1, more["items_asked"]), 3),
        "passes": int(more["passes"]),
    }


def grow(folder: Path, stop: Callable[[], bool], dim: int, each: Callable[[], None]) -> int:
    """Add a scene every few seconds, as an indexer would, and do something after each; returns how many."""
    random_, added, began = np.random.default_rng(SEED + 1), 0, time.perf_counter()
    with Gallery.open(folder) as gallery:
        while not stop():
            if time.perf_counter() - began > (added + 1) * GROWTH_EVERY_S:
                add_scene(gallery._store, SCENES + added, GROWTH_TILES, dim, random_)
                added += 1
                each()
            time.sleep(0.2)
    return added


def run() -> None:
    """Measure and save."""
    folder = Path(tempfile.mkdtemp(prefix="landsift-bench-"))
    try:
        build(folder / "gallery")
        figures = {str(processes): served(folder, processes) for processes in PROCESSES}
        save(
            "serving",
            {"tiles": TILES, "clients": CLIENTS, "seconds": SECONDS, "by_processes": figures},
            seed=SEED,
        )
        print(json.dumps(figures, indent=2))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def served(folder: Path, processes: int) -> dict[str, Any]:
    """The figures of a server with so many processes, on a gallery that nobody else has grown."""
    script = str(Path(sys.executable).with_name("landsift"))
    gallery = shutil.copytree(folder / "gallery", folder / f"of-{processes}" / "gallery")
    command = [script, "serve", str(gallery), "--port", "0", "--processes", str(processes)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        port = int(re.search(r":(\d+)/ui", server.stderr.readline()).group(1))  # type: ignore[union-attr]
        return measured(gallery, port, server.pid)
    finally:
        server.terminate()
        server.wait(30)


def measured(folder: Path, port: int, process: int) -> dict[str, Any]:
    """Warm up, load while the gallery grows, and look whether the server saw what was added."""
    asyncio.run(load(port, WARM_UP_S, SEED + 1000))
    before, busy, known, ticks = memory_mb(process), processor_s(process), reuse(port), machine_ticks()
    during: list[float] = []
    # Into a file: a pipe that nobody reads meanwhile would fill and stop the clients.
    with tempfile.TemporaryFile("w+") as told:
        clients = subprocess.Popen([sys.executable, "-m", "benchmarks.serving", str(port)], stdout=told)
        dim = load_encoder("landsift-lite").card.dim
        note = lambda: during.append(memory_mb(process)["RssAnon"])  # noqa: E731
        added = grow(folder, lambda: clients.poll() is not None, dim, note)
        told.seek(0)
        taken = json.loads(told.read())
    busy = processor_s(process) - busy
    ticks = {name: value - ticks[name] for name, value in machine_ticks().items()}
    body = json.dumps({"q": "a harbour", "limit": 1}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/search", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        seen = json.load(answer)["numberMatched"]
    count = len(taken["search"]) + len(taken["dates"])
    return {
        "requests": count,
        "requests_per_s": round(count / SECONDS, 1),
        "errors": len(taken["error"]),
        "processor_ms_per_request": round(1000 * busy / max(1, count), 2),
        "idle_share_of_the_machine": round(ticks["idle"] / ticks["all"], 2),
        "share_the_host_gave_to_others": round(ticks["stolen"] / ticks["all"], 2),
        "load_average_of_the_machine": round(os.getloadavg()[0], 1),
        "search": percentiles(taken["search"]),
        "all": percentiles(taken["search"] + taken["dates"]),
        "reuse": reuse_shares(known, reuse(port)),
        "memory_mb_before": before,
        "anonymous_memory_mb_every_10_s": during,
        "memory_mb_after": memory_mb(process),
        "tiles_added_meanwhile": added * GROWTH_TILES,
        "tiles_seen_at_the_end": seen,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(load(int(sys.argv[1]), SECONDS, SEED))))
