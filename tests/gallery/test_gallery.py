"""A gallery from the outside: index, search, change, remove, and everything that goes wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from landsift import Gallery
from landsift.errors import (
    DiskFull,
    EncoderMismatch,
    GalleryBusy,
    GalleryNotFound,
    GalleryReadOnly,
    UsageError,
)
from landsift.gallery import Where
from landsift.gallery.naming import tile_id
from landsift.types import TimeSpan
from toys import ToyEncoder, coloured, write_scene


@pytest.fixture
def gallery(tmp_path, archive, toy):
    with Gallery.create(tmp_path / "gallery", toy, tile=64) as opened:
        opened.add(archive)
        yield opened


def contents(gallery: Gallery) -> list[tuple]:
    """Every stored tile and every line of the ledger, without the numbers that only order them."""
    store = gallery._store
    scenes = {scene.key: scene for scene in store.scenes()}
    tiles = [
        (scenes[i.scene].id, i.scale, i.col, i.line, i.width, i.height, i.gsd, i.valid, i.corners, i.vector)
        for i in store.items()
    ]
    ledger = [
        (
            s.id,
            s.state,
            s.error,
            s.supersedes is None,
            s.settings,
            s.profile,
            s.windows,
            s.windows_done,
            s.tiles,
        )
        for s in scenes.values()
    ]
    return sorted(tiles) + sorted(map(str, ledger))


def slow_scores(gallery: Gallery, query: np.ndarray) -> dict[str, float]:
    """The score of every tile, from the stored vectors alone, best first."""
    store = gallery._store
    scenes = {scene.key: scene for scene in store.scenes()}
    scores = {
        tile_id(i, scenes[i.scene]): float(np.frombuffer(i.vector, "<f2").astype(np.float64) @ query)
        for i in store.items()
    }
    return dict(sorted(scores.items(), key=lambda pair: -pair[1]))


def assert_exact(gallery: Gallery, text: str, k: int) -> None:
    """The search gives the k best, up to the rounding of float32."""
    matches = gallery.search(text, k=k, overlapping="keep")
    expected = slow_scores(gallery, gallery.encoder.encode_texts([text])[0].astype(np.float64))
    assert [m.score for m in matches] == pytest.approx(list(expected.values())[:k], abs=1e-6)
    assert [m.score for m in matches] == pytest.approx([expected[m.tile] for m in matches], abs=1e-6)
    assert len({m.tile for m in matches}) == k


# -- indexing ------------------------------------------------------------------------------------------------


def test_indexing_again_does_no_work(gallery, archive, toy):
    before, seen = contents(gallery), toy.images_seen
    report = gallery.add(archive)
    assert (report.indexed, report.unchanged, report.tiles) == (0, 3, 0)
    assert toy.images_seen == seen and contents(gallery) == before


def test_what_is_stored_does_not_depend_on_the_number_of_readers(tmp_path, archive, gallery):
    for workers in (1, 5):
        with Gallery.create(tmp_path / f"g{workers}", ToyEncoder(), tile=64) as other:
            other.add(archive, workers=workers)
            assert contents(other) == contents(gallery)


def test_new_scenes_join_and_the_search_sees_them(gallery, archive):
    assert gallery.search("yellow", k=1)[0].scene != "yellow.tif"
    write_scene(archive / "yellow.tif", coloured("yellow", 9), west=600_000)
    report = gallery.add(archive)
    assert (report.indexed, report.unchanged) == (1, 3)
    assert gallery.search("yellow", k=1)[0].scene == "yellow.tif"
    assert gallery.verify() == []


def test_a_touched_file_is_not_indexed_again_but_a_changed_one_is(gallery, archive, toy):
    seen = toy.images_seen
    os.utime(archive / "red_20200101.tif", ns=(1, 1))
    assert gallery.add(archive).unchanged == 3 and toy.images_seen == seen
    assert gallery.verify() == []
    write_scene(archive / "red_20200101.tif", coloured("yellow", 5), west=500_000)
    assert any("has changed since" in sentence for sentence in gallery.verify())
    assert gallery.add(archive).indexed == 1
    assert gallery.search("yellow", k=1)[0].scene == "red_20200101.tif"
    assert gallery.verify() == [] and len(gallery.scenes()) == 3


def test_a_changed_file_that_cannot_be_read_keeps_its_old_tiles(gallery, archive):
    before = len(gallery)
    (archive / "red_20200101.tif").write_bytes(b"<html>404</html>")
    report = gallery.add(archive)
    assert [name for name, _ in report.failed] == ["red_20200101.tif"]
    assert len(gallery) == before and gallery.search("red", k=1)[0].scene == "red_20200101.tif"
    assert any("cannot be read" in sentence for sentence in gallery.verify())
    write_scene(archive / "red_20200101.tif", coloured("red", 0), west=500_000)
    assert gallery.add(archive).failed == [] and gallery.verify() == []


def test_other_settings_cut_anew_and_no_settings_keep_what_is_there(gallery, archive):
    before = len(gallery)
    report = gallery.add(archive / "red_20200101.tif", tile=128)
    assert report.indexed == 1 and len(gallery) < before
    assert gallery.add(archive).unchanged == 3
    sizes = {
        m.window.width for m in gallery.search("red", k=50, where=Where(scene="red*"), overlapping="keep")
    }
    assert sizes == {128} and gallery.verify() == []


def test_scales_find_large_and_small(tmp_path, archive, toy):
    with Gallery.create(tmp_path / "g", toy, tile=64, scales=(1, 2)) as gallery:
        gallery.add(archive)
        matches = gallery.search("red", k=500, overlapping="keep")
        assert {(m.scale, m.window.width) for m in matches} == {(1.0, 64), (2.0, 128)}
        gsd = {m.scale: m.gsd for m in matches}
        assert gsd[2.0] == pytest.approx(2 * gsd[1.0], rel=1e-3)


def test_a_bad_scene_is_recorded_and_the_rest_goes_on(tmp_path, archive, toy):
    (archive / "broken.tif").write_bytes(b"II*\x00 and nothing else")
    (archive / "empty.tif").write_bytes(b"")
    (archive / "page.tif").write_text("<!DOCTYPE html><html>not found</html>")
    with Gallery.create(tmp_path / "g", toy, tile=64) as gallery:
        report = gallery.add(archive)
        assert report.indexed == 3 and sorted(name for name, _ in report.failed) == [
            "broken.tif",
            "empty.tif",
            "page.tif",
        ]
        assert all(sentence.endswith((".", "?")) and "\n" not in sentence for _, sentence in report.failed)
        assert gallery.add(archive).failed_before == 3
        assert len(gallery.add(archive, retry_failed=True).failed) == 3
        write_scene(archive / "empty.tif", coloured("yellow", 3), west=700_000)
        report = gallery.add(archive)  # it changed, so it is tried without being asked
        assert report.indexed == 1 and report.failed_before == 2
        assert len(gallery.scenes()) == 6


def test_a_file_cut_short_fails_as_a_whole(tmp_path, archive, toy):
    big = np.repeat(np.repeat(coloured("green", 1), 8, axis=0), 8, axis=1)
    path = write_scene(
        archive / "big.tif", big, compress="deflate", tiled=True, blockxsize=128, blockysize=128
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with Gallery.create(tmp_path / "g", toy, tile=64) as gallery:
        report = gallery.add(archive)
        assert [name for name, _ in report.failed] == ["big.tif"] and report.indexed == 3
        assert report.tiles == len(gallery) and gallery.search("green", k=1)[0].scene == "green_20210615.tif"


def test_interrupted_indexing_goes_on_where_it_stopped(tmp_path, archive, gallery):
    class Interrupted(ToyEncoder):
        def encode_images(self, images):
            if self.images_seen > 60:
                raise KeyboardInterrupt
            return super().encode_images(images)

    with Gallery.create(tmp_path / "g", Interrupted(), tile=64) as stopped, pytest.raises(KeyboardInterrupt):
        stopped.add(archive)
    toy = ToyEncoder()
    with Gallery.open(tmp_path / "g", toy) as resumed:
        already = len(resumed)
        assert already == 64 and any("at window" in sentence for sentence in resumed.verify())
        resumed.add(archive)
        assert toy.images_seen == len(resumed) - already
        assert contents(resumed) == contents(gallery) and resumed.verify() == []


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
import landsift.gallery.indexing as indexing
from landsift import Gallery
from toys import ToyEncoder
class Slow(ToyEncoder):
    def encode_images(self, images):
        time.sleep(0.02)
        return super().encode_images(images)
indexing.BATCH = 8
print("begun", flush=True)
with Gallery.open_or_create({gallery!r}, Slow(), tile=64) as gallery:
    gallery.add({archive!r}, workers=2)
"""


