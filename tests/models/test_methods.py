"""What every published method must do, whatever it is made of."""

from __future__ import annotations

import time

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from zoo import CAPTIONS, batch_of, frozen_maps, pictures, small_method, small_options  # noqa: E402

from landsift.data.published import published_scores  # noqa: E402
from landsift.models.batch import Moment  # noqa: E402
from landsift.models.blocks.heads import HEADS  # noqa: E402
from landsift.models.checkpoint import read_matcher, write_matcher  # noqa: E402
from landsift.models.encoder import score_features  # noqa: E402
from landsift.models.features import Features, joined  # noqa: E402
from landsift.models.registry import find_matcher, list_zoo  # noqa: E402
from landsift.train import Recipe, read_recipe  # noqa: E402
from landsift.train.objective import Objective  # noqa: E402
from landsift.train.optimizing import training_mode  # noqa: E402
from landsift.train.stepping import Stepper  # noqa: E402
from landsift.train.terms import Sizes  # noqa: E402

METHODS = list_zoo()
TABLES = ("ucm-captions", "rsicd", "rsitmd", "sydney-captions", "nwpu-captions", "textrs")

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.parametrize("name", METHODS)]


def scores_of(matcher, images: Features, texts: Features) -> torch.Tensor:
    with torch.no_grad():
        return matcher.similarity(images, texts)


def features_of(matcher, captions=CAPTIONS) -> tuple[Features, Features]:
    with torch.no_grad():
        return matcher.image_features(pictures()), matcher.text_features(matcher.prepare(captions))


def objective_of(name: str, matcher) -> Objective:
    return Objective(recipe_of(name).loss, Sizes(matcher.dim, 8))


def recipe_of(name: str) -> Recipe:
    return read_recipe(f"methods/{name}")


def test_the_card_is_whole(name):
    spec, recipe = find_matcher(name), recipe_of(name)
    matcher = small_method(name)
    assert spec.card is not None and spec.card.head in HEADS and 2015 < spec.card.year < 2027
    assert spec.citation and recipe.model.name == name and recipe.description
    assert matcher.exact_index == spec.card.exact_index
    assert spec.card.exact_index == (spec.card.head in ("dot", "bilinear", "mean of cosines"))
    if spec.card.published:
        rows = [row for table in TABLES for row in published_scores(table)]
        assert any(
            row.method == spec.card.published and spec.card.backbone in ("", row.backbone) for row in rows
        ), "the published row it names is there"


def test_shapes_and_finite_scores(name):
    matcher = small_method(name)
    images, texts = features_of(matcher)
    assert images.pooled.shape == texts.pooled.shape == (8, matcher.dim)
    scores = scores_of(matcher, images, texts)
    assert scores.shape == (8, 8) and torch.isfinite(scores).all()
    assert scores_of(matcher, images.rows(slice(0, 3)), texts).shape == (3, 8)
    assert len(torch.unique(scores)) > 8, "different pairs score differently"


def test_index_vectors_rank_as_the_method_does(name):
    matcher = small_method(name)
    images, texts = features_of(matcher)
    scores = scores_of(matcher, images, texts)
    if matcher.exact_index:
        slow = torch.tensor([[sum((v * t).tolist()) for t in texts.pooled] for v in images.pooled])
        torch.testing.assert_close(scores, slow, atol=1e-5, rtol=1e-5)
    else:
        spread = (images.pooled @ texts.pooled.T).std()
        assert torch.isfinite(spread) and spread > 0, "an index of the pooled rows proposes candidates"


def test_neither_padding_nor_company_matters(name):
    matcher = small_method(name)
    images, texts = features_of(matcher)
    scores = scores_of(matcher, images, texts)
    alone = [features_of(matcher, [caption])[1] for caption in CAPTIONS]
    with torch.no_grad():
        single = [matcher.image_features(pictures()[n : n + 1]) for n in range(8)]
    for n in range(8):
        torch.testing.assert_close(
            scores_of(matcher, images, alone[n])[:, 0], scores[:, n], atol=1e-5, rtol=1e-4
        )
        torch.testing.assert_close(scores_of(matcher, single[n], texts)[0], scores[n], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        scores_of(matcher, joined(single), joined(alone)), scores, atol=1e-5, rtol=1e-4
    )


