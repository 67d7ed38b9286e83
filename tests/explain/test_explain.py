"""Why an image matches a text: the truth is known, for one patch or one word makes the score."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from landsift.errors import UsageError
from landsift.explain import (
    Question,
    area_scores,
    draw_explanation,
    explain,
    mask_scores,
    methods_for,
    occlusion_heat,
    spread,
    winning_tile,
    word_changes,
)
from landsift.explain.occluding import GRID
from landsift.scenes import open_scene
from toys import ToyEncoder, write_scene

SIDE = 96
PATCH = (slice(54, 78), slice(12, 36))


def field(seed: int = 0) -> np.ndarray:
    """Blue noise with one red patch."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 60, (SIDE, SIDE, 3)).astype(np.uint8)
    pixels[..., 2] += 120
    pixels[PATCH] = random.integers(0, 60, pixels[PATCH].shape)
    pixels[PATCH][..., 0] += 190
    return pixels


@pytest.fixture
def patch() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[PATCH] = True
    return mask


class RandomWeights(ToyEncoder):
    """The toy with its weights at random: an orthogonal turn of what it sees."""

    def encode_images(self, images):
        turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(16, 16)))
        return (super().encode_images(images) @ turn).astype(np.float32)


class Coder(ToyEncoder):
    """The toy as a method that makes codes."""

    def __init__(self):
        super().__init__()
        self.card.extra["code_bits"] = 16

    def encode_images(self, images):
        return np.sign(super().encode_images(images) - 0.2).astype(np.float32)

    def encode_texts(self, texts):
        return np.sign(super().encode_texts(texts) - 0.2).astype(np.float32)


class Pairs:
    """The toy as a scorer of pairs."""

    def __init__(self):
        self._toy = ToyEncoder()
        self.card = self._toy.card

    def score(self, images, texts):
        return self._toy.encode_images(images) @ self._toy.encode_texts(texts).T


@pytest.mark.parametrize("model", [ToyEncoder(), Pairs()], ids=["encoder", "scorer of pairs"])
def test_the_patch_that_makes_the_score_is_found(model, patch):
    found = explain(field(), Question(model, "the red roof"), mask=patch)
    assert found.method == "occlusion" and found.grid.shape == (GRID, GRID)
    assert found.heat.shape == (SIDE, SIDE) and found.heat.max() == 1 and found.heat.min() >= 0
    assert found.mask is not None and found.mask.pointing
    assert found.mask.energy > 0.5 > 7 * found.mask.share
    assert found.areas.better_than_random
    assert [one.word for one in found.words] == ["the", "red", "roof"]
    with_it, without = (Question(model, text).score(field()) for text in ("the red roof", "the roof"))
    assert found.words[1].change == pytest.approx(with_it - without, abs=1e-6)
    assert abs(found.words[1].change) > 0.1 and abs(found.words[2].change) < 1e-6
    assert found.score == pytest.approx(Question(model, "the red roof").score(field()), abs=1e-6)
    assert found.encoded < 250, "coarse to fine, not every place"


def test_the_map_depends_on_the_weights():
    """One that stays when weights are random explains the picture, not the model (Adebayo et al., 2018)."""
    colourful = field()
    colourful[6:30, 60:84] = (20, 220, 20)
    colourful[60:84, 60:84] = (240, 240, 240)
    maps = [
        occlusion_heat(Question(model, "red").scores, colourful).ravel()
        for model in (ToyEncoder(), Pairs(), RandomWeights())
    ]
    same, random = np.corrcoef(maps)[0, 1:]
    assert same > 0.999 and random < 0.8


def test_why_this_text_rather_than_that_one(patch):
    plain = explain(field(), Question(ToyEncoder(), "red"), mask=patch)
    turned = explain(field(), Question(ToyEncoder(), "blue", ["red"]), mask=patch)
    assert turned.mask.energy < 0.1 < plain.mask.energy and not turned.mask.pointing
    both = Question(ToyEncoder(), "blue", ["red"]).score(field())
    apart = [Question(ToyEncoder(), text).score(field()) for text in ("blue", "red")]
    assert both == pytest.approx(apart[0] - apart[1], abs=1e-6) and turned.score == pytest.approx(both)


def test_the_only_word_has_the_whole_score():
    question = Question(ToyEncoder(), "red")
    (only,) = word_changes(question, field())
    assert only.word == "red" and only.change == pytest.approx(question.score(field()), abs=1e-6)