@pytest.mark.slow
def test_killed_twenty_times_it_ends_as_if_undisturbed(tmp_path, archive, toy):
    for number in range(4, 10):
        write_scene(
            archive / f"more_{number}.tif",
            coloured("green", number, 300, 300),
            west=500_000 + 10_000 * number,
        )
    with Gallery.create(tmp_path / "calm", toy, tile=64) as calm:
        calm.add(archive)
        expected, answer = contents(calm), [m.tile for m in calm.search("red", k=20)]
    script = KILLED.format(
        tests=str(Path(__file__).parents[1]), gallery=str(tmp_path / "killed"), archive=str(archive)
    )
    moments = np.random.default_rng(7).uniform(0, 0.25, 20)
    finished = 0
    for moment in moments:
        run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert run.stdout is not None and run.stdout.readline() == b"begun\n"
        try:
            finished += run.wait(moment) == 0
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
    assert finished < 20
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)
    with Gallery.open(tmp_path / "killed", toy) as killed:
        assert killed.verify() == []
        assert contents(killed) == expected
        assert [m.tile for m in killed.search("red", k=20)] == answer


def test_a_kill_between_the_commit_and_the_cache_is_healed_on_open(gallery, archive, tmp_path):
    ids = [m.tile for m in gallery.search("blue", k=5)]
    cache = tmp_path / "gallery" / "cache"
    for damage in (lambda: shutil.rmtree(cache), lambda: (cache / "columns.json").write_text("{}")):
        damage()
        with Gallery.open(gallery.folder, ToyEncoder()) as again:
            assert [m.tile for m in again.search("blue", k=5)] == ids
            assert again.verify() == []