def test_scores_in_shards_are_the_scores(name):
    matcher = small_method(name)
    images, texts = features_of(matcher)
    if texts.mask is not None:
        assert len(set(texts.mask.sum(dim=1).tolist())) > 1, "captions of different lengths"
    whole = scores_of(matcher, images, texts)
    torch.testing.assert_close(
        score_features(matcher, images, texts, 9).detach(), whole, atol=1e-5, rtol=1e-4
    )


def test_a_permuted_batch_gives_permuted_scores(name):
    matcher = small_method(name)
    order = torch.tensor([3, 0, 7, 1, 6, 2, 5, 4])
    images, texts = features_of(matcher)
    with torch.no_grad():
        moved_images = matcher.image_features(pictures()[order])
    moved_texts = features_of(matcher, [CAPTIONS[n] for n in order.tolist()])[1]
    torch.testing.assert_close(
        scores_of(matcher, moved_images, moved_texts),
        scores_of(matcher, images, texts)[order][:, order],
        atol=1e-5,
        rtol=1e-4,
    )


def test_saved_and_loaded_it_is_the_same(name, tmp_path):
    matcher = small_method(name)
    write_matcher(tmp_path, matcher, name, small_options(name))
    again = read_matcher(tmp_path)
    for side, other in zip(features_of(matcher), features_of(again), strict=True):
        for key, tensor in side.tensors().items():
            assert torch.equal(tensor, other.tensors()[key]), key


def test_same_seed_same_weights(name):
    one, two, other = small_method(name), small_method(name), small_method(name, seed=1)
    states = [matcher.state_dict() for matcher in (one, two, other)]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert any(not torch.equal(value, states[2][key]) for key, value in states[0].items())


def test_every_parameter_gets_a_gradient(name):
    """Over a few steps, for what starts at zero shields what lies behind it at first."""
    matcher = small_method(name)
    objective = objective_of(name, matcher)
    objective.check(matcher)
    maps = frozen_maps(name, matcher)
    training_mode(matcher)
    stepper = Stepper(matcher, objective)
    optimizer = torch.optim.SGD([*matcher.parameters(), *objective.parameters()], lr=1e-2)
    moved = {key: 0.0 for key, p in matcher.named_parameters() if p.requires_grad and "critic." not in key}
    for step in range(4):
        optimizer.zero_grad()
        batch = batch_of(matcher, maps, Moment(90 + step, 100, 28, 30))
        if step == 0:
            matcher.begin_epoch(batch.moment)
        values, _ = stepper.gradients(batch)
        assert values
        for key in moved:
            gradient = matcher.get_parameter(key).grad
            if gradient is not None:
                assert torch.isfinite(gradient).all(), key
                moved[key] = max(moved[key], float(gradient.abs().max()))
        torch.nn.utils.clip_grad_norm_(list(matcher.parameters()), 5.0)
        optimizer.step()
        matcher.after_step(batch)
    assert [key for key, most in moved.items() if most == 0.0] == []


def test_it_learns_eight_pairs_by_heart(name):
    matcher = small_method(name)
    objective = objective_of(name, matcher)
    maps, stepper = frozen_maps(name, matcher), Stepper(matcher, objective)
    parameters = [p for p in (*matcher.parameters(), *objective.parameters()) if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    began, right = time.process_time(), 0
    for step in range(300):
        training_mode(matcher)
        batch = batch_of(matcher, maps, Moment(step, 300, step // 30, 10))
        if step % 30 == 0:
            matcher.begin_epoch(batch.moment)
        torch.manual_seed(step)
        optimizer.zero_grad()
        stepper.gradients(batch)
        torch.nn.utils.clip_grad_norm_(parameters, 2.0)
        optimizer.step()
        matcher.after_step(batch)
        if step % 10 == 9:
            matcher.eval()
            scores = scores_of(matcher, *features_of(matcher))
            both = (scores.argmax(1) == torch.arange(8)) & (scores.argmax(0) == torch.arange(8))
            right = int(both.sum())
            if right == 8:
                break
    print(f"{name}: {step + 1} steps, {time.process_time() - began:.1f} s")
    assert right == 8
