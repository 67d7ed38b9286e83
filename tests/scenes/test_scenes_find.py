"""From files, folders, globs, lists and STAC documents to scenes; and whether their bytes have changed."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio

from landsift.errors import LandsiftWarning, SceneError, UsageError
from landsift.scenes import SceneSource, content_hash, find_sources, open_scene, stat_signature
from landsift.types import TimeSpan, Window

Write = Callable[..., Path]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with images and much else; nothing in it is ever opened."""
    for name in [
        "b.tif",
        "a.TIF",
        "sub/c.jp2",
        "sub/deep/d.png",
        "sub/deep/e.JPEG",
        "f.vrt",
        "g.img",
        "h.webp",
        "a.TIF.aux.xml",
        "b.tif.ovr",
        "b.tif.msk",
        "notes.txt",
        "b.tfw",
        ".hidden.tif",
        "._b.tif",
        ".cache/i.tif",
        "empty/readme.md",
    ]:
        path = tmp_path / "archive" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"never opened")
    return tmp_path / "archive"


def names(*arguments: str | Path) -> list[str]:
    return [source.name for source in find_sources(arguments)]


ALL = ["a.TIF", "b.tif", "f.vrt", "g.img", "h.webp", "sub/c.jp2", "sub/deep/d.png", "sub/deep/e.JPEG"]


def test_a_folder_is_searched_to_the_bottom(archive: Path) -> None:
    assert names(archive) == ALL
    assert names(str(archive) + "/") == ALL