def test_occlusion_against_its_slow_twin():
    """A score that is a sum over pixels loses exactly what is covered, so every cell's loss is known."""
    weights = np.zeros((SIDE, SIDE))
    weights[PATCH] = 1.0
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[PATCH] = 255
    blank = image.reshape(-1, 3).mean(axis=0).round()[0]

    def scores(images):
        return np.array([(weights * (one[..., 0] - blank)).sum() for one in images], np.float32)

    grid = occlusion_heat(scores, image)
    cells = weights.reshape(GRID, SIDE // GRID, GRID, SIDE // GRID).mean(axis=(1, 3))
    assert (grid[cells == 1] > 0).all() and grid[cells == 1].min() > 2 * grid[cells == 0].mean()
    near = np.lib.stride_tricks.sliding_window_view(np.pad(cells, 4), (9, 9)).any(axis=(2, 3))
    assert near.any() and (np.abs(grid[~near]) < 1e-3).all(), "what is covered without it loses nothing"


def test_deletion_and_insertion_know_a_good_map_from_a_bad_one(patch):
    scores = Question(ToyEncoder(), "red").scores
    good = area_scores(scores, field(), patch.astype(np.float32))
    bad = area_scores(scores, field(), 1 - patch.astype(np.float32))
    assert good.deletion < good.random_deletion < bad.deletion
    assert good.insertion > good.random_insertion > bad.insertion
    assert (good.random_deletion, good.random_insertion) == (bad.random_deletion, bad.random_insertion)
    with pytest.raises(ValueError, match="does not fit"):
        area_scores(scores, field(), np.zeros((3, 3), np.float32))


def test_an_area_is_the_mean_of_a_curve():
    """Where the score is the share of pixels left, the curve is a straight line of area one half."""
    image = np.full((64, 64, 3), 200, np.uint8)
    image[:32] = 0

    def scores(images):
        return np.array([(one == image).all(axis=2).mean() for one in images], np.float32)

    heat = np.random.default_rng(0).permutation(64 * 64).reshape(64, 64).astype(np.float32)
    assert area_scores(scores, image, heat).deletion == pytest.approx(0.5, abs=0.01)


def test_heat_in_a_mask():
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0], heat[3, 3] = 3, 1
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    found = mask_scores(heat, mask)
    assert (found.energy, found.pointing, found.share) == (0.75, True, 0.5)
    assert mask_scores(np.zeros((4, 4), np.float32), mask).energy == 0
    with pytest.raises(UsageError, match="The mask is empty"):
        mask_scores(heat, np.zeros((4, 4), bool))
    with pytest.raises(UsageError, match="give a mask of the same size"):
        mask_scores(heat, np.zeros((4, 5), bool))


def test_heat_lies_where_the_tower_looked():
    grid = np.zeros((4, 4), np.float32)
    grid[0, 0] = 2
    squashed, cropped = spread(grid, 40, 80), spread(grid, 40, 80, "centre-crop")
    assert squashed.shape == cropped.shape == (40, 80)
    assert squashed[2, 4] == squashed.max() == 1 and not cropped[:, :20].any() and not cropped[:, 60:].any()
    assert cropped[2, 22] == cropped.max() == 1
    assert not spread(-grid, 8, 8).any(), "what speaks against it is no heat"


def test_codes_beside_each_other():
    found = explain(field(), Question(Coder(), "red"))
    coder = Coder()
    own = np.flatnonzero((coder.encode_images([field()])[0] >= 0) != (coder.encode_texts(["red"])[0] >= 0))
    assert found.bits is not None and found.bits.bits == 16 and found.bits.differing == tuple(own)
    assert explain(field(), Question(ToyEncoder(), "red")).bits is None


def test_the_winning_tile_of_a_scene(tmp_path):
    pixels = np.tile(field()[:40, 40:], (8, 8, 1))[:300, :400]
    pixels[130:190, 250:310, 0], pixels[130:190, 250:310, 2] = 250, 0
    with open_scene(write_scene(tmp_path / "scene.tif", pixels)) as scene:
        question = Question(ToyEncoder(), "red")
        seen = []
        best, tile = winning_tile(scene, question, 64, lambda done, total: seen.append((done, total)))
        window = best.window
        assert window.col < 280 < window.col + 64 and window.row < 160 < window.row + 64
        assert best.score == pytest.approx(question.score(tile), abs=1e-6) and best.score > best.median
        assert seen[-1] == (best.tiles, best.tiles) and best.centre is not None
        np.testing.assert_array_equal(tile, scene.read(window)[0])


