"""Quick ways of a gallery: chosen, built without encoding, kept up to date, healed, explained."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from landsift import Gallery
from landsift.errors import GalleryBusy, UsageError
from landsift.gallery import Where
from landsift.gallery.gallery import open_cache
from landsift.index import planner
from toys import ToyEncoder, coloured, write_scene


@pytest.fixture(autouse=True)
def codes_cost_nothing(monkeypatch):
    """So that the planner takes quick ways in galleries of a few hundred tiles."""
    monkeypatch.setattr(planner, "_SCATTERED", 0)
    monkeypatch.setattr("landsift.index.hamming._DISTANCE_BYTES", 0)
    monkeypatch.setattr("landsift.index.stored._QUESTIONS", 8)  # and recall is measured soon
    monkeypatch.setattr("landsift.gallery.ways._SUBJECTS", ("green fields", "a red roof", "blue water"))


@pytest.fixture
def gallery(tmp_path, archive, toy):
    write_scene(archive / "yellow_20230101.tif", coloured("yellow", 9, 500, 700), west=600_000)
    with Gallery.create(tmp_path / "gallery", toy, tile=64) as opened:
        opened.add(archive)
        yield opened


def found(gallery: Gallery, **wanted) -> tuple[str, list[str]]:
    """The way taken, and the tiles."""
    result = gallery.search("green", k=8, overlapping="keep", **wanted)
    return result.trace.path, [match.tile for match in result]


def codes_on_disk(gallery: Gallery) -> int:
    codes = gallery.folder / "cache" / "ways" / "hamming" / "codes"
    return json.loads((codes / "columns.json").read_bytes())["count"]


@pytest.mark.parametrize("kind", ["cascade", "ann"])
def test_reindex_changes_the_way_and_not_the_answer(gallery, toy, kind):
    way, exact = found(gallery)
    assert way == "exact"
    seen = toy.images_seen
    facts = gallery.reindex(kind, floor=0.95)
    assert toy.images_seen == seen, "no tile is encoded again"
    assert facts["kind"] == kind and facts["rows"] == len(gallery)
    assert {m["way"] for m in facts["measured"]} == ({"cascade"} if kind == "cascade" else {"cascade", "ann"})
    way, quick = found(gallery)
    assert way in ("cascade", "ann") and len(set(quick) & set(exact)) >= 6
    assert gallery.verify() == []
    with Gallery.open(gallery.folder, ToyEncoder()) as again:
        assert found(again) == (way, quick)
    gallery.reindex("flat")
    assert found(gallery) == ("exact", exact)
    assert not list((gallery.folder / "cache" / "ways").glob("*"))


def test_floor_that_no_way_reaches_is_kept_by_scanning(gallery):
    exact = found(gallery)
    facts = gallery.reindex("hamming", floor=1.0)
    assert not all(m["used"] for m in facts["measured"])
    assert found(gallery) == exact


def test_filters_are_exact_on_quick_ways(gallery):
    where = Where(scene="yellow*")
    exact = gallery.search("red", k=5, where=where, overlapping="keep")
    gallery.reindex("cascade", floor=0.5)
    quick = gallery.search("red", k=5, where=where, overlapping="keep")
    assert {m.scene for m in quick} == {"yellow_20230101.tif"} and quick.searched == exact.searched
    scores = {m.tile: m.score for m in exact}
    assert all(scores.get(m.tile, m.score) == m.score for m in quick)


def test_added_tiles_are_found_and_removed_ones_never(gallery, archive, toy):
    gallery.reindex("cascade", floor=0.5)
    before = codes_on_disk(gallery)
    write_scene(archive / "more_20240101.tif", coloured("green", 30), west=700_000)
    gallery.add(archive)
    assert codes_on_disk(gallery) == len(gallery) > before
    way, tiles = found(gallery)
    assert way == "cascade" and any(tile.startswith("more") for tile in tiles)
    gallery.remove("more_20240101.tif")
    way, tiles = found(gallery)
    assert way == "cascade" and tiles and not any(tile.startswith("more") for tile in tiles)
    assert gallery.verify() == []


def test_rows_are_rebuilt_with_their_codes_when_many_were_removed(gallery):
    gallery.reindex("cascade", floor=0.5)
    gallery.remove("yellow_20230101.tif")
    assert codes_on_disk(gallery) == len(gallery) == len(gallery.snapshot().cache.row)
    assert found(gallery)[0] == "cascade"


def test_adding_extends_the_codes_and_learns_nothing_anew(gallery, archive):
    gallery.reindex("cascade", floor=0.5)
    folder = gallery.folder / "cache" / "ways" / "hamming"
    learnt = {path.name: path.stat().st_mtime_ns for path in folder.glob("coder-*.npz")}
    write_scene(archive / "more_20240101.tif", coloured("green", 30, 130, 130), west=700_000)
    gallery.add(archive)
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("coder-*.npz")} == learnt
    assert codes_on_disk(gallery) == len(gallery)


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
import landsift.gallery.gallery as module
from toys import ToyEncoder
def died(*_, **__):
    os._exit(9)
{patch}
with module.Gallery.open({gallery!r}, ToyEncoder()) as gallery:
    gallery.add({archive!r})
"""