def test_hrefs_are_absolute_and_stay_the_same_from_anywhere(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(archive / "sub")
    ways = ["c.jp2", "../sub/./c.jp2", archive / "sub" / "c.jp2", f"file://{archive}/sub/c.jp2"]
    hrefs = {source.href for way in ways for source in find_sources([way])}
    assert hrefs == {str(archive.resolve() / "sub" / "c.jp2")}
    assert [source.href for source in find_sources(ways)] == list(hrefs), "each scene once"


def test_linked_folders_are_resolved_but_linked_files_keep_their_name(archive: Path) -> None:
    (archive / "link").symlink_to(archive / "sub", target_is_directory=True)
    (archive / "dated_20200101.tif").symlink_to(archive / "b.tif")
    (through,) = find_sources([archive / "link" / "c.jp2"])
    assert through.href == str(archive.resolve() / "sub" / "c.jp2")
    (linked,) = find_sources([archive / "dated_20200101.tif"])
    assert linked.href.endswith("dated_20200101.tif")


def test_globs(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(archive)
    assert names("*.t*") == ["b.tif"]
    assert names("sub/*") == ["c.jp2", "deep/d.png", "deep/e.JPEG"]
    assert names("**/*.png") == ["sub/deep/d.png"]
    assert sorted(names(f"{archive}/**")) == ALL
    assert names("s[u]b/c.*") == ["sub/c.jp2"]
    with pytest.raises(UsageError, match=r"no image in \*\.xyz"):
        names("*.xyz")


def test_a_name_with_wildcards_that_exists_is_a_name(archive: Path) -> None:
    odd = archive / "scene[1].tif"
    odd.write_bytes(b"")
    assert names(odd) == ["scene[1].tif"]


def test_a_list_of_paths(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = archive / "list.txt"
    listing.write_text(
        "\ufeff# my scenes\n\nb.tif\n  sub/c.jp2  \nsub/deep\nb.tif\nmissing/scene.tif\n"
        "https://example.com/remote.tif\n"
    )
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    found = list(find_sources([listing]))
    assert [source.name for source in found] == [
        "b.tif",
        "sub/c.jp2",
        "sub/deep/d.png",
        "sub/deep/e.JPEG",
        "missing/scene.tif",
        "remote.tif",
    ]
    assert found[-1].href == "https://example.com/remote.tif"
    # Paths that are not below the list: absolute ones, and those from the current folder.
    listing.write_text(f"archive/sub\n{archive / 'b.tif'}\n")
    away = tmp_path / "other" / "away.txt"
    away.write_text(listing.read_text())
    monkeypatch.chdir(tmp_path)
    assert names(away) == ["c.jp2", "deep/d.png", "deep/e.JPEG", "b.tif"]
    monkeypatch.chdir(tmp_path / "other")
    # The missing one is reported when its turn comes, and is no reason to stop before.
    with pytest.raises(SceneError, match=r"no file .*missing/scene\.tif"):
        open_scene(found[4])


def test_bad_lines_of_a_list_are_skipped_with_a_warning(archive: Path) -> None:
    (archive / "broken.json").write_text("{")
    listing = archive / "list.txt"
    for line in ("empty", "other.txt", "broken.json", "nothing*.tif"):
        listing.write_text(f"{line}\nb.tif\n")
        with pytest.warns(LandsiftWarning, match=line.replace("*", r"\*")):
            assert names(listing) == ["b.tif"]


@pytest.mark.parametrize("text", [b"", b"# nothing\n", b"\xff\xfe\x00binary"])
def test_lists_that_list_nothing_are_refused(tmp_path: Path, text: bytes) -> None:
    listing = tmp_path / "list.txt"
    listing.write_bytes(text)
    with pytest.raises(UsageError, match=r"list\.txt"):
        find_sources([listing])


def test_arguments_that_lead_nowhere_are_known_before_any_work(archive: Path) -> None:
    with pytest.raises(UsageError, match=r"no image in .*empty"):
        find_sources([archive, archive / "empty"])
    with pytest.raises(UsageError, match=r"no file or folder .*nowhere"):
        find_sources([archive, archive / "nowhere"])
    with pytest.raises(UsageError, match="Nothing to look in"):
        find_sources([])


def test_anything_named_by_hand_is_taken(archive: Path) -> None:
    (archive / "scene.dat").write_bytes(b"")
    assert names(archive / "scene.dat") == ["scene.dat"]
    (vsi,) = find_sources(["/vsizip/archive.zip/a.tif"])
    assert (vsi.href, vsi.name) == ("/vsizip/archive.zip/a.tif", "a.tif")
    (remote,) = find_sources(["s3://bucket/key/scene_20200101.tif?x=1"])
    assert remote.name == "scene_20200101.tif"


# STAC


def item(name: str, date: Any = "2020-08-31T17:20:11Z", **assets: dict[str, Any]) -> dict[str, Any]:
    properties = {"datetime": date} if isinstance(date, str) else {"datetime": None, **(date or {})}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": None,
        "properties": properties,
        "links": [],
        "assets": assets,
    }


def asset(href: str, *roles: str, **extra: Any) -> dict[str, Any]:
    return {"href": href, "type": "image/tiff; application=geotiff", "roles": list(roles), **extra}


def colour(href: str, name: str) -> dict[str, Any]:
    return asset(href, "data", **{"eo:bands": [{"name": name[0], "common_name": name}]})


def save(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_an_item_gives_its_visual_asset(tmp_path: Path) -> None:
    path = save(
        tmp_path / "item.json",
        item(
            "S2A_1",
            thumbnail=asset("t.png", "thumbnail"),
            red=colour("r.tif", "red"),
            green=colour("g.tif", "green"),
            blue=colour("b.tif", "blue"),
            visual=asset("tci.tif", "visual"),
        ),
    )
    (source,) = find_sources([path])
    assert source == SceneSource(
        str(tmp_path.resolve() / "tci.tif"), "S2A_1", None, TimeSpan.parse("2020-08-31T17:20:11Z")
    )


def test_an_item_of_single_bands_is_one_scene_of_three_files(tmp_path: Path) -> None:
    document = item(
        "S2A_2",
        nir=colour("n.tif", "nir"),
        blue=colour("b.tif", "blue"),
        green=colour("g.tif", "green"),
        red=colour("r.tif", "red"),
        meta={"href": "m.xml", "type": "application/xml", "roles": ["metadata"]},
    )
    (source,) = find_sources([save(tmp_path / "sub" / "item.json", document)])
    folder = tmp_path.resolve() / "sub"
    assert source.href == f"{folder}/item.json#S2A_2" and source.name == "S2A_2"
    assert source.bands == tuple((f"{folder}/{letter}.tif", 1) for letter in "rgb")
    assert SceneSource.from_json(source.to_json()) == source


def test_the_bands_of_one_asset_are_taken_by_their_names(
    tmp_path: Path, write_raster: Write, noise: Callable[..., Any]
) -> None:
    bands = [{"name": n, "eo:common_name": n} for n in ("blue", "green", "red", "nir")]
    document = item("N1", image=asset("n.tif", "data", bands=bands), preview=asset("p.png", "overview"))
    (source,) = find_sources([save(tmp_path / "item.json", document)])
    place = str(tmp_path.resolve() / "n.tif")
    assert source.href == place
    assert source.bands == ((place, 3), (place, 2), (place, 1))
    with pytest.raises(SceneError, match="no file"):
        open_scene(source)
    write_raster(noise((4, 30, 30), "uint16"), "n.tif")
    with open_scene(source) as scene:
        assert (scene.profile.bands, scene.profile.count) == ((3, 2, 1), 4)
        assert scene.profile.bands_why == "named by the STAC item"
    with open_scene(source, bands=(4, 3, 2)) as scene:
        assert scene.profile.bands == (4, 3, 2)
    write_raster(noise((2, 30, 30), "uint16"), "n.tif")
    with pytest.raises(SceneError, match="no band 3"):
        open_scene(source)


def test_the_only_raster_of_an_item_is_taken(tmp_path: Path) -> None:
    document = item("N2", scan={"href": "./scan.tif"}, thumbnail=asset("t.png", "thumbnail"))
    (source,) = find_sources([save(tmp_path / "item.json", document)])
    assert source.href.endswith("/scan.tif") and source.bands is None


def test_start_and_end_give_an_interval(tmp_path: Path) -> None:
    span = {"start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2020-03-31T23:59:59Z"}
    document = item("Q", span, data=asset("q.tif", "data"))
    (source,) = find_sources([save(tmp_path / "item.json", document)])
    assert source.date == TimeSpan.parse("2020-01-01T00:00:00Z/2020-03-31T23:59:59Z")


def test_an_item_collection(tmp_path: Path) -> None:
    rgb = {"red": colour("r.tif", "red"), "green": colour("g.tif", "green"), "blue": colour("b.tif", "blue")}
    collection = {
        "type": "FeatureCollection",
        "features": [item("one", data=asset("1.tif", "data")), item("two", **rgb)],
    }
    found = list(find_sources([save(tmp_path / "items.json", collection)]))
    assert [source.name for source in found] == ["one", "two"]
    assert found[1].href.endswith("items.json#two")


def test_a_catalog_made_by_pystac_is_followed_to_its_items(tmp_path: Path) -> None:
    catalog = pystac.Catalog("root", "all")
    for year in (2019, 2020):
        extent = pystac.Extent(
            pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]])
        )
        below = pystac.Collection(f"y{year}", "one year", extent)
        catalog.add_child(below)
        for month in (2, 1):
            date = TimeSpan.parse(f"{year}-0{month}").start
            stac_item = pystac.Item(f"{year}-{month}", None, None, date, {})
            stac_item.add_asset("data", pystac.Asset(f"../../images/{year}{month}.tif", roles=["data"]))
            below.add_item(stac_item)
    catalog.normalize_and_save(str(tmp_path / "stac"), pystac.CatalogType.SELF_CONTAINED)
    found = list(find_sources([tmp_path / "stac" / "catalog.json"]))
    assert [source.name for source in found] == ["2019-2", "2019-1", "2020-2", "2020-1"]
    assert all(source.date is not None and Path(source.href).suffix == ".tif" for source in found)
    (alone,) = find_sources([tmp_path / "stac" / "y2019" / "2019-1" / "2019-1.json"])
    assert alone.href == found[1].href


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    def catalog(name: str, *links: tuple[str, str]) -> dict[str, Any]:
        pairs = [{"rel": rel, "href": href} for rel, href in links]
        return {"type": "Catalog", "stac_version": "1.0.0", "id": name, "description": "", "links": pairs}

    save(tmp_path / "b.json", catalog("b", ("child", "a.json"), ("item", "i.json"), ("root", "a.json")))
    save(tmp_path / "i.json", item("i", data=asset("i.tif", "data")))
    first = save(tmp_path / "a.json", catalog("a", ("child", "b.json"), ("item", "i.json")))
    assert names(first) == ["i"]


