"""Encoders of the family tuned to one's own pictures: prepared as the card says, saved, indexed, exported."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for _package in ("safetensors", "onnx", "onnxscript"):
    pytest.importorskip(_package)

from clip_files import inputs  # noqa: E402
from test_clip_encoders import FAMILY, SMALL, spectra, written  # noqa: E402

from landsift import load_encoder  # noqa: E402
from landsift.encoders import card_of  # noqa: E402
from landsift.encoders.pixels import fit_square  # noqa: E402
from landsift.encoders.spectral import spectral_need  # noqa: E402
from landsift.errors import UsageError  # noqa: E402
from landsift.export import export_encoder, measure_parity  # noqa: E402
from landsift.models.blocks.lora import adapted, folded  # noqa: E402
from landsift.models.checkpoint import read_matcher, write_matcher  # noqa: E402
from landsift.models.clip import opening  # noqa: E402
from landsift.models.clip.opening import open_matcher  # noqa: E402
from landsift.models.objectives import info_nce  # noqa: E402
from landsift.train import fit, recipe_of  # noqa: E402
from landsift.train.adapting import apply_tuning, share_of  # noqa: E402
from landsift.train.pixels import PixelStore  # noqa: E402
from landsift.train.recipe import TuneRecipe  # noqa: E402
from landsift.types import RetrievalSet, SpectralEncoder  # noqa: E402

WORDS = ("red", "green", "blue", "white")
COLOURS = ((220, 40, 40), (40, 190, 60), (40, 60, 220), (240, 240, 240))


@pytest.fixture(autouse=True)
def small_table(monkeypatch):
    monkeypatch.setattr(opening, "ARCHITECTURES", SMALL)


def pictures(count: int = 12) -> list[np.ndarray]:
    """Of many shapes, coloured at their middles and black and white at their ends."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        wide = np.full((40, 100 + number, 3), 255 * (number % 2), np.uint8)
        wide[:, 30 : 70 + number] = COLOURS[number % 4]
        wide[:, 30 : 70 + number] -= rng.integers(0, 40, wide[:, 30 : 70 + number].shape, np.uint8)
        found.append(np.ascontiguousarray(wide if number % 3 else wide.transpose(1, 0, 2)))
    return found


def captioned(split: str = "train", count: int = 12) -> RetrievalSet:
    texts = [f"a {WORDS[number % 4]} roof" for number in range(count)]
    names = [f"{number}.png" for number in range(count)]
    return RetrievalSet("own", split, pictures(count), names, texts, np.arange(count))


def recipe(folder, start: str, **tune):
    return recipe_of(
        {
            "name": "small",
            "data": {"cache": f"{folder}/cache"},
            "model": {"name": "clip", "options": {"start": start}, "tune": tune},
            "loop": {"epochs": 2, "batch": 6, "threads": 1, "device": "cpu"},
            "optimizer": {"rate": 1e-3},
            "loss": {"info-nce": {}},
            "output": {"folder": f"{folder}/run"},
        }
    )


def trained(asked) -> None:
    fit(asked, train=[captioned()], validation=[captioned("val")])


# -- pixels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["squash", "centre-crop", "pad"])
def test_stored_squares_are_those_the_card_asks_for(tmp_path, way):
    found = captioned()
    store = PixelStore(tmp_path, 32, way)
    squares = store.read(store.rows(found.images, found.image_names))
    for square, image in zip(squares, found.images, strict=True):
        np.testing.assert_array_equal(square, fit_square(image, 32, way))
    others = [PixelStore(tmp_path, 32, other) for other in ("squash", "centre-crop", "pad") if other != way]
    for other in others:  # the same pictures, made square otherwise, are not taken for these
        rows = other.rows(found.images, found.image_names)
        assert not np.array_equal(other.read(rows), squares)
    again = store.read(store.rows(found.images, found.image_names))
    np.testing.assert_array_equal(again, squares)


def test_squashed_squares_lie_where_they_always_lay(tmp_path):
    PixelStore(tmp_path, 32).rows(*(captioned().images, captioned().image_names))
    assert (tmp_path / "pixels-32").is_dir() and len(list(tmp_path.glob("pixels-*"))) == 2  # and its lock


def test_training_sees_the_pixels_that_the_encoder_will_see(tmp_path, monkeypatch):
    """On a model that crops, no step and no validation sees a squashed picture."""
    path, _ = written(tmp_path, card_of("remoteclip-vit-b-32"))
    asked = []
    whole = PixelStore.__init__

    def noted(self, folder, size, fit="squash"):
        asked.append(fit)
        whole(self, folder, size, fit)

    monkeypatch.setattr(PixelStore, "__init__", noted)
    trained(recipe(tmp_path, f"remoteclip-vit-b-32@{path}", name="linear-probe"))
    assert set(asked) == {"centre-crop"}