@pytest.mark.parametrize(
    "patch",
    [
        "module.open_cache = died",
        "import landsift.index.stored as stored; stored.StoredWays.save = died",
        "import landsift.files as files; files.replace_file = died",
    ],
    ids=["before the cache", "between cache and codes", "before the header counts"],
)
def test_a_process_killed_after_the_commit_is_healed_on_open(gallery, archive, patch):
    gallery.reindex("cascade", floor=0.5)
    gallery.close()
    write_scene(archive / "more_20240101.tif", coloured("green", 30), west=700_000)
    tests = str(Path(__file__).parents[1])
    script = KILLED.format(tests=tests, patch=patch, gallery=str(gallery.folder), archive=str(archive))
    assert subprocess.run([sys.executable, "-c", script]).returncode == 9
    with Gallery.open(gallery.folder, ToyEncoder()) as healed:
        way, tiles = found(healed)
        assert way == "cascade" and any(tile.startswith("more") for tile in tiles)
        assert codes_on_disk(healed) == len(healed) == len(healed.snapshot().cache.row)
        assert healed.verify() == []


def test_damaged_and_foreign_codes_are_built_again(gallery, tmp_path):
    gallery.reindex("cascade", floor=0.5)
    ways, kept = gallery.folder / "cache" / "ways", tmp_path / "kept"
    shutil.copytree(ways, kept)
    with Gallery.open(gallery.folder, ToyEncoder()) as again:
        again.remove("yellow_20230101.tif")
        again.reindex()
    shutil.rmtree(ways)
    shutil.copytree(kept, ways)  # codes of rows that are not there any more
    with Gallery.open(gallery.folder, ToyEncoder()) as again:
        expected = found(again)
        assert expected[0] == "cascade" and codes_on_disk(again) == len(again)
    for damage in (
        lambda: shutil.rmtree(ways),
        lambda: next((ways / "hamming").glob("coder-*.npz")).write_bytes(b"PK"),
        lambda: (ways / "hamming" / "codes" / "columns.json").write_text("{"),
    ):
        damage()
        with Gallery.open(gallery.folder, ToyEncoder()) as again:
            assert found(again) == expected


def without_saving(*arguments, **options):
    return open_cache(*arguments, **options | {"save": False})


def test_a_reader_beside_a_writer_sees_new_tiles_on_the_quick_way(gallery, archive, toy):
    gallery.reindex("cascade", floor=0.5)
    with Gallery.open(gallery.folder, ToyEncoder()) as reader:
        assert found(reader)[0] == "cascade"
        write_scene(archive / "more_20240101.tif", coloured("green", 30), west=700_000)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("landsift.gallery.gallery.open_cache", without_saving)
            gallery.add(archive)
        way, tiles = found(reader)
        assert way == "cascade" and any(tile.startswith("more") for tile in tiles)


def test_auto_is_flat_as_long_as_scanning_is_quick(gallery, monkeypatch):
    gallery.reindex("auto", floor=0.5)
    assert found(gallery)[0] == "exact"
    monkeypatch.setattr("landsift.index.stored._AUTO_BYTES", 100)
    gallery.reindex()
    assert found(gallery)[0] == "cascade"