def test_a_full_disk_keeps_what_was_committed(tmp_path, archive, toy):
    with Gallery.create(tmp_path / "g", toy, tile=64) as gallery:
        gallery.add(archive / "red_20200101.tif")
        before = len(gallery)
        pages = gallery._store._db.execute("PRAGMA page_count").fetchone()[0]
        gallery._store._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DiskFull, match="repeat the command"):
            gallery.add(archive)
        assert len(gallery) == before and gallery.search("red", k=1)[0].scene == "red_20200101.tif"
        gallery._store._db.execute("PRAGMA max_page_count = 100000")
        gallery.add(archive)
        assert gallery.verify() == [] and len(gallery.scenes()) == 3


# -- searching ----------------------------------------------------------------------------------------------


def test_ranking_is_exact_with_score_percentile_and_place(gallery):
    result = gallery.search("red", k=7, overlapping="keep")
    assert_exact(gallery, "red", 7)
    assert result.searched == result.total == len(gallery)
    assert [m.rank for m in result] == list(range(1, 8))
    assert [m.percentile for m in result] == pytest.approx(
        [100 * (len(gallery) - n) / len(gallery) for n in range(7)]
    )
    best = result[0]
    assert best.scene == "red_20200101.tif" and best.date == "2020-01-01"
    assert best.gsd == pytest.approx(10, rel=0.01) and best.window.width == 64
    longitude, latitude = best.center
    assert 14.9 < longitude < 15.1 and 41.5 < latitude < 41.6


def test_merging_gives_one_match_a_place(gallery):
    merged = gallery.search("red", k=100)
    kept = gallery.search("red", k=1000, overlapping="keep")
    assert len(kept) == len(gallery) and len(merged) < len(kept)
    by_tile = {m.tile: m for m in kept}
    for match in merged:
        assert by_tile[match.tile].score == match.score and by_tile[match.tile].percentile == match.percentile
    assert merged[0].tile == kept[0].tile


def test_filters_work_inside_the_search(gallery):
    green = gallery.search("red", k=3, where=Where(scene="green*"))
    assert {m.scene for m in green} == {"green_20210615.tif"} and len(green) == 3
    assert green.searched == len(gallery) // 3 and green[0].percentile == 100
    late = gallery.search("red", k=50, where=Where(after=TimeSpan.parse("2022")))
    assert {m.scene for m in late} == {"blue_20220301.tif"}
    west, south = gallery.search("blue", k=1)[0].corners.min(axis=0)
    tiny = Where(box=(west, south, west + 1e-5, south + 1e-5))
    found = gallery.search("red", k=50, where=tiny, overlapping="keep")
    assert 0 < len(found) < 10 and {m.scene for m in found} == {"blue_20220301.tif"}
    assert len(gallery.search("red", where=Where(box=(0, 0, 1, 1)))) == 0


def test_min_score_cuts_the_tail(gallery):
    scores = [m.score for m in gallery.search("red", k=20)]
    assert [m.score for m in gallery.search("red", k=20, min_score=scores[4])] == scores[:5]


def test_like_a_tile_leaves_that_place_out(gallery):
    best = gallery.search("blue", k=1)[0]
    similar = gallery.search(like=[best.tile], k=5)
    assert best.tile not in [m.tile for m in similar] and similar[0].scene == "blue_20220301.tif"
    everything = gallery.search(like=[best.tile], k=1000, overlapping="keep")
    assert len(everything) == len(gallery) - 1


