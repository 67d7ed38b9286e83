"""What a server remembers stays within bounds, and so does what the C library keeps for its threads."""

from __future__ import annotations

import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import rasterio

from landsift import Gallery
from landsift.serve.recent import Recent
from toys import ToyEncoder

POOLS = """
import re, sys, threading
if sys.argv[1] == "shared":
    from landsift.serve.memory import share_pools
    share_pools()
gate = threading.Barrier(24)
def work():
    kept = [bytearray(50_000) for _ in range(20)]
    gate.wait()
threads = [threading.Thread(target=work) for _ in range(24)]
for thread in threads: thread.start()
for thread in threads: thread.join()
maps = open("/proc/self/maps").read().splitlines()
reserved = [line for line in maps if "---p" in line and line.split()[4] == "0"]
sizes = [int(b, 16) - int(a, 16) for a, b in (line.split()[0].split("-") for line in reserved)]
print(sum(60 * 2**20 < size < 64 * 2**20 for size in sizes))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the pools are glibc's")
def test_threads_share_two_pools_of_memory():
    found = {}
    for how in ("shared", "apart"):
        answer = subprocess.run(
            [sys.executable, "-c", POOLS, how], capture_output=True, text=True, check=True
        )
        found[how] = int(answer.stdout)
    assert found["shared"] <= 1 < found["apart"]  # the main pool lies elsewhere


def test_what_was_made_lately_is_kept_within_a_number_of_bytes():
    recent = Recent(1000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: recent.keep(n, n, 100), range(500)))
    kept = [n for n in range(500) if recent.get(n) is not None]
    assert len(kept) == 10 and recent._bytes == 1000
    recent.get(kept[0])
    recent.keep("new", "new", 100)
    assert recent.get(kept[0]) is not None and recent.get(kept[1]) is None
    recent.keep("huge", "huge", 1001)
    assert recent.get("huge") is None and recent.get("new") == "new"


def facts_of(served):
    text = served.client.get("/metrics").text
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_the_metrics_tell_how_often_what_was_known_served_again(served):
    for _ in range(3):
        served.search(q="red", limit=2)
    served.search(q="blue", limit=2)
    facts = facts_of(served)
    assert facts['landsift_rankings_asked{collection="main"}'] == "4"
    assert facts['landsift_rankings_known{collection="main"}'] == "2"
    assert (facts["landsift_texts_asked"], facts["landsift_texts_known"]) == ("4", "2")
    assert (facts["landsift_items_asked"], facts["landsift_items_known"]) == ("8", "4")


def test_what_is_kept_of_a_tile_leaves_out_the_search_and_where_the_server_was_asked(served):
    first, again = (served.search(q="red", limit=3)["features"] for _ in range(2))
    assert first == again
    tile = first[2]["id"]
    alone = served.client.get(f"/collections/main/items/{tile}").json()
    found = served.search(q="red", ids=[tile])["features"][0]
    assert found["properties"].pop("landsift:rank") == 1
    assert found["properties"].pop("landsift:score") == first[2]["properties"]["landsift:score"]
    assert found["properties"].pop("landsift:percentile") == 100.0
    assert found == alone
    elsewhere = served.client.post("/search", json={"q": "red"}, headers={"Host": "localhost:9000"}).json()
    hrefs = [link["href"] for link in elsewhere["features"][0]["links"]]
    assert hrefs and all(href.startswith("http://localhost:9000/") for href in hrefs)


def test_a_scene_that_was_indexed_again_is_told_of_as_it_is_now(served):
    before = served.search(q="blue", limit=1)["features"][0]
    path = Path(before["properties"]["landsift:source"])
    with rasterio.open(path, "r+") as scene:
        scene.update_tags(TIFFTAG_DATETIME="2024:05:06 07:08:09")
    with Gallery.open(served.folder, ToyEncoder()) as gallery:
        gallery.add(path)
    after = served.search(q="blue", limit=1)["features"][0]
    assert after["id"] == before["id"]
    assert after["properties"]["datetime"] == "2024-05-06T07:08:09Z" != before["properties"]["datetime"]
