"""What every hashing method must do, whatever it is made of."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from hash_world import hash_batch, small_hash, small_options, toy_towers  # noqa: E402
from zoo import CAPTIONS, pictures  # noqa: E402

from landsift.errors import EncoderError, UsageError  # noqa: E402
from landsift.models.batch import Moment  # noqa: E402
from landsift.models.checkpoint import read_matcher, write_matcher  # noqa: E402
from landsift.models.registry import MatcherSource, build_matcher, find_matcher, list_hashing  # noqa: E402
from landsift.train import read_recipe  # noqa: E402
from landsift.train.objective import Objective  # noqa: E402
from landsift.train.optimizing import training_mode  # noqa: E402
from landsift.train.stepping import Stepper  # noqa: E402
from landsift.train.terms import Sizes  # noqa: E402

METHODS = list_hashing()
STEPS, EPOCHS = 60, 6


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield toy_towers(monkeypatch)
    torch.set_num_threads(before)


def features_of(matcher, captions=CAPTIONS):
    with torch.no_grad():
        return matcher.image_features(pictures()), matcher.text_features(matcher.prepare(captions))


def codes_of(matcher) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.where(side.pooled.numpy() >= 0, 1, -1) for side in features_of(matcher))


def trained(name: str, matcher, steps: int = STEPS, seen=None):
    """A few passes as the engine makes them, critic included."""
    objective = Objective(read_recipe(f"hashing/{name}").loss, Sizes(matcher.dim, 0))
    objective.check(matcher)
    stepper = Stepper(matcher, objective)
    optimizer = torch.optim.Adam(
        [p for key, p in matcher.named_parameters() if not key.startswith("critic.")], lr=1e-2
    )
    critic = None if matcher.critic is None else torch.optim.Adam(matcher.critic.parameters(), lr=1e-3)
    for step in range(steps):
        moment = Moment(step, steps, step * EPOCHS // steps, EPOCHS)
        torch.manual_seed(step)
        if step % (steps // EPOCHS) == 0:
            matcher.begin_epoch(moment)
        training_mode(matcher)
        batch = hash_batch(matcher, name, moment)
        optimizer.zero_grad()
        values, encoded = stepper.gradients(batch)
        assert all(np.isfinite(value) for value in values.values())
        if seen is not None:
            seen(matcher)
        optimizer.step()
        if critic is not None:
            critic.zero_grad()
            sum(stepper.critic_losses(encoded).values()).backward()
            critic.step()
        matcher.after_step(batch)
    return matcher.eval()


@pytest.mark.parametrize("name", METHODS)
def test_the_card_is_whole(name):
    spec, recipe = find_matcher(name), read_recipe(f"hashing/{name}")
    assert spec.card is not None and spec.card.head == "dot" and 2015 < spec.card.year < 2027
    assert spec.citation and recipe.model.name == name and recipe.description
    assert recipe.data.sets[0].split == "hashing-train" and not recipe.loss
    assert small_hash(name).exact_index


@pytest.mark.parametrize("name", METHODS)
def test_a_code_depends_on_its_own_thing_alone(name):
    """Not on company, padding or order; and no bit is undecided."""
    matcher = small_hash(name)
    images, texts = features_of(matcher)
    assert images.pooled.shape == texts.pooled.shape == (8, 16)
    torch.testing.assert_close(images.pooled.norm(dim=1), torch.ones(8))
    for n in range(8):
        with torch.no_grad():
            alone = matcher.image_features(pictures()[n : n + 1]).pooled[0]
            read = matcher.text_features(matcher.prepare([CAPTIONS[n]])).pooled[0]
        torch.testing.assert_close(alone, images.pooled[n], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(read, texts.pooled[n], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(matcher.similarity(images, texts), images.pooled @ texts.pooled.T)


@pytest.mark.parametrize("name", METHODS)
def test_training_repeats_and_checkpoints_hold_it(name, tmp_path):
    matcher, twin = (trained(name, small_hash(name), 6) for _ in range(2))
    assert all(torch.equal(value, twin.state_dict()[key]) for key, value in matcher.state_dict().items())
    write_matcher(tmp_path, matcher, name, small_options(name))
    again = read_matcher(tmp_path)
    for side, other in zip(features_of(matcher), features_of(again), strict=True):
        assert torch.equal(side.pooled, other.pooled)
    for key, value in matcher.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


@pytest.mark.parametrize("name", METHODS)
def test_it_learns_and_every_parameter_has_a_part_in_it(name):
    """Bits of right pairs agree more than those of wrong ones: of the same class for supervised methods."""
    moved: dict[str, float] = {}

    def seen(matcher) -> None:
        for key, parameter in matcher.named_parameters():
            if "critic." not in key and parameter.grad is not None:
                moved[key] = max(moved.get(key, 0.0), float(parameter.grad.abs().max()))

    matcher = trained(name, small_hash(name), seen=seen)
    silent = [k for k, _ in matcher.named_parameters() if "critic." not in k and not moved.get(k)]
    assert silent == []
    images, texts = codes_of(matcher)
    agreement = images @ texts.T / images.shape[1]
    place = np.arange(8)
    right = (place[:, None] % 4 == place[None] % 4) if matcher.supervised else np.eye(8, dtype=bool)
    assert agreement[right].mean() > agreement[~right].mean() + 0.35, (
        f"{agreement[right].mean():.2f} against {agreement[~right].mean():.2f}"
    )


@pytest.mark.parametrize("name", METHODS)
def test_supervised_methods_refuse_sets_without_classes(name):
    bare = MatcherSource(CAPTIONS, 8, ())
    if small_hash(name).supervised:
        with pytest.raises(UsageError, match="learns from scene classes"):
            build_matcher(name, small_options(name), bare)
    else:
        assert build_matcher(name, small_options(name), bare).dim == 16


def test_heads_say_when_their_towers_have_changed(tmp_path, monkeypatch):
    write_matcher(tmp_path, small_hash("dsph"), "dsph", small_options("dsph"))
    toy_towers(monkeypatch)
    monkeypatch.setattr("hash_world.ToyPair.sha256", property(lambda self: "another"))
    with pytest.raises(EncoderError, match="other weights of toy"):
        read_matcher(tmp_path)


def test_methods_that_look_at_parts_need_towers_that_show_them(monkeypatch):
    monkeypatch.setattr("hash_world.ToyPair.local", False)
    assert small_hash("dsph").dim == 16
    with pytest.raises(UsageError, match="parts of images and single words"):
        small_hash("mith")


@pytest.mark.parametrize("name", ["dcmh", "mith", "mlcah", "ssah"])
def test_an_unknown_way_to_count_pairs_is_refused(name):
    with pytest.raises(UsageError, match="balanced, mean"):
        small_hash(name, pairs="median")


def coloured(count: int = 24):
    """Flat pictures of four colours, named in their captions."""
    from landsift.types import RetrievalSet

    colours = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200), "grey": (120, 120, 120)}
    words, shades = list(colours), np.random.default_rng(0).integers(-30, 30, (count, 1, 1, 1))
    images = [
        np.clip(np.full((64, 64, 3), colours[words[n % 4]]) + shades[n], 0, 255).astype(np.uint8)
        for n in range(count)
    ]
    captions = [f"a {words[n % 4]} field" + " seen from above" * (n % 3 == 0) for n in range(count)]
    names = [f"{n}.png" for n in range(count)]
    return RetrievalSet(
        "coloured", "all", images, names, captions, np.arange(count), np.arange(count) % 4, tuple(words)
    )


def engine_recipe(name: str, folder, *changes: str):
    places = (f'data.cache="{folder}/cache"', f'output.folder="{folder}/run"')
    sizes = [f"model.options.{key}={value!r}" for key, value in small_options(name).items()]
    loop = ("loop.epochs=8", "loop.steps_per_epoch=6", "loop.batch=12", "loop.threads=1", "loop.device=cpu")
    return read_recipe(f"hashing/{name}", (*sizes, *loop, "optimizer.rate=0.01", *places, *changes))


@pytest.mark.parametrize("name", ["duch", "mith"])
def test_from_recipe_to_report(name, tmp_path):
    """Cached vectors, buffers over the training set and all: what was trained is found again by its bits."""
    from landsift.data import hashing_part, one_caption_each
    from landsift.encoders import load_encoder
    from landsift.evaluate import evaluate_hashing
    from landsift.train import fit

    data = coloured(48)
    train = one_caption_each(hashing_part(data, "hashing-train"))
    result = fit(engine_recipe(name, tmp_path), train=[train])
    encoder = load_encoder(result.folder)
    assert encoder.card.extra["code_bits"] == 16
    assert encoder.card.trained_on == ("coloured/hashing-train",)
    report = evaluate_hashing(encoder, data, k=5)
    assert report.scores["coder"] == "own" and report.scores["bits"] == 16
    found = report.scores["directions"]
    assert min(found[side]["mean_ap"]["map_all"] for side in ("i2t", "t2i")) > 0.6


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path):
    from landsift.train import fit

    whole = fit(engine_recipe("ucch", tmp_path / "a"), train=[coloured()])

    class Stopped(Exception):
        pass

    def stop(moment) -> None:
        if moment.phase == "training" and moment.epoch == 3:
            raise Stopped

    recipe = engine_recipe("ucch", tmp_path / "b")
    with pytest.raises(Stopped):
        fit(recipe, train=[coloured()], progress=stop)
    parts = fit(recipe, train=[coloured()], resume=True)
    one, two = (read_matcher(run.folder / "last").state_dict() for run in (whole, parts))
    assert all(torch.equal(value, two[key]) for key, value in one.items())


def test_captions_are_read_once(_toy):
    matcher = small_hash("dsph")
    matcher.prepare(CAPTIONS)
    before = _toy.read_so_far
    assert len(matcher.prepare((*CAPTIONS, *CAPTIONS))) == 16
    assert _toy.read_so_far == before
    assert len(matcher.prepare(())) == 0


def test_duch_wants_two_draws_of_a_caption():
    matcher = small_hash("duch")
    batch = hash_batch(matcher, "dsph", Moment())
    with pytest.raises(UsageError, match="two draws of a caption"):
        matcher.own_losses(batch, *features_of(matcher), torch.zeros(8, 8))


def test_sound_is_a_third_side_where_it_is_given():
    matcher = small_hash("dtbh", audio_width=5)
    sound = torch.randn(8, 5)
    assert matcher.audio_codes(sound).shape == (8, 16)
    moment = Moment()
    image, text = features_of(matcher)
    with pytest.raises(UsageError, match="no sound given"):
        matcher.own_losses(hash_batch(matcher, "dtbh", moment), image, text, torch.zeros(8, 8))
    batch = hash_batch(matcher, "dtbh", moment, extras={"audio": sound})
    value = matcher.own_losses(batch, image, text, torch.zeros(8, 8))["triplet"]
    value.backward()
    assert matcher.audio_hash.layers[-1].weight.grad.abs().max() > 0
    with pytest.raises(UsageError, match="made without sound"):
        small_hash("dtbh").audio_codes(sound)


def test_chnr_trusts_right_captions_more_than_swapped_ones():
    """With half of the pairs wrong, what it learnt to detect outweighs them."""
    from landsift.models.methods.hashing.chnr import _other_class, _share_of

    labels = torch.tensor([0, 0, 1, 1, 2, 0])
    other = _other_class(labels)
    assert (labels[other] != labels).all()
    assert torch.equal(_other_class(torch.zeros(3)), torch.arange(3)), "one class: nothing to swap with"
    shares = _share_of(torch.arange(20_000), 0)
    assert abs(float((shares < 0.2).double().mean()) - 0.2) < 0.02
    assert not torch.equal(shares, _share_of(torch.arange(20_000), 1))
    matcher = trained("chnr", small_hash("chnr", clean=1.0))
    image, text = features_of(matcher)
    right = torch.sigmoid(matcher._judged(image, text))
    wrong = torch.sigmoid(matcher._judged(image, text.rows(torch.arange(8).roll(1))))
    assert right.mean() > wrong.mean() + 0.3
    for options in ({"weighting": "some"}, {"noise": 2.0}, {"clean": 0.0}):
        with pytest.raises(UsageError):
            small_hash("chnr", **options)
    for weighting in ("exp", "dis", "none"):
        trained("chnr", small_hash("chnr", weighting=weighting, noise=0.5), 6)