def test_not_turns_the_answer(gallery):
    plain = gallery.search("yellow", k=1)[0].scene
    assert plain in ("red_20200101.tif", "green_20210615.tif")
    assert gallery.search("yellow", unlike=["red"], k=1)[0].scene == "green_20210615.tif"
    assert gallery.search("yellow", unlike=["green"], k=1)[0].scene == "red_20200101.tif"


def test_image_queries_take_files_and_arrays(gallery, tmp_path):
    blue = np.full((40, 50, 3), (10, 20, 200), np.uint8)
    assert gallery.search(like=[blue], k=1)[0].scene == "blue_20220301.tif"
    write_scene(tmp_path / "photo.tif", blue, crs=None)
    assert gallery.search(like=[tmp_path / "photo.tif"], k=1)[0].scene == "blue_20220301.tif"


def test_a_cut_of_an_indexed_scene_is_stretched_like_that_scene(tmp_path, toy):
    # 16-bit: a dark half and a bright half. The dark cut alone would stretch to full range.
    scene = np.zeros((128, 256, 3), np.uint16)
    scene[:, :128] = np.random.default_rng(0).integers(100, 200, (128, 128, 3))
    scene[:, 128:] = np.random.default_rng(1).integers(9_000, 10_000, (128, 128, 3))
    scene[:, :128, 2] += 900
    write_scene(tmp_path / "scene.tif", scene)
    write_scene(tmp_path / "cut.tif", scene[:128, :128])
    with Gallery.create(tmp_path / "g", toy, tile=128, overlap=0) as gallery:
        gallery.add(tmp_path / "scene.tif")
        match = gallery.search(like=[tmp_path / "cut.tif"], k=1)[0]
        assert match.window.col == 0 and match.score > 0.999


def test_tiles_without_coordinates_are_found_but_not_by_a_box(tmp_path, toy):
    write_scene(tmp_path / "photo.tif", coloured("red", 0), crs=None)
    with Gallery.create(tmp_path / "g", toy, tile=64) as gallery:
        gallery.add(tmp_path / "photo.tif")
        match = gallery.search("red", k=1)[0]
        assert match.corners is None and match.center is None and match.gsd is None
        boxed = gallery.search("red", where=Where(box=(-180, -90, 180, 90)))
        assert len(boxed) == 0 and "without coordinates" in boxed.notes[0]
        assert "without a date" in gallery.search("red", where=Where(after=TimeSpan.parse("2000"))).notes[0]


def test_read_gives_the_pixels_that_were_encoded(gallery, toy):
    match = gallery.search("green", k=1)[0]
    vector = toy.encode_images([gallery.read(match)])[0]
    stored = np.frombuffer(gallery._tile(match.tile).vector, "<f2")
    assert np.allclose(vector, stored, atol=1e-3)
    assert gallery.read(match.tile, 32).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"text": "red", "k": 0}, "k must be 1"),
        ({"text": "  "}, "empty"),
        ({"text": ""}, "empty"),
        ({}, "nothing to search for"),
        ({"unlike": ["red"]}, "nothing to search for"),
        ({"like": ["no-such-tile_s1_x0_y0"]}, "neither a tile"),
        ({"like": ["\x00"]}, "neither a tile"),
        ({"text": "red", "overlapping": "drop"}, "'merge' or 'keep'"),
    ],
)
def test_bad_searches_say_what_to_do(gallery, arguments, words):
    with pytest.raises(UsageError, match=words):
        gallery.search(**arguments)


# -- several processes, other encoders, other places -------------------------------------------------------


def test_another_process_is_seen_without_reopening(gallery, archive):
    assert gallery.search("yellow", k=1)[0].scene != "yellow.tif"
    write_scene(archive / "yellow.tif", coloured("yellow", 9), west=600_000)
    with Gallery.open(gallery.folder, ToyEncoder()) as other:
        other.add(archive)
    assert gallery.search("yellow", k=1)[0].scene == "yellow.tif"
    with Gallery.open(gallery.folder, ToyEncoder()) as other:
        other.remove("yellow.tif")
    assert gallery.search("yellow", k=1)[0].scene != "yellow.tif"


def test_a_second_writer_is_told_or_waits(gallery, archive):
    lock = FileLock(gallery.folder / "writer.lock")
    lock.acquire()
    with pytest.raises(GalleryBusy, match="Another process is writing"):
        gallery.add(archive)
    assert gallery.search("red", k=1)[0].scene == "red_20200101.tif"  # reading needs no lock
    said = []

    def heard(sentence: str) -> None:
        said.append(sentence)
        lock.release()

    assert gallery.add(archive, on_wait=heard).unchanged == 3
    assert "waiting" in said[0]