def test_items_that_cannot_be_used_are_skipped_with_a_warning(tmp_path: Path) -> None:
    good = item("good", data=asset("g.tif", "data"))
    for bad in (
        item("bare"),
        item("text", report={"href": "r.pdf", "type": "application/pdf", "roles": ["data"]}),
        {"type": "Feature", "id": "torn"},
        item("dateless", {}, data=asset("x.tif", "data")),
        item("undated", "the day before", data=asset("x.tif", "data")),
    ):
        path = save(tmp_path / "items.json", {"type": "FeatureCollection", "features": [bad, good]})
        with pytest.warns(LandsiftWarning, match="skipped"):
            assert names(path) == ["good"]


def test_a_broken_link_is_skipped_with_a_warning(tmp_path: Path) -> None:
    links = [{"rel": "item", "href": href} for href in ("gone.json", "torn.json", "good.json")]
    save(tmp_path / "torn.json", '{"type": "Feat')
    save(tmp_path / "good.json", item("good", data=asset("g.tif", "data")))
    catalog = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "", "links": links}
    with pytest.warns(LandsiftWarning, match="skipped") as caught:
        assert names(save(tmp_path / "catalog.json", catalog)) == ["good"]
    assert len(caught) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "broken JSON"),
        ('{"type": "Feature", "assets": {', "broken JSON"),
        ("[1, 2]", "no STAC"),
        ('{"name": "package"}', "no STAC"),
        ('"text"', "no STAC"),
    ],
)
def test_documents_that_are_no_stac_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SceneError, match=message):
        find_sources([save(tmp_path / "item.json", text)])


