"""What people teach a gallery: probes, labels and saved searches, and that old galleries take them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from landsift import Gallery
from landsift.errors import GalleryReadOnly, UsageError
from landsift.gallery.labels import Label
from landsift.gallery.probe import _PENALTY, fit_probe
from toys import coloured, write_scene


def clouds(seed: int, wanted: int, unwanted: int, dim: int = 12) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    middles = random.standard_normal((2, dim))
    rows = [middles[k] + 0.8 * random.standard_normal((n, dim)) for k, n in enumerate((wanted, unwanted))]
    return tuple(part / np.linalg.norm(part, axis=1, keepdims=True) for part in rows)


@pytest.mark.parametrize(("wanted", "unwanted"), [(5, 5), (40, 7), (6, 200)])
def test_a_probe_is_the_minimum_of_its_loss(wanted, unwanted):
    good, bad = clouds(wanted, wanted, unwanted)
    probe = fit_probe(good, bad)

    def loss(weights):
        losses = [np.logaddexp(0, -(good @ weights[:-1] + weights[-1])).mean()]
        losses += [np.logaddexp(0, bad @ weights[:-1] + weights[-1]).mean()]
        return sum(losses) / 2 + _PENALTY * (weights[:-1] @ weights[:-1]) / 2

    best = minimize(loss, np.zeros(good.shape[1] + 1), tol=1e-12)
    assert np.linalg.norm(probe.direction) == pytest.approx(1, abs=1e-6)
    assert probe.slope * probe.direction == pytest.approx(best.x[:-1], abs=2e-3)
    assert probe.offset == pytest.approx(best.x[-1], abs=2e-3)
    assert probe.chance(float(good[0] @ probe.direction)) == pytest.approx(
        1 / (1 + np.exp(-(good[0] @ best.x[:-1] + best.x[-1]))), abs=1e-3
    )


def test_a_probe_tells_new_rows_apart():
    good, bad = clouds(1, 60, 60)
    probe = fit_probe(good[:10], bad[:10])
    right = np.mean(good[10:] @ probe.direction * probe.slope + probe.offset > 0)
    wrong = np.mean(bad[10:] @ probe.direction * probe.slope + probe.offset > 0)
    assert right > 0.85 and wrong < 0.15


def test_probes_that_cannot_be_fitted_say_so():
    good, bad = clouds(2, 5, 5)
    with pytest.raises(UsageError, match="5 wanted and 4 unwanted"):
        fit_probe(good, bad[:4])
    with pytest.raises(UsageError, match="look the same"):
        fit_probe(good, good)


@pytest.fixture
def gallery(tmp_path, archive, toy):
    with Gallery.create(tmp_path / "g", toy, tile=64) as opened:
        opened.add(archive)
        yield opened


def old_layout(gallery: Gallery) -> None:
    """Make the gallery one that an earlier release has written."""
    store = gallery._store
    with store.transaction():
        for table in ("label", "query"):
            store._db.execute(f"DROP TABLE {table}")
        store._db.execute("PRAGMA user_version = 1")


def test_a_gallery_of_the_first_layout_takes_labels_and_searches(gallery):
    old_layout(gallery)
    assert gallery.labels.topics() == {} and gallery.saved.all() == [] and gallery.probe("x") is None
    tile = gallery.search("red", k=1)[0]
    gallery.labels.put([Label.now("x", tile.tile, True, tile.center)])
    assert gallery._store.layout() == 2
    (label,) = gallery.labels.of("x")
    assert (label.tile, label.wanted, label.longitude) == (tile.tile, True, tile.center[0])
    kept = gallery.saved.save("mine", {"q": "red"})
    assert gallery.saved.get(kept.id) == kept and gallery.verify() == []


def test_a_gallery_that_cannot_be_written_takes_none(gallery):
    with Gallery.open(gallery.folder, gallery.encoder, writable=False) as reader:
        with pytest.raises(GalleryReadOnly):
            reader.labels.put([Label.now("x", "t", True, None)])
        with pytest.raises(GalleryReadOnly):
            reader.saved.save("mine", {})
        assert reader.labels.of("x") == []


def test_labels_of_tiles_that_are_gone_do_not_teach(gallery):
    for colour, wanted in (("red", True), ("blue", False)):
        found = gallery.search(colour, k=6, overlapping="keep")
        gallery.labels.put(Label.now("x", match.tile, wanted, match.center) for match in found)
    assert gallery.probe("x") is not None
    gallery.remove("blue*")
    assert gallery.probe("x") is None and len(gallery.labels.of("x")) == 12


def test_a_gallery_read_by_many_threads_while_it_grows(gallery, archive):
    from concurrent.futures import ThreadPoolExecutor

    with Gallery.open(gallery.folder, gallery.encoder) as reader, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(reader.search, "red", k=3) for _ in range(40)]
        for number in range(3):
            write_scene(archive / f"more{number}.tif", coloured("red", number), west=700_000 + 9_000 * number)
            gallery.add(archive, workers=1)
            asked += [pool.submit(reader.search, "red", k=3) for _ in range(40)]
        totals = [answer.result().total for answer in asked]
        assert min(totals) >= 72 and max(totals) <= 144
        assert reader.search("red", k=3).total == 144
