"""A server of several processes at one port: they answer alike, count together, and live and die together."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from landsift import Gallery, load_encoder
from landsift.errors import UsageError
from landsift.serve import ServeOptions, serve
from landsift.serve.listening import listening, reserved
from landsift.serve.tally import NOW, Tally, added

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find the processes")


class Served:
    """A running server of two processes."""

    def __init__(self, folder: Path, counts: Path) -> None:
        self.counts = counts
        counts.mkdir()
        script = str(Path(sys.executable).with_name("landsift"))
        self.lead = subprocess.Popen(
            [script, "serve", str(folder), "--port", "0", "--processes", "2"],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(counts)},
        )
        self.port = int(re.search(r":(\d+)/ui", self.lead.stderr.readline()).group(1))

    def get(self, path: str, body: object = None) -> bytes:
        """One answer over a connection of its own, so that the system deals it to any process."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            kind = {"Content-Type": "application/json"}
            if body is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(body), kind)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            return answer.read()

    def counted(self, route: str) -> int:
        text = self.get("/metrics").decode()
        found = re.findall(rf'requests_total{{method="\w+",route="{route}",status="200"}} (\d+)', text)
        return sum(map(int, found))

    def written(self) -> list[int]:
        """The searches that each process has written down."""
        paths = self.counts.glob("landsift-counts-*/?.json")
        return [json.loads(path.read_text())["requests"].get("POST 200 /search", 0) for path in paths]

    def members(self) -> list[int]:
        """Those that listen at the port."""
        return [pid for pid in _children(self.lead.pid) if b"spawn_main" in _command(pid)]


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def eventually(true, seconds=30):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture
def served(tmp_path, archive):
    folder = tmp_path / "main"
    with Gallery.create(folder, load_encoder("landsift-lite"), tile=64) as gallery:
        gallery.add(archive)
    server = Served(folder, tmp_path / "temporary")
    try:
        yield server
    finally:
        server.lead.terminate()
        server.lead.wait(30)
        server.lead.stderr.close()


def test_they_answer_alike_see_what_is_written_and_count_together(served):
    assert len(served.members()) == 2
    wish = {"q": "a field", "limit": 5}
    answers = {served.get("/search", wish) for _ in range(24)}
    assert len(answers) == 1
    tile = json.loads(answers.pop())["features"][0]["id"]
    served.get("/feedback", {"collection": "main", "topic": "fields", "tile": tile, "wanted": True})
    labels = {served.get("/feedback?collection=main&topic=fields") for _ in range(24)}
    assert len(labels) == 1 and tile.encode() in labels.pop()
    eventually(lambda: served.counted("/search") == 24)
    eventually(lambda: sum(served.written()) == 24)
    # Of two dozen connections dealt at random, all go to one process once in eight million times.
    assert len(served.written()) == 2 and min(served.written()) > 0


def test_one_that_dies_is_replaced_and_what_it_counted_stays(served):
    for _ in range(24):
        served.get("/search", {"q": "a field", "limit": 1})
    eventually(lambda: served.counted("/search") == 24)
    eventually(lambda: sum(served.written()) == 24)
    dead, left = served.members()
    os.kill(dead, signal.SIGKILL)
    eventually(lambda: len(served.members()) == 2 and dead not in served.members())
    assert left in served.members()
    eventually(lambda: _answers(served))
    assert {served.counted("/search") for _ in range(12)} == {24}


def _answers(served: Served) -> bool:
    """Whether the new one takes requests too: until then all are dealt to the other."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    port = f":{served.port:04X}"
    return sum(row.split()[1].endswith(port) and row.split()[3] == "0A" for row in rows) == 2


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_they_end_with_the_one_that_leads_them(served, how):
    members = served.members()
    served.lead.send_signal(how)
    served.lead.wait(30)
    eventually(lambda: not any(b"spawn_main" in _command(pid) for pid in members))
    if how != signal.SIGKILL:
        assert list(served.counts.glob("landsift-*")) == []
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{served.port}/healthz", timeout=5)


# -- what cannot be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [0, -1, 100_000])
def test_an_impossible_number_of_processes_is_refused(processes):
    with pytest.raises(UsageError, match="processes"):
        ServeOptions(processes=processes)


def test_a_port_in_use_is_told_before_any_process_is_started(tmp_path):
    with listening(ServeOptions(port=0)) as taken:
        options = ServeOptions(port=taken.getsockname()[1], processes=2)
        with pytest.raises(UsageError, match="cannot listen"):
            serve([tmp_path / "none"], options)


def test_a_port_that_others_share_is_in_use_too():
    with reserved(ServeOptions(port=0)) as door:
        options = ServeOptions(port=door.getsockname()[1])
        with listening(options, shared=True), pytest.raises(UsageError, match="cannot listen"):
            reserved(options)


def test_a_system_that_cannot_share_a_port_says_so(monkeypatch):
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(UsageError, match="leave --processes out"):
        reserved(ServeOptions(port=0))


# -- counting ------------------------------------------------------------------------------------------------


def test_counts_add_up_over_processes_and_over_those_who_took_a_place(tmp_path):
    one, other = Tally(tmp_path / "0.json"), Tally(tmp_path / "1.json")
    counts = {"requests": {"GET": 3, "POST": 1}, NOW: {"in_flight": 2}}
    one.keep_writing(lambda: counts)
    one.close()
    more = {"requests": {"GET": 4, "PUT": 1}, NOW: {"in_flight": 1}}
    assert other.total(more) == {"requests": {"GET": 7, "POST": 1, "PUT": 1}, NOW: {"in_flight": 3}}
    successor = Tally(tmp_path / "0.json")
    begun = {"requests": {"GET": 1}, NOW: {"in_flight": 0}}
    assert successor.total(begun) == {"requests": {"GET": 4, "POST": 1}, NOW: {"in_flight": 0}}


def test_a_file_of_counts_that_is_damaged_costs_its_own_counts_only(tmp_path):
    (tmp_path / "1.json").write_text('{"requests": {"GET"')
    (tmp_path / "2.json").write_text("[1]")
    assert Tally(tmp_path / "0.json").total({"requests": {"GET": 1}}) == {"requests": {"GET": 1}}


def test_adding_leaves_both_summands_as_they_were():
    one, other = {"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}
    assert added(one, other) == {"a": {"b": 3, "c": 3}}
    assert (one, other) == ({"a": {"b": 1}}, {"a": {"b": 2, "c": 3}})
