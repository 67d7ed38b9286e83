"""``--near``: the prior of place in searches, against the sum written out."""

from __future__ import annotations

import numpy as np
import pytest

from landsift import Gallery
from landsift.errors import EncoderError, UsageError
from landsift.gallery import Near, nearby
from toys import coloured, write_scene

torch = pytest.importorskip("torch")

from landsift.models.location import load_location_encoder  # noqa: E402
from landsift.models.location.satclip import SatClip  # noqa: E402

PLACE = (15.1, 41.5)


@pytest.fixture
def locations(tmp_path) -> str:
    """A small location encoder's file."""
    torch.manual_seed(3)
    model = SatClip(6, width=16, layers=1, dim=8)
    path = tmp_path / "satclip-small.ckpt"
    torch.save({f"model.location.nnet.{name}": value for name, value in model.state_dict().items()}, path)
    return str(path)


@pytest.fixture
def gallery(tmp_path, archive, toy):
    write_scene(archive / "far_20200101.tif", coloured("red", 9), west=500_000, north=1_000_000)
    write_scene(archive / "nowhere.tif", coloured("red", 8), crs=None)
    with Gallery.create(tmp_path / "gallery", toy, tile=64) as opened:
        opened.add(archive)
        yield opened


def slow(gallery: Gallery, near: Near, text: str = "red") -> list[tuple[float, str]]:
    """Scores of all tiles with the prior, from their own vectors and middles, best first."""
    encoder = load_location_encoder(near.encoder)
    asked = encoder.encode([(near.longitude, near.latitude)])[0]
    query = gallery.encoder.encode_texts([text])[0]
    rows = []
    for match in gallery.search(text, k=10_000, overlapping="keep"):
        score = float(gallery.vectors([match.tile])[0] @ query)
        if match.center is not None:
            score += near.weight * float(encoder.encode([np.round(match.center, 3)])[0] @ asked)
        rows.append((score, match.tile))
    return sorted(rows, key=lambda row: -row[0])


@pytest.mark.parametrize("few", [10_000, 0])
@pytest.mark.parametrize("weight", [0.1, 5.0, -1.0, 0.0])
def test_the_score_is_the_sum(gallery, locations, weight, few, monkeypatch):
    monkeypatch.setattr("landsift.gallery.search.FEW", few)
    near = Near(*PLACE, weight, locations)
    expected = slow(gallery, near)
    rounding = 1e-3 * max(1.0, abs(weight))  # vectors of places are kept as float16
    for k in (5, len(expected)):
        matches = gallery.search("red", k=k, overlapping="keep", near=near)
        assert [m.score for m in matches] == pytest.approx([score for score, _ in expected[:k]], abs=rounding)
        wanted = {tile: score for score, tile in expected}
        assert [m.score for m in matches] == pytest.approx([wanted[m.tile] for m in matches], abs=rounding)


def test_a_heavy_prior_brings_the_place_to_the_top_and_a_light_one_does_not(gallery, locations):
    before = gallery.search("red", k=1)[0]
    far = next(m for m in gallery.search("blue", k=50) if m.scene.startswith("far"))
    near = Near(*far.center, 50.0, locations)
    assert gallery.search("blue", k=1)[0].scene.startswith("blue")
    assert gallery.search("blue", k=1, near=near)[0].scene.startswith("far")
    assert gallery.search("red", k=1, near=Near(*far.center, 0.0, locations))[0].tile == before.tile


def test_filters_pages_and_notes_hold_with_a_prior(gallery, locations):
    from landsift.gallery import Where

    near = Near(*PLACE, 1.0, locations)
    found = gallery.search("red", k=100, where=Where(scene="red*"), near=near)
    assert {match.scene.partition("_")[0] for match in found} == {"red"}
    whole = gallery.search("red", k=6, near=near)
    query = gallery.encoder.encode_texts(["red"])[0]
    page = gallery.rank(query, k=3, skip=3, near=near)
    assert [m.tile for m in page] == [m.tile for m in whole][3:]
    assert any("without coordinates" in note for note in whole.notes)


def test_vectors_of_places_are_kept_and_a_broken_file_is_made_anew(gallery, locations, monkeypatch):
    monkeypatch.setattr(nearby, "_WORTH_KEEPING", 1)
    near = Near(*PLACE, 1.0, locations)
    first = gallery.search("red", k=5, near=near)
    (kept,) = gallery.folder.glob("places-satclip-*.npy")
    assert len(np.load(kept)) > 20
    for content in (kept.read_bytes(), b"broken", kept.read_bytes()[:300]):
        kept.write_bytes(content)
        with Gallery.open(gallery.folder, gallery.encoder) as again:
            found = again.search("red", k=5, near=near)
        assert [m.tile for m in found] == [m.tile for m in first]
    assert gallery.verify() == []


def test_tiles_added_later_have_their_prior_too(gallery, locations, archive):
    near = Near(*PLACE, 1.0, locations)
    before = gallery.search("red", k=1000, overlapping="keep", near=near)
    write_scene(archive / "new_20240101.tif", coloured("red", 5), west=700_000)
    gallery.add(archive)
    after = gallery.search("red", k=1000, overlapping="keep", near=near)
    assert len(after) > len(before)
    expected = {tile: score for score, tile in slow(gallery, near)}
    assert [m.score for m in after] == pytest.approx([expected[m.tile] for m in after], abs=2e-3)


def test_keys_are_places_to_a_thousandth_of_a_degree():
    places = np.array([[0, 0], [-180, -90], [179.9996, 90], [540.0004, 12.3454], [-0.0004, 5]])
    back = nearby._places(nearby._keys(places))
    np.testing.assert_allclose(back, [[0, 0], [-180, -90], [-180, 90], [-180, 12.345], [0, 5]], atol=1e-9)


@pytest.mark.parametrize("place", [(51.9, 104.5), (np.nan, 0), (1.0,), "4.5,51.9", ("a", "b"), (400, 0)])
def test_bad_places_are_refused(gallery, place):
    with pytest.raises(UsageError, match="near takes"):
        gallery.search("red", near=place)


def test_bad_weights_and_encoders_are_refused(gallery):
    with pytest.raises(UsageError, match="weight of near"):
        Near(0, 0, float("nan"))
    with pytest.raises(EncoderError, match="no location encoder"):
        gallery.search("red", near=Near(0, 0, 1.0, "no-such-file"))


def test_the_command(tmp_path, archive, locations, landsift_command):
    folder = tmp_path / "built-in"
    assert landsift_command("index", folder, archive, "--tile", 128)[0] == 0
    given = ("search", folder, "red", "--near", "15.1,41.5", "--near-encoder", locations)
    code, out, _ = landsift_command(*given, "--near-weight", 2)
    assert code == 0 and "red" in out
    assert landsift_command("search", folder, "red", "--near", "15.1")[0] == 2
    assert landsift_command("search", folder, "red", "--near", "15.1,99")[0] == 2
    assert landsift_command("search", folder, "red", "--near", "x,y")[0] == 2
    code, _, err = landsift_command("search", folder, "red", "--near-weight", 2)
    assert code == 2 and "--near LON,LAT" in err
    assert landsift_command("search", folder, "red", "--near", "1,2", "--near-encoder", "none.pt")[0] == 1
