"""The search over heads: what it computes once, what it tries, and what it calls best."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from small import coloured_set, recipe  # noqa: E402

from landsift.errors import MissingDependency, UsageError  # noqa: E402
from landsift.train.tuning import Trial, Tuned, front, tune  # noqa: E402
from landsift.train.tuning.heads import (  # noqa: E402
    STORAGES,
    HeadPlan,
    bytes_per_image,
    stored,
    train_head,
)
from landsift.train.tuning.levels import IMAGE_POOLINGS, TEXT_POOLINGS, image_levels, text_levels  # noqa: E402

TRAIN, VAL = coloured_set(36), coloured_set(18, 1, split="val")


def dual_recipe(folder: Path, **tables: object):
    """The dual encoder with random towers on small squares."""
    options = {"start": "random", "input_size": 32, "text_layers": 2, "text_width": 32, "dim": 16}
    return recipe(folder, model={"name": "dual", "options": options}, **tables)


def trial(mR: float, size: int, ms: float) -> Trial:
    return Trial(("a",), "mean", "b", "mean", HeadPlan(), mR, size, ms)


# --- the front


def test_the_front_holds_what_nothing_beats():
    trials = [
        trial(50, 100, 1.0),
        trial(50, 100, 2.0),
        trial(60, 200, 1.0),
        trial(40, 50, 3.0),
        trial(30, 60, 3.0),
    ]
    assert front(trials) == (trials[2], trials[0], trials[3])
    twins = [trial(50, 100, 1.0), trial(50, 100, 1.0)]
    assert len(front(twins)) == 2, "equal settings do not beat one another"


def test_the_front_is_that_of_the_definition():
    rng = np.random.default_rng(0)
    trials = [trial(*map(float, rng.integers(0, 5, 3))) for _ in range(60)]
    kept = front(trials)
    for one in trials:
        worse = [
            other
            for other in trials
            if (other.mR >= one.mR and other.bytes <= one.bytes and other.ms <= one.ms)
            and (other.mR, other.bytes, other.ms) != (one.mR, one.bytes, one.ms)
        ]
        assert (one in kept) == (not worse)
    assert [t.mR for t in kept] == sorted((t.mR for t in kept), reverse=True)


# --- heads


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("gates", [0.0, 0.1])
def test_heads_learn_in_every_way_of_storing(storage, gates):
    torch.manual_seed(0)
    kinds = torch.arange(60) % 6
    image = torch.nn.functional.one_hot(kinds, 6).float() @ torch.randn(6, 10) + 0.1 * torch.randn(60, 10)
    text = torch.nn.functional.one_hot(kinds, 6).float() @ torch.randn(6, 8) + 0.1 * torch.randn(60, 8)
    plan = HeadPlan(dim=32, width=16, storage=storage, gates=gates, steps=80)
    head = train_head(image, text, torch.arange(60), kinds, [4, 6], plan, seed=0)
    with torch.inference_mode():
        rows = [stored(side, storage) for side in (head.images(image), head.texts(text))]
    best = (rows[0] @ rows[1].T).argmax(dim=1)
    assert (kinds[best] == kinds).float().mean() > 0.9
    if storage == "binary":
        assert torch.allclose(rows[0].abs(), torch.full((), 32**-0.5))
    again = train_head(image, text, torch.arange(60), kinds, [4, 6], plan, seed=0)
    assert torch.equal(again.images(image), head.images(image)), "the same seed gives the same head"


def test_a_gate_closes_on_a_level_that_says_nothing():
    torch.manual_seed(0)
    kinds = torch.arange(120) % 6
    said = torch.nn.functional.one_hot(kinds, 6).float()
    image = torch.cat([said, torch.randn(120, 20)], dim=1)
    plan = HeadPlan(dim=16, gates=0.5, steps=300)
    head = train_head(image, said, torch.arange(120), kinds, [6, 20], plan, seed=0)
    spoken, noise = head.open_gates().tolist()
    assert noise < spoken


@pytest.mark.parametrize(("storage", "size"), [("float16", 200), ("int8", 104), ("binary", 13)])
def test_sizes_are_those_of_an_index(storage, size):
    assert bytes_per_image(HeadPlan(dim=100, storage=storage)) == size


def test_eight_bits_come_near_and_sixteen_nearer():
    rows = torch.nn.functional.normalize(
        torch.randn(20, 64, generator=torch.Generator().manual_seed(0)), dim=1
    )
    errors = [(stored(rows, name) - rows).abs().max().item() for name in ("float16", "int8")]
    assert 0 < errors[0] < errors[1] < 0.01
    assert stored(rows, "int8").div(rows.abs().amax(1, keepdim=True) / 127).round().unique().numel() <= 255


# --- levels


def test_pooling_of_text_ignores_padding():
    x = torch.tensor([[[1.0], [3.0], [99.0]]])
    mask = torch.tensor([[True, True, False]])
    found = {name: pool(x, mask).item() for name, pool in TEXT_POOLINGS.items()}
    assert found == {"mean": 2.0, "max": 3.0, "first": 1.0}


def test_levels_are_those_of_the_towers(tmp_path):
    from landsift.models.registry import MatcherSource, build_matcher
    from landsift.train.images import PixelFeed
    from landsift.train.pixels import PixelStore
    from landsift.train.recipe import AugmentRecipe

    options = {"start": "random", "input_size": 32, "text_width": 32, "dim": 16}
    matcher = build_matcher("dual", options, MatcherSource(captions=TRAIN.captions)).eval()
    store = PixelStore(tmp_path, 32)
    feed = PixelFeed(store, store.rows(VAL.images, VAL.image_names), 32, AugmentRecipe())
    told: list[int] = []
    found = image_levels(matcher, feed, torch.device("cpu"), told.append)
    assert told[-1] == 18 and found.levels[-1] == "head"
    with torch.inference_mode():
        pixels = torch.from_numpy(store.read(feed.rows[:4])).permute(0, 3, 1, 2)
        for level in found.levels:
            maps = matcher.image_levels(pixels, level)[level]
            for name, pool in IMAGE_POOLINGS.items():
                torch.testing.assert_close(found.rows[level, name][:4], pool(maps), atol=1e-4, rtol=1e-4)
    both = found.of(found.levels[-2:], "mean")
    assert both.shape[1] == sum(found.rows[level, "mean"].shape[1] for level in found.levels[-2:])
    texts = text_levels(matcher, VAL.captions, torch.device("cpu"))
    assert texts.levels == ("layer 1", "layer 2") and texts.rows["layer 2", "mean"].shape == (36, 32)


# --- the search


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Tuned:
    pytest.importorskip("optuna")
    chosen = dual_recipe(tmp_path_factory.mktemp("tuned"))
    return tune(chosen, trials=6, steps=20, train=[TRAIN], validation=[VAL])


def test_every_trial_is_scored_and_the_best_are_the_front(tuned):
    assert len(tuned.trials) == 6 and tuned.best == front(tuned.trials) and tuned.sets == ("colours/val",)
    for found in tuned.trials:
        assert 0 < found.mR <= 100 and found.ms > 0 and found.bytes == bytes_per_image(found.plan)
        assert bool(found.gates) == bool(found.plan.gates)
        assert len(found.gates) in (0, len(found.levels))
    assert len({(t.levels, t.plan.dim, t.plan.storage) for t in tuned.trials}) > 1, "not one setting for all"


def test_what_was_found_is_written_and_said(tuned, tmp_path):
    tuned.save(tmp_path / "t.json")
    kept = json.loads((tmp_path / "t.json").read_text())
    assert len(kept["trials"]) == 6 and kept["best"][0]["mR"] == tuned.best[0].mR
    headings, rows = tuned.table()
    assert len(rows) == len(tuned.best) and all(len(row) == len(headings) for row in rows)
    assert "colours/val" in tuned.sentences()[0]


def test_searches_repeat_and_leave_random_numbers_alone(tmp_path, tuned):
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    again = tune(dual_recipe(tmp_path), trials=6, steps=20, train=[TRAIN], validation=[VAL])
    assert torch.equal(torch.rand(2), expected)
    # Later trials follow the milliseconds as they were measured.
    one, other = (replace(found.trials[0], ms=0.0, seconds=0.0) for found in (tuned, again))
    assert one == other


def test_searches_that_cannot_be_are_refused(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    with pytest.raises(UsageError, match="does not show the levels"):
        tune(recipe(tmp_path), trials=1, train=[TRAIN], validation=[VAL])
    with pytest.raises(UsageError, match="nothing to score heads by"):
        tune(dual_recipe(tmp_path, validation={"share": 0.0}), trials=1, train=[TRAIN])
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingDependency, match=r"needs the package optuna.*landsift\[train\]"):
        tune(dual_recipe(tmp_path), trials=1, train=[TRAIN], validation=[VAL])