def test_the_picture_shows_words_image_and_heat():
    found = explain(field(), Question(ToyEncoder(), "a red roof in " + "the very long " * 12))
    drawn = np.asarray(draw_explanation(found)).astype(int)
    first, second = drawn[:, 28:476], drawn[:, 496:944]
    assert np.abs(first - first.mean(axis=2, keepdims=True)).max() > 60, "the image keeps its colours"
    hot = (second[..., 0] > 200) & (second[..., 2] < 190)
    _, columns = np.nonzero(hot[150:])
    assert 12 / 96 < columns.mean() / 448 < 36 / 96, "hot where the patch is"
    assert len(found.words) > 30 and drawn.shape[0] > 600, "long texts are broken into lines"


@pytest.fixture
def command(landsift_command, monkeypatch, tmp_path):
    monkeypatch.setattr("landsift.encoders.load_encoder", lambda name: ToyEncoder())
    monkeypatch.setattr("landsift.encoders.scores_pairs", lambda name: False)
    Image.fromarray(field()).save(tmp_path / "field.png")
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[PATCH] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    return lambda *words: landsift_command("explain", *words)


def test_the_command_prints_and_draws(command, tmp_path):
    code, out, err = command("field.png", "the red roof", "--mask", "mask.png", "-o", "heat.png")
    assert code == 0, err
    assert "red" in out and "deletion" in out and "better than chance" in out
    assert "of the heat lies in the mask" in out and "lies inside" in out
    assert Image.open(tmp_path / "heat.png").width > 900


def test_the_command_for_machines(command):
    words = ("field.png", "the red roof", "--contrast", "blue", "--mask", "mask.png")
    code, out, err = command(*words, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["against"] == ["blue"] and found["mask"]["pointing"] and found["tile"] is None
    assert len(found["grid"]) == GRID and found["words"][1]["word"] == "red"


def test_the_command_explains_a_tile_or_a_part(command, tmp_path):
    words = ("field.png", "red", "--mask", "mask.png", "--json")
    code, out, err = command(*words, "--tile", "32", "-o", "tile.png")
    assert code == 0, err
    found = json.loads(out)
    col, row, width, _ = found["tile"]["window"]
    assert col < 24 < col + width and row < 66 < row + width and found["tile"]["tiles"] == 16
    assert Image.open(tmp_path / "tile.png").width > 1300, "the scene is drawn beside the tile"
    code, out, err = command(*words, "--window", "0,48,48,48")
    assert code == 0, err
    assert json.loads(out)["mask"]["share"] == pytest.approx(24 * 24 / 48**2)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["field.png", " "], "There is no text to explain"),
        (["field.png", "red", "--method", "grad-cam"], "cannot be explained by 'grad-cam'; take occlusion"),
        (["field.png", "red", "-o", "heat.tif"], "must end in .png"),
        (["field.png", "red", "-o", "nowhere/heat.png"], "does not exist"),
        (["field.png", "red", "--window", "0,0,8,8"], "no parts to tell apart"),
        (["field.png", "red", "--window", "0,0,80"], "--window takes column, row, width and height"),
        (["field.png", "red", "--window", "0,0,80,inf"], "--window takes column, row, width and height"),
        (["field.png", "red", "--window", "0,0,80,0"], "--window takes column, row, width and height"),
        (["field.png", "red", "--tile", "4"], "A tile must have 8 to 4096 pixels"),
        (["field.png", "red", "--window", "90,0,48,48"], "passes the edge"),
        (["field.png", "red", "--window", "0,0,48,48", "--tile", "32"], "leave out --tile"),
        (["field.png", "red", "--mask", "small.png"], "give a mask of the same size"),
    ],
)
def test_what_cannot_be_done_is_said(command, tmp_path, more, sentence):
    Image.new("L", (10, 10), 255).save(tmp_path / "small.png")
    code, _, err = command(*more)
    assert code == 2 and sentence in " ".join(err.split())


def test_a_mask_that_is_no_picture(command, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    code, _, err = command("field.png", "red", "--mask", "broken.png")
    assert code == 1 and "cannot be read as a picture" in " ".join(err.split())


def test_what_a_model_allows():
    assert methods_for(ToyEncoder()) == ("occlusion",)