def test_an_item_whose_file_is_missing_fails_when_opened(tmp_path: Path) -> None:
    (source,) = find_sources([save(tmp_path / "item.json", item("lost", data=asset("lost.tif", "data")))])
    with pytest.raises(SceneError, match=r"no file .*lost\.tif"):
        open_scene(source)


def test_a_scene_of_three_files_is_read_as_one(write_raster: Write, noise: Callable[..., Any]) -> None:
    samples = noise((3, 80, 90), "uint16", 100, 9000)
    samples[:, :10] = 0
    for letter, band in zip("rgb", samples, strict=True):
        path = write_raster(band, f"{letter}.tif", nodata=0)
    whole = write_raster(samples, "whole.tif", nodata=0)
    document = item(
        "three",
        red=colour("r.tif", "red"),
        green=colour("g.tif", "green"),
        blue=colour("b.tif", "blue"),
    )
    place = save(path.parent / "item.json", document)
    window = Window(3, 0, 64, 64)
    with open_scene(whole) as scene:
        expected, profile = scene.read(window), scene.profile
    (source,) = find_sources([place])
    for way in (source, place, f"{place}#three"):
        with open_scene(way) as scene:
            pixels, valid = scene.read(window)
            assert scene.profile.stretch == profile.stretch and scene.profile.corners == profile.corners
            assert scene.profile.date == "2020-08-31T17:20:11Z" and scene.profile.date_from == "STAC item"
            assert valid == expected[1]
            np.testing.assert_array_equal(pixels, expected[0])
            kept = scene.profile
    with open_scene(source, profile=kept) as scene:
        np.testing.assert_array_equal(scene.read(window)[0], expected[0])
    with open_scene(source, bands=(3, 2, 1)) as scene:
        np.testing.assert_array_equal(scene.read(window)[0], expected[0][..., ::-1])

    write_raster(samples[1, :70], "g.tif")
    with pytest.raises(SceneError, match="differ in size"):
        open_scene(source)
    with pytest.raises(SceneError, match="names 0 scenes"):
        open_scene(f"{place}#four")