# -- tuning --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("card", FAMILY, ids=lambda card: card.name)
def test_every_card_is_tuned_by_adapters(tmp_path, card):
    """From a file of its layout, a few steps, saved folded, loaded alone: the loss fell and stays there."""
    path, _ = written(tmp_path, card)
    matcher = open_matcher(f"{card.name}@{path}")
    apply_tuning(matcher, TuneRecipe(name="lora", rank=2))
    tuned, whole = share_of(matcher)
    assert 0 < tuned < 0.5 * whole and adapted(matcher)
    pixels, _, _ = inputs(SMALL[card.extra["architecture"]])
    optimizer = torch.optim.Adam([p for p in matcher.parameters() if p.requires_grad], lr=5e-3)

    first = loss_of(matcher, pixels).item()
    for _ in range(8):
        loss = loss_of(matcher, pixels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    last = loss_of(matcher, pixels).item()
    assert last < first
    matcher = folded(matcher).eval()
    folder = tmp_path / "tuned"
    folder.mkdir()
    write_matcher(folder, matcher, "clip", {})
    again = read_matcher(folder)
    path.unlink()
    with torch.inference_mode():
        assert loss_of(again, pixels).item() == pytest.approx(last, abs=1e-4)


def loss_of(matcher, pixels) -> torch.Tensor:
    """Three images against three texts; patches by wavelength are told theirs."""
    waves = torch.tensor([0.665, 0.56, 0.49, 0.842]) if pixels.shape[1] == 4 else None
    seen = matcher.band_features(pixels, waves).pooled
    read = matcher.text_features(matcher.prepare(["w1 w2", "w3", "w4 w5 w6"])).pooled
    return info_nce(10 * seen @ read.T, torch.eye(3, dtype=torch.bool))


# -- galleries and graphs ------------------------------------------------------------------------------------


def test_what_was_tuned_and_what_was_exported_index_alike(tmp_path, archive, landsift_command):
    path, _ = written(tmp_path, card_of("remoteclip-vit-b-32"))
    run = tmp_path / "run"
    trained(recipe(tmp_path, f"remoteclip-vit-b-32@{path}", name="lora", rank=2))
    path.unlink()
    code, printed, err = landsift_command("export", run, "--onnx", tmp_path / "graphs", "--check", "--json")
    assert code == 0, err
    assert json.loads(printed)["parity"]["image_cosine"] > 0.9999
    found = []
    for number, encoder in enumerate((run, tmp_path / "graphs")):
        gallery = tmp_path / f"gallery-{number}"
        code, _, err = landsift_command("index", gallery, archive, "--encoder", encoder)
        assert code == 0, err
        code, printed, err = landsift_command("search", gallery, "a red roof &amp; “more”", "--json")
        assert code == 0, err
        found.append([match["score"] for match in json.loads(printed)["matches"]])
    assert len(found[0]) > 1
    np.testing.assert_allclose(*found, atol=2e-3)


NASTY = ["a boat", "R&amp;D “hall”, schÃ¶n!", "TWO boats_beside a ﬁeld", "w1 w2 w3"]


GRAPHS: dict[tuple[str, ...], str] = {}
"""One card for all that shapes a graph: cards that share it differ in their weights and names alone."""
for _card in FAMILY:
    GRAPHS.setdefault(tuple(_card.extra[key] for key in ("architecture", "activation", "fit")), _card.name)
BANDED = [name for name in GRAPHS.values() if (need := spectral_need(card_of(name))) and need.bands]


@pytest.mark.parametrize("name", [name for name in GRAPHS.values() if name not in BANDED])
def test_every_card_exports(tmp_path, name):
    path, _ = written(tmp_path, card_of(name))
    source = f"{name}@{path}"
    done = export_encoder(source, tmp_path / "graphs")
    squares = [np.ascontiguousarray(picture[:36, :36]) for picture in pictures(4)]
    parity = measure_parity(load_encoder(source), load_encoder(done.folder), [*pictures(4), *squares], NASTY)
    assert max(parity.image_difference, parity.text_difference) < 2e-4
    assert done.card.extra["fit"] == card_of(name).extra["fit"]


@pytest.mark.parametrize("name", BANDED)
def test_bands_are_exported_for_galleries_without_torch(tmp_path, name):
    path, _ = written(tmp_path, card_of(name))
    source = load_encoder(f"{name}@{path}")
    encoder = load_encoder(export_encoder(f"{name}@{path}", tmp_path / "graphs").folder)
    assert isinstance(encoder, SpectralEncoder) and spectral_need(encoder.card) == spectral_need(source.card)
    size, bands = source.card.input_size, len(spectral_need(source.card).bands)
    pieces = [spectra(bands, side, seed) for seed, side in enumerate((size, 48, 2 * size + 3))]
    np.testing.assert_allclose(encoder.encode_spectra(pieces), source.encode_spectra(pieces), atol=2e-4)
    np.testing.assert_allclose(encoder.encode_texts(NASTY), source.encode_texts(NASTY), atol=1e-5)
    assert encoder.encode_images([]).shape == (0, encoder.card.dim)
    with pytest.raises(UsageError, match="which no picture has"):
        encoder.encode_images(pictures(1))
    with pytest.raises(UsageError, match=f"Piece 0 has {bands + 2} bands where"):
        encoder.encode_spectra([spectra(bands + 2)])
