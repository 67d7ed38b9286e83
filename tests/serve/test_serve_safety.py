"""Safe by default: who may ask, from where, how much, and what a browser may do with the answer."""

from __future__ import annotations

import io
import json
import logging
import socket
import sys
import zlib

import pytest
from PIL import Image

from landsift import cli
from landsift.errors import UsageError
from landsift.serve import ServeOptions
from landsift.serve import safety as safety_module
from toys import coloured, write_scene

TOKEN = "open-sesame"


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (0, 0, 200)).save(out, "PNG")
    return out.getvalue()


def upload(served, data: bytes, name: str = "x.png"):
    return served.client.post("/search/image", files={"image": (name, data)})


# -- where it listens ----------------------------------------------------------------------------------------


def test_it_listens_at_this_machine_only_unless_there_is_a_token():
    assert ServeOptions().is_loopback
    for host in ("0.0.0.0", "192.168.0.7", "::", "example.org"):
        with pytest.raises(UsageError, match="--token"):
            ServeOptions(host=host)
        assert not ServeOptions(host=host, token=TOKEN).is_loopback
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert ServeOptions(host=host).is_loopback
    with pytest.raises(UsageError, match="longer"):
        ServeOptions(token="short")


def test_the_command_refuses_an_open_address_without_token(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("LANDSIFT_TOKEN", raising=False)
    monkeypatch.setattr(sys, "argv", ["landsift", "serve", str(tmp_path), "--host", "0.0.0.0"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2 and "--token" in capsys.readouterr().err


def test_the_command_says_that_a_port_is_taken_or_a_gallery_absent(tmp_path, monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setattr(sys, "argv", ["landsift", "serve", str(tmp_path), "--port", port])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 2 and "--port" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["landsift", "serve", str(tmp_path), "--port", "0"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1 and "no gallery" in capsys.readouterr().err


# -- the token -----------------------------------------------------------------------------------------------


def test_without_the_token_nothing_is_answered(start):
    served = start(token=TOKEN)
    for method, path in [("GET", "/"), ("GET", "/ui/"), ("POST", "/search"), ("GET", "/openapi.json"),
                         ("GET", "/metrics"), ("GET", "/nowhere")]:  # fmt: skip
        answer = served.client.request(method, path)
        assert answer.status_code == 401 and answer.json()["code"] == "Unauthorized", path
        assert answer.headers["www-authenticate"] == "Bearer"
    for wrong in ("Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \u00fc"):
        headers = {"Authorization": wrong.encode("latin-1")}
        assert served.client.get("/", headers=headers).status_code == 401
    assert served.client.get("/healthz").status_code == 200
    assert served.client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("token", [TOKEN, 'odd "; Path=/; ,token%'])
def test_the_page_takes_the_token_once_and_keeps_it_in_a_cookie(start, token):
    served = start(token=token)
    assert served.client.get("/ui/", params={"token": "wrong-token"}).status_code == 401
    answer = served.client.get("/ui/", params={"token": token, "q": "boats"})
    assert answer.status_code == 303 and answer.headers["location"] == "/ui/?q=boats"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
    assert served.client.get("/ui/").status_code == 200
    assert served.client.post("/search", json={"q": "red"}).status_code == 200


def test_who_opens_the_page_without_the_token_is_asked_for_it_in_a_form(start):
    served, page = start(token=TOKEN), {"Accept": "text/html,*/*;q=0.8"}
    form = served.client.get("/ui/?q=boats", headers=page)
    assert form.status_code == 401 and form.headers["content-type"].startswith("text/html")
    assert 'name="token"' in form.text and "<script" not in form.text and "not the token" not in form.text
    assert "default-src 'self'" in form.headers["content-security-policy"]
    sent_by_browser = page | {"Origin": "null", "Sec-Fetch-Site": "same-origin"}  # no referrer: no origin
    wrong = served.client.post("/ui/", data={"token": "not-the-one"}, headers=sent_by_browser)
    assert wrong.status_code == 401 and "not the token" in wrong.text and "set-cookie" not in wrong.headers
    for body in (b"", b"\xff=\xfe", b"token=" + b"x" * 10_000):
        assert served.client.post("/ui/", content=body, headers=sent_by_browser).status_code == 401
    right = served.client.post("/ui/?q=boats", data={"token": f" {TOKEN} "}, headers=sent_by_browser)
    assert right.status_code == 303 and right.headers["location"] == "/ui/?q=boats"
    assert served.client.get("/ui/", headers=page).status_code == 200
    assert served.client.get("/collections").status_code == 200


def test_the_form_is_for_servers_with_a_token_and_for_the_page_only(start):
    open_to_all, page = start(), {"Accept": "text/html"}
    assert open_to_all.client.get("/ui/", headers=page).status_code == 200
    assert open_to_all.client.post("/ui/", data={"token": TOKEN}).status_code == 405
    guarded = start(token=TOKEN)
    assert guarded.client.get("/collections", headers=page).json()["code"] == "Unauthorized"
    assert guarded.client.get("/ui/", headers=page | {"Host": "evil.example"}).status_code == 403


def test_the_token_is_compared_in_constant_time(start, monkeypatch):
    served, seen = start(token=TOKEN), []

    def compare(first: bytes, second: bytes) -> bool:
        seen.append((first, second))
        return first == second

    monkeypatch.setattr(safety_module.hmac, "compare_digest", compare)
    served.client.get("/", headers={"Authorization": "Bearer wrong"})
    assert seen == [(b"wrong", TOKEN.encode())]


# -- other sites ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil:8000", ""])
def test_a_name_that_is_not_the_servers_is_refused(served, host):
    answer = served.client.get("/healthz", headers={"Host": host})
    assert answer.status_code == 403 and "another name" in answer.json()["description"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000"])
def test_its_own_names_are_known(served, host):
    assert served.client.get("/healthz", headers={"Host": host}).status_code == 200


def test_another_sites_page_cannot_write(served):
    label = {"collection": "main", "topic": "boats", "tile": served.tiles(limit=1)[0], "wanted": True}
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = served.client.post("/feedback", json=label, headers=headers)
        assert answer.status_code == 403, headers
    assert served.client.get("/feedback", params={"collection": "main"}).json() == {"topics": []}
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert served.client.post("/feedback", json=label, headers=own).status_code == 200


def test_every_answer_forbids_the_browser_everything_from_elsewhere(served):
    for path in ("/", "/ui/", "/docs", "/nowhere", "/metrics", "/collections/none"):
        headers = served.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy and "http" not in policy and "unsafe-eval" not in policy
        assert "frame-ancestors 'none'" in policy and headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    for path in ("/ui/", "/docs"):
        assert "http://" not in served.client.get(path).text.replace("http://www.w3.org", "")


def test_the_api_description_works_offline(served):
    page = served.client.get("/docs")
    assert page.status_code == 200 and "<script" not in page.text and "/search" in page.text
    assert "landsift:like" in page.text


# -- how much ------------------------------------------------------------------------------------------------


def test_bodies_over_the_limit_are_refused_whether_they_say_so_or_not(start):
    served = start(most_body_bytes=1000)
    long = json.dumps({"q": "x" * 2000})
    answer = served.client.post("/search", content=long, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413 and answer.json()["code"] == "PayloadTooLarge"
    pieces = (part.encode() for part in (long[:600], long[600:]))
    answer = served.client.post("/search", content=pieces, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_uploads_are_limited_in_bytes(start):
    served = start(most_upload_bytes=10_000)
    assert upload(served, b"\x89PNG\r\n\x1a\n" + bytes(20_000)).status_code == 400
    assert upload(served, b"\x89PNG\r\n\x1a\n" + bytes(400_000)).status_code == 413
    assert upload(served, b"").status_code == 400


def test_a_decompression_bomb_is_refused_before_it_is_decoded(start, monkeypatch):
    from landsift.scenes.reader import BandReader

    def decoded(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(BandReader, "read", decoded)
    monkeypatch.setattr(BandReader, "sample", decoded)
    served = start(most_upload_pixels=1_000_000)
    small = png(10, 10)
    head = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + small[24:29]
    bomb = small[:12] + head + zlib.crc32(head).to_bytes(4, "big") + small[33:]
    answer = upload(served, bomb)
    assert answer.status_code == 400 and "60000 x 60000" in answer.json()["description"]


def test_what_names_other_files_is_not_opened(served, tmp_path):
    secret = write_scene(tmp_path / "secret.tif", coloured("blue", 1))
    vrt = (
        f'<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    item = json.dumps({"type": "Feature", "assets": {"visual": {"href": str(secret)}}})
    for text in (vrt, item, str(secret), f"/vsizip/{secret}", "<svg/>"):
        answer = upload(served, text.encode(), "x.tif")
        assert answer.status_code == 400 and "no PNG" in answer.json()["description"], text


@pytest.mark.parametrize("length", [60, 9_000])
def test_a_broken_image_is_refused_without_naming_our_files(served, tmp_path, length):
    whole = write_scene(tmp_path / "whole.tif", coloured("blue", 1)).read_bytes()
    answer = upload(served, whole[:length], "x.tif")
    assert answer.status_code == 400 and "/" not in answer.json()["description"]


def test_no_path_of_a_client_is_opened(served, tmp_path, monkeypatch):
    photo = str(write_scene(tmp_path / "photo.tif", coloured("green", 4)))
    for body in ({"landsift:like": [photo]}, {"landsift:like": [f"file://{photo}"]}):
        assert "no tile" in served.refused(**body)
    opened = []
    monkeypatch.setattr("landsift.gallery.gallery.read_query_image", lambda *a: opened.append(a))
    as_text = served.search(q="red", **{"landsift:not": [photo]})  # the path is a text like any other
    assert as_text["numberReturned"] > 0 and not opened
    for path in ("/ui/../../../etc/passwd", "/ui/%2e%2e/%2e%2e/pyproject.toml", "/ui//etc/passwd",
                 "/tiles/main/..%2f..%2fx/thumbnail", "/scenes/main/%2fetc%2fpasswd/0/0/0.png"):  # fmt: skip
        assert served.client.get(path).status_code == 404, path


def test_nothing_a_client_sends_makes_the_server_connect(served, monkeypatch):
    def connect(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", connect)
    url = "http://169.254.169.254/latest/meta-data"
    assert "no tile" in served.refused(**{"landsift:like": [url]})
    served.search(q=url, **{"landsift:not": [url]})
    assert upload(served, url.encode(), url).status_code == 400
    document = {"type": "FeatureCollection", "features": [{"properties": {"label": 1, "tile": url}}]}
    body = {"collection": "main", "topic": "x", "labels": document}
    assert served.client.post("/feedback/import", json=body).json() == {"imported": 0, "without_tile": 1}


# -- read-only -----------------------------------------------------------------------------------------------


def test_a_read_only_server_writes_nothing_and_still_answers(start):
    served = start(read_only=True)
    before = {path: path.read_bytes() for path in served.folder.rglob("*") if path.is_file()}
    label = {"collection": "main", "topic": "boats", "tile": "x", "wanted": True}
    for method, path, body in [
        ("POST", "/feedback", label),
        ("POST", "/feedback/import", {}),
        ("POST", "/queries", {"name": "n", "request": {}}),
        ("DELETE", "/queries/abc", None),
    ]:
        answer = served.client.request(method, path, json=body)
        assert answer.status_code == 403 and "read-only" in answer.json()["description"], path
    assert served.tiles(q="red", limit=3)
    assert upload(served, png(40, 40)).status_code == 200
    export = {"format": "csv", "request": {"q": "red"}}
    assert served.client.post("/export", json=export).status_code == 200
    assert served.client.get("/ui-config").json()["read_only"] is True
    after = {path: path.read_bytes() for path in served.folder.rglob("*") if path.is_file()}
    assert {p: d for p, d in after.items() if not p.name.endswith(("-shm", "-wal"))} == {
        p: d for p, d in before.items() if not p.name.endswith(("-shm", "-wal"))
    }


def test_a_fault_of_ours_tells_the_client_nothing(served, monkeypatch, caplog):
    def fail(*_: object) -> None:
        raise RuntimeError("the inside of the server")

    monkeypatch.setattr("landsift.serve.searching.where_of", fail)
    with caplog.at_level(logging.CRITICAL):
        answer = served.client.post("/search", json={"q": "red"})
    assert answer.status_code == 500 and "inside" not in answer.text