# Bytes


def test_content_hash_and_signature_follow_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"x" * 3_000_000)
    source = SceneSource(str(path), "a.tif")
    assert content_hash(source) == hashlib.sha256(path.read_bytes()).hexdigest()
    before = stat_signature(source)
    assert before == (3_000_000, path.stat().st_mtime_ns)
    os.utime(path, ns=(1, 1))
    assert stat_signature(source) == (3_000_000, 1)
    path.write_bytes(b"y" * 3_000_000)
    assert content_hash(source) == hashlib.sha256(b"y" * 3_000_000).hexdigest()


def test_every_file_of_a_scene_counts(tmp_path: Path) -> None:
    files = [tmp_path / f"{letter}.tif" for letter in "rgb"]
    for file in files:
        file.write_bytes(b"same")
    source = SceneSource("item.json#i", "i", tuple((str(file), 1) for file in files))
    before = (content_hash(source), stat_signature(source))
    files[1].write_bytes(b"else")
    os.utime(files[1], ns=(5, 5))
    after = (content_hash(source), stat_signature(source))
    assert before[0] != after[0] and before[1] != after[1]


def test_missing_files_have_no_hash_and_no_signature(tmp_path: Path) -> None:
    source = SceneSource(str(tmp_path / "gone.tif"), "gone.tif")
    assert stat_signature(source) is None
    with pytest.raises(SceneError, match="cannot be read"):
        content_hash(source)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serves tmp_path over HTTP, with ranges, as an object store would."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = Path(self.translate_path(self.path))
            wanted = self.headers.get("Range")
            if not wanted or not path.is_file():
                return super().do_GET()
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            body = path.read_bytes()
            part = body[int(first) : int(last) + 1 if last else None]
            self.send_response(206)
            self.send_header("Content-Length", str(len(part)))
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}")
            self.end_headers()
            self.wfile.write(part)

    handler = functools.partial(Handler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_scenes_and_stac_over_http(
    write_raster: Write, noise: Callable[..., Any], server: str, tmp_path: Path
) -> None:
    samples = noise((3, 80, 90), "uint16", 100, 9000)
    path = write_raster(samples, "scene_20200101.tif")
    save(tmp_path / "item.json", item("far", data=asset("scene_20200101.tif", "data")))
    with open_scene(path) as scene:
        expected = scene.read(Window(0, 0, 90, 80))[0]
    (source,) = find_sources([f"{server}/item.json"])
    assert source.href == f"{server}/scene_20200101.tif"
    with open_scene(source) as scene:
        np.testing.assert_array_equal(scene.read(Window(0, 0, 90, 80))[0], expected)
    assert stat_signature(source) is None
    before = content_hash(source)
    assert before == content_hash(source)
    with rasterio.open(path, "r+") as dataset:
        dataset.write(samples + 1)
    os.utime(path, (10**9, 10**9))
    assert content_hash(source) != before
    with pytest.raises(SceneError, match=r"missing\.tif"):
        open_scene(f"{server}/missing.tif")
    with pytest.raises(SceneError, match=r"missing\.json"):
        find_sources([f"{server}/missing.json"])
