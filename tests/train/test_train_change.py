"""Pairs of dates in the training engine: fed alike, trained, resumed, learnt by heart from real pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from landsift.data import ImagePair, load_changes, save_masks  # noqa: E402
from landsift.errors import DatasetError, LandsiftError, UsageError  # noqa: E402
from landsift.models.change import load_change_model  # noqa: E402
from landsift.models.registry import list_change  # noqa: E402
from landsift.train import fit, list_recipes, read_recipe, recipe_of  # noqa: E402
from landsift.train.images import PixelFeed, plain_batches  # noqa: E402
from landsift.train.pixels import PixelStore, stored  # noqa: E402
from landsift.train.recipe import AugmentRecipe  # noqa: E402
from landsift.types import RetrievalSet  # noqa: E402

SIDE = 32
WORDS = ("north", "south", "east", "west", "middle", "corner")


def picture(place: int, house: bool) -> np.ndarray:
    """Ground of a place, with or without a white house."""
    pixels = np.random.default_rng(place).integers(0, 90, (SIDE, SIDE, 3))
    if house:
        row = 4 * (place % 6)
        pixels[row : row + 12, 8:24] = 250
    return pixels.astype(np.uint8)


def pair_set(count: int = 12, split: str = "train") -> RetrievalSet:
    """Houses built, houses gone, and nothing at all, in turn."""
    images, captions = [], []
    for number in range(count):
        place, kind = number // 2, number % 3
        before, after = picture(place, kind == 1), picture(place, kind == 0)
        images.append(ImagePair(before, after))
        said = {0: "a house is built", 1: "a house is gone", 2: "there is no difference"}[kind]
        captions.append(said if kind == 2 else f"{said} in the {WORDS[place % 6]}")
    labels = np.array([int(number % 3 == 2) for number in range(count)], np.int64)
    names = [f"{number}.png" for number in range(count)]
    rows = np.arange(count).astype(np.int64)
    return RetrievalSet("pairs", split, images, names, captions, rows, labels, ("changed", "unchanged"))


def recipe_for(tmp_path, name="chg2cap", **more):
    options = {"image": "resnet-mini", "image_start": "random", "cut": "none", "input_size": SIDE, "dim": 32}
    values = {
        "name": "pairs",
        "data": {"sets": [{"name": "levir-cc"}], "cache": str(tmp_path / "cache")},
        "augment": {"quarter_turns": False, "flips": False},
        "model": {"name": name, "options": options | {"heads": 2, "layers": 1, "dropout": 0.0}},
        "loop": {"epochs": 2, "batch": 6, "threads": 1, "device": "cpu"},
        "validation": {"share": 0.0},
        "output": {"folder": str(tmp_path / "run")},
    }
    for table, own in more.items():
        values[table] = {**values.get(table, {}), **own}
    return recipe_of(values)


def test_both_dates_are_cropped_turned_and_coloured_alike(tmp_path):
    picture_ = picture(3, True)
    data = [ImagePair(picture_, picture_), ImagePair(picture(1, False), picture(1, True))]
    store = PixelStore(tmp_path, SIDE)
    rows = stored(store, data, ["a", "b"])
    assert rows.shape == (2, 2) and rows[0, 0] == rows[0, 1]
    feed = PixelFeed(store, rows, SIDE, AugmentRecipe(smallest_crop=0.5))
    found = feed.finish(feed.fetch(np.array([0, 1, 0]), slice(0, 3), np.random.default_rng(0)), "cpu")
    assert found.shape == (3, 6, SIDE, SIDE) and feed.channels == 6
    assert torch.equal(found[0, :3], found[0, 3:]) and not torch.equal(found[0], found[2])
    (plain,) = plain_batches(feed, 4, torch.device("cpu"))
    assert np.array_equal(plain[1, 3:].permute(1, 2, 0).numpy(), picture(1, True))
    # The second half of a step, read by another process, is the second half.
    half = feed.finish(feed.fetch(np.array([0, 1, 0]), slice(1, 3), np.random.default_rng(0)), "cpu")
    assert torch.equal(half, found[1:])


def test_pairs_and_single_pictures_do_not_mix(tmp_path):
    store = PixelStore(tmp_path, SIDE)
    with pytest.raises(UsageError, match="cannot train together"):
        stored(store, [ImagePair(picture(0, True), picture(0, False)), picture(0, True)], ["a", "b"])
    missing = ImagePair(tmp_path / "before.png", tmp_path / "after.png")
    with pytest.raises(DatasetError, match=r"a \(before\), a \(after\)"):
        stored(store, [missing], ["a"])


def test_a_killed_run_of_pairs_resumes_to_the_same_weights(tmp_path):
    data = pair_set()
    whole = fit(recipe_for(tmp_path / "a"), train=[data], validation=[])
    short = recipe_for(tmp_path / "b")

    class Stop(Exception):
        pass

    def stop(moment):
        if moment.phase == "training" and moment.epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        fit(short, train=[data], validation=[], progress=stop)
    resumed = fit(short, train=[data], validation=[], resume=True)
    one, other = (load_change_model(run.encoder) for run in (whole, resumed))
    np.testing.assert_array_equal(one.encode_texts(data.captions), other.encode_texts(data.captions))
    np.testing.assert_array_equal(one.encode_pairs(data.images[:3]), other.encode_pairs(data.images[:3]))


def test_validation_and_cached_maps_take_pairs(tmp_path):
    recipe = recipe_for(
        tmp_path,
        data={"sets": [{"name": "x"}], "cache": str(tmp_path / "cache"), "maps": True, "views": 2},
        model={
            "name": "text-itsr",
            "freeze": ["images.frozen."],
            "options": {
                "image": "resnet-mini",
                "image_start": "random",
                "cut": "c3",
                "input_size": SIDE,
                "dim": 16,
                "heads": 2,
                "layers": 1,
                "caption": 0.0,
            },
        },
        loop={"epochs": 1, "batch": 6, "threads": 1, "device": "cpu", "chunk": 2},
    )
    result = fit(recipe, train=[pair_set()], validation=[pair_set(6, "val")])
    assert result.score is not None and 0 <= result.score <= 100
    assert set(result.history[0]) >= {"contrast"}


def test_masks_train_what_makes_masks(tmp_path):
    base = tmp_path / "levir"
    for name, house in (("a", True), ("b", False), ("c", True)):
        for side, shown in (("A", False), ("B", house)):
            (base / "train" / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(ord(name), shown)).save(base / "train" / side / f"{name}.png")
        (base / "train/label").mkdir(exist_ok=True)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[:12, 8:24] = 255 * house
        Image.fromarray(mask).save(base / "train/label" / f"{name}.png")
    found = load_changes("levir-cd", base, "train", partial=True)
    path = save_masks(found, tmp_path / "masks.npz", 16)
    with np.load(path) as kept:
        assert kept["values"].shape == (3, 16, 16) and set(np.unique(kept["values"])) == {0, 1}
    data = RetrievalSet(
        found.name,
        "train",
        found.images(),
        [pair.name for pair in found.pairs],
        ["a house", "nothing", "one house"],
        np.arange(3),
    )
    recipe = recipe_for(
        tmp_path,
        "mci-net",
        data={"sets": [{"name": "x"}], "cache": str(tmp_path), "extras": {"mask": str(path)}},
        augment={"quarter_turns": False, "flips": False, "smallest_crop": 1.0, "stretch": 1.0},
        loop={"epochs": 1, "batch": 3, "threads": 1, "device": "cpu"},
    )
    result = fit(recipe, train=[data], validation=[])
    assert result.history[0]["mask"] > 0
    with pytest.raises(UsageError, match=r"into an \.npz file"):
        save_masks(found, tmp_path / "masks.txt")
    (base / "train/label/a.png").unlink()
    with pytest.raises(DatasetError, match="no mask of a"):
        save_masks(load_changes("levir-cd", base, "train", partial=True), path)


def test_the_recipes_of_change_models_name_all_of_them():
    names = [name for name in list_recipes() if name.startswith("change/")]
    recipes = {name: read_recipe(name) for name in names}
    assert {recipe.model.name for recipe in recipes.values()} == set(list_change())
    for recipe in recipes.values():
        assert not recipe.augment.flips and not recipe.augment.quarter_turns, "captions tell left from right"
        assert recipe.validation.sets, recipe.name


def test_a_recipe_without_its_pictures_says_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("LANDSIFT_DATA", str(tmp_path))
    (tmp_path / "levir_cc").mkdir()
    with pytest.raises(LandsiftError, match="does not hold LEVIR-CC; it needs LevirCC"):
        fit(read_recipe("change/chg2cap", [f'output.folder="{tmp_path}/run"']))


def test_pairs_are_not_compared_by_their_looks(tmp_path, monkeypatch):
    """Overlaps are found by the hash of a picture; of a pair there is none."""
    monkeypatch.setattr("landsift.train.sources.load_set", lambda row: pair_set(4, row.split))
    recipe = recipe_for(tmp_path, data={"sets": [{"name": "levir-cc"}], "keep_out": ["levir-cc/test"]})
    with pytest.raises(UsageError, match="holds pairs of dates; leave it empty"):
        fit(recipe)


def test_real_pairs_are_learnt_by_heart_in_both_directions_of_time(real_data, tmp_path):
    """The changed pairs of LEVIR-CD, forwards and backwards: found, told apart and described."""
    found = load_changes("levir-cd", real_data / "levir_cd", "all")
    rows = [row for row in range(len(found)) if (mask := found.mask(row)) is not None and mask.any()][:6]
    forward = found.chosen(rows).images()
    images = [*forward, *(pair.swapped for pair in forward)]
    captions = [f"{what} in the {word}" for what in ("houses appear", "houses vanish") for word in WORDS]
    data = RetrievalSet(
        "levir-cd", "train", images, [str(n) for n in range(12)], captions, np.arange(12).astype(np.int64)
    )
    options = {"image": "resnet-mini", "image_start": "random", "input_size": 64, "dim": 64, "heads": 4}
    recipe = recipe_for(
        tmp_path,
        data={"sets": [{"name": "x"}], "cache": str(tmp_path), "maps": True, "views": 1},
        model={
            "name": "rsiccformer",
            "freeze": ["images.frozen."],
            "options": options | {"cut": "c3", "layers": 2, "dropout": 0.0, "context_length": 10},
        },
        optimizer={"rate": 3e-3, "weight_decay": 0.0},
        loop={"epochs": 1, "steps_per_epoch": 90, "batch": 12, "threads": 1, "device": "cpu"},
    )
    model = load_change_model(fit(recipe, train=[data], validation=[]).encoder)
    scores = model.encode_texts(captions) @ model.encode_pairs(images).T
    assert (scores.argmax(axis=1) == np.arange(12)).mean() > 0.9
    own, other = np.arange(12), np.roll(np.arange(12), 6)
    assert (scores[own, own] > scores[own, other]).all(), "swapping the dates changes the answer"
    written = model.captions(images)
    assert np.mean([a == b for a, b in zip(written, captions, strict=True)]) > 0.8
    assert all(text.startswith("houses appear") for text in written[:6])
