"""Small things in a gallery: views at index time, scores pooled over places, a closer look at the best."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from landsift import Gallery
from landsift.errors import UsageError
from landsift.gallery import IndexSettings, Pool, Refine, Where
from landsift.gallery.naming import tile_id
from landsift.scenes import TilingOptions, crops_of, plan
from landsift.scenes.views import crop_offsets, view_grid
from toys import ToyEncoder, write_scene


def meadow(seed: int) -> np.ndarray:
    """Green with noise; a pixel in thirty is black or white, so that a stretch keeps it."""
    rng = np.random.default_rng(seed)
    pixels = np.array([20, 180, 20]) + rng.integers(0, 20, (150, 200, 3))
    pixels[rng.random((150, 200)) < 0.035] = 1
    pixels[rng.random((150, 200)) < 0.035] = 255
    return pixels.astype(np.uint8)


@pytest.fixture
def fleet(tmp_path):
    """Green scenes; in one lies a red thing of 14 pixels."""
    folder = tmp_path / "fleet"
    folder.mkdir()
    for number in range(3):
        pixels = meadow(number)
        if number == 1:
            pixels[70:84, 130:144] = (230, 10, 10)
        write_scene(folder / f"sea{number}_2020.tif", pixels, west=500_000 + 10_000 * number)
    return folder


@pytest.fixture
def gallery(tmp_path, fleet):
    with Gallery.create(tmp_path / "g", ToyEncoder(), tile=64, scales=(1, 2), views=5) as opened:
        opened.add(fleet)
        yield opened


# -- views -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("views", "grid"), [(1, 0), (5, 2), (10, 3), (17, 4)])
def test_views_are_a_whole_and_a_grid(views, grid):
    assert view_grid(views) == grid


@pytest.mark.parametrize("views", [0, 2, 4, 26])
def test_other_views_are_refused(views):
    with pytest.raises(UsageError, match="1 view, or with its crops 5, 10, 17"):
        TilingOptions(views=views)


@pytest.mark.parametrize("grid", [2, 3, 4])
@pytest.mark.parametrize("length", [1, 7, 64, 257])
def test_crops_cover_a_side_from_end_to_end(grid, length):
    size, starts = crop_offsets(length, grid)
    assert len(starts) == grid and starts[0] == 0 and starts[-1] + size == length
    covered = {pixel for start in starts for pixel in range(start, start + size)}
    assert covered == set(range(length))
    image = np.arange(length * 9 * 3, dtype=np.uint8).reshape(length, 9, 3)
    crops = crops_of(image, grid)
    assert len(crops) == grid * grid and np.shares_memory(crops[-1], image)
    np.testing.assert_array_equal(crops[-1], image[starts[-1] :, crop_offsets(9, grid)[1][-1] :])


class _Size:
    block, gsd = (64, 64), None

    def __init__(self, width, height):
        self.width, self.height = width, height


@pytest.mark.parametrize("size", [(260, 200), (64, 64), (30, 500)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_the_plan_holds_the_crops_of_every_tile_once(size, overlap):
    whole = list(plan(_Size(*size), TilingOptions(64, overlap)).windows())
    laid = plan(_Size(*size), TilingOptions(64, overlap, views=5))
    windows = [(w.col, w.row, w.width, w.height) for w in laid.windows()]
    expected = []
    for tile in whole:
        width, across = crop_offsets(tile.width, 2)
        height, down = crop_offsets(tile.height, 2)
        expected += [(tile.col + x, tile.row + y, width, height) for y in down for x in across]
    assert windows[: len(whole)] == [(w.col, w.row, w.width, w.height) for w in whole]
    assert sorted(windows[len(whole) :]) == sorted(set(expected))
    assert {block.scale for block in laid.blocks} == {1.0, 0.5625}
    assert all(max(block.size) <= 64 for block in laid.blocks)


def test_a_scale_that_the_views_have_already_is_refused():
    with pytest.raises(UsageError, match=r"scale 0.5625 would be cut twice"):
        TilingOptions(scales=(0.5625, 1), views=5)


def test_galleries_from_before_views_read_as_they_were():
    assert "views" not in IndexSettings().to_json()
    assert IndexSettings.from_json(IndexSettings(views=10).to_json()).views == 10
    assert IndexSettings.from_json(IndexSettings().to_json()) == IndexSettings()


def test_views_are_tiles_with_names_places_and_pixels(gallery):
    store = gallery._store
    scales = {item.scale for item in store.items()}
    assert scales == {1.0, 2.0, 0.5625, 1.125}
    match = next(m for m in gallery.search("red", k=50, overlapping="keep") if m.scale == 0.5625)
    assert gallery.tile(match.tile).window == match.window
    assert max(gallery.read(match).shape[:2]) == 64 and match.corners is not None
    assert gallery.verify() == []


def test_a_small_thing_fills_more_of_a_view(tmp_path, fleet, gallery):
    with Gallery.create(tmp_path / "plain", ToyEncoder(), tile=64, scales=(1, 2)) as plain:
        plain.add(fleet)
        best, seen = plain.search("red", k=1)[0], gallery.search("red", k=1)[0]
    assert best.scene == seen.scene and "sea1" in seen.scene
    assert seen.scale == 0.5625 and seen.score > best.score + 0.05
    window = seen.window
    assert window.col <= 130 and window.col + window.width >= 144 and window.row <= 70


def test_repeating_and_changing_the_views(tmp_path, fleet):
    with Gallery.create(tmp_path / "g", ToyEncoder(), tile=64) as opened:
        opened.add(fleet)
        alone = len(opened)
        assert opened.add(fleet).unchanged == 3
        assert opened.add(fleet, views=5).indexed == 3 and len(opened) > 3 * alone
        assert opened.add(fleet).unchanged == 3, "a scene keeps its settings"


# -- pooling ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pool"),
    [
        ("max", Pool()),
        ("top-m", Pool("top-m", 3)),
        ("top-5", Pool("top-m", 5)),
        ("lse", Pool("lse")),
    ],
)
def test_ways_of_pooling_are_written_so(text, pool):
    assert Pool.parse(text) == pool


@pytest.mark.parametrize("text", ["mean", "top", "top-0", "top--1", ""])
def test_other_ways_are_refused(text):
    with pytest.raises(UsageError):
        Pool.parse(text)


def test_pools_are_what_they_say():
    rows = np.array([[0.1, 0.7, 0.4, -np.inf], [0.2, -np.inf, -np.inf, -np.inf], [-np.inf] * 4])
    assert Pool("max").of(rows).tolist() == [0.7, 0.2, -np.inf]
    np.testing.assert_allclose(Pool("top-m", 2).of(rows), [0.55, 0.2, -np.inf])
    soft = 0.1 * math.log(sum(math.exp(s / 0.1) for s in (0.1, 0.7, 0.4)) / 3)
    np.testing.assert_allclose(Pool("lse", temperature=0.1).of(rows), [soft, 0.2, -np.inf])
    np.testing.assert_allclose(Pool("lse", temperature=1e-4).of(rows)[0], 0.7, atol=1e-3)
    np.testing.assert_allclose(Pool("lse", temperature=1e4).of(rows)[0], 0.4, atol=1e-3)
    np.testing.assert_allclose(Pool("top-m", 2).of(rows.T, axis=0), Pool("top-m", 2).of(rows))
    with pytest.raises(UsageError, match="temperature"):
        Pool("lse", temperature=0)


def slow_places(gallery: Gallery, text: str, pool: Pool, passes=lambda item: True) -> list[tuple[str, float]]:
    """Best tile and score of every place, the best first, by looping over all tiles."""
    store, query = gallery._store, gallery.encoder.encode_texts([text])[0]
    scenes = {scene.key: scene for scene in store.scenes()}
    items = list(store.items())
    places = []
    for key, scene in scenes.items():
        tiles = [item for item in items if item.scene == key]
        largest = max(item.scale for item in tiles)
        anchors = [item for item in tiles if item.scale == largest]
        members = {anchor.row: [] for anchor in anchors}
        for item in tiles:
            shares = [overlap(item, anchor) / (item.width * item.height) for anchor in anchors]
            for anchor, share in zip(anchors, shares, strict=True):
                if share >= min(0.9, max(shares)) and passes(item):
                    score = float(np.frombuffer(item.vector, "<f2").astype(np.float32) @ query)
                    members[anchor.row].append((score, item))
        for anchor in anchors:
            if members[anchor.row]:
                best = max(members[anchor.row], key=lambda pair: (pair[0], -pair[1].row))[1]
                pooled = float(pool.of(np.array([score for score, _ in members[anchor.row]])))
                places.append((pooled, anchor, tile_id(best, scene)))
    kept = []
    for pooled, anchor, name in sorted(places, key=lambda place: (-place[0], place[1].row)):
        rivals = [other for _, other, _ in kept if other.scene == anchor.scene]
        smaller = [min(anchor.width * anchor.height, o.width * o.height) for o in rivals]
        if all(overlap(anchor, o) <= 0.1 * s for o, s in zip(rivals, smaller, strict=True)):
            kept.append((pooled, anchor, name))
    return [(name, pooled) for pooled, _, name in kept]


def overlap(a, b) -> int:
    across = min(a.col + a.width, b.col + b.width) - max(a.col, b.col)
    down = min(a.line + a.height, b.line + b.height) - max(a.line, b.line)
    return max(across, 0) * max(down, 0)


@pytest.mark.parametrize(
    ("pool", "first_look"),
    [(Pool(), 2), (Pool("top-m", 2), 2), (Pool("top-m", 50), 256), (Pool("lse"), 2), (Pool("lse"), 256)],
)
def test_places_are_those_of_a_loop_over_all_tiles(gallery, monkeypatch, pool, first_look):
    monkeypatch.setattr("landsift.gallery.pooling._FIRST_LOOK", first_look)
    for text in ("red", "blue and green"):
        slow = slow_places(gallery, text, pool)
        found = gallery.search(text, k=100, pool=pool)
        assert [m.score for m in found] == pytest.approx([score for _, score in slow], abs=1e-5)
        few = gallery.search(text, k=2, pool=pool)
        assert [m.score for m in few] == pytest.approx([score for _, score in slow[:2]], abs=1e-5)
        assert [m.tile for m in few] == [m.tile for m in found[:2]] and few[0].rank == 1
        assert found[0].tile == slow[0][0]


def test_pooling_under_a_filter_and_in_pages(gallery):
    pool, where = Pool("top-m", 3), Where(scene="sea1*")
    allowed = {s.key for s in gallery._store.scenes() if s.name.startswith("sea1")}
    slow = slow_places(gallery, "red", pool, lambda item: item.scene in allowed)
    found = gallery.search("red", k=100, pool=pool, where=where)
    assert [m.score for m in found] == pytest.approx([score for _, score in slow], abs=1e-5)
    assert {m.scene for m in found} == {"sea1_2020.tif"} and found.searched < found.total
    query = gallery.encoder.encode_texts(["green"])[0]
    whole = gallery.rank(query, k=4, pool=pool)
    second = gallery.rank(query, k=2, skip=2, pool=pool)
    assert [m.tile for m in second] == [m.tile for m in whole[2:]] and second[0].rank == 3
    least = whole[1].score
    assert len(gallery.rank(query, k=9, pool=pool, min_score=least)) == sum(
        m.score >= least for m in gallery.rank(query, k=9, pool=pool)
    )
    assert len(gallery.search("red", pool=pool, where=Where(scene="nothing*"))) == 0


def test_a_tile_asked_with_is_no_match_and_its_place_is_left_out(gallery):
    best = gallery.search("red", k=1)[0]
    found = gallery.search(like=[best.tile], k=20, pool=Pool())
    assert {m.scene for m in found} == {"sea0_2020.tif", "sea2_2020.tif"}, "the thing's place is all of sea1"


def test_pooling_does_not_go_with_other_orders(gallery):
    for more in ({"csls": True}, {"overlapping": "keep"}):
        with pytest.raises(UsageError, match="Pooled scores put whole places in order"):
            gallery.search("red", pool=Pool(), **more)


# -- a closer look -----------------------------------------------------------------------------------------


@pytest.fixture
def plain(tmp_path, fleet):
    with Gallery.create(tmp_path / "plain", ToyEncoder(), tile=64) as opened:
        opened.add(fleet)
        yield opened


@pytest.mark.parametrize("zooms", [(2,), (2, 4)])
def test_a_closer_look_takes_the_best_crop(plain, zooms):
    coarse = plain.search("red", k=6)
    told: list[tuple[int, int]] = []
    found = plain.search("red", k=6, refine=Refine(4, zooms), tell=lambda *at: told.append(at))
    query = plain.encoder.encode_texts(["red"])[0]
    slow = {}
    for match in coarse[:4]:
        pixels = plain.read(match, max(match.window.width, match.window.height))
        side = min(64, math.ceil(8 / {2: 0.5625, 4: 0.3125}[max(zooms)]))
        pixels = plain.read(match, side)
        crops = [crop for zoom in zooms for crop in crops_of(pixels, zoom)]
        slow[match.tile] = max(match.score, float((plain.encoder.encode_images(crops) @ query).max()))
    expected = sorted(slow.values(), reverse=True) + [m.score for m in coarse[4:]]
    assert [m.score for m in found] == pytest.approx(expected, abs=2e-3)
    assert [m.rank for m in found] == [1, 2, 3, 4, 5, 6]
    assert "sea1" in found[0].scene and found[0].score > coarse[0].score + 0.05
    assert told == [(n, 4) for n in range(1, 5)]
    assert f"4 of the best tiles were looked at in {sum(z * z for z in zooms)} crops each." in found.notes
    assert found.trace.stages[-1].name == "crops of the best tiles"


def test_it_looks_at_more_than_it_gives_and_then_filters(plain):
    one = plain.search("red", k=1, refine=Refine(12))
    all_of_them = plain.search("red", k=50, refine=Refine(12))
    assert len(one) == 1 and one[0].tile == all_of_them[0].tile
    least = plain.search("red", k=1)[0].score + 0.02
    assert len(plain.search("red", k=50, min_score=least)) == 0, "no coarse score reaches it"
    assert len(plain.search("red", k=50, min_score=least, refine=Refine(12))) == 1


def test_tiles_whose_file_is_gone_keep_their_score(plain, fleet):
    before = {m.tile: m.score for m in plain.search("red", k=50)}
    for path in fleet.glob("sea1*"):
        path.unlink()
    found = plain.search("red", k=50, refine=Refine(50))
    gone = [m for m in found if "sea1" in m.scene]
    assert gone and all(m.score == before[m.tile] for m in gone)
    (note,) = [note for note in found.notes if "could not be read again" in note]
    assert note.startswith(f"{len(gone)} tiles")


def test_closer_looks_that_cannot_be_are_refused(plain, monkeypatch):
    with pytest.raises(UsageError, match="At least 1 tile"):
        Refine(0)
    for zooms in ((), (5,), (2.5,)):
        with pytest.raises(UsageError, match="crops a side"):
            Refine(3, zooms)
    with pytest.raises(UsageError, match="leave one out"):
        plain.search("red", refine=Refine(3), csls=True)
    monkeypatch.setattr("landsift.gallery.refining.spectral_need", lambda card: object())
    with pytest.raises(UsageError, match="toy reads bands"):
        plain.search("red", refine=Refine(3))


def test_from_the_command_line(tmp_path, fleet, landsift_command, monkeypatch):
    monkeypatch.setattr("landsift.gallery.gallery.load_encoder", lambda name: ToyEncoder())
    code, out, _ = landsift_command("index", tmp_path / "g", fleet, "--tile", 64, "--views", 5, "--json")
    assert code == 0 and json.loads(out)["indexed"] == 3
    asked = ("search", tmp_path / "g", "red", "-k", 3, "--json")
    code, out, _ = landsift_command(*asked, "--pool", "top-2", "--refine", 2, "--zoom", "2,4")
    found = json.loads(out)
    assert code == 0 and "sea1" in found["matches"][0]["scene"]
    assert any("20 crops each" in note for note in found["notes"])
    for wrong, said in (
        (("--pool", "best"), "max, top-m, lse"),
        (("--zoom", "2"), "--refine"),
        (("--refine", 2, "--zoom", "9"), "crops a side"),
        (("--pool", "max", "--csls"), "leave out csls"),
    ):
        code, _, err = landsift_command(*asked, *wrong)
        assert code == 2 and said in err.replace("\n", " "), wrong
    code, _, err = landsift_command("index", tmp_path / "h", fleet, "--views", 4)
    assert code == 2 and "5, 10, 17" in err