def test_another_encoder_is_refused_by_name(gallery, archive):
    with pytest.raises(EncoderMismatch, match=r"toy .* not other"):
        Gallery.open(gallery.folder, ToyEncoder("other"))
    with pytest.raises(EncoderMismatch):
        Gallery.open(gallery.folder, ToyEncoder("toy", salt="retrained"))
    with pytest.raises(UsageError, match="already"):
        Gallery.create(gallery.folder, ToyEncoder())


def test_a_gallery_that_cannot_be_written_can_be_searched(gallery, archive, monkeypatch):
    expected = [m.tile for m in gallery.search("red", k=5)]
    gallery.close()
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode, **k: False if mode & os.W_OK else real(path, mode, **k)
    )
    with Gallery.open(gallery.folder, ToyEncoder()) as reader:
        assert [m.tile for m in reader.search("red", k=5)] == expected
        with pytest.raises(GalleryReadOnly):
            reader.add(archive)
        with pytest.raises(GalleryReadOnly):
            reader.remove("red*")
    shutil.rmtree(gallery.folder / "cache")
    with Gallery.open(gallery.folder, ToyEncoder()) as reader:
        assert [m.tile for m in reader.search("red", k=5)] == expected
    assert not (gallery.folder / "cache").exists()
    with pytest.raises(GalleryReadOnly, match="cannot be written"):
        Gallery.create(gallery.folder / "new", ToyEncoder())


def test_opening_nothing_names_the_command(tmp_path):
    with pytest.raises(GalleryNotFound, match="landsift index"):
        Gallery.open(tmp_path / "nothing")


# -- removing, checking, exporting ---------------------------------------------------------------------------


def test_a_removed_scene_is_never_found_again(gallery):
    before = len(gallery)
    assert gallery.remove("red*") == ["red_20200101.tif"]
    assert len(gallery) == before * 2 // 3
    matches = gallery.search("red", k=1000, overlapping="keep")
    assert "red_20200101.tif" not in {m.scene for m in matches} and len(matches) == len(gallery)
    assert gallery.verify() == []
    with pytest.raises(UsageError, match="No scene fits"):
        gallery.remove("red*")


def test_removing_and_adding_many_times_keeps_cache_and_store_in_step(gallery, archive):
    for _ in range(4):
        for name in ("red*", "blue*"):
            gallery.remove(name)
            assert gallery.verify() == []
        gallery.add(archive)
        assert gallery.verify() == []
        assert gallery.search("red", k=1)[0].scene == "red_20200101.tif"
    assert_exact(gallery, "red", 9)


def test_scenes_whose_file_is_gone(gallery, archive):
    (archive / "red_20200101.tif").unlink()
    assert any("is gone" in sentence for sentence in gallery.verify())
    assert gallery.remove(missing=True) == ["red_20200101.tif"] and gallery.verify() == []


def test_verify_notices_damage(gallery):
    db = gallery._store._db
    db.execute("UPDATE item SET vector = zeroblob(32) WHERE row = 5")
    db.execute("DELETE FROM item WHERE row = 7")
    db.execute("UPDATE item SET scene = 999 WHERE row = 9")
    sentences = " ".join(gallery.verify())
    for words in ("no usable vector", "should have", "belong to no scene", "search cache"):
        assert words in sentences


def test_export_writes_every_tile(gallery, tmp_path):
    import pyarrow.parquet as parquet
    import pyogrio

    count = gallery.export(tmp_path / "f.gpkg")
    assert count == len(gallery) == pyogrio.read_info(tmp_path / "f.gpkg")["features"]
    gallery.export(tmp_path / "f.parquet", vectors=True, where=Where(scene="red*"))
    table = parquet.read_table(tmp_path / "f.parquet")
    assert table.num_rows == len(gallery) // 3 and len(table.column("embedding")[0]) == 16
    with pytest.raises(UsageError, match="GeoParquet only"):
        gallery.export(tmp_path / "f.csv", vectors=True)


def test_info_sums_up(gallery):
    facts = gallery.info()
    assert facts["tiles"] == len(gallery) and facts["scenes"] == {"done": 3, "partial": 0, "failed": 0}
    assert facts["dates"] == ["2020-01-01", "2022-03-01"]
    west, south, east, north = facts["bounds"]
    assert 14.9 < west < east < 15.4 and 41.4 < south < north < 41.7