def test_explained_stages_add_up(gallery):
    gallery.reindex("cascade", floor=0.5)
    trace = gallery.search("green", k=3).trace
    names = [stage.name for stage in trace.stages]
    assert names[:4] == ["query encoded", "filters", "shortlist", "exact order"]
    assert trace.stages[2].rows == len(gallery) and 0.5 <= trace.recall <= 1
    assert trace.to_dict()["path"] == "cascade" and len(trace.to_dict()["stages"]) == len(names)
    nothing = gallery.search("green", where=Where(scene="no such*"))
    assert nothing.trace.path == "exact" and "No row passes" in nothing.trace.why


def test_less_crowded_tiles_come_first_with_their_scores_as_they_are(gallery):
    plain = gallery.search("green", k=300, overlapping="keep")
    moved = gallery.search("green", k=300, overlapping="keep", csls=True)
    scores = {m.tile: m.score for m in plain}
    assert {m.tile: m.score for m in moved} == scores
    crowd = gallery._crowd
    vectors = gallery.vectors([m.tile for m in moved])
    crowding = np.sort(crowd @ vectors.T, axis=0)[-10:].mean(axis=0)
    least = 2 * np.array([m.score for m in moved]) - crowding
    assert (np.diff(least) <= 1e-3).all() and [m.tile for m in moved] != [m.tile for m in plain]


class RedLover:
    """Scores a pair by how red the picture is, whatever the text."""

    def __init__(self) -> None:
        self.card = ToyEncoder("lover").card
        self.asked: list[int] = []

    def score(self, images, texts):
        self.asked.append(len(images))
        return np.array([[float(image[..., 0].mean())] * len(texts) for image in images], np.float32)


def test_a_scorer_of_pairs_orders_the_best_matches(gallery, archive):
    scorer = RedLover()
    judged = gallery.search("green", k=4, judge=scorer, overlapping="keep")
    best = gallery.search("green", k=70, overlapping="keep")
    redness = {m.tile: float(gallery.read(m)[..., 0].mean()) for m in best}
    expected = sorted(redness, key=redness.__getitem__, reverse=True)[:4]
    assert [m.tile for m in judged] == expected and scorer.asked == [70]
    assert [m.rank for m in judged] == [1, 2, 3, 4]
    assert {m.tile: m.score for m in judged}.items() <= {m.tile: m.score for m in best}.items()
    assert judged.trace.stages[-1].name == "judged by lover"
    with pytest.raises(UsageError, match="judges by a text"):
        gallery.search(like=[expected[0]], judge=scorer)
    for path in archive.glob("green*"):
        path.unlink()
    blind = gallery.search("green", k=70, judge=scorer, overlapping="keep")
    assert any("could not be read" in note for note in blind.notes) and len(blind) == 70


def test_the_command_line_tells_and_refuses(gallery, archive, tmp_path, landsift_command, monkeypatch):
    monkeypatch.setattr("landsift.gallery.gallery.load_encoder", lambda *_: ToyEncoder())
    folder = gallery.folder
    gallery.close()
    code, out, err = landsift_command("reindex", folder, "--index", "cascade", "--recall", 0.5, "--bits", 64)
    assert code == 0 and "cascade" in out and "least recall 0.5" in err
    code, out, _ = landsift_command("search", folder, "green", "--explain", "--json")
    assert code == 0 and json.loads(out)["explain"]["path"] == "cascade"
    code, out, err = landsift_command("search", folder, "green", "--explain")
    assert code == 0 and "way: cascade (measured recall" in err and "shortlist" in out
    code, out, _ = landsift_command("index", folder, archive, "--index", "flat", "--json")
    assert code == 0
    code, out, err = landsift_command("reindex", folder)
    assert code == 0 and "exact" in err
    for bad in (("--index", "tree"), ("--recall", 2), ("--bits", 7)):
        code, _, err = landsift_command("reindex", folder, *bad)
        assert code == 2, err
    assert landsift_command("reindex", tmp_path / "none")[0] == 1


def test_reindexing_waits_for_no_other_writer(gallery):
    other = Gallery.open(gallery.folder, ToyEncoder())
    with other, gallery._writing(None), pytest.raises(GalleryBusy):
        other.reindex("cascade")
    assert found(gallery)[0] == "exact"
