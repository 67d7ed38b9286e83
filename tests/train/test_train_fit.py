"""Whole runs on a made-up set: what is learnt, written, kept, refused and said."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from PIL import Image  # noqa: E402
from small import coloured_set, recipe  # noqa: E402

import landsift.train.folders as folders  # noqa: E402
from landsift import load_encoder  # noqa: E402
from landsift.errors import DatasetError, DiskFull, EncoderError, TrainingError, UsageError  # noqa: E402
from landsift.evaluate import evaluate  # noqa: E402
from landsift.models.encoder import TorchScorer  # noqa: E402
from landsift.train import fit, read_metrics, read_recipe, recipe_hash  # noqa: E402
from landsift.train.fitting import resolved  # noqa: E402
from landsift.train.folders import recover, replace_folder  # noqa: E402
from landsift.types import RetrievalSet  # noqa: E402

TRAIN = coloured_set(72)
VAL = coloured_set(36, 1, split="val")


def run(folder: Path, train=TRAIN, val=VAL, resume: bool = False, progress=None, **tables: object):
    return fit(
        recipe(folder, **tables),
        train=[train],
        validation=[val] if val is not None else None,
        resume=resume,
        progress=progress,
    )


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


# --- what a run gives


def test_a_run_learns_and_writes_down_what_it_did(tmp_path):
    # 18 kinds of picture: chance is far below what the colours alone give.
    result = run(tmp_path, loop__epochs=25, loop__batch=18)
    assert result.score == max(row["mR"] for row in result.history)
    assert result.score > 65 and result.score > result.history[0]["mR"] + 20
    assert result.history[-1]["loss"] < 0.5 * result.history[0]["loss"]
    assert len(result.history) == 25 and result.steps == 25 * 4 and not result.stopped_early
    assert result.history[result.epoch - 1]["mR"] == result.score
    table = read_metrics(result.folder)
    assert [row["epoch"] for row in table] == list(range(1, 26))
    assert table[3]["info-nce"] == pytest.approx(result.history[3]["info-nce"], rel=1e-4)
    assert {"loss", "rate", "images_per_second", "seconds", "colours/val"} <= table[0].keys()


def test_checkpoints_load_alone_and_score_as_the_run_said(tmp_path):
    result = run(tmp_path, loop__epochs=8)
    for place in (result.folder, result.encoder, result.folder / "last"):
        encoder = load_encoder(place)
        rows = encoder.encode_images(VAL.images)
        assert rows.shape == (36, 16) and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    found = evaluate(load_encoder(str(result.encoder)), VAL)
    assert found.scores["strict"]["mR"] == pytest.approx(result.score, abs=1e-3)
    assert result.reports["colours/val"].strict.mR == pytest.approx(result.score, abs=1e-3)


def test_a_checkpoint_loads_in_a_process_that_knows_nothing_of_training(tmp_path):
    result = run(tmp_path)
    code = (
        "import sys; from landsift import load_encoder; e = load_encoder(sys.argv[1]);"
        "print(e.encode_texts(['a red roof']).shape)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(result.encoder)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parent), "PATH": "/usr/bin"},
        check=False,
    )
    assert answer.stdout.strip() == "(1, 16)", answer.stderr


def test_the_cards_say_what_was_seen_how_it_scores_and_by_which_recipe(tmp_path):
    result = run(
        tmp_path, description="A test of colours.", output={"folder": f"{tmp_path}/run", "licence": "MIT"}
    )
    card = load_encoder(result.encoder).card
    assert card.name == "small" and card.licence == "MIT" and card.trained_on == ("colours/train",)
    assert card.scores["colours/val"]["mR"] == pytest.approx(result.score, abs=0.01)
    whole = tomllib.loads((result.encoder / "card.toml").read_text())
    kept = read_recipe(result.folder / "resolved.toml")
    assert whole["recipe"]["hash"] == recipe_hash(kept)
    assert whole["data"] == {
        "images": 72,
        "captions": 144,
        "set_aside": 0,
        "chosen_by": ["colours/val"],
        "left_out": {},
    }
    page = (result.folder / "README.md").read_text()
    interval = result.reports["colours/val"].intervals["mR"]
    assert f"{interval.value:.2f} ({interval.low:.1f} to {interval.high:.1f})" in page
    for said in (
        "A test of colours.",
        "72 images with 144 captions of colours/train",
        recipe_hash(kept),
        "MIT",
    ):
        assert said in page
    assert (result.encoder / "README.md").read_text() == page
    assert read_recipe(result.encoder / "resolved.toml") == kept == resolved(kept)


def test_overlaps_that_were_left_out_are_on_the_cards(tmp_path, monkeypatch):
    pytest.importorskip("imagehash")
    import landsift.train.sources as sources

    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    files = [tmp_path / "images" / f"{n}.png" for n in range(14)]
    for file in files:
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(file)
    # A near-duplicate: the same picture, brightened a little and saved again with losses.
    twin = tmp_path / "images" / "twin.jpg"
    Image.fromarray((np.asarray(Image.open(files[2])) * 0.97 + 6).astype(np.uint8)).save(twin, quality=92)

    def of(paths, name, split):
        texts = [f"text {path.stem}" for path in paths]
        return RetrievalSet(name, split, paths, [p.name for p in paths], texts, np.arange(len(paths)))

    sets = {"own": of(files[:10], "own", "train"), "scored": of([twin, files[12]], "scored", "test")}
    sets["bare"] = of([*files[10:], files[2]], "bare", "train")
    monkeypatch.setattr(sources, "load_set", lambda row: sets[row.name])
    data = {
        "cache": f"{tmp_path}/cache",
        "sets": [{"name": "own"}],
        "unpaired": [{"name": "bare"}],
        "keep_out": ["scored/test"],
    }
    result = fit(recipe(tmp_path, data=data, loop__batch=4, validation={"share": 0.0}))
    whole = tomllib.loads((result.encoder / "card.toml").read_text())
    assert whole["data"]["left_out"] == {"own/train | scored/test": 1, "bare/train | scored/test": 2}
    page = (result.folder / "README.md").read_text()
    assert "1 images of own/train were left out because scored/test shows them too" in page
    assert whole["data"]["images"] == 9 + 3


def test_without_validation_the_last_weights_are_kept(tmp_path):
    result = run(tmp_path, val=None, validation={"share": 0.0})
    assert result.score is None and result.reports == {}
    assert weights(result.encoder) == weights(result.folder / "last")
    assert "It was not validated" in (result.folder / "README.md").read_text()


def test_without_a_validation_set_a_share_is_set_aside(tmp_path):
    result = run(tmp_path, val=None, validation={"share": 0.25})
    assert list(result.reports) == ["set-aside/val"]
    assert "18 images were set aside" in (result.folder / "README.md").read_text()
    assert result.reports["set-aside/val"].images == 18


def test_runs_repeat_to_the_bit_and_seeds_differ(tmp_path):
    tables = {"model__options": {"dropout": 0.3}, "text__word_drop": 0.2}
    results = [run(tmp_path / name, **tables) for name in "ab"]
    other = run(tmp_path / "c", loop__seed=1, **tables)
    assert weights(results[0].encoder) == weights(results[1].encoder) != weights(other.encoder)
    kept = [{k: v for k, v in row.items() if "second" not in k} for row in results[0].history]
    assert kept == [{k: v for k, v in row.items() if "second" not in k} for row in results[1].history]


def test_training_leaves_the_callers_random_numbers_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_training_stops_when_validation_no_longer_improves(tmp_path):
    quiet = {"optimizer__rate": 1e-9, "loop__epochs": 30, "validation": {"patience": 3}}
    result = run(tmp_path, **quiet)
    assert result.stopped_early and len(result.history) == result.epoch + 3 < 30


def test_the_best_weights_are_kept_not_the_last(tmp_path):
    # The rate grows until the weights fall apart.
    schedule = {"name": "step", "warm_up": 0.0, "milestones": [5, 6], "factor": 20.0}
    result = run(tmp_path, loop__epochs=9, schedule=schedule, optimizer={"rate": 1e-2, "clip": 0.0})
    assert result.epoch < 9 and result.history[-1]["mR"] < result.score
    last = evaluate(load_encoder(result.folder / "last"), VAL)
    assert last.scores["strict"]["mR"] < result.score - 5
    assert evaluate(load_encoder(result.encoder), VAL).scores["strict"]["mR"] == pytest.approx(
        result.score, abs=1e-3
    )


def test_averaged_weights_are_what_is_validated_and_kept(tmp_path):
    plain, averaged = run(tmp_path / "a"), run(tmp_path / "b", loop__average=0.999)
    assert weights(plain.encoder) != weights(averaged.encoder)
    found = evaluate(load_encoder(averaged.encoder), VAL)
    assert found.scores["strict"]["mR"] == pytest.approx(averaged.score, abs=1e-3)


def test_images_alone_can_be_learnt_from(tmp_path):
    bare = replace(TRAIN, captions=(), image_of=np.empty(0, np.int64))
    for name in ("simclr", "vicreg"):
        result = run(
            tmp_path / name,
            train=bare,
            val=None,
            text={"per_image": 0},
            loss={name: {"width": 32, "out": 16}},
            loop__epochs=6,
        )
        assert result.history[-1][name] < result.history[0][name]
        assert load_encoder(result.encoder).encode_images(VAL.images).shape == (36, 16)


def test_a_run_starts_from_the_weights_of_another(tmp_path):
    first = run(tmp_path / "a", loop__epochs=12)
    still = {"optimizer__rate": 1e-9, "loop__epochs": 1}
    second = run(tmp_path / "b", model__start=str(first.encoder), **still)
    assert second.score == pytest.approx(first.score, abs=1.0)
    with pytest.raises(UsageError, match="another shape"):
        run(tmp_path / "c", model={"name": "small:SPEC", "start": str(first.encoder), "options": {"dim": 8}})


def test_maps_of_the_frozen_part_give_what_pixels_give(tmp_path):
    """Without changes to the images, computing the frozen part once is the same training, up to rounding."""
    plain = {"quarter_turns": False, "flips": False, "smallest_crop": 1.0, "stretch": 1.0}
    plain |= {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0}
    tables = {"augment": plain, "model__freeze": ["patches", "norm"], "model__options": {"norm": True}}
    pixels = run(tmp_path / "a", **tables)
    maps = run(tmp_path / "b", data__maps=True, data__views=1, **tables)
    for one, other in zip(pixels.history, maps.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=5e-3)
    again = run(
        tmp_path / "b" / "again", data={"maps": True, "views": 1, "cache": f"{tmp_path}/b/cache"}, **tables
    )
    assert weights(again.encoder) == weights(maps.encoder)
    assert len(list((tmp_path / "b" / "cache").glob("maps-*/columns.json"))) == 2, "train and val, once each"
    with pytest.raises(UsageError, match=r"needs the lower part .* to be frozen"):
        run(tmp_path / "c", data__maps=True)


def test_methods_that_score_pairs_re_rank(tmp_path):
    result = run(tmp_path, model__options={"exact": False}, loop__epochs=4)
    with pytest.raises(EncoderError, match="TorchScorer"):
        load_encoder(result.encoder)
    card = tomllib.loads((result.encoder / "card.toml").read_text())
    assert card["exact_index"] is False
    from landsift.encoders.cards import read_card

    scores = TorchScorer(read_card(result.encoder / "card.toml")).score(VAL.images[:3], VAL.captions[:4])
    assert scores.shape == (3, 4)


def test_progress_is_told_with_terms_rate_and_time(tmp_path):
    moments = []
    run(tmp_path, progress=moments.append, loss={"info-nce": {}, "triplet": {"weight": 0.5}})
    steps = [moment for moment in moments if moment.phase == "training"]
    assert [moment.done for moment in steps] == list(range(1, 13)) and {m.total for m in steps} == {12}
    assert set(steps[0].terms) == {"info-nce", "triplet"} and steps[-1].seconds_left == 0
    assert all(moment.images_per_second > 0 for moment in steps) and steps[0].seconds_left > 0
    assert steps[-1].scores["mR"] >= 0 and {moment.epoch for moment in steps} == {1, 2}
    assert {"decoding images", "validating"} <= {moment.phase for moment in moments}


def test_tensorboard_events_go_on_where_a_run_was_interrupted(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tables = {"output": {"folder": f"{tmp_path}/run", "tensorboard": True}}

    def stop(moment) -> None:
        if moment.phase == "training" and moment.done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, progress=stop, **tables)
    run(tmp_path, resume=True, **tables)
    log = EventAccumulator(f"{tmp_path}/run/events").Reload()
    assert [event.step for event in log.Scalars("loss/info-nce")] == list(range(1, 13))
    assert [event.step for event in log.Scalars("epoch/mR")] == [6, 12]


# --- bad input


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ([], "nothing to train on in no set"),
        (
            [replace(TRAIN, captions=(), image_of=np.empty(0, np.int64))],
            "nothing to train on in colours/train",
        ),
        ([coloured_set(1, captions=1)], "holds 1 image with captions"),
        ([coloured_set(1, captions=3)], "holds 1 image with captions"),
        ([replace(TRAIN, captions=("the same",) * 144)], "read the same"),
    ],
)
def test_too_little_to_learn_from_is_said_so(tmp_path, train, said):
    with pytest.raises(DatasetError, match=said):
        fit(recipe(tmp_path, validation={"share": 0.0}), train=train)
    assert not (tmp_path / "run" / "last").exists()


def test_one_caption_for_each_of_two_images_is_enough(tmp_path):
    result = run(tmp_path, train=coloured_set(2, captions=1))
    assert np.isfinite(result.history[-1]["loss"])


def test_a_test_split_or_a_set_without_captions_chooses_no_weights(tmp_path):
    with pytest.raises(UsageError, match=r"not chosen on a test split \(colours\)"):
        run(tmp_path, val=replace(VAL, split="test"))
    with pytest.raises(UsageError, match="no captions to validate by"):
        run(tmp_path, val=replace(VAL, captions=(), image_of=np.empty(0, np.int64)))


def test_a_recipe_for_a_missing_data_set_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.delenv("LANDSIFT_DATA", raising=False)
    data = {"cache": f"{tmp_path}/cache", "sets": [{"name": "ucm-captions"}]}
    with pytest.raises(UsageError, match="The recipe needs UCM-Captions; set LANDSIFT_DATA to the folder"):
        fit(recipe(tmp_path, data=data))
    data["sets"][0]["root"] = str(tmp_path / "absent")
    with pytest.raises(DatasetError, match="absent"):
        fit(recipe(tmp_path, data=data))


def of_files(folder: Path, count: int = 24) -> RetrievalSet:
    data = coloured_set(count)
    folder.mkdir(parents=True)
    files = [folder / name for name in data.image_names]
    for file, pixels in zip(files, data.images, strict=True):
        Image.fromarray(pixels).save(file)
    return replace(data, images=tuple(files))


def test_an_image_that_breaks_in_the_third_pass_changes_nothing(tmp_path):
    """Images are decoded before the first step; a new run says which one is broken."""
    whole = run(tmp_path / "a", train=of_files(tmp_path / "one"), loop__epochs=4)
    train = of_files(tmp_path / "two")

    def break_one(moment) -> None:
        if moment.epoch == 3 and moment.phase == "training":
            Path(train.images[5]).write_bytes(b"no picture")

    broken = run(tmp_path / "b", train=train, loop__epochs=4, progress=break_one)
    assert weights(broken.encoder) == weights(whole.encoder)
    with pytest.raises(DatasetError, match=r"005.png.* of the training data cannot be read"):
        run(tmp_path / "b" / "new", train=train, data={"cache": f"{tmp_path}/b/cache"})


def test_a_loss_that_is_no_number_is_named_and_the_last_good_weights_stay(tmp_path):
    with pytest.raises(TrainingError, match=r"loss term explosion became nan in step 8 \(pass 2\)") as caught:
        run(tmp_path, model__options={"explode_at": 7}, loop__epochs=3)
    last = tmp_path / "run" / "last"
    assert f"{last} holds the last good weights" in str(caught.value)
    assert np.isfinite(load_encoder(last).encode_images(VAL.images)).all()
    assert len(read_metrics(tmp_path / "run")) == 1
    with pytest.raises(TrainingError, match="there was no checkpoint yet"):
        run(tmp_path / "early", model__options={"explode_at": 2})


def test_a_gradient_that_is_no_number_stops_too(tmp_path, monkeypatch):
    from small import SmallMatcher

    real = SmallMatcher.text_features
    calls = []

    def text_features(self, text):
        found = real(self, text)
        calls.append(1)
        if self.training and len(calls) > 3:
            found.pooled.register_hook(lambda gradient: gradient * torch.inf)
        return found

    monkeypatch.setattr(SmallMatcher, "text_features", text_features)
    with pytest.raises(TrainingError, match=r"gradient became nan, though the loss did not in step"):
        run(tmp_path)


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path):
    run(tmp_path)
    before = weights(tmp_path / "run" / "best")
    with pytest.raises(TrainingError, match="already holds a run; go on with --resume"):
        run(tmp_path)
    with pytest.raises(TrainingError, match=r"another recipe: loop.seed, optimizer.rate differ"):
        run(tmp_path, resume=True, loop__seed=3, optimizer__rate=1.0)
    assert weights(tmp_path / "run" / "best") == before


def test_a_damaged_checkpoint_is_said_so(tmp_path):
    run(tmp_path)
    state = tmp_path / "run" / "last" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(TrainingError, match="no run to resume"):
        run(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"loss": {"distil-scores": {}}}, "needs a teacher; name an encoder"),
        ({"loss": {"pseudo-captions": {}}}, r"name a set under \[\[data.unpaired\]\]"),
        ({"text": {"per_image": 0}}, "needs captions; set text.per_image"),
        ({"data__size": 64}, "more than twice the 16 pixels"),
        ({"data__sampling": "hardest"}, "did you mean hard"),
        ({"loop__precision": "float8"}, "no loop.precision 'float8'"),
        ({"schedule": {"name": "cosinus"}}, "did you mean cosine"),
        ({"model__freeze": ["image_tower"]}, "No parameter starts with 'image_tower'"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(tmp_path, tables, said):
    with pytest.raises(UsageError, match=said):
        run(tmp_path, **tables)


# --- a full disk


def test_a_full_disk_at_a_checkpoint_leaves_the_one_before(tmp_path, monkeypatch):
    import landsift.train.trainer as trainer

    real, written = trainer.write_state, []

    def write_state(folder, *values) -> None:
        written.append(folder)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        real(folder, *values)

    monkeypatch.setattr(trainer, "write_state", write_state)
    with pytest.raises(DiskFull, match=r"no space left to write .*last; free some and go on with --resume"):
        run(tmp_path, loop__epochs=3)
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.is_dir()) == ["best", "last"]
    monkeypatch.undo()
    whole = run(tmp_path / "whole", loop__epochs=3)
    result = run(tmp_path, loop__epochs=3, resume=True)
    assert weights(result.encoder) == weights(whole.encoder)


FULL = """
import resource, sys
from test_train_fit import run, Path
from landsift.errors import DiskFull
resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, -1))
try:
    run(Path(sys.argv[1]), model__options={"dim": 256})
except DiskFull as error:
    print(error)
"""


def test_writers_that_report_a_full_disk_in_their_own_way_are_understood(tmp_path):
    """A limit on the size of files, which is how the system lets a test fill a disk for good."""
    run(tmp_path, model__options={"dim": 256}, output={"folder": f"{tmp_path}/first"})
    answer = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    assert "no space left to write" in answer.stdout, answer.stderr


def test_folders_are_replaced_whole_or_not_at_all(tmp_path):
    place = tmp_path / "x"
    replace_folder(place, lambda new: (new / "a").write_text("1"))

    def fail(new: Path) -> None:
        (new / "a").write_text("2")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        replace_folder(place, fail)
    assert (place / "a").read_text() == "1" and [p.name for p in tmp_path.iterdir()] == ["x"]
    # A crash between the two renames leaves the old folder under another name.
    place.rename(folders._beside(place, "old"))
    recover(place)
    assert (place / "a").read_text() == "1"
